"""Sums over stretches of time, asked for many at once; every one is read from the index alone.

A daily total of folded calls counts at the beginning of its day on the local calendar. So a period has the days that
`aicost report` would give it, whatever the time zone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_aicost.budgets.window import Period, window_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from zoneinfo import ZoneInfo

    from otel_aicost.ledger.store import Connection

NS: Final = 10**9
LAST_NS: Final = 2**63 - 1
_DAY: Final = Period("day")
_AT_ONCE: Final = 50
"""SQLite takes up to 500 parts of a statement."""


class Sum(NamedTuple):
    """Calls, and their nano-dollars."""

    calls: int = 0
    nano: int = 0

    def plus(self, other: Sum) -> Sum:
        return Sum(self.calls + other.calls, self.nano + other.nano)


class Range(NamedTuple):
    """From `start` (inclusive) to `end` (exclusive), nanoseconds since the epoch."""

    start: int
    end: int


def total(sums: Iterable[Sum]) -> Sum:
    """All of them together."""
    found = Sum()
    for one in sums:
        found = found.plus(one)
    return found


def midnight(zone: ZoneInfo, at_ns: int) -> int:
    """When the local day that holds an instant began."""
    return (window_at(_DAY, at_ns // NS, zone).start or 0) * NS


def next_midnight(zone: ZoneInfo, at_ns: int) -> int:
    """When that day ends."""
    return (window_at(_DAY, at_ns // NS, zone).end or 0) * NS


class Summing:
    """Sums up ranges of one ledger at one moment."""

    def __init__(self, connection: Connection, zone: ZoneInfo) -> None:
        """Look which days there are daily totals of."""
        self._connection = connection
        self._zone = zone
        self._first, self._last = connection.execute("SELECT min(day), max(day) FROM rollups").fetchone()

    def sums(self, ranges: Sequence[Range]) -> list[Sum]:
        """The sum of each range."""
        found = self._ask(_CALLS, list(ranges))
        folded = [(index, self.days(one)) for index, one in enumerate(ranges)] if self._last is not None else []
        wanted = [(index, days) for index, days in folded if days[0] <= self._last and days[1] > self._first]
        more = self._ask(_ROLLUPS, [days for _, days in wanted])
        for (index, _), one in zip(wanted, more, strict=True):
            found[index] = found[index].plus(one)
        return found

    def days(self, one: Range) -> tuple[str, str]:
        """The days that begin in a range: the first of them, and the first after it."""
        return _day_from(one.start, self._zone), _day_from(one.end, self._zone)

    def _ask(self, sql: str, pairs: Sequence[tuple[int, int] | tuple[str, str]]) -> list[Sum]:
        found: list[Sum] = []
        for start in range(0, len(pairs), _AT_ONCE):
            some = pairs[start : start + _AT_ONCE]
            parts = " UNION ALL ".join(f"SELECT {number}, {sql}" for number in range(len(some)))
            rows = self._connection.execute(parts, [each for pair in some for each in pair]).fetchall()
            found += [Sum(int(calls), int(nano)) for _, calls, nano in sorted(rows)]
        return found


def _day_from(at_ns: int, zone: ZoneInfo) -> str:
    """The first day that begins then or later."""
    if not 0 < at_ns < _YEAR_9000:
        return "0000-01-01" if at_ns <= 0 else "9000-01-01"
    begins = midnight(zone, at_ns)
    local = datetime.fromtimestamp(begins // NS, UTC).astimezone(zone)
    # Where midnight is skipped a day begins later than its date says; that it has begun is what counts.
    return (local.date() if begins == at_ns else local.date() + timedelta(days=1)).isoformat()


_YEAR_9000: Final = 221_845_392_000 * NS
_CALLS: Final = """count(*), CAST(coalesce(sum(cost_nano), 0) AS BIGINT)
    FROM calls WHERE started_ns >= ? AND started_ns < ?"""
_ROLLUPS: Final = """CAST(coalesce(sum(calls), 0) AS BIGINT), CAST(coalesce(sum(cost_nano), 0) AS BIGINT)
    FROM rollups WHERE day >= ? AND day < ?"""
