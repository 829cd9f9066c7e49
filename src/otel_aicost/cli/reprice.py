"""`aicost reprice`: what recorded calls cost with the prices of now."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from otel_aicost import config
from otel_aicost.cli.options import chosen, day_option, json_option, ledger_option, ledger_path
from otel_aicost.cli.output import show, write_json
from otel_aicost.cli.price_lists import in_force, prices_option, user_file
from otel_aicost.cli.progress import bar as progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import RenderableType

    from otel_aicost.config import Server
    from otel_aicost.ledger.questions import Filter
    from otel_aicost.ledger.stored_calls import Which
    from otel_aicost.repricing import Found, Group, Pricing

LONGEST_REASON = 500


@click.command(
    epilog="""\b
Examples:
  aicost reprice --dry-run
  aicost reprice --unpriced --since 2026-11-01
  aicost reprice --model 'gpt-9*' --prices prices.yaml --reason "price of gpt-9 was missing"
  aicost reprice --provider openai --since 2026-11-01 --until 2026-11-15 --yes --json

Each call is priced at its own time, from the usage and the conditions that were recorded with it. Costs that a
provider stated, free endpoints and calls that are in daily totals by now stay as they are, and no call loses a price.
Reports, budgets and the metrics of periods follow at once; `aicost prices explain CALL_ID` shows what a call cost
before, `aicost budgets history` who repriced when. It may run while programs write, and be run again: what is right
stays as it is. On a terminal it shows what it would do, and asks first."""
)
@day_option("--since", help="From this day on (UTC).")
@day_option("--until", help="Up to this day, itself included (UTC).")
@click.option("--model", metavar="GLOB", help="Only these models; * and ? stand for anything: 'gpt-4o*'.")
@click.option("--provider", metavar="NAME", help="Only calls to this provider, for example openai.")
@click.option("--unpriced", is_flag=True, help="Only calls whose cost nobody knows.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--reason", metavar="TEXT", help="Why, for the audit trail.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@prices_option
@json_option
@ledger_option
def reprice(  # noqa: PLR0913 - one for each option
    path: Path | Server | None,
    prices_file: Path | None,
    reason: str | None,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - those of a Filter
) -> None:
    """Price recorded calls again, where a price was missing or wrong."""
    from otel_aicost.repricing import Repricing, foreseen  # noqa: PLC0415 - nothing of it is needed for --help

    if reason is not None and len(reason) > LONGEST_REASON:
        msg = f"--reason is longer than {LONGEST_REASON} characters"
        raise click.UsageError(msg)
    place, which = ledger_path(path), _which(chosen(options))
    pricing = _pricing(prices_file)
    if dry_run:
        found = _watched("looking", lambda began, progress: foreseen(place, which, pricing, began, progress))
        _say(found, None, as_json=as_json)
        return
    if not yes and sys.stdin.isatty():
        found = _watched("looking", lambda began, progress: foreseen(place, which, pricing, began, progress))
        if not _confirmed(found, as_json=as_json):
            return
    run = Repricing(place, which, pricing, config.load()[0].metric_tags, reason)
    _say(_watched("repricing", run.reprice), run.run, as_json=as_json)


def _watched(label: str, work: Callable[[Callable[[int], object], Callable[[int], object]], Found]) -> Found:
    with progress_bar(label, 1) as bar:

        def began(calls: int) -> None:
            bar.length = max(1, calls)

        return work(began, bar.update)


def _confirmed(found: Found, *, as_json: bool) -> bool:
    """Show what would change, where it is not for a machine, and ask."""
    total = found.total
    if not total.repriced:
        _say(found, None, as_json=as_json)
        return False
    if not as_json:
        show(_tables(found))
    if click.confirm(f"Reprice {total.repriced:,} calls?", err=True):
        return True
    click.echo("nothing was changed", err=True)
    return False


def _which(where: Filter) -> Which:
    from otel_aicost.ledger.questions import like  # noqa: PLC0415 - as above
    from otel_aicost.ledger.stored_calls import Which  # noqa: PLC0415

    return Which(
        None if where.since is None else _start_ns(where.since),
        None if where.until is None else _start_ns(where.until + timedelta(days=1)),
        where.provider,
        None if where.model is None else like(where.model),
        where.unpriced,
    )


def _start_ns(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9


def _pricing(prices_file: Path | None) -> Pricing:
    """How running programs price calls; a file that cannot be used is an error: other prices would be taken."""
    from otel_aicost.repricing import Pricing  # noqa: PLC0415 - as above

    return Pricing(in_force(prices_file), own_file=user_file(prices_file) is not None)


def _say(found: Found, run: str | None, *, as_json: bool) -> None:
    if as_json:
        write_json(_document(found, run))
        return
    show(_tables(found))
    total = found.total
    if run is None:
        click.echo(f"{total.repriced:,} calls would be repriced; nothing was changed")
        return
    for alert in found.alerts:
        click.echo(
            f"alert: budget {alert.line.budget.name} {alert.line.key}".rstrip() + f" has reached {alert.share:.0%}"
        )
    click.echo(
        f"repriced {total.repriced:,} calls" + (f" (run {run})" if total.repriced else ": there was nothing to change")
    )


def _tables(found: Found) -> Iterator[RenderableType]:
    from otel_aicost.report import money  # noqa: PLC0415 - rich takes 0.1 s
    from otel_aicost.report.screen import Column, Grid  # noqa: PLC0415

    shown = sorted(
        (group for group in found.groups.values() if group.repriced or group.unpriced),
        key=lambda group: (-abs(group.nano - group.was_nano), group.provider, group.model),
    )
    total = found.total
    every = [*shown, total]
    if shown:
        was, now = (money.column([getattr(group, name) for group in every]) for name in ("was_known", "known"))
        differences = _differences(every)
        yield Grid(
            [
                Column("provider", [group.provider for group in shown], "total", right=False, fold=True),
                Column("model", [group.model or "(none)" for group in shown], right=False, fold=True),
                Column("calls", [f"{group.calls:,}" for group in shown], f"{total.calls:,}", spare=1),
                Column("repriced", [f"{group.repriced:,}" for group in shown], f"{total.repriced:,}"),
                Column("was", was[:-1], was[-1]),
                Column("now", now[:-1], now[-1]),
                Column("difference", differences[:-1], differences[-1]),
                Column("still unpriced", [_reasons(group) for group in shown], _reasons(total), right=False, fold=True),
            ],
            totals=True,
        )
    if found.kept:
        told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(found.kept.items()))
        yield f"Left as they are: {told}."
    if found.folded[0]:
        calls, unpriced = found.folded
        yield f"In daily totals by now, and not to be repriced: {calls:,} calls, {unpriced:,} of them unpriced."
    if found.passed:
        yield f"Changed by somebody else meanwhile: {found.passed:,} calls; run it again."


def _differences(groups: list[Group]) -> list[str]:
    """What is more and what is less, with its sign; a dash where no cost is known."""
    from otel_aicost.report import money  # noqa: PLC0415 - as above

    amounts = [group.nano - group.was_nano for group in groups]
    shown = money.column([None if group.known is None else abs(group.nano - group.was_nano) for group in groups])
    signs = ["-" if amount < 0 else "+" if amount else "" for amount in amounts]
    return [sign + text for sign, text in zip(signs, shown, strict=True)]


def _reasons(group: Group) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(group.unpriced.items()))


def _document(found: Found, run: str | None) -> dict[str, Any]:
    groups = sorted(found.groups.values(), key=lambda group: (group.provider, group.model))
    return {
        "dry_run": run is None,
        "run": run if found.total.repriced else None,
        "groups": [{"provider": group.provider, "model": group.model, **_sums(group)} for group in groups],
        "total": _sums(found.total),
        "kept": dict(sorted(found.kept.items())),
        "changed_meanwhile": found.passed,
        "in_daily_totals": {"calls": found.folded[0], "unpriced_calls": found.folded[1]},
        "alerts": [
            {
                "budget": alert.line.budget.name,
                "key": alert.line.key or None,
                "window": alert.line.window.id,
                "share": f"{alert.share.normalize():f}",
            }
            for alert in found.alerts
        ],
    }


def _sums(group: Group) -> dict[str, Any]:
    from otel_aicost.report.money import exact  # noqa: PLC0415 - as above

    difference = group.nano - group.was_nano
    return {
        "calls": group.calls,
        "repriced_calls": group.repriced,
        "newly_priced_calls": group.newly_priced,
        "was_usd": None if group.was_known is None else exact(group.was_known),
        "was_nano": group.was_known,
        "cost_usd": None if group.known is None else exact(group.known),
        "cost_nano": group.known,
        "difference_usd": ("-" if difference < 0 else "") + exact(abs(difference)),
        "difference_nano": difference,
        "unpriced_calls": sum(group.unpriced.values()),
        "unpriced_reasons": dict(sorted(group.unpriced.items())),
    }
