"""What the ledger holds already of what sources tell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_aicost.ledger.row import row
from otel_aicost.ledger.schema import CALL_COLUMNS
from otel_aicost.model import NANO, Cost, Unpriced
from otel_aicost.sources import anthropic_costs, anthropic_usage, openai_costs, openai_usage
from otel_aicost.sources.line import DAY_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_aicost.ledger.store import Connection
    from otel_aicost.model import PriceSource, Record
    from otel_aicost.sources.line import Found

SUMS: Final = frozenset({openai_usage.NAME, openai_costs.NAME, anthropic_usage.NAME, anthropic_costs.NAME})
"""The sources that tell of all calls of a span of time."""
_USAGE, _COST = CALL_COLUMNS.index("usage"), CALL_COLUMNS.index("cost_nano")


class There(NamedTuple):
    """What the ledger holds of a call."""

    usage: str
    nano: int | None
    source: PriceSource | None
    price_id: str | None
    unpriced: str | None
    detail: str | None
    estimated: int

    def of(self, record: Record) -> Record:
        """The record with the cost that it has there."""
        cost = None if self.nano is None else Cost(self.nano * NANO, (), self.source or "provider", self.price_id)
        unpriced = None if self.unpriced is None else Unpriced(self.unpriced, self.detail or "")
        return replace(record, cost=cost, unpriced=unpriced, estimated=bool(self.estimated))


def known_of(connection: Connection | None, identifiers: Sequence[str]) -> dict[str, There]:
    """What is there already of the calls with these ids."""
    if connection is None or not identifiers:
        return {}
    marks = ", ".join("?" * len(identifiers))
    query = (
        "SELECT id, usage, cost_nano, cost_source, price_id, unpriced, unpriced_detail, estimated FROM calls "  # noqa: S608 - question marks
        f"WHERE id IN ({marks})"
    )
    return {found: There(*rest) for found, *rest in connection.execute(query, tuple(identifiers)).fetchall()}


def others(connection: Connection, provider: str, day: int, sdk: str | None) -> int:
    """How much the ledger has of that day and provider that a record of `sdk` may count again.

    To a sum of all calls that is every call of another origin; to a single call, the sums.
    """
    query = (
        "SELECT count(*) FROM calls WHERE provider = ? AND started_ns >= ? AND started_ns < ? "
        "AND (cost_nano > 0 OR unpriced IS NOT NULL) AND "
    )
    bounds: tuple[str | int, ...] = (provider, day * DAY_NS, (day + 1) * DAY_NS)
    if sdk in SUMS:
        query, bounds = f"{query}(sdk IS NULL OR sdk <> ?)", (*bounds, sdk)
    else:
        query, bounds = f"{query}sdk IN (?, ?, ?, ?)", (*bounds, *sorted(SUMS))
    return int(connection.execute(query, bounds).fetchone()[0])


def told_otherwise(connection: Connection, session: str, sdk: str | None) -> bool:
    """Whether another source than `sdk` has told of that session of Claude Code."""
    query = "SELECT 1 FROM calls WHERE response_id = ? AND sdk <> ? AND sdk LIKE 'claude-code%' LIMIT 1"
    return connection.execute(query, (session, sdk or "")).fetchone() is not None


def changed(found: Found, record: Record, there: There) -> str:
    """What is odd where a line that is known tells of other numbers now; they are not taken."""
    values = row(record)
    if values[_USAGE] != there.usage or (found.priced and values[_COST] != there.nano):
        return "it was counted before with other numbers, which stay as they are"
    return ""
