"""A background thread that handles what it is given, in batches, and survives forks and interpreter exit."""

from __future__ import annotations

import os
import threading
import weakref
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from otel_aicost import faults

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
BATCH = 500
END_SECONDS = 1.0
_END = threading.Event()
"""The barrier behind which the thread ends."""


class Worker(Generic[T]):
    """Calls `handle` with lists of the items put, on a daemon thread that starts with the first item.

    `put` takes about a microsecond and may be called from anywhere, a garbage-collection callback included. A forked
    child starts with an empty queue and its own thread: what the parent had queued is the parent's to handle.
    An exception out of `handle` is reported and the batch is gone; a handler that must not lose anything catches it.
    """

    def __init__(
        self, name: str, handle: Callable[[list[T]], None], after_fork: Callable[[], None] | None = None
    ) -> None:
        self.name = name
        self._handle = handle
        self._after_fork = after_fork
        self._closed = False
        self._begin()
        _workers.add(self)

    def _begin(self) -> None:
        self._queue: SimpleQueue[T | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.RLock()

    def put(self, item: T) -> None:
        """Queue an item; once closed, handle it at once."""
        if self._closed:
            self._guarded([item])
            return
        self._queue.put(item)
        if self._thread is None:
            self._start()
        if self._closed:  # meanwhile
            self._drain()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was put before is handled; `False` if `timeout` seconds did not suffice."""
        if self._thread is None or self._thread is threading.current_thread():
            return True
        if not self._thread.is_alive():
            self._drain()
            return True
        barrier = threading.Event()
        self._queue.put(barrier)
        return barrier.wait(timeout)

    def close(self, timeout: float) -> bool:
        """Flush, end the thread, and from now on handle what is put in the thread that puts it."""
        done = self.flush(timeout)
        self._closed = True
        thread = self._thread
        if done and thread is not None and thread is not threading.current_thread():
            self._queue.put(_END)
            thread.join(END_SECONDS)
        if done:
            self._drain()
        return done

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down: no more threads
                self._closed = True
                self._drain()
                return
            self._thread = thread

    def _run(self) -> None:
        queue = self._queue
        while True:
            batch: list[T] = []
            barrier = _take(queue.get(), batch)
            while barrier is None and len(batch) < BATCH:
                try:
                    barrier = _take(queue.get_nowait(), batch)
                except Empty:
                    break
            if batch:
                self._guarded(batch)
            if barrier is not None:
                barrier.set()
            if barrier is _END:
                return

    def _drain(self) -> None:
        left: list[T] = []
        while True:
            try:
                barrier = _take(self._queue.get_nowait(), left)
            except Empty:
                break
            if barrier is not None:
                barrier.set()
        if left:
            self._guarded(left)

    def _guarded(self, batch: list[T]) -> None:
        try:
            self._handle(batch)
        except Exception as error:  # noqa: BLE001 - a worker outlives any error of its handler
            faults.report(self.name, error)

    def _reset_after_fork(self) -> None:
        self._begin()
        if self._after_fork is not None:
            self._after_fork()


def _take(item: T | threading.Event, batch: list[T]) -> threading.Event | None:
    if isinstance(item, threading.Event):
        return item
    batch.append(item)
    return None


_workers: weakref.WeakSet[Worker[Any]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for worker in list(_workers):
        worker._reset_after_fork()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
