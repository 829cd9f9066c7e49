"""What a report says, as values: an overview of a period, or sums grouped by dimensions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from otel_aicost.ledger.questions import Doubts, Group, Sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_aicost.ledger.queries import Query
    from otel_aicost.ledger.questions import Filter

SPENDERS = ("user", "feature")
"""The tags whose top spenders the overview shows, where calls have them."""
BARS = 7
"""Days shown as bars."""


@dataclass(frozen=True, slots=True)
class Table:
    """Groups and what they add up to. `rest` is what lies in groups beyond the ones asked for."""

    by: tuple[str, ...]
    groups: tuple[Group, ...]
    rest: Sums | None
    total: Sums


@dataclass(frozen=True, slots=True)
class Trust:
    """How far a total can be trusted."""

    doubts: Doubts
    reasons: tuple[Group, ...]
    """The unpriced calls by reason, the most first."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A period at a glance."""

    total: Sums
    models: Table
    spenders: tuple[Table, ...]
    days: tuple[Group, ...]
    """The last days of the period, one after the other, those without calls included."""
    trust: Trust


def overview(query: Query, where: Filter, top: int, today: date) -> Overview:
    """The overview of the calls that match; tables have at most `top` rows."""
    total = query.totals(where)
    spenders = [_table(query, where, (tag,), total, top) for tag in SPENDERS]
    return Overview(
        total=total,
        models=_table(query, where, ("model", "provider"), total, top),
        spenders=tuple(table for table in spenders if any(group.keys != (None,) for group in table.groups)),
        days=_last_days(query, where, today),
        trust=trust(query, where),
    )


def grouped(query: Query, where: Filter, by: Sequence[str], top: int | None) -> Table:
    """The sums by the dimensions `by`: by date if `day` is one of them, else the dearest first."""
    table = _table(query, where, tuple(by), query.totals(where), top)
    if "day" not in by:
        return table
    place = by.index("day")
    return replace(table, groups=tuple(sorted(table.groups, key=lambda group: group.keys[place] or "")))


def trust(query: Query, where: Filter) -> Trust:
    """What is in doubt among the calls that match."""
    doubts = query.doubts(where)
    reasons = query.groups(replace(where, unpriced=True), ("unpriced",)) if doubts.unpriced else []
    return Trust(doubts, tuple(reasons))


def _table(query: Query, where: Filter, by: tuple[str, ...], total: Sums, top: int | None) -> Table:
    groups = tuple(query.groups(where, by, top))
    rest = total - sum((group.sums for group in groups), Sums())
    return Table(by, groups, rest if rest.calls else None, total)


def _last_days(query: Query, where: Filter, today: date) -> tuple[Group, ...]:
    last = min(where.until or today, today)
    first = max(last - timedelta(days=BARS - 1), where.since or date.min)
    found = {group.keys[0]: group for group in query.groups(replace(where, since=first, until=last), ("day",))}
    days = ((first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1))
    return tuple(found.get(day, Group((day,), Sums())) for day in days)
