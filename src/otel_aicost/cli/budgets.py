"""`aicost budgets`: how every budget stands, and whether a file of budgets is right."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otel_aicost.cli.options import ledger_option, opened
from otel_aicost.cli.output import show, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from otel_aicost.ledger.standings import Standing

json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")


@click.group(
    invoke_without_command=True,
    epilog="""\b
Examples:
  aicost budgets
  aicost budgets list --json
  aicost budgets check aicost.yaml""",
)
@json_option
@ledger_option
@click.pass_context
def budgets(context: click.Context, path: Path | None, *, as_json: bool) -> None:
    """Show how every budget stands, check a file of budgets."""
    if context.invoked_subcommand is None:
        _list(path, as_json=as_json)


@budgets.command(
    "list",
    epilog="""\b
Examples:
  aicost budgets list
  aicost budgets list --json""",
)
@json_option
@ledger_option
def list_budgets(path: Path | None, *, as_json: bool) -> None:
    """List every window that counts now: spent, reserved, limit, remaining, end.

    A window is there once a call was held against it. The limit is the one of the last call.
    """
    _list(path, as_json=as_json)


@budgets.command(
    epilog="""\b
Examples:
  aicost budgets check aicost.yaml

Exit code 1 if there is a mistake in it; every one is told with its line."""
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def check(file: Path) -> None:
    """Check a file of budgets."""
    from otel_aicost.budgets.reading import read_budgets  # noqa: PLC0415 - YAML takes 0.05 s

    plan = read_budgets(file)
    blocking = sum(budget.blocks for budget in plan.budgets)
    click.echo(f"{file}: {len(plan.budgets)} budgets, {blocking} of them may block a call")


def _list(path: Path | None, *, as_json: bool) -> None:
    from otel_aicost.ledger.standings import standings  # noqa: PLC0415 - SQLAlchemy takes 0.3 s

    with opened(path).read() as connection:
        found = standings(connection, time.time_ns())
    if as_json:
        write_json({"budgets": [_document(standing) for standing in found]})
    else:
        show(_tables(found))


def _document(standing: Standing) -> dict[str, Any]:
    ends = standing.resets_at
    return {
        "budget": standing.budget,
        "key": standing.key or None,
        "window": standing.window,
        "unit": standing.unit,
        "spent": _exact(standing, standing.spent),
        "reserved": _exact(standing, standing.reserved),
        "limit": _exact(standing, standing.limit),
        "remaining": _exact(standing, standing.remaining),
        "resets_at": None if ends is None else datetime.fromtimestamp(ends, UTC).isoformat(),
    }


def _exact(standing: Standing, amount: int) -> str | int:
    """Dollars as exact decimal text, tokens and calls as numbers."""
    from otel_aicost.report.money import exact  # noqa: PLC0415 - as above

    return exact(amount) if standing.unit == "USD" else amount


def _tables(found: Sequence[Standing]) -> Iterator[RenderableType]:
    from otel_aicost.report.screen import Column, Grid, harmless  # noqa: PLC0415 - as above

    if not found:
        yield "No budget has a window yet: none is set, or no call was held against one (docs/budgets.md)."
        return
    yield Grid(
        [
            Column("budget", [harmless(each.budget) for each in found], right=False),
            Column("key", [harmless(each.key) for each in found], right=False, fold=True),
            Column("window", [each.window for each in found], right=False, spare=2),
            Column("spent", [_shown(each, each.spent) for each in found]),
            Column("reserved", [_shown(each, each.reserved) for each in found], spare=1),
            Column("limit", [_shown(each, each.limit) for each in found]),
            Column("remaining", [_shown(each, each.remaining) for each in found]),
            Column("resets (UTC)", [_reset(each) for each in found], right=False),
        ]
    )


def _shown(standing: Standing, amount: int) -> str:
    if standing.unit == "USD":
        return f"${_exact(standing, amount)}"
    return f"{amount:,} {standing.unit}"


def _reset(standing: Standing) -> str:
    if standing.resets_at is None:
        return "never"
    return f"{datetime.fromtimestamp(standing.resets_at, UTC):%Y-%m-%d %H:%M}"
