"""Whether the ledger agrees with itself: balances against entries, entries against calls, sums against sense."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_aicost.budgets.budget import Amounts, Limits
from otel_aicost.budgets.definitions import limits_text
from otel_aicost.budgets.window import STEPS
from otel_aicost.ledger import events, schema
from otel_aicost.ledger.totals import identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_aicost.ledger.store import Connection

MOST_OF_A_KIND: Final = 1000
"""So many differences of one kind are told at the most."""
SLACK_NS: Final = 3600 * 10**9
"""An entry is made when its call ends, the call is kept by when it began."""

WRONG: Final = "wrong"
NOTE: Final = "note"


class Finding(NamedTuple):
    """One thing that is not as it should be. A note is none that a total depends on."""

    level: str
    kind: str
    """`balance`, `reserved`, `cost`, `missing call`, `rollup`, `total`, `adjustment`, `file`, `lease`."""
    where: str
    """The budget and window, or the call."""
    stored: str
    rebuilt: str

    @property
    def text(self) -> str:
        """One line."""
        return f"{self.kind}: {self.where}: the ledger says {self.stored}, it should be {self.rebuilt}"


class _Window(NamedTuple):
    budget: str
    key: str
    id: str
    stored: Amounts
    rebuilt: Amounts


def findings(connection: Connection, now_ns: int) -> Iterator[Finding]:
    """Everything that differs, at the one moment that the connection's transaction sees."""
    for kind, spent in (("balance", True), ("reserved", False)):
        for window in _differing(connection, spent=spent):
            yield Finding(WRONG, kind, _named(window), _told(window.stored), _told(window.rebuilt))
    yield from _against_calls(connection)
    yield from _rollups(connection)
    for row in connection.execute(_TOTALS + " LIMIT ?", (MOST_OF_A_KIND,)).fetchall():
        stored = " ".join(str(word) for word in row[: len(_KIND)] if word)
        figures = zip(_SUMMED, row[len(_KIND) :], strict=True)
        wrong = ", ".join(f"{-missing:+,} {column}" for column, missing in figures if missing)
        yield Finding(WRONG, "total", stored, f"{wrong} against its calls", "as much as the calls")
    yield from _adjustments(connection)
    for row in connection.execute(_LATE, (now_ns, MOST_OF_A_KIND)).fetchall():
        where = f"{events.subject(row[1], row[2])} {row[3]}"
        stored = f"{_told(Amounts(*row[4:7]))} reserved by {row[0]}"
        yield Finding(NOTE, "lease", where, stored, "free, its lease is over; the next call that needs it frees it")


def integrity(connection: Connection) -> Iterator[Finding]:
    """What SQLite finds wrong with its file; reads all of it. A server looks after its files itself."""
    if not isinstance(connection, sqlite3.Connection):
        return
    for (said,) in connection.execute("PRAGMA integrity_check").fetchall():
        if said != "ok":
            yield Finding(WRONG, "file", "integrity_check", str(said), "ok")


def checked(connection: Connection) -> dict[str, int]:
    """How much there is to be checked."""
    tables = {
        "windows": "budget_windows",
        "entries": "budget_entries",
        "reservations": "reservations",
        "calls": "calls",
        "daily totals": "rollups",
    }
    counts = {}
    for name, table in tables.items():
        counts[name] = int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - constants
    return counts


def differing_keys(connection: Connection) -> list[tuple[str, str]]:
    """Budget and key of every balance that differs: what `repair` is about to change."""
    both = [*_differing(connection, spent=True), *_differing(connection, spent=False)]
    return sorted({(window.budget, window.key) for window in both})


def repair(connection: Connection, who: str, now_ns: int) -> int:
    """Write each balance that differs anew, from its entries and reservations; an event tells of each.

    In one transaction that nobody else can write in. Returns how many balances were wrong. Calls are left as they are.
    """
    repaired = 0
    for row in connection.execute(_EXPIRED, (now_ns,)).fetchall():
        connection.execute("DELETE FROM reservations WHERE id = ? AND budget = ? AND key = ? AND window_id = ?", row)
    for spent in (True, False):
        for window in _differing(connection, spent=spent, most=None):
            _write(connection, window, spent=spent)
            what = "spent" if spent else "reserved"
            events.add(
                connection,
                who,
                events.BALANCE_REPAIRED,
                events.subject(window.budget, window.key),
                was=f"{window.id}: {_told(window.stored)} {what}",
                became=f"{window.id}: {_told(window.rebuilt)} {what}",
                now_ns=now_ns,
            )
            repaired += 1
    return repaired + _repair_totals(connection, who, now_ns)


def _repair_totals(connection: Connection, who: str, now_ns: int) -> int:
    """Add to each running total what its calls have more, under no tag."""
    rows = connection.execute(_TOTALS).fetchall()
    for row in rows:
        key = (*row[: len(_KIND)], "{}")
        connection.execute(_ADD_TOTAL, (identity(key), *key, now_ns, *row[len(_KIND) :]))
        named = " ".join(str(word) for word in row[: len(_KIND)] if word)
        became = ", ".join(
            f"{more:+,} {column}" for column, more in zip(_SUMMED, row[len(_KIND) :], strict=True) if more
        )
        events.add(connection, who, events.TOTAL_REPAIRED, named, was=None, became=became, now_ns=now_ns)
    return len(rows)


def _differing(connection: Connection, *, spent: bool, most: int | None = MOST_OF_A_KIND) -> list[_Window]:
    """The windows whose balance is not the sum of its entries (or reservations), missing ones included."""
    sql = _BALANCES if spent else _RESERVED
    rows = connection.execute(sql + ("" if most is None else f" LIMIT {int(most)}")).fetchall()
    return [_Window(row[0], row[1], row[2], Amounts(*row[3:6]), Amounts(*row[6:9])) for row in rows]


def _write(connection: Connection, window: _Window, *, spent: bool) -> None:
    kind = "spent" if spent else "reserved"
    columns = ", ".join(f"{kind}_{unit}" for unit in _UNITS)
    place = (window.budget, window.key, window.id)
    sets = ", ".join(f"{kind}_{unit} = excluded.{kind}_{unit}" for unit in _UNITS)
    connection.execute(
        f"INSERT INTO budget_windows (budget, key, window_id, starts_at, counts_until, {columns}) "  # noqa: S608
        f"VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (budget, key, window_id) DO UPDATE SET {sets}",
        (*place, *_bounds(window.id), *window.rebuilt),
    )


def _bounds(window_id: str) -> tuple[int | None, int | None]:
    """Start and end of a rolling step, by its id; those of calendar windows are known to whoever opens them next."""
    words = window_id.split(" ")
    if len(words) == 3 and words[0] == "rolling":  # noqa: PLR2004 - `rolling 3600s 1795219200`
        length, start = int(words[1].removesuffix("s")), int(words[2])
        return start, start + max(1, length // STEPS) + length
    return None, None


def _against_calls(connection: Connection) -> Iterator[Finding]:
    for row in connection.execute(_COSTS, (MOST_OF_A_KIND,)).fetchall():
        where = f"call {row[0]} in {events.subject(row[1], row[2])}"
        stored, rebuilt = Amounts(row[3], row[4]), Amounts(row[5], row[6])
        yield Finding(WRONG, "cost", where, f"{_told(stored)} in the entry", f"{_told(rebuilt)}, as the call has it")
    yield from _without_call(connection)


def _without_call(connection: Connection) -> Iterator[Finding]:
    """Entries whose call is gone. Old calls become daily totals; whether this one was old, its window may tell."""
    oldest = _oldest(connection)
    if oldest is None:
        return
    for row in connection.execute(_ORPHANS, (oldest, oldest + SLACK_NS, MOST_OF_A_KIND)).fetchall():
        where = f"call {row[0]} in {events.subject(row[1], row[2])}"
        certain = oldest < 0 or (row[6] is not None and row[6] * 10**9 >= oldest)
        rebuilt = "of a call that is there" + ("" if certain else ", or was recorded for a day long ago")
        yield Finding(WRONG if certain else NOTE, "missing call", where, f"{_told(Amounts(*row[3:6]))} spent", rebuilt)


def _oldest(connection: Connection) -> int | None:
    """From when on every call is there by itself; `None`: since never, they are all in daily totals."""
    oldest = connection.execute("SELECT min(started_ns) FROM calls").fetchone()[0]
    folded = connection.execute("SELECT 1 FROM rollups LIMIT 1").fetchone() is not None
    if not folded:
        return -SLACK_NS
    return None if oldest is None else int(oldest)


def _rollups(connection: Connection) -> Iterator[Finding]:
    for row in connection.execute(_BAD_ROLLUPS, (MOST_OF_A_KIND,)).fetchall():
        where = f"{row[0]} {row[1]} {row[2]}"
        yield Finding(WRONG, "rollup", where, _figures(row[3:]), "one call or more, and nothing below 0")


def _adjustments(connection: Connection) -> Iterator[Finding]:
    """A call that was repriced costs what its last adjustment says, which begins with what the one before it ends."""
    for call_id, number, nano, should in connection.execute(_UNEXPLAINED, (MOST_OF_A_KIND,)).fetchall():
        where = f"call {call_id}"
        stored, rebuilt = ("no cost" if each is None else _told(Amounts(each)) for each in (nano, should))
        yield Finding(WRONG, "adjustment", where, stored, f"{rebuilt}, as adjustment {number} has it")
    counted, listed = (connection.execute(sql).fetchone() for sql in (_REPRICED, _ADJUSTED))
    if tuple(counted) != tuple(listed):
        stored, rebuilt = (f"{calls} calls repriced by {nano:+} nano-dollars" for calls, nano in (counted, listed))
        yield Finding(WRONG, "adjustment", "all of them", stored, rebuilt)


def _figures(row: Sequence[Any]) -> str:
    return f"{row[0]} calls, {row[1]} nano-dollars, {row[2]} and {row[3]} tokens"


def _named(window: _Window) -> str:
    return f"{events.subject(window.budget, window.key)} {window.id}"


def _told(amounts: Amounts) -> str:
    return str(limits_text(Limits(*amounts)))


_UNITS: Final = ("nano", "tokens", "calls")
_PLACE: Final = "budget, key, window_id"


def _comparison(kind: str, table: str, prefix: str = "") -> str:
    """Stored and rebuilt amounts of every window where they differ; a window that is missing has stored nothing."""
    sums = ", ".join(f"CAST(coalesce(sum({prefix}{unit}), 0) AS BIGINT) AS {unit}" for unit in _UNITS)
    stored = ", ".join(f"coalesce(w.{kind}_{unit}, 0)" for unit in _UNITS)
    rebuilt = ", ".join(f"coalesce(e.{unit}, 0)" for unit in _UNITS)
    differ = " OR ".join(f"coalesce(w.{kind}_{unit}, 0) <> coalesce(e.{unit}, 0)" for unit in _UNITS)
    return f"""
        SELECT p.budget, p.key, p.window_id, {stored}, {rebuilt}
        FROM (SELECT {_PLACE} FROM budget_windows UNION SELECT {_PLACE} FROM {table}) p
        LEFT JOIN budget_windows w ON w.budget = p.budget AND w.key = p.key AND w.window_id = p.window_id
        LEFT JOIN (SELECT {_PLACE}, {sums} FROM {table} GROUP BY {_PLACE}) e
            ON e.budget = p.budget AND e.key = p.key AND e.window_id = p.window_id
        WHERE {differ} ORDER BY p.budget, p.key, p.window_id
    """  # noqa: S608 - constants


_BALANCES: Final = _comparison("spent", "budget_entries")
_RESERVED: Final = _comparison("reserved", "reservations")
_COSTS: Final = """
    SELECT e.call_id, e.budget, e.key, e.nano, e.tokens, c.cost_nano, c.input_tokens + c.output_tokens
    FROM budget_entries e JOIN calls c ON c.id = e.call_id
    WHERE c.cost_nano IS NOT NULL AND c.status <> 'blocked'
          AND (e.nano <> c.cost_nano OR e.tokens <> c.input_tokens + c.output_tokens)
    ORDER BY e.call_id LIMIT ?
"""
_ORPHANS: Final = """
    SELECT e.call_id, e.budget, e.key, e.nano, e.tokens, e.calls, w.starts_at
    FROM budget_entries e LEFT JOIN calls c ON c.id = e.call_id
    LEFT JOIN budget_windows w ON w.budget = e.budget AND w.key = e.key AND w.window_id = e.window_id
    WHERE c.id IS NULL AND (w.starts_at * 1000000000 >= ? OR e.at_ns >= ?) ORDER BY e.call_id LIMIT ?
"""
_BAD_ROLLUPS: Final = """
    SELECT day, provider, model, calls, cost_nano, input_tokens, output_tokens FROM rollups
    WHERE calls < 1 OR cost_nano < 0 OR input_tokens < 0 OR output_tokens < 0 OR cache_read_tokens < 0
          OR cache_write_tokens < 0 OR duration_ns < 0 OR length(day) <> 10
          OR (cost_source IS NOT NULL AND cost_nano IS NULL) LIMIT ?
"""
_KIND: Final = schema.TOTAL_KEY[:-1]
_SUMMED: Final = tuple(
    column for column in schema.TOTAL_SUMS if column in schema.ROLLUP_SUMS and column != "duration_ns"
)
_SPENT_KIND: Final = ", ".join(f"coalesce({column}, '') AS {column}" for column in _KIND)
_DIFFERENCE: Final = ", ".join(f"CAST(sum({column}) AS BIGINT)" for column in _SUMMED)
_MOVED: Final = frozenset(schema.REPRICED_SUMS) & frozenset(_SUMMED) - {"cache_saved_nano", "batch_saved_nano"}
_PRICED_BY: Final = {
    "cost_nano": "raised_nano - lowered_nano",
    "cache_saved_nano": "cache_saved_nano - cache_lost_nano",
    "batch_saved_nano": "batch_saved_nano - batch_lost_nano",
}
# A call that had no price is still counted where it was; its cost is counted where there is no reason.
_LEFT: Final = ", ".join(f"{column} AS {column}" if column in _MOVED else "0" for column in _SUMMED)
_CAME: Final = ", ".join(
    f"-(CASE WHEN unpriced <> '' THEN {column} ELSE 0 END)" if column in _MOVED else f"-({_PRICED_BY[column]})"
    for column in _SUMMED
)
# What the calls have and the totals, as repricing left them, have not; below 0 where it is the other way round.
_TOTALS: Final = f"""
    SELECT {", ".join(_KIND)}, {_DIFFERENCE} FROM (
        SELECT {_SPENT_KIND}, {", ".join(f"coalesce({column}, 0) AS {column}" for column in _SUMMED)} FROM spend
        UNION ALL
        SELECT {", ".join(_KIND)}, {", ".join(f"-{column}" for column in _SUMMED)} FROM totals
        UNION ALL
        SELECT {", ".join(_KIND)}, {_LEFT} FROM repriced WHERE unpriced <> ''
        UNION ALL
        SELECT {", ".join(_KIND[:-1])}, '', {_CAME} FROM repriced
    ) AS both_sides
    GROUP BY {", ".join(_KIND)} HAVING {" OR ".join(f"sum({column}) <> 0" for column in _SUMMED)}
    ORDER BY {", ".join(_KIND)}
"""  # noqa: S608 - constants
_UNEXPLAINED: Final = """
    SELECT c.id, a.number, c.cost_nano, a.cost_nano FROM adjustments a JOIN calls c ON c.id = a.call_id
    WHERE coalesce(c.cost_nano, -1) <> a.cost_nano
          AND NOT EXISTS (SELECT 1 FROM adjustments b WHERE b.call_id = a.call_id AND b.number > a.number)
    UNION ALL
    SELECT a.call_id, a.number, b.was_cost_nano, a.cost_nano
    FROM adjustments a JOIN adjustments b ON b.call_id = a.call_id AND b.number = a.number + 1
    WHERE coalesce(b.was_cost_nano, -1) <> a.cost_nano
    LIMIT ?
"""
_REPRICED: Final = """
    SELECT CAST(coalesce(sum(calls), 0) AS BIGINT), CAST(coalesce(sum(raised_nano - lowered_nano), 0) AS BIGINT)
    FROM repriced
"""
_ADJUSTED: Final = """
    SELECT count(*), CAST(coalesce(sum(cost_nano - coalesce(was_cost_nano, 0)), 0) AS BIGINT) FROM adjustments
"""
_ADD_TOTAL: Final = f"""
    INSERT INTO totals ({", ".join(("id", *schema.TOTAL_KEY, "first_ns", *_SUMMED))})
    VALUES ({", ".join("?" * (len(schema.TOTAL_KEY) + 2 + len(_SUMMED)))})
    ON CONFLICT (id) DO UPDATE SET
    {", ".join(f"{column} = totals.{column} + excluded.{column}" for column in _SUMMED)}
"""  # noqa: S608 - constants
_LATE: Final = """
    SELECT id, budget, key, window_id, nano, tokens, calls FROM reservations
    WHERE lease_until_ns <= ? ORDER BY lease_until_ns LIMIT ?
"""
_EXPIRED: Final = "SELECT id, budget, key, window_id FROM reservations WHERE lease_until_ns <= ?"
