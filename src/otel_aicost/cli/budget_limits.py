"""`aicost budgets set | unset | history`: limits changed by hand, and who changed what."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from otel_aicost.budgets.budget import Limits, parse_money
from otel_aicost.cli.options import config_option, json_option, ledger_option, ledger_path, planned
from otel_aicost.cli.output import show, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from otel_aicost.budgets.budget import Budget
    from otel_aicost.ledger.events import Event
    from otel_aicost.ledger.store import Connection

MOST = 10**15
DEFAULT = "default"
DEFINED = "as defined"
key_option = click.option(
    "--key", "named_key", metavar="KEY", help="The same as KEY; for one that looks like an amount."
)


@click.command(
    "set",
    epilog="""\b
Examples:
  aicost budgets set company-month 1500 USD
  aicost budgets set user-day alice 100 USD
  aicost budgets set user-day alice --tokens 500000
  aicost budgets set user-day 60 USD         every user that has no limit of their own
  aicost budgets set user-day alice default  takes it back

It holds from the next call on, in every program that shares the ledger, and wins over the file. An amount that is not
given stays as it is. Who set it, when, and what it was before: aicost budgets history.""",
)
@click.argument("name")
@click.argument("words", nargs=-1, metavar="[KEY] LIMIT")
@click.option("--tokens", type=click.IntRange(0, MOST), metavar="N", help="The most tokens, input and output.")
@click.option("--calls", type=click.IntRange(0, MOST), metavar="N", help="The most calls.")
@key_option
@config_option
@ledger_option
def set_limit(  # noqa: PLR0913, PLR0917 - one for each option
    path: Path | None,
    config_file: Path | None,
    named_key: str | None,
    name: str,
    words: tuple[str, ...],
    tokens: int | None,
    calls: int | None,
) -> None:
    """Change the limit of a budget, or of one key of it."""
    key, text = _split(words, named_key, counted=not (tokens is None and calls is None))
    if text is not None and text.lower() == DEFAULT:
        if not (tokens is None and calls is None):
            msg = "`default` takes every limit back: leave --tokens and --calls out"
            raise click.UsageError(msg)
        _unset(path, name, key)
        return
    _set(path, config_file, (name, key), Limits(_money(text), tokens, calls))


@click.command(
    "unset",
    epilog="""\b
Examples:
  aicost budgets unset user-day alice
  aicost budgets unset company-month""",
)
@click.argument("name")
@click.argument("key", required=False)
@ledger_option
def unset_limit(path: Path | None, name: str, key: str | None) -> None:
    """Take back what `aicost budgets set` set: the budget holds as it is defined."""
    _unset(path, name, key)


@click.command(
    epilog="""\b
Examples:
  aicost budgets history
  aicost budgets history user-day --limit 10
  aicost budgets history --json"""
)
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", default=100, show_default=True,
              help="At most so many events.")  # fmt: skip
@json_option
@ledger_option
def history(path: Path | None, name: str | None, limit: int, *, as_json: bool) -> None:
    """List who changed which limit or definition, and when; the newest first."""
    from otel_aicost.ledger.events import listed  # noqa: PLC0415 - no database to print --help
    from otel_aicost.ledger.opening import looking  # noqa: PLC0415

    with looking(ledger_path(path)) as connection:
        found = listed(connection, name, limit + 1)
    more, found = len(found) > limit, found[:limit]
    if as_json:
        write_json({"events": [_document(event) for event in found], "more": more})
    else:
        show(_tables(found, more=more))


def _split(words: Sequence[str], named_key: str | None, *, counted: bool) -> tuple[str | None, str | None]:
    """KEY and LIMIT out of what was typed; `100 USD` may be one word or two."""
    rest = list(words)
    if len(rest) > 1 and rest[-1].upper() == "USD":
        rest[-2:] = [f"{rest[-2]} {rest[-1]}"]
    if len(rest) > (1 if named_key is not None else 2):
        msg = f"expected [KEY] LIMIT and found {' '.join(words)!r}"
        raise click.UsageError(msg)
    key, text = named_key, None
    if len(rest) == 1 and (named_key is not None or not counted or _is_limit(rest[0])):
        text = rest[0]
    elif len(rest) == 1:
        key = rest[0]
    elif rest:
        key, text = rest
    if text is None and not counted:
        msg = "Missing argument 'LIMIT': an amount such as 100 USD, --tokens N, --calls N, or `default`"
        raise click.UsageError(msg)
    return key, text


def _is_limit(text: str) -> bool:
    try:
        parse_money(text)
    except ValueError:
        return text.lower() == DEFAULT
    return True


def _money(text: str | None) -> int | None:
    try:
        return None if text is None else parse_money(text)
    except ValueError as error:
        msg = f"Invalid value for 'LIMIT': it {error}"
        raise click.UsageError(msg) from None


def _set(path: Path | None, config_file: Path | None, which: tuple[str, str | None], limits: Limits) -> None:
    from otel_aicost.ledger import events  # noqa: PLC0415 - no database to print --help
    from otel_aicost.ledger import limits as changes  # noqa: PLC0415
    from otel_aicost.ledger.opening import changing  # noqa: PLC0415

    name, key = which
    planned_budgets = planned(config_file)
    with closing(changing(ledger_path(path))) as store, store.transaction() as connection:
        known = _known(connection, planned_budgets, name)
        place = _row_key(known, key)
        change = changes.set_limits(connection, name, place, limits, events.whoami(), time.time_ns())
        was, became = (changes.told(connection, name, place, each) or DEFINED for each in change)
    if known is None:
        click.echo(f"aicost: neither the file nor the ledger knows a budget {name!r}; it is set all the same", err=True)
    elif key is not None and not known.per:
        click.echo(f"aicost: budget {name} has one window for all: no call has the key {key!r}", err=True)
    click.echo(f"{_named(name, place)}: {was} -> {became}")


def _unset(path: Path | None, name: str, key: str | None) -> None:
    from otel_aicost.ledger import events  # noqa: PLC0415 - as above
    from otel_aicost.ledger import limits as changes  # noqa: PLC0415
    from otel_aicost.ledger.balances import ANY_KEY  # noqa: PLC0415
    from otel_aicost.ledger.opening import changing  # noqa: PLC0415

    places = [key] if key is not None else ["", ANY_KEY]
    lines: list[str] = []
    with closing(changing(ledger_path(path))) as store, store.transaction() as connection:
        who, now = events.whoami(), time.time_ns()
        for place in places:
            was = changes.unset_limits(connection, name, place, who, now)
            if was is not None:
                each = (changes.told(connection, name, place, limits) or DEFINED for limits in (was, None))
                lines.append(f"{_named(name, place)}: {' -> '.join(each)}")
    click.echo("\n".join(lines) or f"{_named(name, key or '')}: nothing was set")


def _known(connection: Connection, planned_budgets: Sequence[Budget], name: str) -> Budget | None:
    from otel_aicost.ledger.limits import guessed  # noqa: PLC0415 - as above

    return next((budget for budget in planned_budgets if budget.name == name), None) or guessed(connection, name)


def _row_key(known: Budget | None, key: str | None) -> str:
    """Where a limit without a key stands: in the one window, or for every key."""
    from otel_aicost.ledger.balances import ANY_KEY  # noqa: PLC0415 - as above

    if key is not None:
        return key
    return "" if known is not None and not known.per else ANY_KEY


def _named(name: str, place: str) -> str:
    of = {"": "", "*": " (every key without a limit of its own)"}.get(place, f" of {place}")
    return f"{name}{of}"


def _document(event: Event) -> dict[str, Any]:
    budget, _, key = event.subject.partition(" ")
    return {
        "id": event.id,
        "at": _instant(event.at_ns),
        "at_ns": event.at_ns,
        "who": event.who,
        "kind": event.kind,
        "budget": budget,
        "key": key or None,
        "was": event.was,
        "became": event.became,
    }


def _tables(found: Sequence[Event], *, more: bool) -> Iterator[RenderableType]:
    from otel_aicost.report.screen import Column, Grid  # noqa: PLC0415 - rich takes 0.1 s

    if not found:
        yield "Nothing was changed yet."
        return
    yield Grid(
        [
            Column("time (UTC)", [_instant(event.at_ns)[:19].replace("T", " ") for event in found], right=False),
            Column("who", [event.who for event in found], right=False, fold=True),
            Column("what", [event.kind.replace("_", " ") for event in found], right=False),
            Column("budget", [event.subject for event in found], right=False, fold=True),
            Column("was", [event.was or "-" for event in found], right=False, fold=True),
            Column("became", [event.became or "-" for event in found], right=False, fold=True),
        ]
    )
    if more:
        yield f"The newest {len(found):,}; there are more: --limit N."


def _instant(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC).isoformat()
