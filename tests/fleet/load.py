"""An application under load: threads that make calls held to a strict budget, and go on when the ledger is away."""

from __future__ import annotations

import threading
import time

from budgets.lines import line, settle, taking
from otel_aicost import budgeting
from otel_aicost.ledger import fleet as fleets
from otel_aicost.ledger import writer as writers
from otel_aicost.ledger.writer import WAIT_SECONDS, StoreDownError

LIMIT = 10**9


def strict(*arguments, **budget):
    """A line of a budget that asks the server for every call."""
    return line(*arguments, mode="strict", **budget)


def until(condition, seconds=40):
    """Wait for something to come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.02)


def at_ease(put=setattr):
    """Let calls wait for an answer as long as it takes: only what is about haste may depend on a machine's."""
    for module in (budgeting, fleets, writers):
        put(module, "WAIT_SECONDS", 60.0)


def give_up(fleet):
    """Let nothing of it go on behind the next test's back."""
    for writer in (fleet._outbox, fleet._remote):
        writer._pending.clear()
        writer._held.clear()


class Load:
    """Calls until it is told to stop; knows which it made, and how many of them waited."""

    def __init__(self, fleet, name="c", threads=4, pause=0.002):
        self.fleet = fleet
        self.made: list[str] = []
        self.waited = self.unasked = 0
        self._name = name
        self._pause = pause
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def goes_on(self, calls=50):
        """Wait until so many more calls were made."""
        enough = len(self.made) + calls
        until(lambda: len(self.made) >= enough)

    def _run(self, thread):
        number = 0
        while not self._stopping.is_set():
            identifier = f"{self._name}-{thread}-{number}"
            number += 1
            began = time.monotonic()
            try:
                refused = self.fleet.reserve(identifier, [strict(2, limit=LIMIT)])
                assert refused is None
                self._settle(identifier)
            except StoreDownError:
                self.unasked += 1
                self.fleet.put(*_unreserved(identifier))
            self.waited += time.monotonic() - began > WAIT_SECONDS / 2
            self.made.append(identifier)
            time.sleep(self._pause)

    def _settle(self, identifier):
        settle(self.fleet, identifier, taking(strict(limit=LIMIT), 1))


def _unreserved(identifier):
    from otel_aicost.ledger.balances import Settlement
    from records import record

    return record(id=identifier), Settlement(None, (taking(strict(limit=LIMIT), 1),))
