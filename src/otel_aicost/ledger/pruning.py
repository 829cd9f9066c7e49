"""Making the ledger smaller: old windows with their entries, and alerts that somebody has seen. Steps of transactions.

Single calls are folded by the store. Windows that never end, the entries in them, and the audit trail are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_aicost.ledger.store import Connection

STEP: Final = 100
"""So many windows, or alerts, in one transaction: nobody waits long."""


class Old(NamedTuple):
    """How much there is to prune."""

    calls: int
    windows: int
    entries: int
    alerts: int


def old(connection: Connection, before_ns: int) -> Old:
    """What is older than `before_ns`: calls that began, windows that ceased to count, alerts that were seen."""
    counts = []
    for sql, parameters in (
        ("SELECT count(*) FROM calls WHERE started_ns < ?", (before_ns,)),
        (f"SELECT count(*) FROM budget_windows w WHERE {_OVER}", (before_ns // 10**9,)),  # noqa: S608 - constants
        (_ENTRIES, (before_ns // 10**9,)),
        (f"SELECT count(*) FROM alerts WHERE {_SEEN}", (before_ns,)),  # noqa: S608 - constants
    ):
        counts.append(int(connection.execute(sql, parameters).fetchone()[0]))
    return Old(*counts)


def prune_windows(connection: Connection, before_ns: int) -> tuple[int, int]:
    """Delete up to `STEP` windows that ceased to count before then, with their entries; how many of each."""
    places = connection.execute(_OLD_WINDOWS, (before_ns // 10**9, STEP)).fetchall()
    entries = 0
    for place in places:
        entries += connection.execute(f"DELETE FROM budget_entries WHERE {_SAME}", place).rowcount  # noqa: S608
        connection.execute(f"DELETE FROM budget_windows WHERE {_SAME}", place)  # noqa: S608 - constants
    return len(places), entries


def prune_refusals(connection: Connection, before_ns: int) -> int:
    """Delete which budget refused a call, of calls before then; nothing was spent by them. All at once."""
    return connection.execute(f"DELETE FROM budget_entries WHERE {_REFUSED} AND at_ns < ?", (before_ns,)).rowcount  # noqa: S608


def prune_alerts(connection: Connection, before_ns: int) -> int:
    """Delete up to `STEP` alerts of before then that were read or are resolved, and what was sent of them."""
    found: Sequence[tuple[str]] = connection.execute(
        f"SELECT id FROM alerts WHERE {_SEEN} ORDER BY at_ns LIMIT ?",  # noqa: S608 - constants
        (before_ns, STEP),
    ).fetchall()
    for one in found:
        connection.execute("DELETE FROM deliveries WHERE alert_id = ?", tuple(one))
        connection.execute("DELETE FROM alerts WHERE id = ?", tuple(one))
    return len(found)


_SAME: Final = "budget = ? AND key = ? AND window_id = ?"
_REFUSED: Final = "nano = 0 AND tokens = 0 AND calls = 0"
_SEEN: Final = "at_ns < ? AND state IN ('read', 'resolved')"
# A window is not over for whoever still holds a reservation in it.
_OVER: Final = """w.counts_until IS NOT NULL AND w.counts_until < ? AND NOT EXISTS (
    SELECT 1 FROM reservations r WHERE r.budget = w.budget AND r.key = w.key AND r.window_id = w.window_id)"""
_OLD_WINDOWS: Final = f"""
    SELECT w.budget, w.key, w.window_id FROM budget_windows w WHERE {_OVER} ORDER BY w.counts_until LIMIT ?
"""  # noqa: S608 - constants
_ENTRIES: Final = f"""
    SELECT count(*) FROM budget_entries e JOIN budget_windows w
        ON w.budget = e.budget AND w.key = e.key AND w.window_id = e.window_id WHERE {_OVER}
"""  # noqa: S608 - constants
