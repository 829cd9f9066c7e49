"""Calls that get another cost than they were written with: the change, and the trail of it, in one transaction.

An adjustment says of one call what its cost was and what it became, when, by whom and why. Adjustments are added and
read, never rewritten; the first of a call holds what the call was written with.
"""

from __future__ import annotations

import json
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

from otel_aicost.budgets.budget import Line
from otel_aicost.budgets.window import window_at
from otel_aicost.ledger import balances, repriced, schema
from otel_aicost.ledger.limits import definitions
from otel_aicost.ledger.stored_calls import these

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_aicost.ledger.balances import Alert
    from otel_aicost.ledger.store import Connection, Store
    from otel_aicost.ledger.stored_calls import StoredCall

ROWS: Final = 100
"""So many rows in one statement: a server may be far."""


class Change(NamedTuple):
    """A call as it is in the ledger, and what it is to cost; it has a price then."""

    call: StoredCall
    cost_nano: int
    cost_source: str
    price_id: str | None
    price_date: str | None
    catalogue: str | None
    parts: str
    cache_saved_nano: int
    batch_saved_nano: int


class Run(NamedTuple):
    """Who changes costs, and why: what all adjustments of one run have in common."""

    id: str
    who: str
    reason: str | None


class Applied(NamedTuple):
    """What came of it."""

    changes: list[Change]
    """Those whose call was still as it had been read."""
    alerts: list[Alert]


class _Moved(NamedTuple):
    """An entry of a call in a budget that is to hold another amount."""

    call_id: str
    budget: str
    key: str
    window_id: str
    was: int
    becomes: int


def apply(store: Store, changes: Sequence[Change], run: Run, tags: Sequence[str]) -> Applied:
    """Let calls cost what `changes` say, in one transaction: calls, trail, budgets and totals, or nothing of it.

    A call that is not as it was read any more is left alone: somebody else was faster, or it was folded. `tags` are
    those that are totalled apart.
    """
    with store.transaction() as connection:
        store.keep_calls()
        now = time.time_ns()
        there = {call.id: call for call in these(connection, [change.call.id for change in changes])}
        held = [change for change in changes if there.get(change.call.id) == change.call]
        if not held:
            return Applied([], [])
        moved = _moved(connection, held)
        _write(connection, held, moved, (run, now))
        connection.execute(_UPDATE.format(marks=_marks(held)), (run.id, *(change.call.id for change in held)))
        store.lock({(one.budget, one.key) for one in moved})
        connection.execute(_ENTER.format(marks=_marks(held)), (run.id, *(change.call.id for change in held)))
        _spend(connection, moved)
        repriced.add(connection, held, tags, now)
        return Applied(held, list(_alerts(connection, moved, now)))


def _moved(connection: Connection, changes: Sequence[Change]) -> list[_Moved]:
    """The entries of the calls that do not hold what the call is to cost; a refused call's hold nothing for ever."""
    becomes = {change.call.id: change.cost_nano for change in changes}
    rows = connection.execute(_ENTRIES.format(marks=_marks(changes)), list(becomes)).fetchall()
    moved = [_Moved(row[0], row[1], row[2], row[3], row[4], becomes[row[0]]) for row in rows]
    return [one for one in moved if one.was != one.becomes]


def _write(connection: Connection, changes: Sequence[Change], moved: Sequence[_Moved], of: tuple[Run, int]) -> None:
    run, now = of
    last = dict(connection.execute(_LAST.format(marks=_marks(changes)), [each.call.id for each in changes]).fetchall())
    held: dict[str, list[tuple[object, ...]]] = {}
    for one in moved:
        held.setdefault(one.call_id, []).append(one[1:])
    rows = [
        (
            change.call.id,
            last.get(change.call.id, 0) + 1,
            *(getattr(change, column) for column in _BECOMES),
            json.dumps(held.get(change.call.id, []), separators=(",", ":")),
        )
        for change in changes
    ]
    for start in range(0, len(rows), ROWS):
        some = rows[start : start + ROWS]
        values = [value for row in some for value in row]
        connection.execute(_insert(len(some)), (run.id, now, run.who, run.reason, *values))


def _spend(connection: Connection, moved: Sequence[_Moved]) -> None:
    """Let the balances be the sums of their entries again."""
    sums: dict[tuple[str, str, str], int] = {}
    for one in moved:
        place = one[1:4]
        sums[place] = sums.get(place, 0) + one.becomes - one.was
    places = sorted(place for place, more in sums.items() if more)
    for start in range(0, len(places), ROWS):
        some = places[start : start + ROWS]
        rows = ", ".join(["(?, ?, ?, ?)"] * len(some))
        connection.execute(_SPEND.format(rows=rows), [value for place in some for value in (*place, sums[place])])


def _alerts(connection: Connection, moved: Sequence[_Moved], now_ns: int) -> Iterator[Alert]:
    """Raise the alerts of windows that count now and in which more is spent; what is over warns nobody any more."""
    touched: dict[tuple[str, str], set[str]] = {}
    for one in moved:
        if one.becomes > one.was:
            touched.setdefault((one.budget, one.key), set()).add(one.window_id)
    known = definitions(connection) if touched else {}
    for (name, key), windows in sorted(touched.items()):
        budget = known.get(name)
        if budget is None or budget.period.kind == "call":
            continue
        window = window_at(budget.period, now_ns // 10**9, ZoneInfo(budget.timezone))
        if window.id in windows or (window.group and any(each.startswith(window.group) for each in windows)):
            limits = budget.limits_of(key)
            yield from balances.reached(connection, Line(budget, key, window, limits), now_ns)


def _marks(changes: Sequence[object]) -> str:
    return ", ".join("?" * len(changes))


@lru_cache(maxsize=ROWS)
def _insert(rows: int) -> str:
    """What a call cost is taken from the call: who is far from a server sends only what it becomes."""
    row = f"({', '.join('?' * (3 + len(_BECOMES)))})"
    return f"""
        INSERT INTO adjustments (run, at_ns, who, reason, call_id, number, {", ".join(_BECOMES)}, budgets,
                                 {", ".join(f"was_{column}" for column in schema.PRICED)})
        SELECT ?, ?, ?, ?, {", ".join(f"v.column{number + 1}" for number in range(3 + len(_BECOMES)))},
               {", ".join(f"c.{column}" for column in schema.PRICED)}
        FROM (VALUES {", ".join([row] * rows)}) AS v JOIN calls AS c ON c.id = v.column1
    """  # noqa: S608 - constants


_BECOMES: Final = tuple(column for column in schema.PRICED if not column.startswith("unpriced"))
_LAST: Final = "SELECT call_id, max(number) FROM adjustments WHERE call_id IN ({marks}) GROUP BY call_id"
_UPDATE: Final = f"""
    UPDATE calls SET {", ".join(f"{column} = a.{column}" for column in schema.PRICED)}
    FROM adjustments AS a WHERE a.call_id = calls.id AND a.run = ? AND a.call_id IN ({{marks}})
"""  # noqa: S608 - constants
_ENTRIES: Final = """
    SELECT call_id, budget, key, window_id, nano FROM budget_entries
    WHERE call_id IN ({marks}) AND calls > 0 ORDER BY call_id, budget, key, window_id
"""
_ENTER: Final = """
    UPDATE budget_entries SET nano = a.cost_nano
    FROM adjustments AS a
    WHERE a.call_id = budget_entries.call_id AND a.run = ? AND a.call_id IN ({marks}) AND budget_entries.calls > 0
"""
_SPEND: Final = """
    UPDATE budget_windows SET spent_nano = CASE WHEN spent_nano + v.column4 < 0 THEN 0 ELSE spent_nano + v.column4 END
    FROM (VALUES {rows}) AS v
    WHERE budget = v.column1 AND key = v.column2 AND window_id = v.column3
"""
