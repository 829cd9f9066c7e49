"""`aicost ledger`: whether the ledger agrees with itself, and keeping it small, new and safe."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing, nullcontext
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otel_aicost import config, names
from otel_aicost.cli.options import json_option, ledger_option, ledger_path, past_day, today
from otel_aicost.cli.output import show, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from otel_aicost.ledger.store import FileStore
    from otel_aicost.ledger.verify import Finding

FOLD_ROWS = 500
SHOWN = 20


@click.group(
    epilog="""\b
Examples:
  aicost ledger info
  aicost ledger verify
  aicost ledger backup /backups/ledger-2026-11-22.db
  aicost ledger prune --keep-days 400"""
)
def ledger() -> None:
    """Verify, migrate, prune and back up the ledger."""


@ledger.command(
    epilog="""\b
Examples:
  aicost ledger info
  aicost ledger info --json"""
)
@json_option
@ledger_option
def info(path: Path | None, *, as_json: bool) -> None:
    """Say where the ledger is, how large, and what is in it."""
    from otel_aicost.ledger.facts import bytes_of, facts_of  # noqa: PLC0415 - no database to print --help
    from otel_aicost.ledger.opening import looking, version_of  # noqa: PLC0415

    file = ledger_path(path)
    version = version_of(file)
    with looking(file) as connection:
        facts = facts_of(connection)
        journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    told = {
        "file": str(file),
        "bytes": bytes_of(file.resolve()),
        "mode": f"{file.stat().st_mode & 0o777:04o}",
        "schema": version,
        "journal": journal,
        "oldest_call": _instant(facts.oldest_ns),
        "newest_call": _instant(facts.newest_ns),
        "first_day_of_totals": facts.first_day,
        "rows": facts.rows,
    }
    if as_json:
        write_json(told)
        return
    from otel_aicost.report.screen import facts as table  # noqa: PLC0415 - rich takes 0.1 s

    rows = told.pop("rows")
    lines = [*told.items(), *((f"rows of {name}", f"{count:,}") for name, count in facts.rows.items() if rows)]
    show([table((name.replace("_", " "), "-" if value is None else str(value)) for name, value in lines)])


@ledger.command(
    epilog="""\b
Examples:
  aicost ledger verify
  aicost ledger verify --json
  aicost ledger verify --repair

It rebuilds what is spent in every window from its entries and what is reserved from the reservations, compares the
entries with the calls that are still there, looks at the daily totals, and lets SQLite check its file. All of it is of
one moment, and programs may write meanwhile. Exit code 1 if anything differs. --repair writes the balances anew, in one
transaction, with an event for each (aicost budgets history); calls are never changed."""
)
@click.option("--repair", "mend", is_flag=True, help="Write the balances that differ anew.")
@json_option
@ledger_option
def verify(path: Path | None, *, as_json: bool, mend: bool) -> None:
    """Rebuild every balance from the rows and say where they differ."""
    from otel_aicost.ledger import verify as checks  # noqa: PLC0415 - no database to print --help
    from otel_aicost.ledger.opening import looking  # noqa: PLC0415

    file = ledger_path(path)
    repaired = _repair(file) if mend else 0
    with looking(file) as connection:
        counts = checks.checked(connection)
        found = [*checks.integrity(connection), *checks.findings(connection, time.time_ns())]
    wrong = sum(finding.level == checks.WRONG for finding in found)
    if as_json:
        write_json(
            {
                "checked": counts,
                "repaired": repaired,
                "wrong": wrong,
                "findings": [finding._asdict() for finding in found],
            }
        )
    else:
        _say(found, counts, repaired)
    if wrong:
        raise click.exceptions.Exit(1)


@ledger.command(
    epilog="""\b
Examples:
  aicost ledger migrate

Programs instrumented with this version do the same at their first call; those of an older version stop writing to
it."""
)
@ledger_option
def migrate(path: Path | None) -> None:
    """Bring an older ledger to the newest schema."""
    from otel_aicost.ledger.opening import changing, version_of  # noqa: PLC0415 - no database to print --help

    file = ledger_path(path)
    was = version_of(file)
    changing(file, migrate=True).close()
    now = version_of(file)
    click.echo(f"{file}: schema {now}, nothing to do" if was == now else f"{file}: from schema {was} to {now}")


@ledger.command(
    epilog="""\b
Examples:
  aicost ledger prune --dry-run
  aicost ledger prune --keep-days 90
  aicost ledger prune --before 2026-01-01 --vacuum

Without --before and --keep-days: what is older than OTEL_AICOST_RETENTION_DAYS. Calls become daily totals, so reports
say the same as before; budget windows that ended, with their entries, and alerts that were read or resolved are
deleted. It works in small steps that stop nobody; after Ctrl-C what was done is done. The file keeps its size, and free
pages are used again; --vacuum gives them back, and stops everybody who writes meanwhile."""
)
@click.option("--before", callback=past_day, metavar="DATE", help="What is older than this day (UTC).")
@click.option("--keep-days", type=click.IntRange(min=1, max=36_500), metavar="N", help="What is older than N days.")
@click.option("--dry-run", is_flag=True, help="Only say how much that is.")
@click.option("--vacuum", is_flag=True, help="Give free pages back to the disk afterwards.")
@ledger_option
def prune(path: Path | None, before: date | None, keep_days: int | None, *, dry_run: bool, vacuum: bool) -> None:
    """Turn old calls into daily totals, delete old budget windows."""
    from otel_aicost.ledger.opening import changing, looking  # noqa: PLC0415 - no database to print --help
    from otel_aicost.ledger.pruning import old  # noqa: PLC0415

    day = _before(before, keep_days)
    before_ns = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**9
    file = ledger_path(path)
    with looking(file) as connection:
        found = old(connection, before_ns)
    told = (
        f"before {day}: {found.calls:,} calls, {found.windows:,} budget windows with {found.entries:,} entries, "
        f"{found.alerts:,} alerts"
    )
    if dry_run:
        click.echo(f"{told}; nothing was changed")
        return
    with closing(changing(file)) as store:
        _prune(store, before_ns, found.calls + found.windows + found.alerts)
        click.echo(f"pruned {told}")
        if vacuum:
            _vacuum(store, file)


@ledger.command(
    epilog="""\b
Examples:
  aicost ledger backup /backups/ledger-2026-11-22.db
  aicost ledger backup --force latest.db

The copy is of one moment, also while programs write, and is one file of mode 0600 that can be read and used like the
ledger. It is checked before it gets its name. Of a PostgreSQL ledger make one with pg_dump."""
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@ledger_option
def backup(path: Path | None, file: Path, *, force: bool) -> None:
    """Copy the ledger to FILE."""
    from otel_aicost.ledger.backup import back_up  # noqa: PLC0415 - no database to print --help

    if str(path or os.environ.get(names.ENV_LEDGER, "")).startswith("postgres"):
        msg = "this ledger is a PostgreSQL database: make a backup of it with pg_dump, and restore it with pg_restore"
        raise click.UsageError(msg)
    with _bar("copying", 1) as bar:
        done = 0

        def progress(left: int, total: int) -> None:
            nonlocal done
            bar.length = max(1, total)
            bar.update(total - left - done)
            done = total - left

        calls = back_up(ledger_path(path), file, force=force, progress=progress)
    click.echo(f"{file}: {calls:,} calls, {file.stat().st_size:,} bytes, checked")


def _repair(file: Path) -> int:
    from otel_aicost.ledger import events  # noqa: PLC0415 - as above
    from otel_aicost.ledger import verify as checks  # noqa: PLC0415
    from otel_aicost.ledger.opening import changing  # noqa: PLC0415

    with closing(changing(file)) as store, store.transaction() as connection:
        store.lock(checks.differing_keys(connection))
        return checks.repair(connection, events.whoami(), time.time_ns())


def _say(found: Sequence[Finding], counts: dict[str, int], repaired: int) -> None:
    from otel_aicost.ledger.verify import NOTE  # noqa: PLC0415 - as above
    from otel_aicost.report.screen import harmless  # noqa: PLC0415 - rich takes 0.1 s

    for (level, kind), group in groupby(found, key=lambda finding: (finding.level, finding.kind)):
        alike = list(group)
        for finding in alike[:SHOWN]:
            click.echo(harmless(("note: " if level == NOTE else "WRONG: ") + finding.text))
        if len(alike) > SHOWN:
            click.echo(f"... and {len(alike) - SHOWN:,} more like this ({kind}): --json")
    if repaired:
        click.echo(f"{repaired:,} balances were written anew")
    wrong = sum(finding.level != NOTE for finding in found)
    said = f"{wrong:,} differences" if wrong else "all agrees"
    click.echo(f"checked {', '.join(f'{count:,} {name}' for name, count in counts.items())}: {said}")


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


def _prune(store: FileStore, before_ns: int, total: int) -> None:
    from otel_aicost.ledger.pruning import prune_alerts, prune_windows  # noqa: PLC0415 - as above

    def windows() -> int:
        with store.transaction() as connection:
            return prune_windows(connection, before_ns)[0]

    def alerts() -> int:
        with store.transaction() as connection:
            return prune_alerts(connection, before_ns)

    steps: tuple[Callable[[], int], ...] = (lambda: store.fold(before_ns, FOLD_ROWS), windows, alerts)
    with _bar("pruning", total) as bar:
        for step in steps:
            while done := step():
                bar.update(done)


def _vacuum(store: FileStore, file: Path) -> None:
    from otel_aicost.ledger.facts import bytes_of  # noqa: PLC0415 - as above
    from otel_aicost.ledger.opening import errors_named  # noqa: PLC0415

    was = bytes_of(file.resolve())
    with errors_named(file):
        store.connection.execute("VACUUM")
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    click.echo(f"{was:,} bytes before, {bytes_of(file.resolve()):,} now")


class _NoBar:
    """What stands in for a bar where nobody watches."""

    length = 1

    def update(self, steps: int) -> None:
        """Do nothing."""


def _bar(label: str, length: int) -> AbstractContextManager[Any]:
    """A bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        return nullcontext(_NoBar())
    return click.progressbar(length=max(1, length), label=label, file=sys.stderr)


def _instant(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else datetime.fromtimestamp(nanoseconds // 10**9, UTC).isoformat()
