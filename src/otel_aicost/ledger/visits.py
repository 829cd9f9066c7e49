"""Short visits to a ledger beside the writer's connection: none of them is open while the process forks."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from otel_aicost.errors import LedgerError
from otel_aicost.ledger import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_aicost.ledger.store import Store

FORK_SECONDS: Final = 1.0
TURN_SECONDS: Final = 5.0


class Visits:
    """Opens the ledger for a visit and closes it again. One visit at a time; see `forks` for why it must not last."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self._turn = threading.Lock()
        self._parked_by: set[int] = set()
        self._store: Store | None = None

    @contextmanager
    def visit(self) -> Iterator[Store]:
        """The ledger, open; a fork of this process interrupts what is asked of it. Raises `LedgerError`."""
        if not self._turn.acquire(timeout=TURN_SECONDS):
            msg = "the last look at the ledger is not through yet"
            raise LedgerError(msg)
        try:
            self._store = self._open_store()
            try:
                yield self._store
            finally:
                store, self._store = self._store, None
                store.close()
        finally:
            self._turn.release()

    def before_fork(self) -> None:
        """End the visit, and let nobody come until the fork is over."""
        interrupt = getattr(getattr(self._store, "connection", None), "interrupt", None)
        if interrupt is not None:
            interrupt()
        if self._turn.acquire(timeout=FORK_SECONDS):
            self._parked_by.add(threading.get_ident())

    def after_fork_in_parent(self) -> None:
        """Come again."""
        if threading.get_ident() in self._parked_by:
            self._parked_by.discard(threading.get_ident())
            self._turn.release()

    def after_fork_in_child(self) -> None:
        """Begin anew; a visit of the parent's is the parent's."""
        store = self._store
        self._begin()
        if store is not None:
            forks.keep_for_ever(store.connection)
