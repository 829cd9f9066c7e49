"""The alerts in a ledger: raised once each, listed, read and resolved. Every function is a step of a transaction."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from otel_aicost.alerts.alert import (
    BUDGET_EXCEEDED,
    OWN,
    SEVERITIES,
    STATES,
    THRESHOLD_REACHED,
    AlertRow,
    Severity,
    State,
)
from otel_aicost.errors import AICostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_aicost.ledger.store import Connection

COLUMNS: Final = tuple(field.name for field in fields(AlertRow))
LEAST_PREFIX: Final = 8
"""Characters that an id must be given with at the least."""
_PREFIX: Final = re.compile(r"[0-9a-f]{8,32}")


class UnknownAlertError(AICostError):
    """An id that stands for no alert, or for several."""


@dataclass(frozen=True, slots=True)
class Which:
    """Which alerts to list; what is `None` does not matter."""

    states: tuple[State, ...] = STATES
    severity: Severity | None = None
    """The least."""
    kind: str | None = None
    budget: str | None = None
    since_ns: int | None = None
    limit: int = 100


def raise_alert(connection: Connection, row: AlertRow) -> bool:
    """Put an alert down. `True` only for whoever was the first with its fingerprint: the others say nothing."""
    return connection.execute(_RAISE, [getattr(row, column) for column in COLUMNS]).rowcount == 1


def is_raised(connection: Connection, fingerprint: str) -> bool:
    """Whether an alert was raised, whatever became of it."""
    return connection.execute("SELECT 1 FROM alerts WHERE fingerprint = ?", (fingerprint,)).fetchone() is not None


def list_alerts(connection: Connection, which: Which) -> list[AlertRow]:
    """Alerts: unread, read, resolved, and among those the newest first."""
    least = 0 if which.severity is None else SEVERITIES.index(which.severity)
    conditions: list[tuple[str, Sequence[Any]]] = [
        (f"state IN ({_marks(which.states)})", which.states),
        (f"severity IN ({_marks(SEVERITIES[least:])})", SEVERITIES[least:]),
    ]
    for column, wanted in (("kind = ?", which.kind), ("budget = ?", which.budget), ("at_ns >= ?", which.since_ns)):
        if wanted is not None:
            conditions.append((column, (wanted,)))
    where = " AND ".join(condition for condition, _ in conditions)
    parameters = [value for _, values in conditions for value in values]
    sql = f"{_LIST} WHERE {where} {_ORDER} LIMIT ?"
    return [AlertRow(*row) for row in connection.execute(sql, [*parameters, which.limit]).fetchall()]


def kinds(connection: Connection) -> list[str]:
    """The kinds of the alerts there are."""
    return [row[0] for row in connection.execute("SELECT DISTINCT kind FROM alerts ORDER BY kind").fetchall()]


def crossings(connection: Connection, since_ns: int, most: int) -> list[tuple[str, str, str, int]]:
    """Of what budgets we warned last: budget, key, kind, and when; the newest first, of each the newest alert."""
    rows = connection.execute(_CROSSINGS, (since_ns, most)).fetchall()
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def set_state(connection: Connection, ids: Iterable[str] | None, state: State, now_ns: int) -> int:
    """Make alerts `read` or `resolved`; how many have changed. `None`: all of them.

    An id may be its first 8 characters or more. Resolved is for good, and nothing is made unread again.
    Raises `UnknownAlertError` for an id that stands for no alert, or for several; then nothing is changed.
    """
    before = STATES[: STATES.index(state)]
    sql = f"UPDATE alerts SET state = ?, state_at_ns = ? WHERE state IN ({_marks(before)})"  # noqa: S608 - of marks only
    if ids is None:
        return connection.execute(sql, [state, now_ns, *before]).rowcount
    found = {_found(connection, prefix) for prefix in ids}
    return sum(
        connection.execute(f"{sql} AND id = ?", [state, now_ns, *before, identifier]).rowcount
        for identifier in sorted(found)
    )


def _found(connection: Connection, prefix: str) -> str:
    wanted = prefix.strip().lower()
    if not _PREFIX.fullmatch(wanted):
        msg = f"{prefix!r} is no id of an alert, nor its first {LEAST_PREFIX} characters or more"
        raise UnknownAlertError(msg)
    rows = connection.execute("SELECT id FROM alerts WHERE id LIKE ? LIMIT 2", (f"{wanted}%",)).fetchall()
    if len(rows) != 1:
        what = "stands for several alerts; give more of it" if rows else "stands for no alert"
        msg = f"{prefix!r} {what}"
        raise UnknownAlertError(msg)
    return str(rows[0][0])


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


_RAISE: Final = f"INSERT INTO alerts ({', '.join(COLUMNS)}) VALUES ({_marks(COLUMNS)}) ON CONFLICT DO NOTHING"  # noqa: S608 - constants
_CROSSINGS: Final = f"""
    SELECT budget, coalesce(key, ''), kind, max(at_ns) FROM alerts
    WHERE source = '{OWN}' AND kind IN ('{BUDGET_EXCEEDED}', '{THRESHOLD_REACHED}') AND budget IS NOT NULL
          AND at_ns >= ?
    GROUP BY budget, coalesce(key, ''), kind ORDER BY 4 DESC, 1, 2, 3 LIMIT ?
"""  # noqa: S608 - constants
_LIST: Final = f"SELECT {', '.join(COLUMNS)} FROM alerts"  # noqa: S608 - constants
_ORDER: Final = "ORDER BY CASE state WHEN 'unread' THEN 0 WHEN 'read' THEN 1 ELSE 2 END, at_ns DESC, id"
