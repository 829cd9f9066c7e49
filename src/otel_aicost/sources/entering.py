"""Bringing what sources found into the ledger: each record once, priced at its own date, nothing counted twice."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from otel_aicost.errors import LedgerError
from otel_aicost.instrumentor import load_prices, recorder
from otel_aicost.ledger.opening import NoLedgerYetError, looking
from otel_aicost.ledger.row import row
from otel_aicost.sources import by_hand
from otel_aicost.sources.line import DAY_NS
from otel_aicost.sources.pricing import priced
from otel_aicost.sources.there import SUMS, There, changed, known_of, others, told_otherwise
from otel_aicost.tags import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from otel_aicost.config import Settings
    from otel_aicost.ledger.store import Connection
    from otel_aicost.model import Record
    from otel_aicost.pipeline import Pipeline
    from otel_aicost.prices.catalogue import Catalogue
    from otel_aicost.sources.line import Found, Line

State = Literal["new", "known", "refused", "nothing"]

BATCH: Final = 500
"""Lines that are looked up and written together."""
WRITE_SECONDS: Final = 60.0
AHEAD_NS: Final = 86_400 * 10**9
"""A record may be so far in the future: clocks and time zones differ."""


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
            known = known_of(connection, [line.found.record.id for line in lines if line.found is not None])
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
            return Entered(line.number, "known", there.of(record), changed(found, record, there))
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
            self._others[place] = others(connection, *place)
        if not self._others[place]:
            return ""
        calls = "sums of all calls" if record.sdk not in SUMS else "other calls"
        return (
            f"the ledger has {calls} to {record.provider} of that day ({self._others[place]:,}), so it may be counted "
            "already; --overlap counts it beside them"
        )

    def _told_otherwise(self, connection: Connection, session: str, sdk: str | None) -> bool:
        if (session, sdk) not in self._sessions:
            self._sessions[session, sdk] = told_otherwise(connection, session, sdk)
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
