"""What SQLite needs around a fork: no connection open in the parent, none of them closed in the child.

SQLite remembers for the process which locks it holds. A child inherits that memory and not the locks: it
would write unprotected, and its rows vanish with the WAL file that the parent deletes when it leaves.
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

EXIT_SECONDS: Final = 4.0


class Forkable(Protocol):
    """Holds a connection, and puts it away while its process forks."""

    def before_fork(self) -> None:
        """Close the connection, and open none until the fork is over."""

    def after_fork_in_parent(self) -> None:
        """Go on as before."""


def watch(one: Forkable) -> None:
    """Tell `one` of every fork; only a weak reference to it is kept."""
    _watched.add(one)


def before_child_exit(flush: Callable[[float], object]) -> None:
    """Call `flush` at the end of a `multiprocessing` child, which leaves without running `atexit`."""
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, flush, args=(EXIT_SECONDS,), exitpriority=0)


def keep_for_ever(connection: sqlite3.Connection) -> None:
    """Never close this connection, not even when the interpreter ends and frees all it knows."""
    _inherited.append(connection)
    try:
        import ctypes  # needed once, in a child of an unlucky fork  # noqa: PLC0415
    except ImportError:
        return
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


_inherited: list[sqlite3.Connection] = []
_watched: weakref.WeakSet[Forkable] = weakref.WeakSet()


def _before_fork() -> None:
    for one in list(_watched):
        one.before_fork()


def _after_fork_in_parent() -> None:
    for one in list(_watched):
        one.after_fork_in_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
