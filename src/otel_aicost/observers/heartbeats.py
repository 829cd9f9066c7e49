"""The heartbeat of this process: tells the ledger, in the background, that it makes calls and how writing fares."""

from __future__ import annotations

import os
import socket
import time
import weakref
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Final

from otel_aicost import faults
from otel_aicost.ids import new_id
from otel_aicost.ledger import forks
from otel_aicost.ledger.processes import SILENT_SECONDS, Counts, Heartbeat, beat, tidy
from otel_aicost.ledger.ticker import Ticker
from otel_aicost.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_aicost.ledger.fleet import Fleet
    from otel_aicost.ledger.processes import Outbox
    from otel_aicost.ledger.store import Connection
    from otel_aicost.ledger.writer import Writer

SECONDS: Final = 30.0
"""Between two heartbeats."""
END_SECONDS: Final = 0.2
"""The longest the last one waits for the one before it."""
_SECOND: Final = 10**9


class Heartbeats:
    """Says what there is to say after the first call, and then every `SECONDS` while there is something new.

    The transactions are the writer's, behind the calls that wait. A process without calls is never woken, and one that
    was makes one more look, `SECONDS` later. The child of a fork is a process of its own.
    """

    def __init__(self, writer: Writer | Fleet, wrapped: Callable[[], Mapping[str, str]] = dict) -> None:
        """`wrapped` gives package -> version of the SDKs that are wrapped in this process."""
        self._writer = writer
        self._wrapped = wrapped
        self._sdks: Mapping[str, str] = {}
        self._ended = False
        self._begin()
        self._worker: Worker[None] = Worker("aicost-heartbeat", self._look, self._begin)

    def _begin(self) -> None:
        self._id = new_id()
        self._started_ns = self._told_ns = time.time_ns()
        self._before = Counts(internal_errors=_faults())
        """What is in other rows: of the parent, or of this process before it was silent."""
        self._told: Counts | None = None
        self._service: str | None = None
        self._outbox: Outbox | None = None
        self._looking = False
        self._waiting: weakref.ref[Callable[[Connection], None]] | None = None
        self._ticker = Ticker(self._wake)

    def called(self, service: str) -> None:
        """A call was handed to the writer; a fraction of a microsecond, from anywhere."""
        if self._looking or self._ended:
            return
        self._looking = True
        if self._service is None:
            self._service = service
            forks.before_child_exit(lambda _: self.end())
        self._wake()

    def end(self) -> None:
        """Say that this process ends. It is written by the next flush of the writer."""
        if self._service is None or self._ended:
            return
        self._ended = True
        self._worker.close(END_SECONDS)
        self._writer.later(self._beat)

    # --- in the background -----------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._worker.put(None)

    def _look(self, _wakes: list[None]) -> None:
        if not self._news():
            self._looking = False
            if self._looking or not self._news():  # of a call that came just now
                return
            self._looking = True
        _version()  # not with the writer's connection: it reads a file
        try:
            self._outbox = self._writer.lag()
        except Exception as error:  # noqa: BLE001 - who cannot count what waits can still say the rest
            self._outbox = None
            faults.say("heartbeat", "otel-aicost cannot count what waits in the outbox: %s", error)
        if self._ended:  # and says so in a moment
            return
        if self._waiting is None or self._waiting() is None:  # the writer keeps it until it is done, or given up
            job = self._beat
            self._waiting = weakref.ref(job)
            self._writer.later(job)
        self._ticker.later(SECONDS)

    def _news(self) -> bool:
        waits = self._outbox is not None and self._outbox.calls > 0
        return waits or self._told != self._counts() or int(self._writer.stats()["queued"]) > 0

    def _counts(self) -> Counts:
        stats = self._writer.stats()
        return Counts(int(stats["written"]), int(stats["lost"]), int(stats["errors"]), _faults())

    # --- with the writer's connection ------------------------------------------------------------------------

    def _beat(self, connection: Connection) -> None:
        now, counts, first = time.time_ns(), self._counts(), self._told is None
        if now - self._told_ns > SILENT_SECONDS * _SECOND and self._told is not None:
            self._id, self._before = new_id(), self._told
        beat(connection, self._said(now, counts))
        if first:
            tidy(connection, now)
        self._told, self._told_ns = counts, now

    def _said(self, now_ns: int, counts: Counts) -> Heartbeat:
        self._sdks = dict(self._wrapped()) or self._sdks  # at the end they are unwrapped already
        return Heartbeat(
            id=self._id,
            host=socket.gethostname(),
            pid=os.getpid(),
            service=self._service or "",
            version=_version(),
            sdks=self._sdks,
            started_ns=self._started_ns,
            seen_ns=now_ns,
            ended=self._ended,
            queued=int(self._writer.stats()["queued"]),
            counts=counts.minus(self._before),
            outbox=self._outbox,
        )


def _faults() -> int:
    return sum(faults.counts().values())


@cache
def _version() -> str:
    return metadata.version("otel-aicost")
