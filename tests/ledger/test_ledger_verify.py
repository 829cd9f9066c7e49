"""Whether the ledger agrees with itself: it does after real work, and every way in which it might not is found."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from budgets.lines import DAY, line, settle, taking
from ledgers import at, write
from otel_aicost.budgets.window import Window
from otel_aicost.ledger import events, verify
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer
from records import cost, record

NANO = 6_250_000
"""What `records.record` costs; it takes 2500 tokens."""


@pytest.fixture
def worked(ledger):
    """A ledger in which three calls of two budgets were settled and one is on its way."""
    writer = Writer.of_file(ledger)
    day, rest = line(10**9, limit=10**12), line(limit=10**12, name="user-day", key="alice")
    writer.reserve("open", [day])
    for number in range(3):
        name = f"call-{number}"
        writer.reserve(name, [day])
        writer.put(record(id=name), Settlement(name, tuple(taking(one, NANO, 2500) for one in (day, rest))))
    assert writer.flush(10)
    yield ledger
    writer.close(5)


_TOTALS_OF_ROLLUPS = """
    INSERT INTO totals (id, provider, operation, model, service, status, unpriced, tags, first_ns, calls, cost_nano, input_tokens)
    SELECT 'x', provider, operation, model, service, status, '', tags, 0, calls, cost_nano, input_tokens FROM rollups
"""


def _found(path, now_ns=None):
    with looking(path) as connection:
        return [*verify.integrity(connection), *verify.findings(connection, now_ns or time.time_ns())]


def _alter(path, sql):
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA ignore_check_constraints = 1")
        assert raw.execute(sql).rowcount > 0


def test_after_work_all_agrees(worked):
    """What the writer wrote agrees with itself, calls on their way included."""
    assert _found(worked) == []
    with looking(worked) as connection:
        assert verify.checked(connection) == {
            "windows": 2,
            "entries": 6,
            "reservations": 1,
            "calls": 3,
            "daily totals": 0,
        }


@pytest.mark.parametrize(
    ("sql", "kind", "where", "stored", "rebuilt"),
    [
        (
            "UPDATE budget_windows SET spent_nano = spent_nano + 1 WHERE budget = 'b'",
            "balance",
            "b 2026-11-21",
            "0.018750001 USD, 7500 tokens, 3 calls",
            "0.01875 USD, 7500 tokens, 3 calls",
        ),
        (
            "DELETE FROM budget_windows WHERE budget = 'user-day'",
            "balance",
            "user-day alice 2026-11-21",
            "0.00 USD, 0 tokens, 0 calls",
            "0.01875 USD, 7500 tokens, 3 calls",
        ),
        (
            "DELETE FROM budget_entries WHERE budget = 'b' AND call_id = 'call-0'",
            "balance",
            "b 2026-11-21",
            "0.01875 USD, 7500 tokens, 3 calls",
            "0.0125 USD, 5000 tokens, 2 calls",
        ),
        (
            "UPDATE budget_windows SET reserved_calls = 0 WHERE budget = 'b'",
            "reserved",
            "b 2026-11-21",
            "1.00 USD, 0 tokens, 0 calls",
            "1.00 USD, 0 tokens, 1 call",
        ),
        (
            "UPDATE calls SET cost_nano = cost_nano - 1 WHERE id = 'call-1'",
            "cost",
            "call call-1 in b",
            "0.00625 USD, 2500 tokens, 0 calls in the entry",
            "0.006249999 USD, 2500 tokens, 0 calls, as the call has it",
        ),
        (
            "DELETE FROM calls WHERE id = 'call-2'",
            "missing call",
            "call call-2 in b",
            "0.00625 USD, 2500 tokens, 1 call spent",
            "of a call that is there",
        ),
    ],
)
def test_what_differs_is_found(worked, sql, kind, where, stored, rebuilt):
    """A balance, an entry or a call that was changed behind our back is told with both amounts."""
    _alter(worked, sql)
    found = _found(worked)
    assert {finding.level for finding in found} == {verify.WRONG}
    assert (kind, where, stored, rebuilt) in [tuple(finding)[1:] for finding in found]


def test_calls_that_were_folded_are_not_missed(worked):
    """Entries of calls that became daily totals are as they should be."""
    with closing(FileStore(worked)) as store:
        assert store.fold(2**62, 100) == 3
        assert _found(worked) == []
    write(worked, record(started_ns=time.time_ns() + 2 * verify.SLACK_NS))
    assert _found(worked) == []


@pytest.mark.parametrize(("oldest", "level"), [(DAY.start, verify.WRONG), (DAY.start + 1, verify.NOTE)])
def test_a_call_that_is_missing_though_others_were_folded(worked, oldest, level):
    """In a window that began after the oldest call it must be there; before that it may have been folded."""
    write(worked, record(started_ns=at("2020-01-01")), fold_before="2026-01-01")
    _alter(worked, "DELETE FROM calls")
    _alter(worked, "DELETE FROM totals")
    _alter(worked, _TOTALS_OF_ROLLUPS)
    write(worked, record(started_ns=oldest * 10**9))
    found = _found(worked)
    assert {finding.kind for finding in found} == {"missing call"}
    assert {finding.level for finding in found} == {level}


def test_a_call_without_a_price_is_not_compared(ledger):
    """What it was assumed to take stands in no other place."""
    writer = Writer.of_file(ledger)
    writer.put(record(id="x", cost=None), Settlement(None, (taking(line(limit=100), 50),)))
    writer.put(record(id="y", cost=cost("0.00000007")), Settlement(None, (taking(line(limit=100), 70, 2500),)))
    writer.close(5)
    assert _found(ledger) == []


def test_rollups_that_cannot_be(tmp_path):
    """A daily total below nothing is told."""
    path = write(tmp_path / "ledger.db", record(started_ns=at("2026-01-01")), fold_before="2026-06-01")
    assert _found(path) == []
    _alter(path, "UPDATE rollups SET calls = 0")
    _alter(path, "UPDATE totals SET calls = 0")
    assert [(finding.kind, finding.where) for finding in _found(path)] == [
        ("rollup", "2026-01-01 openai gpt-4o-2024-08-06")
    ]


def test_a_lease_that_is_over_is_a_note(worked):
    """What a killed process had reserved is said, and is nothing wrong: whoever comes next frees it."""
    (note,) = _found(worked, time.time_ns() + 10**12)
    assert (note.level, note.kind, note.where) == (verify.NOTE, "lease", "b 2026-11-21")
    assert note.stored == "1.00 USD, 0 tokens, 1 call reserved by open"


def test_a_broken_file_is_found(worked):
    """SQLite's own check is asked."""
    with closing(sqlite3.connect(worked, isolation_level=None)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw.execute("PRAGMA writable_schema = 1")
        raw.execute("DELETE FROM sqlite_master WHERE name = 'calls_started'")
    found = _found(worked)
    assert found
    assert {finding.kind for finding in found} == {"file"}


def _repair(path, now_ns=None):
    with closing(FileStore(path)) as store, store.transaction() as connection:
        return verify.repair(connection, "me", now_ns or time.time_ns())


def test_balances_are_written_anew(worked):
    """Repairing leaves nothing that differs, and an event with both amounts for each balance."""
    _alter(worked, "UPDATE budget_windows SET spent_nano = 1, spent_calls = 0, reserved_nano = 5 WHERE budget = 'b'")
    _alter(worked, "DELETE FROM budget_windows WHERE budget = 'user-day'")
    with looking(worked) as connection:
        assert verify.differing_keys(connection) == [("b", ""), ("user-day", "alice")]
    assert _repair(worked) == 3
    assert _found(worked) == []
    with looking(worked) as connection:
        trail = {(event.subject, event.was, event.became) for event in events.listed(connection)}
    assert trail == {
        (
            "b",
            "2026-11-21: 0.000000001 USD, 7500 tokens, 0 calls spent",
            "2026-11-21: 0.01875 USD, 7500 tokens, 3 calls spent",
        ),
        (
            "b",
            "2026-11-21: 0.000000005 USD, 0 tokens, 1 call reserved",
            "2026-11-21: 1.00 USD, 0 tokens, 1 call reserved",
        ),
        (
            "user-day alice",
            "2026-11-21: 0.00 USD, 0 tokens, 0 calls spent",
            "2026-11-21: 0.01875 USD, 7500 tokens, 3 calls spent",
        ),
    }
    assert _repair(worked) == 0


def test_repairing_frees_what_nobody_holds(worked):
    """A lease that is over is freed with the rest; its call may still be settled."""
    assert _repair(worked, time.time_ns() + 10**12) == 1
    with looking(worked) as connection:
        assert connection.execute("SELECT count(*) FROM reservations").fetchone() == (0,)
        assert connection.execute("SELECT sum(reserved_nano) FROM budget_windows").fetchone() == (0,)


def test_a_step_that_is_missing_counts_as_long_as_it_should(ledger):
    """A window that rolls gets the bounds that its id tells."""
    start = DAY.start
    window = Window(f"rolling 3600s {start}", start, start + 60, "rolling 3600s ")
    writer = Writer.of_file(ledger)
    settle(writer, "1", taking(line(window=window, limit=100), NANO, 2500))
    writer.close(5)
    _alter(ledger, "DELETE FROM budget_windows")
    _repair(ledger)
    with looking(ledger) as connection:
        assert connection.execute("SELECT starts_at, counts_until FROM budget_windows").fetchall() == [
            (start, start + 60 + 3600)
        ]


BUSY = """
import sys, time
from pathlib import Path
from budgets.lines import line, taking
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.writer import Writer
from records import record
from otel_aicost.ids import new_id

writer = Writer.of_file(Path(sys.argv[1]))
one = line(10**6, limit=10**15)
print("on", flush=True)
while True:
    name = new_id()
    writer.reserve(name, [one])
    writer.put(record(id=name, started_ns=time.time_ns()), Settlement(name, (taking(one, 6_250_000, 2500),)))
"""


def test_it_is_of_one_moment(ledger, spawn):
    """While two processes reserve and settle, everything agrees at every moment that is looked at."""
    write(ledger, record())
    children = [spawn(BUSY, ledger) for _ in range(2)]
    for child in children:
        assert child.stdout.readline() == "on\n"
    seen = set()
    while len(seen) < 10:
        assert [finding for finding in _found(ledger) if finding.level == verify.WRONG] == []
        with looking(ledger) as connection:
            seen.add(verify.checked(connection)["entries"])
    assert all(child.poll() is None for child in children)
