"""What can be asked of the ledger: sums by any dimension, single calls, and everything in order.

Sums are taken over `calls` and `rollups`, each summed up on its own first: the numbers of the view `spend`, in
half the time. Days are days of UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, Table, and_, case, func, literal, select, text, true, union_all

from otel_aicost.ledger.dialects import day_of, in_order, keys_of, tag_of
from otel_aicost.ledger.questions import DOUBTS, SUMS, Doubts, Group, Sums, like, tag_name
from otel_aicost.ledger.schema import ROLLUP_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from otel_aicost.ledger.questions import Filter
    from otel_aicost.ledger.reader import Ledger

BATCH = 1000
"""Rows that a stream holds at a time."""
_DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Query:
    """The questions, asked inside one `Ledger.read()`: all answers are of the same moment."""

    ledger: Ledger
    connection: Connection

    def totals(self, where: Filter) -> Sums:
        """The sums of all calls that match."""
        return self.groups(where, ())[0].sums

    def groups(self, where: Filter, by: Sequence[str], limit: int | None = None) -> list[Group]:
        """The sums by the dimensions (or tags) `by`, the dearest first, then the most calls, then by name."""
        both = union_all(*(_grouped(table, where, by) for table in self._tables())).subquery()
        keys = [both.c[f"k{index}"] for index in range(len(by))]
        sums = {name: func.coalesce(func.sum(both.c[name]), 0) for name in SUMS}
        query = select(*keys, *sums.values()).group_by(*keys)
        query = query.order_by(sums["cost_nano"].desc(), sums["calls"].desc(), *map(in_order, keys)).limit(limit)
        rows = self.connection.execute(query)
        return [Group(tuple(row[: len(by)]), Sums(*map(int, row[len(by) :]))) for row in rows]

    def doubts(self, where: Filter) -> Doubts:
        """How many of the calls that match are in doubt, and why."""
        both = union_all(*(_doubted(table, where) for table in self._tables())).subquery()
        counts = (func.coalesce(func.sum(both.c[name]), 0) for name in DOUBTS)
        return Doubts(*map(int, self.connection.execute(select(*counts)).one()))

    def calls(self, where: Filter, limit: int) -> list[Mapping[str, Any]]:
        """At most `limit` single calls with all their columns, the newest first."""
        table = self.ledger.calls
        query = select(table).where(_condition(table, where))
        query = query.order_by(table.c.started_ns.desc(), in_order(table.c.id, last=True)).limit(limit)
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def call(self, identifier: str) -> Mapping[str, Any] | None:
        """One call with all its columns."""
        table = self.ledger.calls
        row = self.connection.execute(select(table).where(table.c.id == identifier)).mappings().first()
        return None if row is None else dict(row)

    def adjustments(self, identifier: str) -> list[Mapping[str, Any]]:
        """What was ever changed about the cost of a call, with all columns, the first change first."""
        query = text("SELECT * FROM adjustments WHERE call_id = :id ORDER BY number")
        return [dict(row) for row in self.connection.execute(query, {"id": identifier}).mappings()]

    def every_call(self, where: Filter) -> Iterator[Mapping[str, Any]]:
        """All single calls that match, the oldest first, without holding more than a batch of them."""
        table = self.ledger.calls
        query = select(table).where(_condition(table, where)).order_by(table.c.started_ns, in_order(table.c.id))
        yield from self._stream(query)

    def every_rollup(self, where: Filter) -> Iterator[Mapping[str, Any]]:
        """The daily sums of calls past retention that match, the oldest first."""
        table = self.ledger.rollups
        order = [in_order(table.c[name]) for name in ROLLUP_KEY if name != "estimated"]
        query = select(table).where(_condition(table, where)).order_by(*order, table.c.estimated)
        yield from self._stream(query)

    def count(self, where: Filter) -> int:
        """How many rows `every_call` and `every_rollup` give."""
        counts = (select(func.count()).select_from(t).where(_condition(t, where)) for t in self._tables())
        return sum(int(self.connection.execute(query).scalar_one()) for query in counts)

    def tag_keys(self) -> list[str]:
        """Every tag key that any call in the ledger has, sorted. Reads the whole ledger."""
        keys: set[str] = set()
        for table in self._tables():
            keys.update(self.connection.execute(keys_of(table, self.connection.dialect.name)).scalars())
        return sorted(keys)

    def any_call(self) -> bool:
        """Whether the ledger holds anything at all."""
        return any(self.connection.execute(select(literal(1)).select_from(t).limit(1)).first() for t in self._tables())

    def last_started_ns(self) -> int | None:
        """When the newest call began, in nanoseconds since the epoch."""
        value = self.connection.execute(select(func.max(self.ledger.calls.c.started_ns))).scalar()
        return None if value is None else int(value)

    def hosts_of(self, provider: str, since_ns: int) -> list[tuple[str | None, int]]:
        """The hosts that calls to `provider` since then went to, and how many, the most first."""
        table = self.ledger.calls
        count = func.count().label("count")
        query = select(table.c.host, count).where(table.c.provider == provider, table.c.started_ns >= since_ns)
        query = query.group_by(table.c.host).order_by(count.desc(), in_order(table.c.host))
        return [(host, int(number)) for host, number in self.connection.execute(query)]

    def _tables(self) -> tuple[Table, Table]:
        return self.ledger.calls, self.ledger.rollups

    def _stream(self, query: Select[Any]) -> Iterator[Mapping[str, Any]]:
        result = self.connection.execution_options(yield_per=BATCH).execute(query)
        for row in result.mappings():
            yield dict(row)


def _grouped(table: Table, where: Filter, by: Sequence[str]) -> Select[Any]:
    keys = [_key(table, dimension) for dimension in by]
    shown = [expression.label(f"k{index}") for index, (expression, _) in enumerate(keys)]
    sums = [expression.label(name) for name, expression in _sums(table).items()]
    return select(*shown, *sums).where(_condition(table, where)).group_by(*(group for _, group in keys))


def _doubted(table: Table, where: Filter) -> Select[Any]:
    columns = table.c
    counts = {
        "calls": _count(table),
        "unpriced": _count(table, columns.unpriced.is_not(None)),
        "estimated": _count(table, columns.estimated == 1),
        "partial": _count(table, columns.status == "partial"),
        **{name: _count(table, columns.usage_state == name) for name in ("missing", "unread", "invalid")},
    }
    return select(*(counts[name].label(name) for name in DOUBTS)).where(_condition(table, where))


def _sums(table: Table) -> dict[str, ColumnElement[Any]]:
    counts = {
        "calls": _count(table),
        "priced": _count(table, table.c.cost_source.is_not(None)),
        "unpriced": _count(table, table.c.unpriced.is_not(None)),
        "errors": _count(table, table.c.status == "error"),
    }
    return {name: counts[name] if name in counts else func.sum(table.c[name]) for name in SUMS}


def _count(table: Table, having: ColumnElement[bool] | None = None) -> ColumnElement[Any]:
    """How many calls: a row of `calls` is one, a row of `rollups` says of how many it is the sum."""
    if "calls" in table.c:
        return func.sum(table.c.calls if having is None else case((having, table.c.calls), else_=0))
    return func.count() if having is None else func.count(case((having, 1)))


def _key(table: Table, dimension: str) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """What to show of a dimension, and what to group by: a day is grouped by its number, which is quicker."""
    tag = tag_name(dimension)
    if tag is not None:
        value = tag_of(table, tag)
        return value, value
    if dimension == "estimated":
        value = case((table.c.estimated == 1, "yes"), else_="no")
        return value, table.c.estimated
    if dimension != "day" or "day" in table.c:
        return table.c[dimension], table.c[dimension]
    number = table.c.started_ns // literal(_DAY_NS, literal_execute=True)
    return day_of(number), number


def _condition(table: Table, where: Filter) -> ColumnElement[bool]:
    columns = table.c
    conditions = [*_period(table, where)]
    for name in ("provider", "operation", "service", "status"):
        value = getattr(where, name)
        if value is not None:
            conditions.append(columns[name] == value)
    if where.model is not None:
        conditions.append(func.lower(columns.model).like(like(where.model), escape="\\"))
    conditions += [tag_of(table, key) == value for key, value in where.tags]
    if where.unpriced:
        conditions.append(columns.unpriced.is_not(None))
    if where.estimated:
        conditions.append(columns.estimated == 1)
    return and_(*conditions) if conditions else true()


def _period(table: Table, where: Filter) -> Iterator[ColumnElement[bool]]:
    columns = table.c
    if "day" in columns:
        if where.since is not None:
            yield columns.day >= where.since.isoformat()
        if where.until is not None:
            yield columns.day <= where.until.isoformat()
        return
    if where.since is not None:
        yield columns.started_ns >= _start_ns(where.since)
    if where.until is not None:
        yield columns.started_ns < _start_ns(where.until + timedelta(days=1))


def _start_ns(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000
