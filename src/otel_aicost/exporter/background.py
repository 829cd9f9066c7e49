"""What takes too long for a scrape: done in a thread of its own, as often as a share of one core allows."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from otel_aicost import faults
from otel_aicost.ledger.opening import NoLedgerYetError, looking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from otel_aicost.config import Server
    from otel_aicost.ledger.store import Connection

LEAST_SECONDS: Final = 15.0
SHARE: Final = 0.05
"""The most of one core that it may take."""
IDLE_SECONDS: Final = 900.0
"""Without a scrape for so long it ends; the next scrape starts it again."""
LONG_SECONDS: Final = 60.0
"""How long a look waits for whoever holds the ledger."""


class Background:
    """Calls `work` again and again while somebody scrapes; an error of it is reported, and it is tried again.

    A fork of the process interrupts what is asked of the ledger; a child starts a thread of its own when it is scraped.
    """

    def __init__(self, ledger: Path | Server, work: Callable[[Connection], None]) -> None:
        self._ledger = ledger
        self._work = work
        self.begin()
        _all.add(self)

    def begin(self) -> None:
        """Know of no thread: at the start, and in the child of a fork."""
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._wake = threading.Event()
        self._scraped = time.monotonic()
        self._connection: Connection | None = None
        self._closed = False

    def wanted(self) -> None:
        """Somebody scrapes: see to it that there is a thread."""
        self._scraped = time.monotonic()
        with self._starting:
            if not self._closed and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="otel-aicost-exporter", daemon=True)
                self._thread.start()

    def once(self) -> None:
        """Do the work here and now. Raises `LedgerError`."""
        with looking(self._ledger, LONG_SECONDS) as connection, self._interruptible(connection):
            self._work(connection)

    def close(self, timeout: float = 5.0) -> None:
        """End the thread."""
        with self._starting:
            self._closed = True
            thread = self._thread
        self._wake.set()
        self.interrupt()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def interrupt(self) -> None:
        """End what is being asked of a ledger in a file: a process that forks must not have it open."""
        connection = self._connection
        if isinstance(connection, sqlite3.Connection):
            connection.interrupt()

    def _run(self) -> None:
        wake = self._wake
        while not wake.is_set() and time.monotonic() - self._scraped < IDLE_SECONDS:
            began = time.monotonic()
            try:
                self.once()
            except (NoLedgerYetError, KeyboardInterrupt):
                pass  # `aicost_ledger_up` says so; or a fork interrupted it, and it is tried again
            except Exception as error:  # noqa: BLE001 - it must not end what is exported
                faults.report("exporter", error)
            wake.wait(max(LEAST_SECONDS, (time.monotonic() - began) / SHARE))

    @contextmanager
    def _interruptible(self, connection: Connection) -> Iterator[None]:
        self._connection = connection
        try:
            yield
        finally:
            self._connection = None


_all: weakref.WeakSet[Background] = weakref.WeakSet()


def _before_fork() -> None:
    for one in list(_all):
        one.interrupt()


def _after_fork_in_child() -> None:
    for one in list(_all):
        one.begin()


# After `opening` has registered its own, so that this comes before them: they wait for those who look.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
