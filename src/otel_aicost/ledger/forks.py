"""What SQLite needs around a fork: no connection open in the parent, none of them closed in the child.

SQLite remembers for the process which locks it holds. A child inherits that memory and not the locks: it
would write unprotected, and its rows vanish with the WAL file that the parent deletes when it leaves.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_SECONDS: Final = 4.0
WAIT_SECONDS: Final = 1.0
"""How long a fork waits for what is being written."""


class Turn:
    """Who has it may touch the connection. While the process forks, nobody has, and the connection is closed."""

    def __init__(self, shut: Callable[[], None], fork_seconds: float = 0.0) -> None:
        """`shut` closes the connection; it is called with the turn.

        A fork waits `fork_seconds` at most for whoever has it, and never less than `WAIT_SECONDS`.
        """
        self._shut = shut
        self.fork_seconds = fork_seconds
        self.begin()
        _watched.add(self)

    def begin(self) -> None:
        """Forget who has it: at the start, and in the child of a fork."""
        self._lock = threading.Lock()
        self.given = 0
        """How often somebody was done with it: where that grows, nobody hangs."""
        self._parked_by: set[int] = set()

    def take(self, timeout: float) -> bool:
        """Wait for it; `False` if `timeout` seconds did not suffice."""
        return self._lock.acquire(timeout=timeout)

    def give(self) -> None:
        """Let the next one have it."""
        self.given += 1
        self._lock.release()

    def before_fork(self) -> None:
        """Close the connection, and let nobody open one until the fork is over."""
        if self._lock.acquire(timeout=max(WAIT_SECONDS, self.fork_seconds)):
            self._parked_by.add(threading.get_ident())
            self._shut()

    @property
    def parked(self) -> bool:
        """Whether nobody has touched the connection since this thread began to fork."""
        return threading.get_ident() in self._parked_by

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        if self.parked:
            self._parked_by.discard(threading.get_ident())
            self._lock.release()


def before_child_exit(flush: Callable[[float], object], *, first: bool = False) -> None:
    """Call `flush` at the end of a `multiprocessing` child, which leaves without running `atexit`.

    The last one that was given is called first, behind those that are to be the `first`.
    """
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, flush, args=(EXIT_SECONDS,), exitpriority=int(first))


def keep_for_ever(connection: object) -> None:
    """Never close this connection, not even when the interpreter ends and frees all it knows."""
    _inherited.append(connection)
    try:
        import ctypes  # needed once, in a child of an unlucky fork  # noqa: PLC0415
    except ImportError:
        return
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


_inherited: list[object] = []
_watched: weakref.WeakSet[Turn] = weakref.WeakSet()


def _before_fork() -> None:
    for one in list(_watched):
        one.before_fork()


def _after_fork_in_parent() -> None:
    for one in list(_watched):
        one.after_fork_in_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
