"""`aicost ledger prune`: keeping the ledger small."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import click

from otel_aicost import config
from otel_aicost.cli.options import ledger_file, ledger_option, ledger_path, past_day, today
from otel_aicost.cli.progress import bar as progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from otel_aicost.config import Server
    from otel_aicost.ledger.store import Store

FOLD_ROWS = 500
"""So many calls in one transaction."""


@click.command(
    epilog="""\b
Examples:
  aicost ledger prune --dry-run
  aicost ledger prune --keep-days 90
  aicost ledger prune --before 2026-01-01 --vacuum

Without --before and --keep-days: what is older than OTEL_AICOST_RETENTION_DAYS. Calls become daily totals, so reports
say the same as before; budget windows that ended, with their entries, and alerts that were read or resolved are
deleted; processes that are gone become one row a service. It works in small steps that stop nobody; after Ctrl-C what
was done is done. The file keeps its size, and free pages are used again; --vacuum gives them back, and stops everybody
who writes meanwhile."""
)
@click.option("--before", callback=past_day, metavar="DATE", help="What is older than this day (UTC).")
@click.option("--keep-days", type=click.IntRange(min=1, max=36_500), metavar="N", help="What is older than N days.")
@click.option("--dry-run", is_flag=True, help="Only say how much that is.")
@click.option("--vacuum", is_flag=True, help="Give free pages back to the disk afterwards.")
@ledger_option
def prune(
    path: Path | Server | None, before: date | None, keep_days: int | None, *, dry_run: bool, vacuum: bool
) -> None:
    """Turn old calls into daily totals, delete old budget windows."""
    from otel_aicost.ledger.opening import changing, looking  # noqa: PLC0415 - no database to print --help
    from otel_aicost.ledger.processes import dead  # noqa: PLC0415
    from otel_aicost.ledger.pruning import old  # noqa: PLC0415

    day = _before(before, keep_days)
    before_ns = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9
    file = ledger_file(path) if vacuum else ledger_path(path)
    with looking(file) as connection:
        found = old(connection, before_ns)
        gone = dead(connection, before_ns, time.time_ns())
    told = (
        f"before {day}: {found.calls:,} calls, {found.windows:,} budget windows with {found.entries:,} entries, "
        f"{found.alerts:,} alerts, {gone:,} processes"
    )
    if dry_run:
        click.echo(f"{told}; nothing was changed")
        return
    with closing(changing(file)) as store:
        _prune(store, before_ns, found.calls + found.windows + found.alerts + gone)
        click.echo(f"pruned {told}")
    if vacuum:
        _vacuum(ledger_file(file))


def _before(before: date | None, keep_days: int | None) -> date:
    if before is not None and keep_days is not None:
        msg = "--before goes without --keep-days"
        raise click.UsageError(msg)
    if before is not None:
        return before
    days = keep_days or config.load()[0].retention_days
    if not days:
        msg = "OTEL_AICOST_RETENTION_DAYS is 0, every call is kept: say --before DATE or --keep-days N"
        raise click.UsageError(msg)
    return today() - timedelta(days=days)


def _prune(store: Store, before_ns: int, total: int) -> None:
    from otel_aicost.ledger import processes  # noqa: PLC0415 - as above
    from otel_aicost.ledger.pruning import prune_alerts, prune_refusals, prune_windows  # noqa: PLC0415 - as above

    def windows() -> int:
        with store.transaction() as connection:
            return prune_windows(connection, before_ns)[0]

    def alerts() -> int:
        with store.transaction() as connection:
            return prune_alerts(connection, before_ns)

    def gone() -> int:
        with store.transaction() as connection:
            return processes.prune(connection, before_ns, time.time_ns())

    steps: tuple[Callable[[], int], ...] = (lambda: store.fold(before_ns, FOLD_ROWS), windows, alerts, gone)
    with progress_bar("pruning", total) as bar:
        for step in steps:
            while done := step():
                bar.update(done)
        with store.transaction() as connection:
            prune_refusals(connection, before_ns)


def _vacuum(file: Path) -> None:
    from otel_aicost.ledger.facts import bytes_of  # noqa: PLC0415 - as above
    from otel_aicost.ledger.opening import BUSY_SECONDS, errors_named  # noqa: PLC0415
    from otel_aicost.ledger.store import FileStore  # noqa: PLC0415

    was = bytes_of(file.resolve())
    with closing(FileStore(file, BUSY_SECONDS)) as store, errors_named(file):
        store.connection.execute("VACUUM")
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    click.echo(f"{was:,} bytes before, {bytes_of(file.resolve()):,} now")
