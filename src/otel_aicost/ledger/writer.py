"""The writer of a ledger: takes a record in a microsecond, keeps it until the ledger has it, and holds the budgets.

A record and what it takes of its budgets are written in one transaction, so that no crash parts them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from otel_aicost import faults
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import balances, file, forks
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.leases import Leases
from otel_aicost.ledger.posting import Posted, post
from otel_aicost.ledger.row import row
from otel_aicost.ledger.slices import SECONDS as SLICE_SECONDS
from otel_aicost.ledger.slices import Slices, slice_name
from otel_aicost.ledger.store import BATCH, BUSY_SECONDS, BusyLedgerError, DamagedLedgerError, FileStore
from otel_aicost.ledger.ticker import Ticker
from otel_aicost.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from otel_aicost.budgets.budget import Amounts, Line
    from otel_aicost.ledger.balances import Alert, Refusal
    from otel_aicost.ledger.slices import Share, Stamp
    from otel_aicost.ledger.store import Connection, Store
    from otel_aicost.model import Record

    T = TypeVar("T")

KEPT: Final = 10_000
"""How many records wait in memory while the ledger cannot be written; later ones are lost, and counted."""
STALLED_SECONDS: Final = 2.0
"""A write that takes longer counts as one that failed, as far as `KEPT` is concerned."""
WAIT_SECONDS: Final = 0.25
"""The longest a call waits for a ledger that does not answer; the calls after it do not wait at all."""
OPENING_SECONDS: Final = 3.0
"""How much longer for a file that is being made or opened, perhaps on a slow disk: that ends by itself."""
FIRST_RETRY_SECONDS: Final = 0.05
LONGEST_RETRY_SECONDS: Final = 30.0
PROBE_SECONDS: Final = 1.0
"""The longest pause between two tries while budgets wait for the ledger."""
FORK_SECONDS: Final = 10.0
"""How long a fork waits for a file that is opened or written, perhaps on a slow disk: else the child cannot use it."""
FLUSH_TRIES: Final = 3
CLOSE_SECONDS: Final = 1.0
BUSY_EXIT_SECONDS: Final = 6.0
"""How much longer the end of a process waits for a ledger that answers, but to others."""
JOB_TRIES: Final = 5
TURN_SECONDS: Final = 0.2
BREATH_SECONDS: Final = 0.002
"""Between two writes, so that a burst of calls is written in few transactions; a call by itself is written at once."""
WITH_A_RESERVATION: Final = 16
"""The most records that are written before a call is admitted; where more wait, the admission waits for them."""
FOLD_ROWS: Final = 500
DAY_SECONDS: Final = 86_400


class StoreDownError(LedgerError):
    """The ledger does not answer now."""


class Writer:
    """Puts records into a ledger milliseconds after `put`; one that is given up is counted. Reserves in its budgets.

    `put` never blocks and never raises. While the ledger cannot be written, `KEPT` records wait in memory and are
    written when it can be again, tried with growing pauses. What a process settled beyond what it had reserved is in
    the balances before it reserves again. After a fork the child's writer starts empty: what the parent had queued,
    or reserved, stays the parent's.
    """

    def __init__(  # noqa: PLR0913 - what a ledger is
        self,
        open_store: Callable[[], Store],
        name: str,
        retention_days: int = 0,
        lease_seconds: float = 60.0,
        *,
        sliced: bool = False,
        near: bool = False,
        grace_seconds: float = 0.0,
        alone: bool = True,
        at_once: int = BATCH,
        total_tags: Sequence[str] | None = (),
    ) -> None:
        """Open nothing yet. `name` tells people which ledger it is.

        Calls older than `retention_days` become daily totals; 0 keeps them for ever. `sliced`: budgets in balanced
        mode are leased in slices; where the ledger is `near`, only while it is as it was. `grace_seconds` is that
        of `balances.expire`. If it is not `alone`, what it gives up is kept elsewhere, and not lost. `at_once`:
        the most records in one transaction.
        `total_tags` are the tags that running totals are kept apart by; `None`: no totals are kept.
        """
        self.name = name
        self.alert: Callable[[Alert], object] | None = None
        """Told of limits that are reached."""
        self.seen: Callable[[Line, Amounts], object] | None = None
        """Told how the windows stood, spent and reserved, whenever they were looked at for a reservation."""
        self._open_store = open_store
        self._retention_days = retention_days
        self._lease_ns, self._grace_ns = int(lease_seconds * 1e9), int(grace_seconds * 1e9)
        self._alone = alone
        self._at_once = at_once
        self._total_tags = total_tags
        self._sliced, self._near = sliced, near
        self._closing = self._orphan = False
        # Whoever has it may touch `_held` and `_store`.
        self._turn = forks.Turn(self._shut, FORK_SECONDS if near else 0.0)
        self._begin()
        self._worker: Worker[None] = Worker("ledger", self._work, self._after_fork)

    @classmethod
    def of_file(
        cls, path: Path, retention_days: int = 0, lease_seconds: float = 60.0, total_tags: Sequence[str] = ()
    ) -> Writer:
        """Make the writer of the SQLite ledger at `path`."""
        tags = total_tags
        return cls(
            lambda: FileStore(path), str(path), retention_days, lease_seconds, sliced=True, near=True, total_tags=tags
        )

    def _begin(self) -> None:
        self._pending: deque[tuple[Record | None, Settlement | None]] = deque()
        self._jobs: deque[tuple[Callable[[Connection], object], int]] = deque()
        self._held: list[Posted] = []
        self._store: Store | None = None
        self._slices = slices = Slices() if self._sliced else None
        self._leases = Leases(self._lease_ns, (lambda: ()) if slices is None else slices.held, self._grace_ns)
        self._counting = threading.RLock()
        self._woken = self._failing = self._busy = self._exit_guarded = self._unforeseen = self._opening = False
        self._writing_since: float | None = None
        self._wrote_at = 0.0
        self._wait, self._retry_at, self._fold_at = FIRST_RETRY_SECONDS, 0.0, 0.0
        self._ticker = Ticker(self._wake)
        self._written = self._lost = self._errors = 0

    def put(self, record: Record, settlement: Settlement | None = None) -> None:
        """Hand over a record; about a microsecond, from anywhere, a garbage-collection callback included."""
        if self.full:
            self._close_lease(settlement)
            if settlement is not None and self._slices is not None:
                self._slices.settled(settlement.reservation, settlement.lines)
            if self._alone:
                self._lose(f"{self.name} cannot be written and {KEPT} calls wait already")
            return
        self._append(record, settlement)

    @property
    def full(self) -> bool:
        """Whether it can take no more: the ledger cannot be written, and as many wait as may."""
        return len(self._pending) >= KEPT and self._stalled()

    @property
    def failing(self) -> bool:
        """Whether the last try to write failed."""
        return self._failing

    def release(self, settlement: Settlement) -> None:
        """Free what was reserved for a call that is not put."""
        self._append(None, settlement)

    def later(self, work: Callable[[Connection], object]) -> None:
        """Do `work` in the background, in a transaction of its own.

        It is tried again a few times while the ledger does not answer; another error is reported, and that was it.
        """
        self._jobs.append((work, JOB_TRIES))
        self._wake()

    def warm(self) -> None:
        """Open the ledger in the background, so that no call has to."""
        self.later(lambda _: None)

    def reserve(self, identifier: str, lines: Sequence[Line]) -> Refusal | None:
        """Reserve in all budgets, or in none: then why not. Waits `WAIT_SECONDS` at most.

        Raises `StoreDownError` when the ledger does not answer, and from then on at once until it does again.
        """
        slices = self._slices
        if slices is not None and all(line.budget.mode == "balanced" for line in lines):
            admitted = self._from_slices(slices, identifier, lines)
            return None if admitted else self._reserve_slices(slices, identifier, lines, again=admitted is None)
        refused = self._ask(lines, lambda connection: self._reserve(connection, identifier, lines))
        if refused is None:
            self._lease(identifier, lines)
        return refused

    def look(self, lines: Sequence[Line]) -> Refusal | None:
        """Why a call would be refused now; as `reserve`, and nothing is reserved."""
        return self._ask(lines, lambda connection: balances.look(connection, lines, time.time_ns(), self._grace_ns))

    def flush(self, timeout: float) -> bool:
        """Wait until all that was put before is in the ledger; `False` if it is not after `timeout` seconds.

        A ledger that others write is tried until then, one that cannot be written a few times. Slices are given
        back: who flushes is about to pause, or to end.
        """
        deadline = time.monotonic() + timeout
        if self._slices is not None:
            self._give_back(self._slices.stale(every=True))
        tries = 0
        while tries < FLUSH_TRIES or (self._busy and time.monotonic() < deadline):
            tries += 1
            if self._failing:  # try now, not at the end of the pause
                self._retry_at = 0.0
            if self._failing or self._pending or self._held:  # or what was left when calls were faster
                self._wake()
            done = self._worker.flush(max(0.0, deadline - time.monotonic()))
            if not (done and self._failing):
                return done
        return False

    def close(self, timeout: float) -> bool:
        """Flush, and close the ledger. What is put later is still written, in the thread that puts it."""
        deadline = time.monotonic() + timeout
        done = self._flush_at_the_end(timeout)
        self._closing = True
        if done and self._store is not None:
            self._wake()
        self._worker.close(max(CLOSE_SECONDS if done else 0.0, deadline - time.monotonic()))
        if (left := len(self._pending) + len(self._held)) and self._alone:
            faults.report("ledger loss", LedgerError(f"{left} calls are not in {self.name} at the end"))
        return done

    def _flush_at_the_end(self, timeout: float) -> bool:
        """As `flush`; but a ledger that others write, perhaps to a slow disk, is worth waiting for."""
        return self.flush(timeout) or (self._failing and self._busy and self.flush(BUSY_EXIT_SECONDS))

    def stats(self) -> dict[str, int | str]:
        """Give this process's `written`, `queued`, `lost` records, `errors` (failed tries), and `path`."""
        queued = len(self._pending) + len(self._held)
        counts = {"written": self._written, "queued": queued, "lost": self._lost, "errors": self._errors}
        return {**counts, "path": self.name}

    def lag(self) -> None:
        """Nothing: what is put goes straight to the ledger. `Fleet.lag` has more to say."""

    def _append(self, record: Record | None, settlement: Settlement | None) -> None:
        reserved = self._close_lease(settlement)
        if settlement is not None and self._slices is not None:
            shares = settlement.shares or self._slices.settled(settlement.reservation, settlement.lines)
            settlement = settlement._replace(shares=shares)
        self._pending.append((record, settlement))
        if settlement is not None and not settlement.within(reserved):
            self._unforeseen = True  # only now that it is there to be written
        if not self._woken:
            self._wake()

    def _close_lease(self, settlement: Settlement | None) -> Sequence[Line]:
        if settlement is None or settlement.reservation is None:
            return ()
        return self._leases.closed(settlement.reservation)

    def _stalled(self) -> bool:
        since = self._writing_since
        return self._failing or (since is not None and time.monotonic() - since > STALLED_SECONDS)

    def _lose(self, reason: str) -> None:
        with self._counting:
            self._lost += 1
            lost = self._lost
        faults.report("ledger loss", LedgerError(f"{reason}: {lost} calls lost so far"))

    def _wake(self) -> None:
        self._woken = True
        if not self._exit_guarded:
            self._exit_guarded = True
            forks.before_child_exit(self._flush_at_the_end)
        self._worker.put(None)

    # --- on the way of a call ------------------------------------------------------------------------------

    def _reserve(self, connection: Connection, identifier: str, lines: Sequence[Line]) -> Refusal | None:
        now = time.time_ns()
        until = now + self._lease_ns
        return balances.reserve(connection, identifier, lines, now, until, self._grace_ns, self.seen)

    def _from_slices(self, slices: Slices, identifier: str, lines: Sequence[Line]) -> bool | None:
        """Admit without a transaction; `None`: somebody else has the turn."""
        if not self._near:
            return slices.take(identifier, lines)
        if self._failing or not slices.any:
            return False
        if not self._turn.take(0):
            return None
        try:
            return self._still(slices, identifier, lines)
        except LedgerError:
            return False  # whoever writes next finds it, too, and knows what to do
        finally:
            self._turn.give()

    def _reserve_slices(self, slices: Slices, identifier: str, lines: Sequence[Line], *, again: bool) -> Refusal | None:
        """Reserve for one call in the ledger, and slices for those after it; first look `again` at those held."""
        name = slice_name(identifier)
        grants: list[tuple[Line, Amounts]] = []
        stamp: Stamp = None
        worth_it = slices.asked_often(lines) if self._near else True
        held = False

        def work(connection: Connection) -> Refusal | None:
            nonlocal stamp
            refused = self._reserve(connection, identifier, lines)
            if refused is None and worth_it:
                until = time.time_ns() + self._lease_ns
                grants[:] = [(line, balances.grant(connection, name, line, until)) for line in lines]
                stamp = self._store.stamp() if self._near and self._store is not None else None
            return refused

        def still() -> bool:
            nonlocal held
            held = again and self._still(slices, identifier, lines)
            if not held:
                self._give_back(slices.dropped(lines))
            return held

        refused = self._ask(lines, work, still)
        if held:
            return None
        if grants:
            self._give_back(slices.granted(name, grants, stamp))
            self._tick_later(SLICE_SECONDS)
        if refused is None:
            slices.asked(identifier, lines)
            self._lease(identifier, lines)
        return refused

    def _still(self, slices: Slices, identifier: str, lines: Sequence[Line]) -> bool:
        """Admit from slices: nobody else has written since, or what they wrote leaves room for the call."""
        store = self._store
        if store is None:
            return False
        stamp = store.stamp()
        if slices.take(identifier, lines, stamp):
            return True
        names = slices.fitting(lines)
        # What waits to be written took no more than was reserved for it and is no longer left of the slice.
        if names is None or not store.ask(
            lambda connection: all(map(partial(balances.still_holds, connection), names, lines))
        ):
            return False
        slices.stamped(lines, stamp)
        return slices.take(identifier, lines, stamp)

    def _lease(self, identifier: str, lines: Sequence[Line]) -> None:
        self._leases.opened(identifier, lines)
        self._tick_later(self._leases.renew_seconds)

    def _give_back(self, rests: list[Share]) -> None:
        for rest in rests:
            self._append(None, Settlement(rest.slice_id, (), (rest,)))

    def _ask(
        self,
        lines: Sequence[Line],
        work: Callable[[Connection], Refusal | None],
        held: Callable[[], bool] | None = None,
    ) -> Refusal | None:
        """Do `work` in a transaction, unless the call can be admitted with what is `held`."""
        self._leases.used = True
        if self._failing:
            raise self._unreachable()
        deadline = self._take_turn()
        if deadline is None:
            self._failing = True  # what has the turn hangs, or others were faster
            self._wake()  # which of the two it was is found out in the background
            raise self._unreachable()
        alerts: list[Alert] = []
        refused = None
        unreachable = self._failing  # whoever had the turn before may have found out
        try:
            if not (unreachable or (held is not None and held())):
                while len(self._held) + len(self._pending) > WITH_A_RESERVATION and time.monotonic() < deadline:
                    alerts += self._write_some()
                refused = self._on_store(lambda: self._answer(lines, work, deadline, alerts))
        except Exception as error:
            self._refused(error)
            raise self._unreachable() from error
        finally:
            self._turn.give()
            self._tell(alerts)
        if unreachable:
            raise self._unreachable()
        return refused

    def _take_turn(self) -> float | None:
        """Wait for the turn: until when the ledger may take to answer, by `time.monotonic`; `None`: it does not."""
        until = time.monotonic() + WAIT_SECONDS
        if self._turn.take(WAIT_SECONDS):
            return until
        if self._opening and self._turn.take(OPENING_SECONDS):
            return time.monotonic() + WAIT_SECONDS
        return None

    def _answer(
        self,
        lines: Sequence[Line],
        work: Callable[[Connection], Refusal | None],
        deadline: float,
        alerts: list[Alert],
    ) -> Refusal | None:
        store = self._opened()
        left = deadline - time.monotonic()
        store.wait_at_most(WAIT_SECONDS if left > WAIT_SECONDS * 0.8 else max(0.01, left))
        # Where it is near, what waits is written first only if it matters: it took more than was reserved for it.
        first, self._unforeseen = self._unforeseen or not self._near, False
        reached: list[Alert] = []
        posted = False
        more = [(line.budget.name, line.key) for line in lines]
        try:
            with store.transaction() as connection:
                if first:
                    posted, reached = True, self._post(store, connection, more)
                refused = work(connection)
                if refused is not None and not posted and (self._held or self._pending):
                    posted, reached = True, self._post(store, connection, more)
                    refused = work(connection)
        except BaseException:
            self._unforeseen = True
            raise
        if posted:
            self._unforeseen = self._unforeseen or bool(self._pending)
            self._are_written()
        alerts += reached
        return refused

    def _post(self, store: Store, connection: Connection, more: Sequence[tuple[str, str]]) -> list[Alert]:
        self._held = self._held or self._take(self._at_once)
        return post(store, connection, self._held, more, self._total_tags)

    def _unreachable(self) -> StoreDownError:
        return StoreDownError(f"{self.name} does not answer")

    # --- with the turn -------------------------------------------------------------------------------------

    def _write_some(self) -> list[Alert]:
        """Write what is held, or the next of what waits."""
        self._held = self._held or self._take(self._at_once)
        if not self._held:
            return []
        self._writing_since = time.monotonic()
        alerts = self._on_store(self._write_held)
        self._are_written()
        return alerts

    def _write_held(self) -> list[Alert]:
        store = self._opened()
        store.wait_at_most(WAIT_SECONDS if self._leases.used else BUSY_SECONDS)
        with store.transaction() as connection:
            return post(store, connection, self._held, tags=self._total_tags)

    def _are_written(self) -> None:
        self._written += sum(posted.row is not None for posted in self._held)
        self._wrote_at = time.monotonic()
        self._held = []

    def _take(self, most: int) -> list[Posted]:
        taken: list[Posted] = []
        while self._pending and len(taken) < most:
            record, settlement = self._pending.popleft()
            try:
                taken.append(Posted(None if record is None else row(record), settlement))
            except Exception as error:  # noqa: BLE001 - one record that is none must not keep the others out
                self._lose(f"a record that is none ({error!r:.200})")
                taken.append(Posted(None, settlement))
        return taken

    def _on_store(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except DamagedLedgerError as error:
            self._shut()
            aside = file.set_aside(error.path, error.identity)
            found = f"moved it to {aside} and began a new one" if aside else "another process moved it aside"
            faults.report("ledger damage", LedgerError(f"{error}; {found}"))
            return work()

    def _opened(self) -> Store:
        if self._store is not None and self._store.moved():
            self._shut()
        if self._store is None:
            if self._orphan:
                msg = (
                    f"{self.name} was open in the parent when this process was forked, in the middle of a write "
                    "or without Python's fork hooks, and cannot be shared safely: fork before the first call"
                )
                raise LedgerError(msg)
            self._opening = self._near
            try:
                self._store = self._open_store()
            finally:
                self._opening = False
        return self._store

    def _refused(self, error: Exception) -> None:
        self._errors += 1
        self._failing, self._busy = True, isinstance(error, BusyLedgerError)
        self._shut()
        self._retry_at = time.monotonic() + self._wait
        self._tick_later(self._wait + 0.001)
        longest = PROBE_SECONDS if self._leases.used else LONGEST_RETRY_SECONDS
        self._wait = min(self._wait * 2, longest)
        waiting = len(self._pending) + len(self._held)
        kept = f"{waiting} calls wait in memory (up to {KEPT}) until it can"
        faults.report("ledger", LedgerError(f"{error}; {kept}"))

    def _shut(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()

    # --- in the background ---------------------------------------------------------------------------------

    def _work(self, _wakes: list[None]) -> None:
        if not self._closing and time.monotonic() < self._wrote_at + BREATH_SECONDS:
            time.sleep(BREATH_SECONDS)  # calls come thick and fast: write several at once
        self._woken = False
        given = self._turn.given
        if not self._turn.take(TURN_SECONDS if self._closing else forks.WAIT_SECONDS + TURN_SECONDS):
            if given == self._turn.given:  # not many calls, one after the other
                self._failing = True  # a write that hangs has the turn, and goes on with what waits when it is back
            self._tick_later(self._wait)
            return
        alerts: list[Alert] = []
        try:
            if time.monotonic() >= self._retry_at and self._write(alerts) and self._worth_folding():
                self._fold()
            if self._closing:
                self._shut()
        finally:
            self._turn.give()
            self._tell(alerts)
        if self._slices is not None:
            self._give_back(self._slices.stale(every=self._closing))
            if self._slices.any:
                self._tick_later(SLICE_SECONDS)
        if self._failing:
            self._tick_later(max(0.0, self._retry_at - time.monotonic()) + 0.001)

    def _write(self, alerts: list[Alert]) -> bool:
        try:
            while self._held or self._pending:
                alerts += self._write_some()
            self._do_jobs()
            if self._failing or self._leases.due():  # where nothing waits, whether it answers is still to be found out
                self._leases.keep(self._opened())
        except Exception as error:  # noqa: BLE001 - whatever it is, the rows are kept
            self._refused(error)
            return False
        finally:
            self._writing_since = None
        self._failing, self._wait = False, FIRST_RETRY_SECONDS
        if self._leases.used:
            self._tick_later(self._leases.renew_seconds)
        return True

    def _do_jobs(self) -> None:
        while self._jobs:
            store = self._opened()
            work, tries = self._jobs.popleft()
            try:
                with store.transaction() as connection:
                    work(connection)
            except Exception as error:
                if isinstance(error, LedgerError) and tries > 1:
                    self._jobs.appendleft((work, tries - 1))
                    raise
                faults.report("ledger job", error)  # it is not worth that the next call waits for it

    def _tick_later(self, seconds: float) -> None:
        if not self._closing or self._held or self._pending:
            self._ticker.later(seconds)

    def _tell(self, alerts: list[Alert]) -> None:
        if self.alert is not None:
            for alert in alerts:
                self.alert(alert)

    def _worth_folding(self) -> bool:
        return self._retention_days > 0 and not self._closing and time.monotonic() >= self._fold_at

    def _fold(self) -> None:
        """Fold a few old calls and come back for more: neither a new call nor a flush waits for all."""
        before = time.time_ns() - self._retention_days * DAY_SECONDS * 1_000_000_000
        try:
            more = before > 0 and self._opened().fold(before, FOLD_ROWS) == FOLD_ROWS
        except Exception as error:  # noqa: BLE001 - retention can wait for tomorrow, the calls are safe
            faults.report("ledger retention", error)
            more = False
        if more:
            self._wake()
        else:
            self._fold_at = time.monotonic() + DAY_SECONDS

    # --- around a fork -------------------------------------------------------------------------------------

    def _after_fork(self) -> None:
        store, opening = self._store, self._near and not self._turn.parked
        self._turn.begin()
        self._begin()
        if store is not None:
            forks.keep_for_ever(store.connection)
        if store is not None or opening:
            self._orphan = True
