"""Holding budgets in the ledger: reserve for all or none, settle once, whatever happens to the process."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from budgets.lines import DAY, HALF, line, settle, taking
from otel_aicost import faults
from otel_aicost.budgets.window import Period, Window
from otel_aicost.ledger import writer as writing
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import WAIT_SECONDS, StoreDownError, Writer
from records import record

TESTS = Path(__file__).parents[1]


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def alerts():
    return []


@pytest.fixture
def writer(ledger, alerts):
    made = Writer.of_file(ledger, lease_seconds=60.0)
    made.alert = alerts.append
    yield made
    made.close(5)


@pytest.fixture
def look(ledger):
    def ask(sql, *parameters):
        with closing(sqlite3.connect(ledger, timeout=10)) as connection:
            return connection.execute(sql, parameters).fetchall()

    return ask


@pytest.fixture
def spawn(ledger):
    """Start Python code in a process of its own; `ledger` is there, and `budgets.lines`."""
    started = []

    def start(code, *arguments):
        path = os.pathsep.join([str(TESTS), *(entry for entry in sys.path if entry)])
        child = subprocess.Popen(
            [sys.executable, "-c", HEAD + code, str(ledger), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


HEAD = """
import os, sys, threading, time
from pathlib import Path
from budgets.lines import DAY, line, settle, taking
from otel_aicost.ledger.writer import Writer
ledger = Path(sys.argv[1])
"""
STANDING = (
    "SELECT key, spent_nano, reserved_nano, spent_calls, reserved_calls FROM budget_windows ORDER BY key, window_id"
)


def settled(writer, identifier, *lines):
    settle(writer, identifier, *lines)
    assert writer.flush(10)


def test_reserve_then_settle(writer, look):
    """What is reserved becomes what was really spent."""
    assert writer.reserve("1", [line(4)]) is None
    assert look(STANDING) == [("", 0, 4, 0, 1)]
    settled(writer, "1", taking(line(), 3))
    assert look(STANDING) == [("", 3, 0, 1, 0)]


def test_settling_twice_changes_nothing(writer, look):
    """Only the first settlement of a call counts."""
    writer.reserve("1", [line(4)])
    for amount in (3, 4, 3):
        settled(writer, "1", taking(line(), amount))
    assert look(STANDING) == [("", 3, 0, 1, 0)]


def test_a_failed_call_gives_back_what_it_reserved(writer, look):
    """Settled with nothing, the window is as before."""
    writer.reserve("1", [line(4)])
    settled(writer, "1", taking(line(), 0, calls=0))
    assert look(STANDING) == [("", 0, 0, 0, 0)]


@pytest.mark.parametrize(("asked", "fits"), [(6, True), (7, False)])
def test_spent_and_reserved_and_asked_together_must_fit(writer, asked, fits):
    """At the limit a call is admitted, one nano-dollar above it is not."""
    writer.reserve("1", [line(1)])
    settled(writer, "1", taking(line(), 1))
    writer.reserve("2", [line(3)])
    refusal = writer.reserve("3", [line(asked)])
    assert (refusal is None) is fits
    if refusal is not None:
        assert (refusal.unit, refusal.spent.nano, refusal.reserved.nano) == (0, 1, 3)
        assert refusal.resets_at == DAY.end


@pytest.fixture
def late(writer, monkeypatch):
    """A writer whose background does nothing for now."""
    monkeypatch.setattr(writer, "_wake", lambda: None)
    return writer


def test_what_took_no_more_than_was_reserved_is_written_later(late, look):
    """An admission does not wait for that; a row is there when somebody is refused, or the background gets to it."""
    strict = line(4, mode="strict")
    assert late.reserve("1", [strict]) is None
    settle(late, "1", taking(strict, 4))
    assert late.reserve("2", [strict]) is None
    assert look(STANDING) == [("", 0, 8, 0, 2)]
    assert late.reserve("3", [strict]) is not None
    assert look(STANDING) == [("", 4, 4, 1, 1)]


@pytest.mark.parametrize("mode", ["strict", "balanced"])
def test_what_is_not_yet_written_refuses_nobody(late, mode):
    """What ended calls gave back is counted, though the ledger does not know of it yet."""
    asked = line(10, mode=mode)
    assert late.reserve("1", [asked]) is None
    settle(late, "1", taking(asked, 3))
    assert late.reserve("2", [taking(asked, 7)]) is None
    assert late.reserve("3", [taking(asked, 1)]) is not None


@pytest.mark.parametrize("name", ["1", "another"])
def test_what_took_more_than_was_reserved_counts_at_once(late, name):
    """Of a call that cost more, and of one that nothing was reserved for: before the background has written it."""
    strict = line(4, mode="strict")
    assert late.reserve("1", [strict]) is None
    settle(late, name, taking(strict, 10))
    refusal = late.reserve("2", [taking(strict, 1)])
    assert refusal is not None
    assert refusal.spent.nano == 10


def test_nothing_more_fits_a_window_that_is_full(writer):
    """A call whose cost cannot be foreseen (0) is not admitted where all is spent; nor where the limit is 0."""
    assert writer.reserve("1", [line(10)]) is None
    assert writer.reserve("2", [line(0)]) is not None
    assert writer.reserve("3", [line(0, limit=0, name="none")]) is not None


def test_calls_and_tokens_have_limits_too(writer):
    """The refusal says which of the amounts does not fit."""
    two = line(0, limit=None, calls=2)
    assert [writer.reserve(str(number), [two]) for number in range(2)] == [None, None]
    refusal = writer.reserve("2", [two])
    assert (refusal.unit, refusal.reserved.calls) == (2, 2)
    many = taking(line(limit=None, tokens=100, name="t"), 0, tokens=101)
    assert writer.reserve("3", [many]).unit == 1


def test_all_budgets_of_a_call_or_none(writer, look):
    """When the second budget refuses, nothing is reserved in the first."""
    assert writer.reserve("1", [line(4, key="a"), line(11, key="b")]).line.key == "b"
    assert look(STANDING) == []
    assert look("SELECT count(*) FROM reservations") == [(0,)]


def test_keys_and_windows_are_apart(writer):
    """What one key has spent, or the day before has, is not held against another."""
    tomorrow = Window("2026-11-22", DAY.end, DAY.end + 86_400)
    assert writer.reserve("1", [line(10, key="a")]) is None
    assert writer.reserve("2", [line(10, key="b")]) is None
    assert writer.reserve("3", [line(10, key="a", window=tomorrow)]) is None
    assert writer.reserve("4", [line(1, key="a")]) is not None


def test_a_rolling_window_is_the_sum_of_its_steps(writer):
    """Spend of a step counts until the length has passed, and no longer."""
    period = Period("rolling", rolling_seconds=600)
    steps = [Window(f"rolling 600s {start}", start, start + 10, "rolling 600s ") for start in (1000, 1010, 1610, 1620)]
    admitted = [
        writer.reserve(str(number), [line(5, window=step, period=period)]) is None for number, step in enumerate(steps)
    ]
    assert admitted == [True, True, True, True]
    assert writer.reserve("x", [line(1, window=steps[2], period=period)]) is not None
    refusal = writer.reserve("y", [line(1, window=steps[3], period=period)])
    assert refusal.resets_at == 1620 + 600


def test_a_changed_limit_holds_from_the_next_call_on(writer, look):
    """Limits are not kept with the balance: up or down, the next decision knows the new one."""
    assert writer.reserve("1", [line(8, limit=10)]) is None
    assert writer.reserve("2", [line(8, limit=20)]) is None
    assert look("SELECT limit_nano FROM budget_windows") == [(20,)]
    assert writer.reserve("3", [line(1, limit=10)]) is not None


def limit_in_ledger(ledger, key, nano, *, tokens=None):
    """What `aicost budgets set` does."""
    with closing(sqlite3.connect(ledger, timeout=10)) as connection:
        connection.execute("DELETE FROM budget_limits WHERE key = ?", (key,))
        connection.execute("INSERT INTO budget_limits VALUES ('b', ?, ?, ?, NULL, 1, 'me')", (key, nano, tokens))
        connection.commit()


@pytest.mark.parametrize("amount", [0, 7, 20])
def test_a_limit_set_in_the_ledger_holds_for_the_next_call(ledger, writer, amount):
    """It wins over the definition, up or down; the refusal tells of it; what it says nothing about stays."""
    assert writer.reserve("0", [line(1, calls=99)]) is None
    limit_in_ledger(ledger, "", amount)
    admitted = 1
    while (refusal := writer.reserve(str(admitted), [line(1, calls=99)])) is None:
        admitted += 1
    assert admitted == max(1, amount)
    assert refusal.line.limits == (amount, None, 99)


def test_a_limit_for_a_key_wins_over_that_for_all(ledger, writer):
    """`*` is for keys without a limit of their own."""
    assert writer.reserve("0", [line(1, key="alice"), line(1, key="bob", name="other")]) is None
    limit_in_ledger(ledger, "*", 1)
    limit_in_ledger(ledger, "alice", 3)
    assert writer.reserve("1", [line(2, key="alice")]) is None
    assert writer.reserve("2", [line(2, key="carol")]) is not None
    assert writer.reserve("3", [line(9, key="bob", name="other")]) is None


def test_an_alert_is_of_the_limit_that_holds(ledger, writer, alerts):
    """A call that is settled under a limit set in the ledger is held against that one."""
    assert writer.reserve("0", [line(1)]) is None
    limit_in_ledger(ledger, "", 4)
    settled(writer, "0", taking(line(), 5))
    assert [(alert.share, alert.line.limits.nano) for alert in alerts] == [(1, 4)]


def test_a_price_that_is_allowed_to_be_unknown_stays_so(ledger, writer):
    """Where the dollars are not checked on purpose, a limit in the ledger does not change that."""
    unchecked = line(0)._replace(checked=line(0).limits._replace(nano=None))
    assert writer.reserve("0", [unchecked]) is None
    limit_in_ledger(ledger, "", 0)
    assert writer.reserve("1", [unchecked]) is None
    assert writer.reserve("2", [line(0)]) is not None


def test_a_look_reserves_nothing(writer, look):
    """It says what a reservation would, and leaves everything as it is."""
    assert writer.look([line(10)]) is None
    assert writer.look([line(11)]) is not None
    assert look("SELECT count(*) FROM budget_windows") == [(0,)]


def test_a_call_is_entered_once_however_often_it_is_written(writer, look):
    """A record that comes a second time, with or without a reservation, changes no balance."""
    writer.reserve("1", [line(4)])
    for reservation in ("1", None):
        writer.put(record(id="1"), Settlement(reservation, (taking(line(), 3),)))
        assert writer.flush(10)
    assert look("SELECT call_id, nano, calls, reserved_nano FROM budget_entries") == [("1", 3, 1, 4)]
    assert look(STANDING) == [("", 3, 0, 1, 0)]


def test_settled_spend_is_there_for_the_next_reservation(writer):
    """A process that settles and reserves again never waits for, or is refused by, its own background work."""
    for number in range(200):
        assert writer.reserve(str(number), [line(10, limit=10, key=str(number % 3))]) is None
        settle(writer, str(number), taking(line(key=str(number % 3)), 0))


def test_each_threshold_is_told_once_a_window(ledger, writer, alerts):
    """Two processes that pass a threshold tell of it once; a jump over two tells of the higher one."""
    other_alerts = []
    other = Writer.of_file(ledger, lease_seconds=60.0)
    other.alert = other_alerts.append
    half = line(alert_at=(HALF, HALF + HALF))
    settled(writer, "1", taking(half, 4))
    assert alerts == []
    settled(writer, "2", taking(half, 1))
    settled(other, "3", taking(half, 1))
    settled(other, "4", taking(half, 10))
    settled(writer, "5", taking(half, 1))
    other.close(5)
    assert [alert.share for alert in alerts] == [HALF]
    assert [(alert.share, alert.spent.nano) for alert in other_alerts] == [(1, 16)]


# --- leases ------------------------------------------------------------------------------------------------------


def test_an_expired_lease_is_given_back_by_whoever_comes_next(ledger, look):
    """A reservation nobody renews holds until its lease ends; settled later, it still counts, once."""
    silent = Writer.of_file(ledger, lease_seconds=0.2)
    silent._tick_later = lambda _: None  # this one is stopped: it renews nothing
    assert silent.reserve("1", [line(10)]) is None
    other = Writer.of_file(ledger, lease_seconds=60.0)
    assert other.reserve("2", [line(10)]) is not None
    time.sleep(0.25)
    assert other.reserve("3", [line(4)]) is None
    assert look(STANDING) == [("", 0, 4, 0, 1)]
    settled(silent, "1", taking(line(), 2))
    settled(silent, "1", taking(line(), 2))
    assert look(STANDING) == [("", 2, 4, 1, 1)]
    other.close(5)
    silent.close(5)


def test_a_long_call_keeps_its_reservation(ledger):
    """While its process lives, a reservation is renewed past its lease."""
    writer = Writer.of_file(ledger, lease_seconds=0.3)
    assert writer.reserve("1", [line(10)]) is None
    time.sleep(1.2)
    other = Writer.of_file(ledger, lease_seconds=60.0)
    assert other.reserve("2", [line(1)]) is not None
    writer.close(5)
    other.close(5)


def test_kill_9_leaves_no_reservation_past_its_lease(ledger, spawn, look, long):
    """After 200 killed processes (--long: 1,000) all that was reserved comes back, and spent is what was settled."""
    for batch in range(50 if long else 10):
        forked = spawn(FORKED_KILLED, 20)
        assert forked.stdout.readline() == "ready\n"
        time.sleep(0.002 * (batch % 7))
        forked.stdin.write("kill\n")
        forked.stdin.flush()
        assert forked.stdout.readline() == "20\n"
    assert look("SELECT count(*) FROM reservations")[0][0] > 0
    time.sleep(1.1)
    writer = Writer.of_file(ledger)
    while look("SELECT count(*) FROM reservations") != [(0,)]:
        assert writer.reserve("probe", [line(11, name="probe")]) is not None  # who is refused gives back first
    balances = look("SELECT key, spent_nano, spent_calls FROM budget_windows WHERE budget = 'b' ORDER BY key")
    assert balances == look("SELECT key, sum(nano), sum(calls) FROM budget_entries GROUP BY key ORDER BY key")
    calls = look("SELECT count(*) FROM calls")[0]
    assert [row[2:] for row in balances] == [calls, calls]
    assert look("SELECT call_id FROM budget_entries EXCEPT SELECT id FROM calls") == []
    assert look("SELECT sum(reserved_nano), sum(reserved_calls) FROM budget_windows") == [(0, 0)]
    assert look("PRAGMA integrity_check") == [("ok",)]
    writer.close(5)


FORKED_KILLED = """
import signal
def work():
    writer = Writer.of_file(ledger, lease_seconds=1.0)
    for number in range(10**9):
        name = f"{os.getpid()}-{number}"
        try:
            refused = writer.reserve(name, [line(3, limit=10**9), line(1, limit=10**9, key="k")])
        except Exception:
            continue
        if number == 1:
            os.write(told, b"x")
        if refused is None and number % 2:
            settle(writer, name, taking(line(limit=10**9), 2), taking(line(limit=10**9, key="k"), 1))
heard, told = os.pipe()
children = []
for _ in range(int(sys.argv[2])):
    pid = os.fork()
    if pid == 0:
        work()
    children.append(pid)
os.read(heard, 1)
print("ready", flush=True)
sys.stdin.readline()
for pid in children:
    os.kill(pid, signal.SIGKILL)
print(sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9 for pid in children), flush=True)
"""

RACER = """
def work():
    writer = Writer.of_file(ledger, lease_seconds=60.0)
    admitted, lock = [], threading.Lock()
    def race(thread):
        for number in range(25):
            name = f"{os.getpid()}-{thread}-{number}"
            while True:
                try:
                    refused = writer.reserve(name, [line(1, limit=500), line(1, limit=10**6, key="k")])
                except Exception:
                    time.sleep(0.05)
                    continue
                break
            if refused is None:
                with lock:
                    admitted.append(name)
                settle(writer, name, taking(line(limit=500), 1), taking(line(limit=10**6, key="k"), 1))
    threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert writer.close(30)
    return len(admitted)
children = []
for _ in range(16):
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(told, str(work()).encode())
        os._exit(0)
    os.close(told)
    children.append((pid, heard))
print(sum(int(os.read(heard, 20)) for _, heard in children))
"""


def test_exactly_so_many_are_admitted_as_fit(spawn, look):
    """16 processes of 4 threads race for a window of 500: exactly 500 get in, and the balance is their sum."""
    racer = spawn(RACER)
    assert racer.communicate(timeout=120)[0] == "500\n"
    assert look(STANDING) == [("", 500, 0, 500, 0), ("k", 500, 0, 500, 0)]


# --- a ledger that does not answer -------------------------------------------------------------------------------

FREEZER = """
import sqlite3
connection = sqlite3.connect(ledger, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""


def test_a_frozen_ledger_costs_one_call_a_moment_and_the_next_nothing(writer, spawn):
    """With the write lock held by a stopped process, of 20 calls one waits; when it goes on, so does the writer."""
    assert writer.reserve("0", [line(1)]) is None
    freezer = spawn(FREEZER)
    assert freezer.stdout.readline() == "locked\n"
    os.kill(freezer.pid, signal.SIGSTOP)
    waits = []
    for number in range(20):
        began = time.monotonic()
        with pytest.raises(StoreDownError):
            writer.reserve(f"f{number}", [line(1)])
        waits.append(time.monotonic() - began)
    settle(writer, "0", taking(line(), 1))
    time.sleep(2 * WAIT_SECONDS)  # the background has tried that by now, in vain
    assert sum(wait > WAIT_SECONDS / 2 for wait in waits) == 1
    assert max(waits) < WAIT_SECONDS * 4  # twice the wait, and room for a busy machine
    os.kill(freezer.pid, signal.SIGCONT)
    freezer.stdin.write("\n")
    freezer.stdin.flush()
    for _ in range(50):
        if not writer._failing:
            break
        time.sleep(0.1)
    assert writer.reserve("1", [line(9)]) is None  # the one that waited was settled: 1 + 9 fit
    assert writer.reserve("2", [line(1)]) is not None
    assert faults.counts()["ledger"] >= 1


def test_threads_that_wait_together_wait_once(writer, spawn):
    """Twenty threads at once at a frozen ledger are all through in about the time of one wait."""
    assert writer.reserve("0", [line(1)]) is None
    freezer = spawn(FREEZER)
    assert freezer.stdout.readline() == "locked\n"
    os.kill(freezer.pid, signal.SIGSTOP)
    failed = []

    def attempt(number):
        try:
            writer.reserve(f"t{number}", [line(1)])
        except StoreDownError:
            failed.append(number)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(20)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < WAIT_SECONDS * 8
    assert len(failed) == 20
    os.kill(freezer.pid, signal.SIGCONT)


def slow_to_open(ledger, seconds):
    """The writer of a ledger on a slow disk."""

    def opened():
        time.sleep(seconds)
        return FileStore(ledger)

    return Writer(opened, str(ledger), near=True)


def test_a_call_waits_for_a_ledger_that_is_being_made(ledger):
    """On a slow disk that takes longer than any answer; the first call is not refused for it."""
    writer = slow_to_open(ledger, 6 * WAIT_SECONDS)
    writer.warm()
    time.sleep(WAIT_SECONDS)
    assert writer.reserve("0", [line(9)]) is None
    assert writer.reserve("1", [line(9)]) is not None
    assert writer.close(5)


def test_a_ledger_that_cannot_be_made_stops_one_call_for_a_moment(ledger, monkeypatch):
    """A disk that hangs is not waited for longer than that, and by nobody else."""
    monkeypatch.setattr(writing, "OPENING_SECONDS", WAIT_SECONDS)
    writer = slow_to_open(ledger, 8 * WAIT_SECONDS)
    writer.warm()
    time.sleep(WAIT_SECONDS)
    waits = []
    for number in range(3):
        began = time.monotonic()
        with pytest.raises(StoreDownError):
            writer.reserve(str(number), [line(1)])
        waits.append(time.monotonic() - began)
    assert sum(wait > WAIT_SECONDS / 2 for wait in waits) == 1
    assert writer.flush(20)
    assert writer.close(5)


@pytest.mark.parametrize("what", ["directory", "other"])
def test_without_a_ledger_every_reservation_fails_at_once(tmp_path, what):
    """One that cannot be opened, and another program's database: down, and never an error of another kind."""
    path = {"directory": tmp_path, "other": tmp_path / "other.db"}[what]
    if what == "other":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE theirs (x)")
    writer = Writer.of_file(path, lease_seconds=60.0)
    for number in range(3):
        with pytest.raises(StoreDownError):
            writer.reserve(str(number), [line(1)])
    writer.close(5)


# --- forks -------------------------------------------------------------------------------------------------------

FORKER = """
writer = Writer.of_file(ledger, lease_seconds=60.0)
assert writer.reserve("parent", [line(1, limit=1000)]) is None
children = []
for child in range(4):
    pid = os.fork()
    if pid == 0:
        for number in range(50):
            name = f"{child}-{number}"
            assert writer.reserve(name, [line(1, limit=1000)]) is None
            settle(writer, name, taking(line(limit=1000), 1))
        os._exit(0 if writer.flush(20) else 1)
    children.append(pid)
    for number in range(50):
        name = f"p{child}-{number}"
        assert writer.reserve(name, [line(1, limit=1000)]) is None
        settle(writer, name, taking(line(limit=1000), 1))
settle(writer, "parent", taking(line(limit=1000), 1))
print([os.waitpid(pid, 0)[1] for pid in children], writer.close(20), flush=True)
"""


def test_forked_processes_keep_one_set_of_balances(spawn, look):
    """Parent and four children reserve and settle across forks; every one of 401 calls is in the balance, once."""
    assert spawn(FORKER).communicate(timeout=60)[0] == "[0, 0, 0, 0] True\n"
    assert look(STANDING) == [("", 401, 0, 401, 0)]
    assert look("PRAGMA integrity_check") == [("ok",)]


CHILD = """
import multiprocessing
def work():
    writer = Writer.of_file(ledger, lease_seconds=60.0)
    writer.reserve("1", [line(1)])
    settle(writer, "1", taking(line(), 1))
if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
"""


def test_a_multiprocessing_child_settles_before_it_leaves(spawn, look):
    """Such a child runs no `atexit`; what it has settled is written all the same."""
    assert spawn(CHILD).wait(30) == 0
    assert look(STANDING) == [("", 1, 0, 1, 0)]


def test_an_old_ledger_gets_the_tables(ledger):
    """A file of the version before budgets is migrated, and its calls are kept."""
    from otel_aicost.ledger import schema
    from otel_aicost.ledger.row import row
    from records import record

    with closing(sqlite3.connect(ledger, isolation_level=None)) as old:
        for statement in schema.MIGRATIONS[0]:
            old.execute(statement)
        old.execute("PRAGMA user_version = 1")
        columns = [name for name in schema.CALL_COLUMNS if not name.endswith("_saved_nano")]
        marks = ", ".join("?" * len(columns))
        old.execute(f"INSERT INTO calls ({', '.join(columns)}) VALUES ({marks})", row(record())[: len(columns)])
    writer = Writer.of_file(ledger, lease_seconds=60.0)
    assert writer.reserve("1", [line(1)]) is None
    writer.close(5)
    with closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute("SELECT count(*) FROM calls").fetchone() == (1,)
