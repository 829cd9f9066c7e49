"""What a ledger is and holds: its file, its rows, its oldest and newest call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_aicost.ledger.file import COMPANIONS

if TYPE_CHECKING:
    from otel_aicost.ledger.store import Connection

TABLES: Final = (
    "calls",
    "rollups",
    "budget_windows",
    "budget_entries",
    "reservations",
    "budget_limits",
    "budget_definitions",
    "events",
    "adjustments",
    "alerts",
    "deliveries",
    "processes",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a ledger holds, at one moment."""

    rows: dict[str, int]
    oldest_ns: int | None
    newest_ns: int | None
    first_day: str | None
    """The first day that there is a daily total of."""


def facts_of(connection: Connection) -> Facts:
    """Count the rows of every table."""
    rows = {}
    for table in TABLES:
        rows[table] = int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - constants
    oldest, newest = connection.execute("SELECT min(started_ns), max(started_ns) FROM calls").fetchone()
    day = connection.execute("SELECT min(day) FROM rollups").fetchone()[0]
    return Facts(rows, oldest, newest, day)


def bytes_of(path: Path) -> int:
    """The size of the file and those beside it that belong to it."""
    parts = (Path(f"{path}{suffix}") for suffix in ("", *COMPANIONS))
    return sum(part.stat().st_size for part in parts if part.exists())
