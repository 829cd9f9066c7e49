"""Slices of a ledger in a file: used while nobody else has written, given up for whatever others change."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from budgets.lines import line, settle, taking
from otel_aicost.budgets.budget import Amounts, Limits
from otel_aicost.budgets.window import Period, Window
from otel_aicost.ledger import slices
from otel_aicost.ledger.limits import set_limits, unset_limits
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer

TESTS = Path(__file__).parents[1]
LIMIT = 100_000
STANDING = "SELECT spent_nano, reserved_nano, spent_calls, reserved_calls FROM budget_windows"
SLICES = "SELECT nano, calls FROM reservations WHERE id LIKE 'slice%'"


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def writer(ledger, monkeypatch):
    """A writer that keeps its slices for as long as a test takes."""
    monkeypatch.setattr(slices, "SECONDS", 3600.0)
    made = Writer.of_file(ledger)
    yield made
    made.close(5)


@pytest.fixture
def other(ledger):
    """The writer of another process, as far as the ledger can tell."""
    made = Writer.of_file(ledger)
    yield made
    made.close(5)


@pytest.fixture
def look(ledger):
    def ask(sql):
        with closing(sqlite3.connect(ledger, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    return ask


def asked(amount=10, **more):
    return line(amount, limit=LIMIT, **more)


def with_a_slice(writer, **more):
    """Two calls, the second of which gets a slice."""
    assert writer.reserve("a", [asked(**more)]) is None
    assert writer.reserve("b", [asked(**more)]) is None


def in_memory(writer, monkeypatch, name, *lines):
    """Whether the call is admitted without a transaction."""
    assert writer._turn.take(10)  # nobody writes
    writer._turn.give()
    with monkeypatch.context() as patch:
        patch.setattr(writer, "_ask", None)
        try:
            return writer.reserve(name, list(lines)) is None
        except TypeError:
            return False


def test_the_second_call_gets_a_slice_and_those_after_it_write_nothing(writer, look, monkeypatch):
    """A call by itself takes just what it needs; who calls often asks the ledger once in seventeen calls."""
    assert writer.reserve("a", [asked()]) is None
    assert look(STANDING) == [(0, 10, 0, 1)]
    assert writer.reserve("b", [asked()]) is None
    assert look(STANDING) == [(0, 180, 0, 18)]
    admitted = [in_memory(writer, monkeypatch, str(number), asked()) for number in range(17)]
    assert admitted == [True] * 16 + [False]
    assert look(STANDING) == [(0, 180, 0, 18)]


def test_calls_that_are_far_between_get_no_slice(writer, look, monkeypatch):
    """Nothing is held for a process that would not use it."""
    monkeypatch.setattr(slices, "SECONDS", 0.01)
    for number in range(3):
        assert writer.reserve(str(number), [asked()]) is None
        time.sleep(0.02)
    assert look(SLICES) == []


def test_a_ledger_tells_what_others_wrote_from_what_it_wrote_itself(ledger):
    """The stamp of a store changes with another connection's writes, not with its own, and no two stores share one."""
    one, two = FileStore(ledger), FileStore(ledger)
    before = one.stamp()
    assert before != two.stamp()
    with one.transaction() as connection:
        connection.execute("INSERT INTO refusals VALUES ('b', 1, 1, 1)")
    assert one.stamp() == before
    with two.transaction() as connection:
        connection.execute("UPDATE refusals SET calls = 2")
    after = one.stamp()
    with one.transaction() as connection:
        connection.execute("UPDATE refusals SET calls = 3")
    assert before != after == one.stamp()
    one.close()
    two.close()


def by_hand(ledger, nano):
    """What `aicost budgets set` and `unset` do, in a process of their own."""
    store = FileStore(ledger)
    with store.transaction() as connection:
        if nano is None:
            unset_limits(connection, "b", "", "me", 1)
        else:
            set_limits(connection, "b", "", Limits(nano), "me", 1)
    store.close()


def test_a_limit_set_by_hand_counts_for_the_next_call(ledger, writer, look, monkeypatch):
    """Down, though a slice is held, which is given up with it; up again for the call after that."""
    with_a_slice(writer)
    by_hand(ledger, 20)
    refusal = writer.reserve("c", [asked()])
    assert (refusal.line.limits.nano, refusal.reserved.nano) == (20, 20)
    assert look(SLICES) == []
    by_hand(ledger, None)
    assert writer.reserve("d", [asked()]) is None


def test_a_limit_that_leaves_room_leaves_the_slice(ledger, writer, look, monkeypatch):
    """It is looked at, and calls go on to be admitted in memory."""
    with_a_slice(writer)
    by_hand(ledger, LIMIT // 2)
    assert in_memory(writer, monkeypatch, "c", asked())
    assert look(SLICES) == [(160, 16)]


def test_spend_of_another_process_counts_for_the_next_call(writer, other):
    """However many calls the slice would still admit."""
    with_a_slice(writer)
    settle(other, "far away", taking(asked(), LIMIT))
    assert other.flush(10)
    refusal = writer.reserve("c", [asked()])
    assert refusal.spent == Amounts(LIMIT, 0, 1)
    assert refusal.reserved == Amounts(20, 0, 2)


def test_what_others_write_does_not_end_a_slice(writer, other, look, monkeypatch):
    """Where there is room, a process goes on with what it holds, after every call of another."""
    with_a_slice(writer)
    for number in range(5):
        settle(other, f"other {number}", taking(asked(), 100))
        assert other.flush(10)
        assert in_memory(writer, monkeypatch, str(number), asked())
    assert look(SLICES) == [(160, 16)]


def test_a_slice_that_is_not_in_the_ledger_any_more_admits_nothing(writer, other, look, monkeypatch):
    """Its lease ran out while the process stood still, and others gave it back."""
    with_a_slice(writer)
    with closing(sqlite3.connect(other.name, timeout=10)) as connection:
        connection.execute("UPDATE reservations SET lease_until_ns = 1 WHERE id LIKE 'slice%'")
        connection.commit()
    assert other.reserve("all that is left", [line(LIMIT - 20, limit=LIMIT)]) is None
    assert look(SLICES) == []
    assert writer.reserve("c", [asked()]) is not None


@pytest.mark.parametrize("reserved", ["a", None], ids=["admitted by the ledger", "made without us"])
def test_what_an_own_call_takes_beyond_its_reservation_counts_for_the_next(writer, reserved):
    """Also of a call that was not admitted from the slice, and before it is written."""
    with_a_slice(writer)
    settle(writer, reserved or "x", taking(asked(), LIMIT))
    refusal = writer.reserve("c", [asked()])
    assert refusal is not None
    assert refusal.spent == Amounts(LIMIT, 0, 1)


def test_calls_that_cost_what_was_expected_leave_the_slice_as_it_is(writer, monkeypatch):
    """Those that the ledger admitted, and those that the slice did."""
    with_a_slice(writer)
    monkeypatch.setattr(writer, "_wake", lambda: None)  # nobody writes meanwhile, and has the turn
    for name in "ab":
        settle(writer, name, taking(asked(), 10))
    for number in range(16):
        assert in_memory(writer, monkeypatch, str(number), asked())
        settle(writer, str(number), taking(asked(), 10))


def test_what_was_spent_in_an_earlier_step_of_a_rolling_window_counts(writer, monkeypatch):
    """A slice of the step that is now is used up by a long call of the one before."""
    period = Period("rolling", rolling_seconds=600)
    before, now = (Window(f"rolling 600s {start}", start, start + 10, "rolling 600s ") for start in (1000, 1010))
    assert writer.reserve("long", [asked(window=before, period=period)]) is None
    with_a_slice(writer, window=now, period=period)
    assert in_memory(writer, monkeypatch, "c", asked(window=now, period=period))
    settle(writer, "long", taking(asked(window=before, period=period), LIMIT))
    assert writer.reserve("d", [asked(window=now, period=period)]) is not None


def test_a_flush_gives_slices_back(writer, look):
    """Afterwards only what calls on their way may cost is reserved, each with what it was admitted with."""
    with_a_slice(writer)
    assert writer.reserve("c", [asked()]) is None
    assert writer.flush(10)
    assert look(STANDING) == [(0, 30, 0, 3)]


def written(writer):
    """All that was put is in the ledger; its slices are as they were."""
    until = time.monotonic() + 20
    while writer.stats()["queued"]:
        assert time.monotonic() < until
        time.sleep(0.001)


def test_two_processes_near_a_limit_pass_it_by_what_calls_on_their_way_cost_more(ledger, writer, other, look):
    """Calls that cost twice what is expected of them: the last one may pass the limit, and no other."""
    limit, held, number, refused = 6400, 0, 0, 0
    while refused < 2:
        one = (writer, other)[number % 2]
        number += 1
        if one.reserve(str(number), [line(10, limit=limit)]) is None:
            settle(one, str(number), taking(line(limit=limit), 20))
            written(one)
            refused = 0
        else:
            refused += 1
        held = max(held, len(look(SLICES)))
    assert held == 2
    ((spent, reserved, _, _),) = look(STANDING)
    assert reserved == 0
    assert limit - 20 < spent <= limit + 10


HEAD = """
import multiprocessing, os, sys, time
from pathlib import Path
from budgets.lines import line, settle, taking
from otel_aicost.ledger.writer import Writer
ledger = Path(sys.argv[1])
def calls(writer):
    for name in "abc":
        assert writer.reserve(f"{os.getpid()}-{name}", [line(10, limit=100_000)]) is None
"""
CHILD = """
def work():
    writer = Writer.of_file(ledger)
    calls(writer)
    for name in "abc":
        settle(writer, f"{os.getpid()}-{name}", taking(line(limit=100_000), 7))
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
"""
KILLED = """
writer = Writer.of_file(ledger, lease_seconds=0.5)
calls(writer)
print("ready", flush=True)
time.sleep(60)
"""


def start(code, ledger):
    path = os.pathsep.join([str(TESTS), *(entry for entry in sys.path if entry)])
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + code, str(ledger)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_child_that_ends_gives_its_slice_back(ledger, look):
    """One that `multiprocessing` ends without `atexit`: nothing stays reserved."""
    with start(CHILD, ledger) as child:
        assert child.wait(60) == 0
    assert look(STANDING) == [(21, 0, 3, 0)]
    assert look("SELECT count(*) FROM reservations") == [(0,)]


def test_a_slice_of_a_killed_process_is_free_after_its_lease(ledger, look):
    """It cannot give it back; whoever would be refused for it does."""
    with start(KILLED, ledger) as child:
        assert child.stdout.readline() == "ready\n"
        assert look(SLICES) == [(160, 16)]
        child.send_signal(signal.SIGKILL)
    time.sleep(0.6)
    writer = Writer.of_file(ledger)
    assert writer.reserve("all", [line(LIMIT, limit=LIMIT)]) is None
    assert writer.reserve("one more", [line(1, limit=LIMIT)]) is not None
    writer.close(5)
