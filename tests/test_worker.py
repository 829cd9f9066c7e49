from __future__ import annotations

import os
import threading
import time

from otel_aicost import faults
from otel_aicost.worker import Worker


def test_what_is_put_is_handled_in_order_and_flush_waits_for_it():
    """Every item reaches the handler, in order, before flush returns."""
    handled = []
    worker = Worker("test", handled.extend)
    for number in range(2000):
        worker.put(number)

    assert worker.flush(5)
    assert handled == list(range(2000))
    worker.close(5)


def test_the_thread_starts_with_the_first_item_and_ends_with_close():
    """No item, no thread; after close there is none either, and flush still returns."""
    before = threading.active_count()
    worker = Worker("test", lambda _: None)
    assert threading.active_count() == before
    worker.put(1)
    assert threading.active_count() == before + 1
    assert worker.close(5)
    assert threading.active_count() == before
    assert worker.flush(5)


def test_after_close_items_are_handled_where_they_are_put():
    """What is put after close is handled before put returns."""
    handled = []
    worker = Worker("test", handled.extend)
    worker.put(1)
    worker.close(5)
    worker.put(2)

    assert handled == [1, 2]


def test_an_error_of_the_handler_is_reported_and_the_next_batch_is_handled():
    """A handler that raises does not take the worker with it."""
    handled = []

    def handle(batch):
        if "bad" in batch:
            raise RuntimeError
        handled.extend(batch)

    worker = Worker("test", handle)
    worker.put("bad")
    worker.flush(5)
    worker.put("good")
    worker.close(5)

    assert handled == ["good"]
    assert faults.counts() == {"test": 1}


def test_flush_gives_up_after_its_time_and_close_leaves_the_rest_alone():
    """A handler that hangs holds up neither flush nor close for longer than they were told."""
    go = threading.Event()
    worker = Worker("test", lambda _: go.wait(10))
    worker.put(1)

    assert worker.flush(0.05) is False
    assert worker.close(0.05) is False
    go.set()


def test_items_of_many_threads_are_all_handled_while_it_is_being_closed():
    """Putting and closing at the same time loses nothing."""
    handled = []
    worker = Worker("test", handled.extend)

    def put():
        for number in range(500):
            worker.put(number)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    worker.close(5)
    for thread in threads:
        thread.join()
    until = time.monotonic() + 5
    while len(handled) < 4000 and time.monotonic() < until:
        time.sleep(0.01)

    assert len(handled) == 4000


def test_a_forked_child_has_a_queue_of_its_own():
    """What the parent queued is not handled twice, and the child's own items are handled."""
    read, write = os.pipe()
    gate = threading.Event()

    def handle(batch):
        gate.wait(5)
        os.write(write, b"".join(batch))

    worker = Worker("test", handle)
    worker.put(b"p")
    child = os.fork()
    if child == 0:
        gate = threading.Event()
        gate.set()
        worker._handle = lambda batch: os.write(write, b"".join(batch))
        worker.put(b"c")
        worker.flush(5)
        os._exit(0)
    os.waitpid(child, 0)
    gate.set()
    worker.close(5)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert sorted(pipe.read()) == sorted(b"cp")
