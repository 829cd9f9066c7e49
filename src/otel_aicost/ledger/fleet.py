"""A ledger that a fleet shares: every call goes to the outbox on this host and to the server, which counts it once."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from otel_aicost import faults
from otel_aicost.budgets.budget import Amounts
from otel_aicost.errors import LedgerError
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.haste import hurried
from otel_aicost.ledger.outbox import OutboxStore, Shelf, doubt, landed
from otel_aicost.ledger.posting import Posted, post
from otel_aicost.ledger.slices import slice_name
from otel_aicost.ledger.ticker import Ticker
from otel_aicost.ledger.writer import KEPT, WAIT_SECONDS, StoreDownError, Writer
from otel_aicost.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from otel_aicost.budgets.budget import Line
    from otel_aicost.config import Server
    from otel_aicost.ledger.balances import Alert, Refusal
    from otel_aicost.ledger.postgres import PostgresStore
    from otel_aicost.ledger.processes import Outbox
    from otel_aicost.ledger.store import Connection
    from otel_aicost.model import Record

SWEEP_SECONDS: Final = 10.0
"""How often a process looks for calls that wait in the outbox and that nobody is about to send."""
FRESH_SECONDS: Final = 5.0
"""A call that waits for less is on its way: its process is about to send it."""
AT_ONCE: Final = 64
"""Calls in one transaction; while it lasts, nobody else reserves in the budgets they are held against."""
AT_THE_END_SECONDS: Final = 0.3
MISSING: Final = 'a ledger on PostgreSQL needs psycopg: pip install "otel-aicost[postgresql]"'


class BusyError(LedgerError):
    """Another process sends what waits in the outbox."""


class Fleet:
    """What `Writer` is for a file, for a server: takes a record in microseconds, and holds the budgets.

    A record is in the outbox milliseconds after `put`, whatever the server does. The server gets it from this process,
    or from whoever finds it in the outbox later; it counts once, by its id. Reservations are made on the server only.
    """

    def __init__(
        self,
        server: Server,
        retention_days: int = 0,
        lease_seconds: float = 60.0,
        total_tags: Sequence[str] = (),
    ) -> None:
        """Connect to nothing yet; the arguments are those of `Writer`."""
        with contextlib.suppress(LedgerError):  # that it is missing is said when it is needed
            _driver()  # it takes a tenth of a second, which no call should wait for
        self.server = server
        self.name = str(server)
        self._settlements: dict[str, Settlement] = {}
        self._outbox = Writer(
            lambda: OutboxStore(server.outbox, self._settlements), str(server.outbox), alone=False, total_tags=None
        )
        self._remote = Writer(
            self._opened,
            self.name,
            retention_days,
            lease_seconds,
            sliced=True,
            at_once=AT_ONCE,
            # Those who could not renew because the server was away get the chance to.
            grace_seconds=lease_seconds / 2,
            alone=False,
            total_tags=total_tags,
        )
        self._closed = False
        self._store: PostgresStore | None = None
        self._begin()
        self._sweeper = Sweeper(server, self._tell, lambda: self._remote.failing, total_tags)
        self._sweeper.forked = self._begin

    def _begin(self) -> None:
        self._sent: deque[str] = deque(maxlen=KEPT)
        self._counting = threading.RLock()
        self._telling = False
        self._lost = 0
        self._settlements.clear()

    @property
    def alert(self) -> Callable[[Alert], object] | None:
        """Who is told of limits that are reached."""
        return self._remote.alert

    @alert.setter
    def alert(self, told: Callable[[Alert], object] | None) -> None:
        self._remote.alert = told

    @property
    def seen(self) -> Callable[[Line, Amounts], object] | None:
        """Who is told how the windows stood."""
        return self._remote.seen

    @seen.setter
    def seen(self, told: Callable[[Line, Amounts], object] | None) -> None:
        self._remote.seen = told

    def put(self, record: Record, settlement: Settlement | None = None) -> None:
        """Hand over a record; microseconds, from anywhere. It is lost only if outbox and server both take nothing."""
        kept = not self._outbox.full
        if not kept and self._remote.full:
            with self._counting:
                self._lost += 1
            told = f"neither {self.server.outbox} nor {self.name} can be written: {self._lost} calls lost so far"
            faults.report("ledger loss", LedgerError(told))
        if kept and settlement is not None:
            self._settlements[record.id] = settlement
        self._outbox.put(record)
        if self._closed and not self._outbox.failing:
            return  # what is put at the very end waits for the next process, and nobody for the server
        self._remote.put(record, settlement)
        self._sweeper.start()

    def release(self, settlement: Settlement) -> None:
        """Free what was reserved for a call that is not put."""
        self._remote.release(settlement)

    def later(self, work: Callable[[Connection], object]) -> None:
        """Do `work` on the server in the background, in a transaction of its own."""
        self._remote.later(work)

    def warm(self) -> None:
        """Connect in the background, so that no call has to, and send what an earlier process has left."""
        self._remote.warm()
        self._sweeper.start()

    def reserve(self, identifier: str, lines: Sequence[Line]) -> Refusal | None:
        """Reserve on the server, as `Writer.reserve` does."""
        try:
            with hurried(WAIT_SECONDS):
                return self._remote.reserve(identifier, lines)
        except StoreDownError as error:
            if error.__cause__ is not None:  # it was asked: perhaps it did it, and only the answer is missing
                nothing = tuple(line._replace(amounts=Amounts()) for line in lines)
                self.release(Settlement(identifier, nothing))
                self.release(Settlement(slice_name(identifier), nothing))
            raise

    def look(self, lines: Sequence[Line]) -> Refusal | None:
        """Why a call would be refused now."""
        with hurried(WAIT_SECONDS):
            return self._remote.look(lines)

    def flush(self, timeout: float) -> bool:
        """Wait until the server has all that was put before; `False` if it has not after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        self._outbox.flush(timeout)
        return self._remote.flush(max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float) -> bool:
        """Flush and close both; `True` if all is kept: on the server, or in the outbox for the next process."""
        deadline = time.monotonic() + timeout
        self._sweeper.stop()
        kept = self._outbox.flush(timeout)
        left = deadline - time.monotonic()
        sent = self._remote.close(max(0.0, left - min(AT_THE_END_SECONDS, left / 4)))
        self._closed = True
        self._outbox.close(max(0.0, deadline - time.monotonic()))
        if not (kept or sent):
            number = min(int(each.stats()["queued"]) for each in (self._outbox, self._remote))
            told = f"{number} calls are neither in {self.server.outbox} nor in {self.name} at the end"
            faults.report("ledger loss", LedgerError(told))
        return kept or sent

    def stats(self) -> dict[str, int | str]:
        """As `Writer.stats`: what is `written` is on the server, what is `queued` waits for it in this process."""
        errors = int(self._remote.stats()["errors"]) + int(self._outbox.stats()["errors"])
        return {**self._remote.stats(), "lost": self._lost, "errors": errors, "outbox": str(self.server.outbox)}

    def lag(self) -> Outbox:
        """What waits in the outbox of this host, without what is on its way. Reads the file; raises `LedgerError`."""
        return Shelf(self.server.outbox).lag(time.time_ns() - int(FRESH_SECONDS * 1e9))

    def _tell(self, alert: Alert) -> None:
        if self.alert is not None:
            self.alert(alert)

    def _opened(self) -> PostgresStore:
        before, self._store = self._store, opened(self.server, self._landed)
        if before is not None and before.lost:
            self._outbox.later(doubt)
        return self._store

    def _landed(self, identifiers: Sequence[str]) -> None:
        self._sent.extend(identifiers)
        if not self._telling:
            self._telling = True
            self._outbox.later(self._tell_outbox)

    def _tell_outbox(self, connection: Connection) -> None:
        self._telling = False
        identifiers = []
        while self._sent:
            identifiers.append(self._sent.popleft())
        landed(connection, identifiers)


class Sweeper:
    """Sends, now and then, what processes that were killed, or met a server that was down, have left in the outbox."""

    def __init__(
        self, server: Server, alert: Callable[[Alert], object], pause: Callable[[], bool], total_tags: Sequence[str]
    ) -> None:
        """`pause` says that the server is known to be away; `total_tags` are those of `Writer`."""
        self._server = server
        self._total_tags = total_tags
        self._alert = alert
        self._pause = pause
        self._shelf = Shelf(server.outbox)
        self.forked: Callable[[], object] = lambda: None
        """Told in the child of a fork."""
        self._started = self._stopped = False
        self._ticker = Ticker(self._wake)
        self._worker: Worker[None] = Worker("aicost-outbox", self._sweep, self._after_fork)

    def start(self) -> None:
        """Look now, and then every `SWEEP_SECONDS`."""
        if not self._started:
            self._started = True
            self._wake()

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True

    def _sweep(self, _ticks: list[None]) -> None:
        try:
            before = time.time_ns() - int(FRESH_SECONDS * 1e9)
            if not self._pause() and self._shelf.any(before):
                _ship(self._shelf, self._server, before, self._alert, self._total_tags)
        except BusyError:
            pass  # what waits is being sent, by another process of this host
        finally:
            if not self._stopped:
                self._ticker.later(SWEEP_SECONDS)

    def _wake(self) -> None:
        self._worker.put(None)

    def _after_fork(self) -> None:
        self._started = False
        self._ticker = Ticker(self._wake)
        self._shelf = Shelf(self._server.outbox)
        self.forked()


def opened(server: Server, landed: Callable[[Sequence[str]], object] | None = None) -> PostgresStore:
    """Connect to the server. Raises `LedgerError` also when psycopg is not installed."""
    return _driver()(server, landed)


def _driver() -> type[PostgresStore]:
    try:
        from otel_aicost.ledger.postgres import PostgresStore  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise LedgerError(MISSING) from error
    return PostgresStore


def ship(
    outbox: Path, server: Server, alert: Callable[[Alert], object] | None = None, total_tags: Sequence[str] = ()
) -> int:
    """Send all that waits in `outbox` to the server, oldest first; returns how many calls that were.

    What the server has already changes nothing there. Raises `BusyError` while another process sends, `LedgerError`
    when the server or the outbox cannot be used; what was sent until then is out of the outbox.
    """
    shelf, now = Shelf(outbox), time.time_ns()
    return _ship(shelf, server, now, alert, total_tags) if shelf.any(now) else 0


def _ship(
    shelf: Shelf, server: Server, before_ns: int, alert: Callable[[Alert], object] | None, total_tags: Sequence[str]
) -> int:
    if not shelf.mine():
        msg = f"another process sends what waits in {shelf.path}"
        raise BusyError(msg)
    shipped = after = 0
    store: PostgresStore | None = None
    try:
        while parcels := shelf.waiting(after, before_ns, AT_ONCE):
            store = store or opened(server)
            posted = [Posted(parcel.row, parcel.settlement) for parcel in parcels]
            with store.transaction() as connection:
                alerts = post(store, connection, posted, tags=total_tags)
            shelf.landed(parcels)
            shelf.mine()
            shipped, after = shipped + len(parcels), parcels[-1].number
            for each in alerts if alert is not None else ():
                alert(each)  # type: ignore[misc]  # looked at above
    finally:
        if store is not None:
            store.close()
        shelf.yours()
    return shipped
