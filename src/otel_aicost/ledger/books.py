"""The books of this process: reserves within a bounded wait, settles in the background, survives forks and bad days."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from otel_aicost import faults
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import balances, forks
from otel_aicost.ledger.store import Store
from otel_aicost.worker import Worker

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from otel_aicost.budgets.budget import Line
    from otel_aicost.ledger.balances import Alert, Refusal, Settlement

WAIT_SECONDS: Final = 0.25
"""The longest a call waits for a ledger that does not answer; the calls after it do not wait at all."""
PROBE_SECONDS: Final = 1.0
"""How often a ledger that did not answer is tried again, in the background."""
FORK_SECONDS: Final = 1.0
AT_ONCE: Final = 256
KEPT: Final = 100_000
"""How many settlements wait in memory while the ledger does not answer; later ones are lost, and counted."""
FORGET_SECONDS: Final = 600.0
NEVER: Final = float("inf")


class StoreDownError(LedgerError):
    """The books cannot be reached now."""


class Books:
    """Reserves and settles in the ledger at `path`; `None`: there is none, and it is down for good.

    `reserve` may be called in any thread, `settle` anywhere. What a process settled is in the books before it reserves
    again. After a fork the child begins with nothing open: what the parent had reserved is the parent's to settle.
    """

    def __init__(self, path: Path | None, lease_seconds: float, alert: Callable[[Alert], None]) -> None:
        self.path = path
        self._lease_ns = int(lease_seconds * 1e9)
        self._alert = alert
        self._closing = self._orphan = False
        self._begin()
        self._worker: Worker[None] = Worker("aicost-budgets", self._work, self._after_fork)
        forks.watch(self)

    def _begin(self) -> None:
        self._turn = threading.Lock()  # whoever has it may touch `_store`
        self._parked_by: set[int] = set()
        self._store: Store | None = None
        self._pending: deque[Settlement] = deque()
        self._open: dict[str, None] = {}
        self._down = self.path is None
        self._exit_guarded = False
        self._tick_at = NEVER
        self._forget_at = 0.0
        self._renew_at = 0.0

    def warm(self) -> None:
        """Open the file in the background, so that no call has to."""
        self._wake()

    def reserve(self, identifier: str, lines: Sequence[Line]) -> Refusal | None:
        """Reserve for all lines, or for none: then why not. Waits `WAIT_SECONDS` at most.

        Raises `StoreDownError` when the ledger does not answer, and from then on at once until it does again.
        """
        if self._down or not self._turn.acquire(timeout=WAIT_SECONDS):
            raise self._unreachable()
        try:
            refusal, alerts = self._reserve(identifier, lines)
        finally:
            self._turn.release()
        self._tell(alerts)
        if refusal is None:
            self._open[identifier] = None
            self._tick_later(self._lease_ns / 3e9)
        return refusal

    def settle(self, settlement: Settlement) -> None:
        """Put down what a call took; microseconds, from anywhere. It is written a moment later."""
        self._open.pop(settlement.id, None)
        if self.path is None:
            return
        if len(self._pending) >= KEPT:
            faults.report("budgets loss", LedgerError(f"{self.path} cannot be written and {KEPT} calls wait already"))
            return
        self._pending.append(settlement)
        if not self._exit_guarded:
            self._exit_guarded = True
            forks.before_child_exit(self.flush)
        self._wake()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was settled is in the file; `False` if it is not after `timeout` seconds."""
        if self._pending:
            self._wake()
        return self._worker.flush(timeout) and not self._pending

    def close(self, timeout: float) -> bool:
        """Flush, and close the file. What is settled later is still written, in the thread that does it."""
        done = self.flush(timeout)
        self._closing = True
        self._wake()
        self._worker.close(timeout)
        if self._pending:
            faults.report("budgets loss", LedgerError(f"{len(self._pending)} calls are not in the budgets at the end"))
        return done

    # --- with the turn -------------------------------------------------------------------------------------

    def _reserve(self, identifier: str, lines: Sequence[Line]) -> tuple[Refusal | None, list[Alert]]:
        if self._down:  # whoever had the turn before found out
            raise self._unreachable()
        try:
            store = self._opened()
            with store.transaction() as connection:
                now = time.time_ns()
                posted, alerts = self._post(store, now)
                refusal = balances.reserve(connection, identifier, lines, now, now + self._lease_ns)
        except Exception as error:
            self._trip(error)
            raise self._unreachable() from error
        self._posted(posted)
        return refusal, alerts

    def _opened(self) -> Store:
        if self._store is not None and self._store.moved():
            self._shut()
        if self._store is None:
            if self.path is None or self._orphan:
                msg = f"{self.path} cannot be opened: there is none, or it was open during a fork"
                raise StoreDownError(msg)
            self._store = Store(self.path, WAIT_SECONDS)
        return self._store

    def _post(self, store: Store, now_ns: int) -> tuple[int, list[Alert]]:
        """Write down what is pending; how much of it that was, to be dropped when the transaction is through."""
        alerts: list[Alert] = []
        some = [self._pending[index] for index in range(min(len(self._pending), AT_ONCE))]
        for settlement in some:
            alerts += balances.settle(store.connection, settlement, now_ns)
        return len(some), alerts

    def _posted(self, count: int) -> None:
        for _ in range(count):
            self._pending.popleft()

    def _trip(self, error: Exception) -> None:
        self._down = True
        self._shut()
        faults.report("budgets", error)
        self._tick_later(PROBE_SECONDS)

    def _shut(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _unreachable(self) -> StoreDownError:
        what = "there is no ledger" if self.path is None else f"{self.path} does not answer"
        return StoreDownError(what)

    # --- in the background ---------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self.path is not None:
            self._worker.put(None)

    def _tick_later(self, seconds: float) -> None:
        at = time.monotonic() + seconds
        if self._closing or at >= self._tick_at:
            return
        self._tick_at = at
        timer = threading.Timer(seconds, self._tick)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # the interpreter is shutting down
            self._tick_at = NEVER

    def _tick(self) -> None:
        self._tick_at = NEVER
        self._wake()

    def _work(self, _wakes: list[None]) -> None:
        if not self._turn.acquire(timeout=FORK_SECONDS + WAIT_SECONDS):
            self._tick_later(PROBE_SECONDS)
            return
        alerts: list[Alert] = []
        try:
            more = True
            while more:
                store = self._opened()
                with store.transaction() as connection:
                    posted, new = self._post(store, time.time_ns())
                    self._housekeep(connection)
                self._posted(posted)
                alerts += new
                more = bool(self._pending)
            self._down = False
            if self._closing:
                self._shut()
        except Exception as error:  # noqa: BLE001 - whatever it is, what is pending is kept
            self._trip(error)
        finally:
            self._turn.release()
        self._tell(alerts)
        if self._open:
            self._tick_later(self._lease_ns / 3e9)

    def _housekeep(self, connection: sqlite3.Connection) -> None:
        now = time.monotonic()
        if self._open and now >= self._renew_at:
            balances.renew(connection, list(self._open), time.time_ns() + self._lease_ns)
            self._renew_at = now + self._lease_ns / 4e9
        if now >= self._forget_at:
            balances.expire(connection, time.time_ns())
            balances.forget(connection, time.time_ns())
            self._forget_at = now + FORGET_SECONDS

    def _tell(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            self._alert(alert)

    # --- around a fork -------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Close the connection, and let nobody reserve until the fork is over; see `forks`."""
        if self._turn.acquire(timeout=FORK_SECONDS):
            self._parked_by.add(threading.get_ident())
            self._shut()

    def after_fork_in_parent(self) -> None:
        """Reserve again."""
        if threading.get_ident() in self._parked_by:
            self._parked_by.discard(threading.get_ident())
            self._turn.release()

    def _after_fork(self) -> None:
        store = self._store
        self._begin()
        if store is not None:
            self._orphan = True
            forks.keep_for_ever(store.connection)
