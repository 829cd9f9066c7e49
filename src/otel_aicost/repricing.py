"""Pricing recorded calls again: what their stored usage costs with the prices of now, at each call's own time.

Decided here: which costs may change. A cost that the provider stated, a free endpoint and usage that cannot be
believed are left alone, and no call loses a price that it has: a list that lacks it is no news about what was paid.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from otel_aicost.budgets.definitions import dollars
from otel_aicost.errors import LedgerError
from otel_aicost.ids import new_id
from otel_aicost.ledger import adjustments, events
from otel_aicost.ledger.adjustments import Change, Run
from otel_aicost.ledger.haste import hurried
from otel_aicost.ledger.opening import changing, looking
from otel_aicost.ledger.row import nano_dollars, parts_json
from otel_aicost.ledger.stored_calls import count, count_folded, next_after, page, pages
from otel_aicost.model import UNPRICED_FAILED, UNPRICED_INVALID, UNPRICED_USAGE, Cost, Unpriced
from otel_aicost.pipeline import FREE
from otel_aicost.providers import names_priced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_aicost.config import Server
    from otel_aicost.ledger.balances import Alert
    from otel_aicost.ledger.store import Connection, Store
    from otel_aicost.ledger.stored_calls import StoredCall, Which
    from otel_aicost.model import Quantity
    from otel_aicost.prices.catalogue import Catalogue

T = TypeVar("T")

STATED: Final = "stated by the provider"
FREE_ENDPOINT: Final = "free endpoint"
NO_PRICE_NOW: Final = "no price now"
OTHER_FILE: Final = "priced by a price file that is not in use here"
ATTEMPTS: Final = 4
"""How often a page is tried while the ledger does not answer."""
PAUSE_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 60.0
"""How long a page may take on a server, all tries together."""
_NANO: Final = 10**9


class Verdict(NamedTuple):
    """A recorded call, what the prices of now say of it, and what is made of that."""

    call: StoredCall
    answer: Cost | Unpriced | str | None
    """The cost, or why there is none; in words, why what it has stays; `None`: there was nothing to be paid."""
    change: Change | None = None


@dataclass(slots=True)
class Group:
    """What repricing makes of the calls of one model."""

    provider: str
    model: str
    calls: int = 0
    repriced: int = 0
    newly_priced: int = 0
    """Of those repriced, the ones that had no price."""
    was_nano: int = 0
    nano: int = 0
    priced: int = 0
    """Calls that have a cost now."""
    unpriced: Counter[str] = field(default_factory=Counter)
    """Reason -> the calls that have no price still."""

    @property
    def was_known(self) -> int | None:
        """What they cost before; `None`, not zero, where no call had a cost."""
        return self.was_nano if self.priced > self.newly_priced else None

    @property
    def known(self) -> int | None:
        """What they cost now, in the same way."""
        return self.nano if self.priced else None


@dataclass(slots=True)
class Found:
    """What repricing comes to."""

    groups: dict[tuple[str, str], Group] = field(default_factory=dict)
    kept: Counter[str] = field(default_factory=Counter)
    """Reason -> calls with a cost that is left as it is, though the lists of now have none or another."""
    passed: int = 0
    """Calls that changed, or went into daily totals, while they were looked at."""
    folded: tuple[int, int] = (0, 0)
    """Calls that are parts of daily totals by now, and those of them without a price: they cannot be repriced."""
    alerts: list[Alert] = field(default_factory=list)

    @property
    def total(self) -> Group:
        """All groups together."""
        total = Group("", "")
        for group in self.groups.values():
            for name in ("calls", "repriced", "newly_priced", "priced", "was_nano", "nano"):
                setattr(total, name, getattr(total, name) + getattr(group, name))
            total.unpriced.update(group.unpriced)
        return total

    def count(self, verdict: Verdict) -> None:
        """Add a call, and what becomes of it."""
        call, answer, change = verdict
        group = self.groups.setdefault((call.provider, call.model), Group(call.provider, call.model))
        group.calls += 1
        group.was_nano += call.cost_nano or 0
        group.nano += (call.cost_nano or 0) if change is None else change.cost_nano
        group.priced += change is not None or call.cost_nano is not None
        if change is not None:
            group.repriced += 1
            group.newly_priced += call.unpriced is not None
        elif call.unpriced is not None:
            group.unpriced[answer.reason if isinstance(answer, Unpriced) else call.unpriced] += 1
        elif isinstance(answer, str):
            self.kept[answer] += 1
        elif isinstance(answer, Unpriced):
            self.kept[NO_PRICE_NOW] += 1


class Pricing:
    """What a recorded call costs now. With `own_file`, the catalogue holds the user's price file."""

    def __init__(self, catalogue: Catalogue, *, own_file: bool) -> None:
        self._catalogue = catalogue
        self._own_file = own_file

    def judge(self, call: StoredCall) -> Verdict:
        """What is to become of a call."""
        answer = self._answer(call)
        try:
            return Verdict(call, answer, _change(call, answer) if isinstance(answer, Cost) else None)
        except ValueError as error:  # more than a row may hold
            return Verdict(call, Unpriced(UNPRICED_FAILED, str(error)))

    def _answer(self, call: StoredCall) -> Cost | Unpriced | str | None:
        if call.unpriced is None and call.cost_nano is None:
            return None
        if (stays := self._stays(call)) is not None:
            return stays
        if call.usage_state == "invalid":
            return Unpriced(UNPRICED_INVALID, call.unpriced_detail or "")
        usage = _usage(call.usage)
        if not usage:
            return Unpriced(UNPRICED_USAGE, call.unpriced_detail or "")
        models = names_priced(call.provider, call.response_model, call.request_model)
        return self._catalogue.price(call.provider, models, usage, _conditions(call.conditions), call.started_ns)

    def _stays(self, call: StoredCall) -> str | None:
        if call.cost_source == "provider":
            return STATED
        if call.price_id == FREE.price_id:
            return FREE_ENDPOINT
        return OTHER_FILE if call.cost_source == "user" and not self._own_file else None


Told: TypeAlias = "Callable[[int], object]"


def foreseen(place: Path | Server, which: Which, pricing: Pricing, began: Told, progress: Told) -> Found:
    """What `Repricing.reprice` would do; nothing is written.

    `began` is told how many calls there are, `progress` how many more were looked at. Raises `LedgerError`.
    """
    found = Found()
    with looking(place) as connection:
        _refuse_outbox(place, connection)
        began(count(connection, which))
        found.folded = count_folded(connection, which, _days(which))
        for some in pages(connection, which):
            for call in some:
                found.count(pricing.judge(call))
            progress(len(some))
    return found


@dataclass(frozen=True, slots=True)
class Repricing:
    """A run over a ledger that writes: who, why, and under which tags totals are kept apart."""

    place: Path | Server
    which: Which
    pricing: Pricing
    tags: Sequence[str]
    reason: str | None = None
    run: str = field(default_factory=new_id)

    def reprice(self, began: Told, progress: Told) -> Found:
        """Let every call cost what the prices of now say, a page a transaction; see `foreseen`.

        Whatever ends it: the pages that were done are done, and an event tells how many. Another run does the rest.
        """
        found = Found()
        with looking(self.place) as connection:
            _refuse_outbox(self.place, connection)
            began(count(connection, self.which))
            found.folded = count_folded(connection, self.which, _days(self.which))
        with closing(_Patient(self.place)) as ledger:
            try:
                self._go(ledger, found, progress)
            finally:
                with contextlib.suppress(LedgerError):
                    ledger.do(lambda store: self._tell(store, found))
        return found

    def _go(self, ledger: _Patient, found: Found, progress: Told) -> None:
        run, after = Run(self.run, events.whoami(), self.reason), (-1, "")
        while some := ledger.do(partial(_page, self.which, after)):
            self._change([self.pricing.judge(call) for call in some], ledger, found, run)
            progress(len(some))
            if (following := next_after(some)) is None:
                break
            after = following

    def _change(self, verdicts: Sequence[Verdict], ledger: _Patient, found: Found, run: Run) -> None:
        changes = [verdict.change for verdict in verdicts if verdict.change is not None]
        done: set[str] = set()
        if changes:
            with hurried(PATIENCE_SECONDS):
                applied = ledger.do(lambda store: adjustments.apply(store, changes, run, self.tags))
            found.alerts += applied.alerts
            done = {change.call.id for change in applied.changes}
        for verdict in verdicts:
            if verdict.change is None or verdict.call.id in done:
                found.count(verdict)
            else:
                found.passed += 1

    def _tell(self, store: Store, found: Found) -> None:
        total = found.total
        if not total.repriced:
            return
        left = sum(total.unpriced.values())
        was = f"{total.calls:,} calls: {dollars(total.was_nano)}, {left + total.newly_priced:,} unpriced"
        became = f"{dollars(total.nano)}, {left:,} unpriced; {total.repriced:,} calls repriced"
        with store.transaction() as connection:
            events.add(
                connection,
                events.whoami(),
                events.CALLS_REPRICED,
                f"reprice {self.run}",
                was=was,
                became=became + (f"; reason: {self.reason}" if self.reason else ""),
                now_ns=time.time_ns(),
            )


class _Patient:
    """A ledger to be changed, opened anew when it did not answer."""

    def __init__(self, place: Path | Server) -> None:
        self._place = place
        self._store: Store | None = changing(place)

    def do(self, work: Callable[[Store], T]) -> T:
        """What `work` gives, however many tries it takes; the last `LedgerError` after `ATTEMPTS`."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._store = self._store or changing(self._place)
                return work(self._store)
            except LedgerError:
                self.close()
                if attempt == ATTEMPTS:
                    raise
                time.sleep(PAUSE_SECONDS * attempt)
        raise AssertionError

    def close(self) -> None:
        """Close it."""
        if self._store is not None:
            self._store.close()
            self._store = None


def _refuse_outbox(place: Path | Server, connection: Connection) -> None:
    if isinstance(place, Path) and connection.execute(_OUTBOX).fetchone() is not None:
        msg = f"{place} is an outbox: what waits in it goes to a server, and is repriced there"
        raise LedgerError(msg)


def _page(which: Which, after: tuple[int, str], store: Store) -> list[StoredCall]:
    return store.ask(lambda connection: page(connection, which, after))


def _change(call: StoredCall, cost: Cost) -> Change | None:
    """The change that lets a call cost this; `None` where it costs that already. Raises `ValueError`."""
    nano = nano_dollars(cost.total)
    amounts = (nano, cost.cache_saved_nano, cost.batch_saved_nano)
    if call.unpriced is None and (call.cost_nano, call.cache_saved_nano, call.batch_saved_nano) == amounts:
        return None
    parts = parts_json(tuple((part, nano_dollars(part.amount)) for part in cost.parts))
    named = (cost.source, cost.price_id, cost.price_date, cost.catalogue)
    return Change(call, nano, *named, parts, cost.cache_saved_nano, cost.batch_saved_nano)


@lru_cache(maxsize=4096)
def _conditions(text: str) -> Mapping[str, str]:
    found: dict[str, str] = json.loads(text)
    return found


def _usage(text: str) -> dict[str, Quantity]:
    return {meter: Decimal(value) if isinstance(value, str) else value for meter, value in json.loads(text).items()}


def _days(which: Which) -> tuple[str | None, str | None]:
    """The days of UTC that begin in the time asked for: what daily totals know."""
    first, last = (
        None if at_ns is None else datetime.fromtimestamp(at_ns // _NANO, UTC).date().isoformat()
        for at_ns in (which.since_ns, which.until_ns)
    )
    return first, last


_OUTBOX: Final = "SELECT 1 FROM sqlite_master WHERE name = 'parcels'"
