"""Slices of balanced budgets: admitted in memory, held in the ledger, never past the limit."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from budgets.lines import line, settle, taking
from otel_aicost.budgets.budget import Amounts
from otel_aicost.ledger import slices
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer

TESTS = Path(__file__).parents[1]
LIMIT = 100_000
STANDING = "SELECT spent_nano, reserved_nano, spent_calls, reserved_calls FROM budget_windows"


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def far(ledger, monkeypatch):
    """A writer that leases slices and keeps them for as long as a test takes."""
    monkeypatch.setattr(slices, "SECONDS", 3600.0)
    made = Writer(lambda: FileStore(ledger), "far", sliced=True)
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


def test_later_calls_do_not_touch_the_ledger(far, look, monkeypatch):
    """One call in seventeen asks the ledger; in between the balance does not change, and holds them all."""
    assert far.reserve("0", [asked()]) is None
    before = look(STANDING)
    assert before == [(0, 10 + 160, 0, 1 + 16)]
    with monkeypatch.context() as patch:
        patch.setattr(far, "_ask", None)  # whoever asks the ledger fails
        for number in range(1, 17):
            assert far.reserve(str(number), [asked()]) is None
        with pytest.raises(TypeError):
            far.reserve("17", [asked()])
    assert look(STANDING) == before
    assert far.reserve("17", [asked()]) is None


def test_strict_budgets_have_no_slices(far, look):
    """A strict budget, and a call that is in one and in a balanced one, are decided in the ledger each time."""
    for number in range(3):
        assert far.reserve(str(number), [asked(mode="strict"), asked(name="other")]) is None
    assert look("SELECT count(*) FROM reservations WHERE id LIKE 'slice%'") == [(0,)]


def test_what_was_admitted_from_a_slice_is_settled_like_any_other(far, look):
    """After all calls have ended and the slice is given back, nothing is reserved and all is spent, exactly."""
    for number in range(40):
        assert far.reserve(str(number), [asked()]) is None
    for number in range(40):
        settle(far, str(number), taking(asked(), 7))
    assert far.close(10)
    assert look(STANDING) == [(280, 0, 40, 0)]
    assert look("SELECT count(*) FROM reservations") == [(0,)]
    assert look("SELECT sum(nano), count(*) FROM budget_entries") == [(280, 40)]


def test_a_failed_call_gives_its_share_back(far, look):
    """Released, it takes nothing; what it held is free."""
    for number in range(3):
        far.reserve(str(number), [asked()])
    for number in range(3):
        far.release(Settlement(str(number), (taking(asked(), 0, calls=0),)))
    assert far.close(10)
    assert look(STANDING) == [(0, 0, 0, 0)]


def test_a_slice_is_a_small_part_of_what_is_left(far, look):
    """Close to the limit there is no slice, and the last call is refused by the ledger, not one before."""
    spent = LIMIT - 10 * slices.PART
    settle(far, "before", taking(asked(), spent))
    assert far.flush(5)
    assert far.reserve("1", [asked()]) is None
    assert look("SELECT nano FROM reservations WHERE id LIKE 'slice%'") == []
    admitted = 1
    while far.reserve(str(admitted + 1), [asked()]) is None:
        admitted += 1
    assert admitted == slices.PART
    assert look("SELECT spent_nano + reserved_nano FROM budget_windows") == [(LIMIT,)]


def test_a_call_that_costs_more_than_expected_uses_up_the_slice(far, monkeypatch):
    """The next call is decided in the ledger, which knows what was spent."""
    far.reserve("0", [asked()])
    far.reserve("1", [asked()])
    settle(far, "1", taking(asked(), LIMIT))
    refusal = far.reserve("2", [asked()])
    assert refusal is not None
    assert refusal.spent == Amounts(LIMIT, 0, 1)


def test_a_slice_used_up_by_dear_calls_is_given_back_all_the_same(far, look):
    """What nobody holds any more is free, also where the calls of the slice cost more than was expected of them."""
    for number in range(3):
        assert far.reserve(str(number), [asked()]) is None
    for number in range(3):
        settle(far, str(number), taking(asked(), 1000))
    assert far.close(10)
    assert look(STANDING) == [(3000, 0, 3, 0)]
    assert look("SELECT count(*) FROM reservations") == [(0,)]


def test_a_changed_limit_is_not_admitted_from_an_old_slice(far):
    """A limit that the definition lowers holds for the next call."""
    far.reserve("0", [asked()])
    assert far.reserve("1", [line(10, limit=5)]) is not None


def test_slices_are_given_back_after_their_time(ledger, look, monkeypatch):
    """A process that makes no more calls holds nothing that others could use."""
    monkeypatch.setattr(slices, "SECONDS", 0.05)
    monkeypatch.setattr("otel_aicost.ledger.writer.SLICE_SECONDS", 0.05)
    far = Writer(lambda: FileStore(ledger), "far", sliced=True)
    far.reserve("0", [asked()])
    settle(far, "0", taking(asked(), 3))
    for _ in range(200):
        if look(STANDING) == [(3, 0, 1, 0)]:
            break
        time.sleep(0.05)
    assert look(STANDING) == [(3, 0, 1, 0)]
    far.close(5)


def test_a_slice_of_a_killed_process_ends_with_its_lease(ledger, far):
    """What it held is free again when its lease is over."""
    gone = Writer(lambda: FileStore(ledger), "gone", lease_seconds=0.2, sliced=True)
    gone._tick_later = lambda _: None  # it renews nothing
    assert gone.reserve("0", [asked(1000, mode="balanced")]) is None
    time.sleep(0.25)
    assert far.reserve("1", [line(LIMIT, limit=LIMIT)]) is None


def test_a_long_call_keeps_its_share(ledger):
    """While its process lives, the slice that a call was admitted from is renewed, also when it is used no more."""
    far = Writer(lambda: FileStore(ledger), "far", lease_seconds=0.3, sliced=True)
    far.reserve("0", [asked()])
    far.reserve("1", [asked()])
    far.release(Settlement("0", (taking(asked(), 0, calls=0),)))
    time.sleep(1.5)  # the slice is over, its lease would be, and the call still runs
    with closing(sqlite3.connect(ledger, timeout=10)) as connection:
        assert connection.execute("SELECT sum(nano) FROM reservations").fetchone() == (10,)
    far.close(5)


@pytest.mark.parametrize("near", [False, True], ids=["far", "near"])
@pytest.mark.parametrize("seed", range(8))
def test_whatever_calls_cost_nothing_stays_reserved(ledger, look, monkeypatch, seed, near):
    """Calls of several budgets at once, dear, cheap, failed, in any order: in the end each balance is its entries."""
    chance = random.Random(seed)
    monkeypatch.setattr(slices, "SECONDS", chance.choice([0.001, 0.05, 3600.0]))
    far = Writer(lambda: FileStore(ledger), "far", sliced=True, near=near)
    open_calls = {}
    for number in range(100):
        names = chance.sample("abc", chance.randint(1, 3))
        lines = [
            line(chance.randint(0, 30), limit=chance.choice([2000, LIMIT]), name=name, key=chance.choice("xy"))
            for name in names
        ]
        if far.reserve(f"call {number}", lines) is None:
            open_calls[f"call {number}"] = lines
        while open_calls and chance.random() < 0.6:
            ended = chance.choice(sorted(open_calls))
            lines = open_calls.pop(ended)
            if chance.random() < 0.2:
                far.release(Settlement(ended, tuple(taking(each, 0, calls=0) for each in lines)))
            else:
                settle(far, ended, *(taking(each, chance.randint(0, 90)) for each in lines))
    for ended, lines in open_calls.items():
        settle(far, ended, *(taking(each, 5) for each in lines))
    assert far.close(20)
    assert look("SELECT count(*) FROM reservations") == [(0,)]
    assert look("SELECT DISTINCT reserved_nano, reserved_tokens, reserved_calls FROM budget_windows") == [(0, 0, 0)]
    spent = "SELECT budget, key, spent_nano, spent_calls FROM budget_windows WHERE spent_calls > 0 ORDER BY 1, 2"
    assert look(spent) == look(
        "SELECT budget, key, sum(nano), sum(calls) FROM budget_entries GROUP BY budget, key ORDER BY 1, 2"
    )


RACER = """
import os, sys, threading
from pathlib import Path
from budgets.lines import line, settle, taking
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer
ledger, limit = Path(sys.argv[1]), 3000
def work():
    writer = Writer(lambda: FileStore(ledger), "far", sliced=True, near=sys.argv[2] == "near")
    admitted = 0
    for number in range(500):
        name = f"{os.getpid()}-{number}"
        try:
            refused = writer.reserve(name, [line(1, limit=limit)])
        except Exception:
            continue
        if refused is None:
            admitted += 1
            settle(writer, name, taking(line(limit=limit), 1))
    assert writer.close(30)
    return admitted
children = []
for _ in range(8):
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(told, str(work()).encode())
        os._exit(0)
    os.close(told)
    children.append(heard)
print(sum(int(os.read(heard, 20)) for heard in children))
"""


@pytest.mark.parametrize("where", ["far", "near"])
def test_processes_with_slices_never_pass_a_limit_together(ledger, look, where):
    """Eight processes try 4000 calls of known cost under a limit of 3000: what they leave fits afterwards, exactly."""
    path = os.pathsep.join([str(TESTS), *(entry for entry in sys.path if entry)])
    done = subprocess.run(
        [sys.executable, "-c", RACER, str(ledger), where],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    admitted = int(done.stdout)
    assert look(STANDING) == [(admitted, 0, admitted, 0)]
    assert look("SELECT sum(nano), count(*) FROM budget_entries") == [(admitted, admitted)]
    last = Writer.of_file(ledger)
    if admitted < 3000:
        assert last.reserve("rest", [line(3000 - admitted, limit=3000)]) is None
    assert last.reserve("one more", [line(1, limit=3000)]) is not None
    last.close(5)
