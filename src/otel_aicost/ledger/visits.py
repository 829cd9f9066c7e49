"""Short visits to a ledger beside the writer's connection: none of them is open while the process forks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from otel_aicost.errors import LedgerError
from otel_aicost.ledger import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_aicost.ledger.store import Store

TURN_SECONDS: Final = 5.0


class Visits:
    """Opens the ledger for a visit and closes it again; one visit at a time."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        """Open nothing yet."""
        self._open_store = open_store
        self._store: Store | None = None
        self._turn = _Turn(self)

    @contextmanager
    def visit(self) -> Iterator[Store]:
        """The ledger, open; a fork of this process interrupts what is asked of it. Raises `LedgerError`."""
        if not self._turn.take(TURN_SECONDS):
            msg = "the look at the ledger before is not through yet"
            raise LedgerError(msg)
        try:
            self._store = self._open_store()
            yield self._store
        finally:
            self.shut()
            self._turn.give()

    def shut(self) -> None:
        """Close what is open."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def interrupt(self) -> None:
        """End what is being asked of the ledger, if it is one that can be interrupted."""
        interrupt = getattr(getattr(self._store, "connection", None), "interrupt", None)
        if interrupt is not None:
            interrupt()

    def after_fork(self) -> None:
        """Begin anew in the child; a visit of the parent is the parent's."""
        store, self._store = self._store, None
        self._turn.begin()
        if store is not None:
            forks.keep_for_ever(store.connection)


class _Turn(forks.Turn):
    """A turn that a fork does not wait for: a look at a long ledger may take seconds, and can be taken again."""

    def __init__(self, visits: Visits) -> None:
        self._visits = visits
        super().__init__(visits.shut)

    def before_fork(self) -> None:
        self._visits.interrupt()
        super().before_fork()
