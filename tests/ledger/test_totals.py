"""Running totals: every call counts once, whatever is replayed, folded or killed."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets.lines import line
from ledgers import TOTAL_TAGS, sample, write
from otel_aicost.ledger import schema, totals, verify
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.posting import Posted, post
from otel_aicost.ledger.row import row
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer
from records import cost, record

SUMS = ", ".join(f"sum({column})" for column in schema.TOTAL_SUMS)


def _rows(path, *columns):
    with looking(path) as connection:
        return connection.execute(f"SELECT {', '.join(columns)} FROM totals ORDER BY {', '.join(columns)}").fetchall()


def _only(path):
    names = (*schema.TOTAL_KEY, "first_ns", *schema.TOTAL_SUMS, *schema.TOTAL_LAST)
    (found,) = _rows(path, *names)
    return dict(zip(names, found, strict=True))


def test_a_call_is_added_to_the_total_of_its_kind(ledger):
    """Money, tokens, savings and times of a call are in one row, under the tags that are totalled apart."""
    before = time.time_ns()
    usage = {"input_tokens": 2500, "cache_read_tokens": 400, "output_tokens": 90, "reasoning_tokens": 60}
    paid = replace(cost(), cache_saved_nano=7, batch_saved_nano=9)
    tagged = {"feature": "search", "user": "u1", "team": "web"}
    write(ledger, record(usage=usage, cost=paid, tags=tagged, duration_ns=840_000_000, first_chunk_ns=10_000_000))
    total = _only(ledger)
    assert total["tags"] == '{"feature":"search","team":"web"}'
    assert [total[each] for each in schema.TOTAL_KEY[:-1]] == ["openai", "chat", "gpt-4o-2024-08-06", "shop", "ok", ""]
    some = {name: total[name] for name in schema.TOTAL_SUMS if total[name]}
    assert some == {
        "calls": 1,
        "cost_nano": 6_250_000,
        "cache_saved_nano": 7,
        "batch_saved_nano": 9,
        "input_tokens": 2500,
        "cache_read_tokens": 400,
        "output_tokens": 90,
        "reasoning_tokens": 60,
        "duration_ns": 840_000_000,
        "duration_7": 1,  # from 0.64 to 1.28 seconds
        "first_chunk_ns": 10_000_000,
        "first_chunk_0": 1,  # 0.01 seconds, the bound itself
    }
    assert before - 10**9 <= total["first_ns"] <= time.time_ns()
    assert total["last_trace_id"] is None


@pytest.mark.parametrize(
    ("duration_ns", "bucket"), [(0, 0), (10_000_000, 0), (10_000_001, 1), (81_920_000_000, 13), (81_920_000_001, 14)]
)
def test_durations_are_counted_in_buckets(ledger, duration_ns, bucket):
    """A bucket holds its upper bound, and the last one has what is beyond all bounds."""
    write(ledger, record(duration_ns=duration_ns))
    total = _only(ledger)
    assert [total[f"duration_{number}"] for number in range(15)] == [int(number == bucket) for number in range(15)]


def test_blocked_calls_have_no_duration(ledger):
    """A call that was not sent took no time that anybody waited for a provider."""
    write(ledger, record(status="blocked", cost=None, usage={}, usage_state="none", duration_ns=5))
    total = _only(ledger)
    assert (total["calls"], total["status"], total["duration_ns"], total["duration_0"]) == (1, "blocked", 0, 0)


def test_the_last_traced_call_is_known(ledger):
    """Of the last call with a trace: its id, when it began, what it cost and how long it took."""
    write(ledger, record(trace_id="a" * 32), record(trace_id="b" * 32, started_ns=5, duration_ns=6), record())
    total = _only(ledger)
    assert [total[name] for name in schema.TOTAL_LAST] == ["b" * 32, 5, 6_250_000, 6]
    write(ledger, record())
    assert _only(ledger)["last_trace_id"] == "b" * 32


def test_a_call_counts_once_however_often_it_is_written(ledger):
    """What is written a second time, in one batch or later, changes no total."""
    first, second = record(), record()
    write(ledger, first, second, first)
    write(ledger, second, first, record())
    assert _only(ledger)["calls"] == 3


def test_a_total_begins_when_it_is_first_written_and_stays(ledger):
    """`first_ns` does not change with later calls, so that a scrape sees no new beginning."""
    write(ledger, record())
    began = _only(ledger)["first_ns"]
    write(ledger, record(started_ns=1))
    assert _only(ledger)["first_ns"] == began


def test_what_is_folded_or_pruned_stays_in_the_totals(ledger):
    """Retention makes the calls daily totals, and the running totals do not notice."""
    write(ledger, *sample())
    before = _rows(ledger, *schema.TOTAL_KEY, *schema.TOTAL_SUMS)
    write(ledger, fold_before="2026-11-20")
    assert _rows(ledger, *schema.TOTAL_KEY, *schema.TOTAL_SUMS) == before
    with looking(ledger) as connection:
        assert [*verify.findings(connection, time.time_ns())] == []


def test_the_sample_adds_up(ledger):
    """The totals of calls of every kind are those of the view that reports read."""
    write(ledger, *sample())
    columns = ["calls", "cost_nano", "input_tokens", "output_tokens", "cache_read_tokens"]
    summed = ", ".join(f"sum({column})" for column in columns)
    with looking(ledger) as connection:
        assert (
            connection.execute(f"SELECT {summed} FROM totals").fetchone()
            == connection.execute(f"SELECT {summed} FROM spend").fetchone()
        )
        unpriced = connection.execute("SELECT unpriced, sum(calls) FROM totals GROUP BY 1").fetchall()
        assert (
            unpriced == connection.execute("SELECT coalesce(unpriced, ''), sum(calls) FROM spend GROUP BY 1").fetchall()
        )


@settings(deadline=None, max_examples=25)
@given(
    batches=st.lists(
        st.lists(
            st.tuples(st.integers(0, 30), st.integers(0, 10**12), st.sampled_from(["ok", "error", "partial"])),
            max_size=20,
        ),
        max_size=6,
    )
)
def test_totals_are_the_sum_of_the_calls(tmp_path_factory, batches):
    """Whatever is written in whatever batches, calls repeated, totals and calls agree to the nano-dollar."""
    path = tmp_path_factory.mktemp("totals") / "ledger.db"
    with closing(FileStore(path)) as store:
        for batch in batches:
            made = [
                record(id=f"call-{number}", status=status, cost=cost(str(Decimal(nano).scaleb(-9))), duration_ns=nano)
                for number, nano, status in batch
            ]
            with store.transaction() as connection:
                post(store, connection, [Posted(row(each), None) for each in made], tags=TOTAL_TAGS)
    with looking(path) as connection:
        assert [*verify.findings(connection, time.time_ns())] == []
        counted = connection.execute(
            f"SELECT sum(calls), sum({'+'.join(f'duration_{n}' for n in range(15))}) FROM totals"
        ).fetchone()
        assert counted[0] == counted[1]


def test_tags_are_kept_apart_as_the_process_was_told(ledger):
    """Two processes that name other tags share the ledger; the sum is that of both."""
    for tags in ((), ("user",), TOTAL_TAGS):
        writer = Writer.of_file(ledger, total_tags=tags)
        writer.put(record())
        assert writer.close(10)
    found = _rows(ledger, "tags", "calls")
    assert found == [('{"feature":"search"}', 1), ('{"user":"u1"}', 1), ("{}", 1)]


def test_calls_that_wait_to_be_sent_on_are_not_totalled(ledger):
    """An outbox keeps no totals: they are the server's."""
    writer = Writer(lambda: FileStore(ledger), "outbox", total_tags=None)
    writer.put(record())
    assert writer.close(10)
    assert _rows(ledger, "calls") == []


def test_refused_calls_are_counted_with_what_they_would_have_cost(ledger):
    """A running total of each budget: calls it blocked, dollars it avoided; repeated, nothing changes."""
    refused = line(250, limit=100)
    blocked = [record(status="blocked", cost=None, usage={}, usage_state="none") for _ in range(2)]
    for _ in range(2):
        writer = Writer.of_file(ledger)
        for each in blocked:
            writer.put(each, Settlement(None, (), (), refused))
        assert writer.close(10)
    with looking(ledger) as connection:
        assert connection.execute("SELECT budget, calls, avoided_nano FROM refusals").fetchall() == [
            (refused.budget.name, 2, 500)
        ]


def test_an_older_ledger_gets_its_totals(ledger):
    """Migrated, calls and daily totals of before are in the running totals, and `verify` finds nothing."""
    ledger.parent.mkdir(parents=True)
    with closing(sqlite3.connect(ledger, isolation_level=None)) as old:
        for version in range(2):
            for statement in schema.MIGRATIONS[version]:
                old.execute(statement)
        old.execute("PRAGMA user_version = 2")
        columns = [name for name in schema.CALL_COLUMNS if not name.endswith("_saved_nano")]
        for each in sample():
            values = dict(zip(schema.CALL_COLUMNS, row(each), strict=True))
            old.execute(
                f"INSERT INTO calls ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                [values[name] for name in columns],
            )
    FileStore(ledger).close()
    with looking(ledger) as connection:
        assert [*verify.findings(connection, time.time_ns())] == []
        (calls,) = connection.execute("SELECT sum(calls) FROM totals").fetchone()
        assert calls == len(sample())
    write(ledger, record())


def test_verify_finds_and_repairs_a_total_that_is_wrong(ledger):
    """A total that lost something is found with what is missing, and `repair` adds it and says so."""
    write(ledger, record(), record())
    with closing(sqlite3.connect(ledger, isolation_level=None)) as raw:
        raw.execute("UPDATE totals SET cost_nano = cost_nano - 5, calls = 1")
    with looking(ledger) as connection:
        (finding,) = verify.findings(connection, time.time_ns())
    assert (finding.level, finding.kind) == (verify.WRONG, "total")
    assert "-1 calls" in finding.stored
    assert "-5 cost_nano" in finding.stored
    with closing(FileStore(ledger)) as store:
        with store.transaction() as connection:
            assert verify.repair(connection, "tester", time.time_ns()) == 1
        with store.transaction() as connection:
            assert verify.repair(connection, "tester", time.time_ns()) == 0
    with looking(ledger) as connection:
        assert [*verify.findings(connection, time.time_ns())] == []
        ((kind, became),) = connection.execute("SELECT kind, became FROM events").fetchall()
    assert kind == "total_repaired"
    assert "+1 calls" in became


def test_tags_that_are_no_plain_words_survive(ledger):
    """Quotes, backslashes and other scripts in a tag are the same after a round trip."""
    odd = 'a "b" \\ ü 日本'
    write(ledger, record(tags={"team": odd}))
    assert json.loads(_only(ledger)["tags"]) == {"team": odd}


def test_many_kinds_of_change_share_few_statements():
    """A statement names the columns that change and no other: what is 0 is not written."""
    statement = totals._upsert(("calls", "cost_nano", "last_trace_id"))
    assert "cost_nano = totals.cost_nano + excluded.cost_nano" in statement
    assert "last_trace_id = excluded.last_trace_id" in statement
    assert "input_tokens" not in statement
