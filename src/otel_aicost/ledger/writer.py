"""The background writer of the ledger: takes a record in a microsecond, keeps it until the file has it."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from otel_aicost import faults
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import file, forks
from otel_aicost.ledger.row import row
from otel_aicost.ledger.store import BATCH, DamagedLedgerError, Store
from otel_aicost.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from otel_aicost.ledger.row import Row
    from otel_aicost.model import Record

KEPT: Final = 10_000
"""How many records wait in memory while the file cannot be written; later ones are lost, and counted."""
STALLED_SECONDS: Final = 2.0
"""A write that takes longer counts as one that failed, as far as `KEPT` is concerned."""
FIRST_RETRY_SECONDS: Final = 0.05
LONGEST_RETRY_SECONDS: Final = 30.0
TURN_SECONDS: Final = 0.2
FORK_SECONDS: Final = 1.0
BREATH_SECONDS: Final = 0.002
"""Between two writes, so that a burst of calls is written in few transactions; a call by itself is written at once."""
FOLD_ROWS: Final = 500
DAY_SECONDS: Final = 86_400


class Writer:
    """Puts records into the ledger at `path`, milliseconds after `put`; one that is given up is counted.

    `put` never blocks and never raises. While the file cannot be written, `KEPT` records wait in memory and
    are written when it can be again, tried with growing pauses. After a fork the child's writer starts empty:
    what the parent had queued stays the parent's.
    """

    def __init__(self, path: Path, retention_days: int) -> None:
        """Open nothing yet. Calls older than `retention_days` become daily totals; 0 keeps them for ever."""
        self.path = path
        self._retention_days = retention_days
        self._closing = self._orphan = False
        self._begin()
        self._worker: Worker[None] = Worker("ledger", self._work, self._after_fork)
        forks.watch(self)

    def _begin(self) -> None:
        self._pending: deque[Record] = deque()
        self._held: list[Row] = []
        self._store: Store | None = None
        self._turn = threading.Lock()  # whoever has it may touch `_held` and `_store`
        self._counting = threading.RLock()
        self._parked_by: set[int] = set()
        self._woken = self._failing = self._exit_guarded = False
        self._writing_since: float | None = None
        self._wrote_at = 0.0
        self._wait, self._retry_at, self._fold_at = FIRST_RETRY_SECONDS, 0.0, 0.0
        self._written = self._lost = self._errors = 0

    def put(self, record: Record) -> None:
        """Hand over a record; about a microsecond, from anywhere, a garbage-collection callback included."""
        if len(self._pending) >= KEPT and self._stalled():
            self._lose(f"{self.path} cannot be written and {KEPT} calls wait already")
            return
        self._pending.append(record)
        if not self._woken:
            self._wake()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was put before is in the file; `False` if it is not after `timeout` seconds."""
        if self._failing:  # try now, not at the end of the pause
            self._retry_at = 0.0
            self._wake()
        return self._worker.flush(timeout) and not self._failing

    def close(self, timeout: float) -> bool:
        """Flush, and close the file. What is put later is still written, in the thread that puts it."""
        deadline = time.monotonic() + timeout
        done = self.flush(timeout)
        self._closing = True
        if done and self._store is not None:
            self._wake()
        self._worker.close(max(0.0, deadline - time.monotonic()))
        if left := len(self._pending) + len(self._held):
            faults.report("ledger loss", LedgerError(f"{left} calls are not in {self.path} at the end"))
        return done

    def stats(self) -> dict[str, int | str]:
        """Give this process's `written`, `queued`, `lost` records, `errors` (failed tries), and `path`."""
        queued = len(self._pending) + len(self._held)
        counts = {"written": self._written, "queued": queued, "lost": self._lost, "errors": self._errors}
        return {**counts, "path": str(self.path)}

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
            forks.before_child_exit(self.flush)
        self._worker.put(None)

    # --- in the background ---------------------------------------------------------------------------------

    def _work(self, _wakes: list[None]) -> None:
        if not self._closing and time.monotonic() < self._wrote_at + BREATH_SECONDS:
            time.sleep(BREATH_SECONDS)  # calls come thick and fast: write several at once
        self._woken = False
        if not self._turn.acquire(timeout=TURN_SECONDS if self._closing else FORK_SECONDS + TURN_SECONDS):
            self._failing = True  # a write that hangs has the turn, and goes on with what waits when it is back
            self._retry_later()
            return
        try:
            if time.monotonic() >= self._retry_at and self._write() and self._worth_folding():
                self._fold()
            if self._closing:
                self._shut()
        finally:
            self._turn.release()

    def _write(self) -> bool:
        try:
            while rows := self._held or self._take():
                self._held = rows
                self._writing_since = time.monotonic()
                self._insert(rows)
                self._written += len(rows)
                self._wrote_at = time.monotonic()
                self._held = []
        except Exception as error:  # noqa: BLE001 - whatever it is, the rows are kept
            self._refused(error)
            return False
        finally:
            self._writing_since = None
        self._failing, self._wait = False, FIRST_RETRY_SECONDS
        return True

    def _take(self) -> list[Row]:
        rows: list[Row] = []
        while self._pending and len(rows) < BATCH:
            record = self._pending.popleft()
            try:
                rows.append(row(record))
            except Exception as error:  # noqa: BLE001 - one record that is none must not keep the others out
                self._lose(f"a record that is none ({error!r:.200})")
        return rows

    def _insert(self, rows: list[Row]) -> None:
        try:
            self._open().insert(rows)
        except DamagedLedgerError as error:
            self._shut()
            aside = file.set_aside(error.path, error.identity)
            found = f"moved it to {aside} and began a new one" if aside else "another process moved it aside"
            faults.report("ledger damage", LedgerError(f"{error}; {found}"))
            self._open().insert(rows)

    def _open(self) -> Store:
        if self._store is not None and self._store.moved():
            self._shut()
        if self._store is None:
            if self._orphan:
                msg = (
                    f"{self.path} was open in the parent when this process was forked, in the middle of a write "
                    "or without Python's fork hooks, and cannot be shared safely: fork before the first call"
                )
                raise LedgerError(msg)
            self._store = Store(self.path)
        return self._store

    def _refused(self, error: Exception) -> None:
        self._errors += 1
        self._failing = True
        self._shut()
        self._retry_at = time.monotonic() + self._wait
        self._retry_later()
        self._wait = min(self._wait * 2, LONGEST_RETRY_SECONDS)
        waiting = len(self._pending) + len(self._held)
        kept = f"{waiting} calls wait in memory (up to {KEPT}) until it can"
        faults.report("ledger", LedgerError(f"{error}; {kept}"))

    def _retry_later(self) -> None:
        timer = threading.Timer(self._wait + 0.001, self._wake)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # the interpreter is shutting down: the last flush was the last try
            return

    def _worth_folding(self) -> bool:
        return self._retention_days > 0 and not self._closing and time.monotonic() >= self._fold_at

    def _fold(self) -> None:
        """Fold a few old calls and come back for more: neither a new call nor a flush waits for all."""
        before = time.time_ns() - self._retention_days * DAY_SECONDS * 1_000_000_000
        try:
            more = before > 0 and self._open().fold(before, FOLD_ROWS) == FOLD_ROWS
        except Exception as error:  # noqa: BLE001 - retention can wait for tomorrow, the calls are safe
            faults.report("ledger retention", error)
            more = False
        if more:
            self._wake()
        else:
            self._fold_at = time.monotonic() + DAY_SECONDS

    def _shut(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()

    # --- around a fork -------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Close the connection, and let nobody write until the fork is over; see `forks`."""
        if self._turn.acquire(timeout=FORK_SECONDS):
            self._parked_by.add(threading.get_ident())
            self._shut()

    def after_fork_in_parent(self) -> None:
        """Write again."""
        if threading.get_ident() in self._parked_by:
            self._parked_by.discard(threading.get_ident())
            self._turn.release()

    def _after_fork(self) -> None:
        store = self._store
        self._begin()
        if store is not None:
            self._orphan = True
            forks.keep_for_ever(store.connection)
