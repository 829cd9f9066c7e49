"""`aicost budgets`: how every budget stands, whether one is spent, and whether a file of budgets is right."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from otel_aicost.cli.budget_calls import explain
from otel_aicost.cli.budget_limits import history, set_limit, unset_limit
from otel_aicost.cli.options import config_option, json_option, ledger_option, ledger_path, planned
from otel_aicost.cli.output import show, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_aicost.ledger.standings import Standing

key_option = click.option("--key", metavar="KEY", help="Only this value of the budget's `per`, for example a user.")
all_option = click.option("--all", "every", is_flag=True, help="Every window, however many there are.")


@click.group(
    invoke_without_command=True,
    epilog="""\b
Examples:
  aicost budgets
  aicost budgets list user-day --key alice
  aicost budgets check --fail-at 0.9
  aicost budgets set user-day alice 100 USD
  aicost budgets explain 019a9c3e-77b0
  aicost budgets validate aicost.yaml""",
)
@json_option
@config_option
@ledger_option
@click.pass_context
def budgets(context: click.Context, path: Path | None, config_file: Path | None, *, as_json: bool) -> None:
    """Show how every budget stands, set limits, explain a call."""
    if context.invoked_subcommand is None:
        _list(path, config_file, (None, None), as_json=as_json, every=False)
    elif as_json or path is not None or config_file is not None:
        msg = f"options go after the command: aicost budgets {context.invoked_subcommand} ..."
        raise click.UsageError(msg)


@budgets.command(
    "list",
    epilog="""\b
Examples:
  aicost budgets list
  aicost budgets list user-day --key alice
  aicost budgets list --all --json

A window is there once a call was held against it; a budget of the file without one stands with nothing spent. The limit
is the one that holds for the next call. `projected` is what will be spent at the end of the window if it goes on like
this; it is not told before 5 % of the window is gone, nor of windows that roll or never end. Times are of the budget's
time zone, or of yours where that is not known.""",
)
@click.argument("name", required=False)
@key_option
@all_option
@json_option
@config_option
@ledger_option
def list_budgets(  # noqa: PLR0913 - one for each option
    path: Path | None, config_file: Path | None, name: str | None, key: str | None, *, as_json: bool, every: bool
) -> None:
    """List every window that counts now: spent, reserved, limit, remaining, end.

    Of many windows, the 50 with the largest share spent.
    """
    _list(path, config_file, (name, key), as_json=as_json, every=every)


@budgets.command(
    epilog="""\b
Examples:
  aicost budgets check
  aicost budgets check --fail-at 0.8
  aicost budgets check --budget company-month || mail -s "AI budget" team@example.com

For cron and CI. One line for each window that has come so far, with its exit code 1; 0 if none has, 2 for wrong usage
(a budget that nobody knows, too), 3 if there is no ledger. What is reserved does not count as spent. Whether a FILE of
budgets is right says `aicost budgets validate FILE`.""",
)
@click.option(
    "--fail-at",
    "share",
    type=click.FloatRange(min=0, min_open=True, max=100),
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="The share of a limit that is too much; 1 is all of it.",
)
@click.option("--budget", "name", metavar="NAME", help="Only this budget.")
@key_option
@config_option
@ledger_option
def check(path: Path | None, config_file: Path | None, name: str | None, key: str | None, share: float) -> None:
    """Tell by the exit code whether any budget is spent."""
    from otel_aicost.report.standings import line, percent  # noqa: PLC0415 - rich takes 0.1 s

    found = _found(path, config_file, name, key)
    limit = Decimal(str(share))
    reached = [standing for standing in found if standing.reached(limit)]
    for standing in reached:
        click.echo(line(standing))
    if reached:
        raise click.exceptions.Exit(1)
    click.echo(f"none of {len(found):,} limits has reached {percent(limit)}")


@budgets.command(
    epilog="""\b
Examples:
  aicost budgets validate aicost.yaml

Exit code 1 if there is a mistake in it; every one is told with its line. Whether a budget is spent says
`aicost budgets check`."""
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def validate(file: Path) -> None:
    """Check a file of budgets."""
    from otel_aicost.budgets.reading import read_budgets  # noqa: PLC0415 - YAML takes 0.05 s

    plan = read_budgets(file)
    blocking = sum(budget.blocks for budget in plan.budgets)
    click.echo(f"{file}: {len(plan.budgets)} budgets, {blocking} of them may block a call")


for _command in (set_limit, unset_limit, history, explain):
    budgets.add_command(_command)


def _list(
    path: Path | None, config_file: Path | None, which: tuple[str | None, str | None], *, as_json: bool, every: bool
) -> None:
    from otel_aicost.report import standings as report  # noqa: PLC0415 - rich takes 0.1 s

    found = _found(path, config_file, *which)
    kept, more = report.worst(found, None if every else report.SHOWN)
    if as_json:
        write_json({"budgets": [report.document(standing) for standing in kept], "more": more})
    else:
        show(report.tables(kept, more))


def _found(path: Path | None, config_file: Path | None, name: str | None, key: str | None) -> Sequence[Standing]:
    """How the budgets stand; a name that nobody knows is refused, as a check of it would never fail."""
    from otel_aicost.ledger.limits import known_names  # noqa: PLC0415 - no database to print --help
    from otel_aicost.ledger.opening import looking  # noqa: PLC0415
    from otel_aicost.ledger.standings import standings  # noqa: PLC0415

    defined = planned(config_file)
    with looking(ledger_path(path)) as connection:
        found = list(standings(connection, time.time_ns(), defined, name, key))
        known = known_names(connection) if name is not None and not found else set()
    known |= {budget.name for budget in defined}
    if name is not None and not found and name not in known:
        existing = f"there are {', '.join(sorted(known))}" if known else "there is none"
        msg = f"neither the ledger nor the file knows a budget {name!r}; {existing}"
        raise click.UsageError(msg)
    return found
