"""Bringing what sources found into the ledger: each record once, priced at its own date, nothing counted twice."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from otel_aicost.errors import LedgerError
from otel_aicost.instrumentor import load_prices, recorder
from otel_aicost.ledger.opening import NoLedgerYetError, looking
from otel_aicost.ledger.row import row
from otel_aicost.ledger.schema import CALL_COLUMNS
from otel_aicost.model import NANO, UNPRICED_USAGE, Cost, Unpriced
from otel_aicost.sources import anthropic_costs, anthropic_usage, by_hand, openai_costs, openai_usage
from otel_aicost.sources.line import DAY_NS
from otel_aicost.tags import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from otel_aicost.config import Settings
    from otel_aicost.ledger.store import Connection
    from otel_aicost.model import PriceSource, Record
    from otel_aicost.pipeline import Pipeline
    from otel_aicost.prices.catalogue import Catalogue
    from otel_aicost.sources.line import Found, Line

State = Literal["new", "known", "refused", "nothing"]

BATCH: Final = 500
"""Lines that are looked up and written together."""
WRITE_SECONDS: Final = 60.0
AHEAD_NS: Final = 86_400 * 10**9
"""A record may be so far in the future: clocks and time zones differ."""
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


class Entered(NamedTuple):
    """What became of a line. `reason` says why it is refused, or what is odd about it."""

    number: int
    state: State
    record: Record | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the caller wants it."""

    tags: Mapping[str, str]
    service: str | None = None
    """The service of the records, where the source does not name it."""
    overlap: bool = False
    """Count sums of a day beside the single calls of that day that are in the ledger already."""
    dry: bool = False
    """Write nothing."""


class Entrance:
    """Takes lines, some at a time. Inside `entrance`."""

    def __init__(self, settings: Settings, pipeline: Pipeline | None, prices: Catalogue, wishes: Wishes) -> None:
        """Without a `pipeline` nothing is written. Raises `LedgerError` where the ledger is switched off."""
        if settings.ledger is None:
            msg = "the ledger is switched off, so there is nowhere to write to"
            raise LedgerError(msg)
        self._place = settings.ledger
        self._kept_days = settings.retention_days
        self._pipeline = pipeline
        self._prices = prices
        self._wishes = wishes
        self._seen: set[str] = set()
        self._others: dict[tuple[str, int, str | None], int] = {}
        self._sessions: dict[tuple[str, str | None], bool] = {}

    def enter(self, lines: Sequence[Line]) -> list[Entered]:
        """Write what is new. Raises `LedgerError` when the ledger does not take it; then none or all of it is there."""
        with self._ledger() as connection:
            known = _known(connection, [line.found.record.id for line in lines if line.found is not None])
            entered = [self._one(line, known, connection) for line in lines]
        new = [each.record for each in entered if each.state == "new" and each.record is not None]
        if self._pipeline is not None and new:
            for record in new:
                self._pipeline.enter(record)
            if not self._pipeline.flush(WRITE_SECONDS):
                msg = f"{self._place} does not take what is written; do it again later, nothing counts twice"
                raise LedgerError(msg)
        return entered

    @contextmanager
    def _ledger(self) -> Iterator[Connection | None]:
        """The ledger to look things up in; `None` where there is none yet."""
        with ExitStack() as opened:
            connection = None
            with suppress(NoLedgerYetError):
                connection = opened.enter_context(looking(self._place))
            yield connection

    def _one(self, line: Line, known: Mapping[str, There], connection: Connection | None) -> Entered:
        found = line.found
        if found is None:
            return Entered(line.number, "refused" if line.refused else "nothing", reason=line.refused)
        record = self._completed(found.record)
        try:
            row(record)
        except (TypeError, ValueError) as error:
            return Entered(line.number, "refused", record, str(error))
        if record.id in known:
            there = known[record.id]
            return Entered(line.number, "known", there.of(record), _changed(found, record, there))
        if record.id in self._seen:
            return Entered(line.number, "known", priced(self._prices, found._replace(record=record)))
        reason = self._refused(found, record, connection)
        if reason:
            return Entered(line.number, "refused", record, reason)
        self._seen.add(record.id)
        return Entered(line.number, "new", priced(self._prices, found._replace(record=record)))

    def _completed(self, record: Record) -> Record:
        wishes = self._wishes
        service = wishes.service if wishes.service and record.service == record.sdk else record.service
        return replace(record, tags=clean({**record.tags, **wishes.tags}), service=service)

    def _refused(self, found: Found, record: Record, connection: Connection | None) -> str:
        now, kept = time.time_ns(), self._kept_days
        if record.started_ns > now + AHEAD_NS:
            return "it is in the future"
        if kept and record.started_ns < now - kept * DAY_NS:
            return (
                f"it is older than the {kept} days of OTEL_AICOST_RETENTION_DAYS: a second time it would not be known"
            )
        if self._wishes.overlap or connection is None:
            return ""
        return self._counted_otherwise(found, record, connection)

    def _counted_otherwise(self, found: Found, record: Record, connection: Connection) -> str:
        """Why the ledger may hold the same money from another source."""
        if found.session is not None and self._told_otherwise(connection, found.session, record.sdk):
            return "another source has told of this session already; --overlap counts it beside that"
        if record.sdk == by_hand.NAME:
            return ""  # who types it knows
        place = (record.provider, record.started_ns // DAY_NS, record.sdk)
        if place not in self._others:
            self._others[place] = _others(connection, *place)
        if not self._others[place]:
            return ""
        calls = "sums of all calls" if record.sdk not in SUMS else "other calls"
        return (
            f"the ledger has {calls} to {record.provider} of that day ({self._others[place]:,}), so it may be counted "
            "already; --overlap counts it beside them"
        )

    def _told_otherwise(self, connection: Connection, session: str, sdk: str | None) -> bool:
        if (session, sdk) not in self._sessions:
            query = "SELECT 1 FROM calls WHERE response_id = ? AND sdk <> ? AND sdk LIKE 'claude-code%' LIMIT 1"
            self._sessions[session, sdk] = connection.execute(query, (session, sdk or "")).fetchone() is not None
        return self._sessions[session, sdk]


@contextmanager
def entrance(settings: Settings, wishes: Wishes) -> Iterator[Entrance]:
    """Where lines are entered into the ledger of `settings`, which is made if it is not there."""
    if wishes.dry:
        yield Entrance(settings, None, load_prices(settings), wishes)
        return
    pipeline = recorder(settings)
    try:
        yield Entrance(settings, pipeline, pipeline.warm(), wishes)
    finally:
        pipeline.close(WRITE_SECONDS)


def priced(prices: Catalogue, found: Found) -> Record:
    """The record with its cost, or why it has none: at its own date, at the tier of one of the calls it sums up."""
    record = found.record
    if found.priced:
        return record
    if not record.usage:
        cost: Cost | Unpriced = Unpriced(UNPRICED_USAGE, "it states neither usage nor cost")
    else:
        models = [model for model in dict.fromkeys((record.response_model, record.request_model)) if model]
        share = Decimal(1).scaleb(-found.scale)
        usage = record.usage if not found.scale else {key: amount * share for key, amount in record.usage.items()}
        cost = prices.price(record.provider, models, usage, record.conditions, record.started_ns)
    if isinstance(cost, Cost):
        return replace(record, cost=_whole(cost, found.scale), unpriced=None)
    if found.fallback is not None:
        return replace(record, cost=found.fallback, unpriced=None, estimated=True)
    return replace(record, cost=None, unpriced=cost)


def _whole(cost: Cost, scale: int) -> Cost:
    """The cost of 10**`scale` such calls, each line of the bill rounded once."""
    if not scale:
        return cost
    parts = []
    for part in cost.parts:
        quantity = Decimal(part.quantity).scaleb(scale)
        amount = (quantity * part.price / part.per).quantize(NANO)
        whole = int(quantity) if quantity == quantity.to_integral_value() else quantity
        parts.append(part._replace(quantity=whole, amount=amount))
    return replace(
        cost,
        total=sum((part.amount for part in parts), Decimal(0)),
        parts=tuple(parts),
        cache_saved_nano=cost.cache_saved_nano * 10**scale,
        batch_saved_nano=cost.batch_saved_nano * 10**scale,
    )


def _known(connection: Connection | None, identifiers: Sequence[str]) -> dict[str, There]:
    """What is there already of the calls with these ids."""
    if connection is None or not identifiers:
        return {}
    marks = ", ".join("?" * len(identifiers))
    query = (
        "SELECT id, usage, cost_nano, cost_source, price_id, unpriced, unpriced_detail, estimated FROM calls "  # noqa: S608 - question marks
        f"WHERE id IN ({marks})"
    )
    return {found: There(*rest) for found, *rest in connection.execute(query, tuple(identifiers)).fetchall()}


def _others(connection: Connection, provider: str, day: int, sdk: str | None) -> int:
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


def _changed(found: Found, record: Record, there: There) -> str:
    """What is odd where a line that is known tells of other numbers now; they are not taken."""
    values = row(record)
    if values[_USAGE] != there.usage or (found.priced and values[_COST] != there.nano):
        return "it was counted before with other numbers, which stay as they are"
    return ""


def by_state(entered: Sequence[Entered]) -> dict[str, int]:
    """How many of each state."""
    counts: dict[str, int] = defaultdict(int)
    for each in entered:
        counts[each.state] += 1
    return counts
