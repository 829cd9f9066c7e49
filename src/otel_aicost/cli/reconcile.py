"""`aicost reconcile`: the ledger beside the provider's own bill."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from otel_aicost.cli.options import ledger_option, opened, past_day, today
from otel_aicost.cli.output import Answer, emit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from otel_aicost.bills.bill import Bill, Days
    from otel_aicost.bills.comparing import Pair
    from otel_aicost.config import Server

DAYS = 7


@click.command(
    short_help="Hold the ledger against the provider's own bill.",
    epilog="""\b
Examples:
  OPENAI_ADMIN_KEY=... aicost reconcile openai --days 7
  ANTHROPIC_ADMIN_KEY=... aicost reconcile anthropic --since 2026-11-01 --until 2026-11-15
  aicost reconcile openai --days 30 --json
  aicost reconcile openai --fail-over 5      (for a nightly job)

Only whole days of UTC are compared: today is not over. The admin key is read from OPENAI_ADMIN_KEY or
ANTHROPIC_ADMIN_KEY, sent to the provider, and neither printed nor kept. Exit code 1 if the cost API cannot be read, or
if the totals differ by more than --fail-over percent.""",
)
@click.argument("provider", type=click.Choice(["openai", "anthropic"]))
@click.option(
    "--days", type=click.IntRange(1, 366), metavar="N", help=f"The last N whole days. Default: {DAYS}.", default=None
)
@click.option("--since", callback=past_day, metavar="DATE", help="From this day on (UTC).")
@click.option("--until", callback=past_day, metavar="DATE", help="Up to this day, itself included (UTC).")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    metavar="PERCENT",
    help="So much of the bill is no difference; nor is less than a cent.",
)
@click.option(
    "--fail-over", type=click.FloatRange(0), metavar="PERCENT", help="Exit code 1 if the totals differ by more."
)
@click.option("--base-url", metavar="URL", help="Ask here instead: a proxy of yours.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV.")
@ledger_option
def reconcile(path: Path | Server | None, provider: str, *, as_json: bool, as_csv: bool, **asked: Any) -> None:  # noqa: ANN401 - the options
    """Show what the ledger has beside what PROVIDER billed, by day and model, and why they may differ."""
    from otel_aicost.bills.comparing import compared  # noqa: PLC0415 - nothing of it is needed for --help
    from otel_aicost.bills.held import held  # noqa: PLC0415
    from otel_aicost.ledger.queries import Query  # noqa: PLC0415
    from otel_aicost.report import reconciling  # noqa: PLC0415

    days = _days(asked["days"], asked["since"], asked["until"])
    ledger = opened(path)
    bill = _bill(provider, days, asked["base_url"])
    with ledger.read() as connection:
        ours = held(Query(ledger, connection), provider, days)
    pairs = compared(ours, bill, Decimal(str(asked["tolerance"])) / 100)
    answer = Answer(
        tables=lambda: reconciling.tables(provider, days, pairs, bill.gap),
        document=lambda: reconciling.document(provider, days, pairs, bill.gap),
        rows=lambda: reconciling.rows(pairs),
        fields=reconciling.FIELDS,
    )
    emit("json" if as_json else "csv" if as_csv else "table", answer)
    if not bill.billed:
        click.echo(f"aicost: {provider} has no costs from {days.first} to {days.last}", err=True)
    _judged(pairs, asked["fail_over"])


def _days(count: int | None, since: date | None, until: date | None) -> Days:
    from otel_aicost.bills.bill import Days  # noqa: PLC0415

    if count is not None and (since or until):
        msg = "--days goes without --since and --until"
        raise click.UsageError(msg)
    last = min(until or today(), today() - timedelta(days=1))
    first = since or last - timedelta(days=(count or DAYS) - 1)
    if first > last:
        msg = (
            f"{first} is not over yet: only whole days are compared"
            if until is None
            else f"--since {first} is after {last}"
        )
        raise click.UsageError(msg)
    return Days(first, last)


def _bill(provider: str, days: Days, base_url: str | None) -> Bill:
    from otel_aicost.bills import anthropic, openai  # noqa: PLC0415 - `requests` takes 0.1 s
    from otel_aicost.bills.fetching import Door  # noqa: PLC0415

    source = {"openai": openai, "anthropic": anthropic}[provider]
    key = os.environ.get(source.VARIABLE, "").strip()
    if not key:
        where = source.access("").where
        msg = f"{source.VARIABLE} is not set: an admin key of the organization, made at {where}"
        raise click.UsageError(msg)
    if not (key.isascii() and key.isprintable() and " " not in key):
        msg = f"{source.VARIABLE} holds something that cannot be a key: letters, digits and signs only"
        raise click.UsageError(msg)
    access = source.access(key, base_url or source.BASE_URL)
    with closing(Door(access, lambda told: click.echo(f"aicost: {told}", err=True))) as door:
        found: Bill = source.bill(door, days)
    return found


def _judged(pairs: Sequence[Pair], most: float | None) -> None:
    from otel_aicost.bills.comparing import agree  # noqa: PLC0415
    from otel_aicost.report.reconciling import sums  # noqa: PLC0415

    ours, theirs = sums(pairs)
    if most is not None and not agree(ours - theirs, theirs, Decimal(str(most)) / 100):
        msg = f"the ledger has ${ours:.4f} and the bill ${theirs:.4f}: more than {most:g} % apart"
        raise click.ClickException(msg)
