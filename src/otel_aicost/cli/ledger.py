"""`aicost ledger`: whether the ledger agrees with itself, and keeping it small, new and safe."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from otel_aicost.cli.ledger_checks import verify
from otel_aicost.cli.ledger_pruning import prune
from otel_aicost.cli.ledger_shipping import ship
from otel_aicost.cli.options import json_option, ledger_option, ledger_path
from otel_aicost.cli.output import show, write_json
from otel_aicost.cli.progress import bar as progress_bar
from otel_aicost.config import Server


@click.group(
    epilog="""\b
Examples:
  aicost ledger info
  aicost ledger verify
  aicost ledger backup /backups/ledger-2026-11-22.db
  aicost ledger prune --keep-days 400"""
)
def ledger() -> None:
    """Verify, migrate, prune, back up and ship the ledger."""


@ledger.command(
    epilog="""\b
Examples:
  aicost ledger info
  aicost ledger info --json"""
)
@json_option
@ledger_option
def info(path: Path | Server | None, *, as_json: bool) -> None:
    """Say where the ledger is, how large, and what is in it."""
    from otel_aicost.ledger.facts import bytes_of, facts_of  # noqa: PLC0415 - no database to print --help
    from otel_aicost.ledger.opening import looking, version_of  # noqa: PLC0415

    place = ledger_path(path)
    version = version_of(place)
    with looking(place) as connection:
        facts = facts_of(connection)
        journal = None if isinstance(place, Server) else connection.execute("PRAGMA journal_mode").fetchone()[0]
    told: dict[str, object] = {
        "file": None if isinstance(place, Server) else str(place),
        "server": str(place) if isinstance(place, Server) else None,
        "bytes": None if isinstance(place, Server) else bytes_of(place.resolve()),
        "mode": None if isinstance(place, Server) else f"{place.stat().st_mode & 0o777:04o}",
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
  aicost ledger migrate

Programs instrumented with this version do the same at their first call; those of an older version stop writing to
it."""
)
@ledger_option
def migrate(path: Path | Server | None) -> None:
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
  aicost ledger backup /backups/ledger-2026-11-22.db
  aicost ledger backup --force latest.db

The copy is of one moment, also while programs write, and is one file of mode 0600 that can be read and used like the
ledger. It is checked before it gets its name. Of a PostgreSQL ledger make one with pg_dump."""
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@ledger_option
def backup(path: Path | Server | None, file: Path, *, force: bool) -> None:
    """Copy the ledger to FILE."""
    from otel_aicost.ledger.backup import back_up  # noqa: PLC0415 - no database to print --help

    if isinstance(place := ledger_path(path), Server):
        msg = "this ledger is a PostgreSQL database: make a backup of it with pg_dump, and restore it with pg_restore"
        raise click.UsageError(msg)
    with progress_bar("copying", 1) as bar:
        done = 0

        def progress(left: int, total: int) -> None:
            nonlocal done
            bar.length = max(1, total)
            bar.update(total - left - done)
            done = total - left

        calls = back_up(place, file, force=force, progress=progress)
    click.echo(f"{file}: {calls:,} calls, {file.stat().st_size:,} bytes, checked")


for _command in (verify, prune, ship):
    ledger.add_command(_command)


def _instant(nanoseconds: int | None) -> str | None:
    return None if nanoseconds is None else datetime.fromtimestamp(nanoseconds // 10**9, UTC).isoformat()
