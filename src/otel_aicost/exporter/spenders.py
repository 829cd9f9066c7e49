"""Who spent the most in a period, by a column or a tag: the top, and the rest as one."""

from __future__ import annotations

import heapq
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_aicost.ledger.tag_text import tag_text
from otel_aicost.names import OTHER, SERIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from otel_aicost.config import Server
    from otel_aicost.exporter.ranges import Range
    from otel_aicost.ledger.store import Connection

COLUMNS: Final = ("provider", "model", "service", "operation")
TAGS: Final = ("feature", "team", "user", "job")
BY: Final = (*COLUMNS, *TAGS)
MOST_NAMES: Final = 30
MOST_CALLS: Final = 10


class Spent(NamedTuple):
    """Nano-dollars, calls, and tokens of input and output."""

    nano: int = 0
    calls: int = 0
    tokens: int = 0

    def plus(self, other: Spent) -> Spent:
        return Spent(self.nano + other.nano, self.calls + other.calls, self.tokens + other.tokens)


@dataclass(slots=True)
class Top:
    """The `most` dearest of many names; the others are added up."""

    most: int
    names: int = 0
    """How many there are."""
    none: Spent | None = None
    """Of the calls without a name."""
    rest: Spent | None = None
    _best: list[tuple[Spent, str]] = field(default_factory=list)

    def add(self, name: str, spent: Spent) -> None:
        if not name:
            self.none = spent
            return
        self.names += 1
        if len(self._best) < self.most and name != OTHER:
            heapq.heappush(self._best, (spent, name))
            return
        out = spent if name == OTHER else heapq.heappushpop(self._best, (spent, name))[0]
        self.rest = out if self.rest is None else self.rest.plus(out)

    def shown(self) -> Iterator[tuple[str, Spent]]:
        """Each name and what it spent, the dearest first; what has no name, and the rest, at the end."""
        yield from ((name, spent) for spent, name in sorted(self._best, reverse=True))
        for name, spent in (("", self.none), (OTHER, self.rest)):
            if spent is not None:
                yield name, spent


class Call(NamedTuple):
    """A single call, and what to find it by."""

    labels: tuple[str, ...]
    """Its id, its trace, the values of `SERIES`, feature and user."""
    nano: int


def tops(
    connection: Connection,
    ledger: Path | Server,
    by: tuple[str, ...],
    days: Callable[[Range], tuple[str, str]],
    period: Range,
) -> dict[str, Top]:
    """The top spenders of a period for each of `by`: columns, else tags. Reads every call of it, once for each tag."""
    place = (*period, *days(period))
    found = {name: Top(MOST_NAMES) for name in by}
    sums: dict[str, dict[str, Spent]] = {name: defaultdict(Spent) for name in COLUMNS}
    for *values, nano, calls, tokens in _grouped(connection, COLUMNS, place):
        for name, value in zip(COLUMNS, values, strict=True):
            sums[name][value] = sums[name][value].plus(Spent(int(nano), int(calls), int(tokens)))
    for name in by:
        if name in COLUMNS:
            for value, spent in sums[name].items():
                found[name].add(value, spent)
            continue
        for value, nano, calls, tokens in _grouped(connection, (tag_text(ledger, name),), place):
            found[name].add(str(value), Spent(int(nano), int(calls), int(tokens)))
    return found


def models_used(connection: Connection, most: int) -> list[tuple[str, str]]:
    """Providers and models, the ones with the most calls first."""
    return [(provider, model) for provider, model in connection.execute(_MODELS, (most,)).fetchall()]


def costliest(connection: Connection, since_ns: int) -> list[Call]:
    """The dearest calls since then."""
    # First from the index alone how dear they are: else every row would be read.
    amounts = connection.execute(_DEAREST, (since_ns, MOST_CALLS)).fetchall()
    if not amounts:
        return []
    rows = connection.execute(_CALLS, (since_ns, amounts[-1][0], MOST_CALLS)).fetchall()
    return [_call(row) for row in rows]


def _call(row: tuple[Any, ...]) -> Call:
    *place, tags, nano = row
    told = json.loads(tags)
    return Call(tuple(str(text or "") for text in (*place, told.get("feature"), told.get("user"))), int(nano))


def _grouped(
    connection: Connection, expressions: tuple[str, ...], place: tuple[int, int, str, str]
) -> Iterator[tuple[Any, ...]]:
    """Single calls and daily totals of a period by some expressions: one row for each, however many there are."""
    keys = ", ".join(str(number + 1) for number in range(len(expressions)))
    shown = ", ".join(f"{expression} AS k{number}" for number, expression in enumerate(expressions))
    sql = f"SELECT {shown}, {_SUMS.format(calls='count(*)')} FROM calls {_IN} GROUP BY {keys}"  # noqa: S608 - ours
    if connection.execute(_ANY_FOLDED, place[2:]).fetchone() is None:  # both together take three times as long
        rows = connection.execute(sql, place[:2])
    else:
        folded = f"SELECT {shown}, {_SUMS.format(calls='sum(calls)')} FROM rollups {_ON} GROUP BY {keys}"  # noqa: S608
        names = ", ".join(f"k{number}" for number in range(len(expressions)))
        sums = ", ".join(f"CAST(sum({name}) AS BIGINT)" for name in Spent._fields)
        both = f"SELECT {names}, {sums} FROM ({sql} UNION ALL {folded}) AS parts GROUP BY {names}"  # noqa: S608
        rows = connection.execute(both, place)
    while (row := rows.fetchone()) is not None:
        yield tuple(row)


_IN: Final = "WHERE started_ns >= ? AND started_ns < ?"
_ON: Final = "WHERE day >= ? AND day < ?"
_ANY_FOLDED: Final = f"SELECT 1 FROM rollups {_ON} LIMIT 1"  # noqa: S608 - constants
_SUMS: Final = """CAST(coalesce(sum(cost_nano), 0) AS BIGINT) AS nano, CAST({calls} AS BIGINT) AS calls,
    CAST(sum(input_tokens) + sum(output_tokens) AS BIGINT) AS tokens"""
_MODELS: Final = """
    SELECT provider, model FROM totals WHERE model <> '' GROUP BY provider, model
    ORDER BY sum(calls) DESC, provider, model LIMIT ?
"""
_DEAREST: Final = """
    SELECT cost_nano FROM calls WHERE started_ns >= ? AND cost_nano > 0 ORDER BY cost_nano DESC LIMIT ?
"""
_CALLS: Final = f"""
    SELECT id, trace_id, {", ".join(SERIES)}, tags, cost_nano FROM calls
    WHERE started_ns >= ? AND cost_nano >= ? ORDER BY cost_nano DESC, id LIMIT ?
"""  # noqa: S608 - constants
