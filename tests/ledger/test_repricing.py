"""Calls that are priced again: in a file and on a server, with their budgets, totals and trail."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from budgets.lines import line, taking
from ledgers import TOTAL_TAGS, at, fill, write
from otel_aicost import repricing
from otel_aicost.budgets.budget import Plan
from otel_aicost.budgets.reading import parse
from otel_aicost.budgets.window import window_at
from otel_aicost.config import server
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import adjustments, schema, verify
from otel_aicost.ledger.adjustments import Run
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.limits import note_definitions
from otel_aicost.ledger.opening import changing, looking, opener
from otel_aicost.ledger.outbox import OutboxStore
from otel_aicost.ledger.posting import Posted, post
from otel_aicost.ledger.row import row
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.stored_calls import Which, pages
from otel_aicost.model import Cost, Unpriced
from otel_aicost.pipeline import FREE
from otel_aicost.repricing import Repricing, foreseen
from postgres import cluster, database  # noqa: F401 - fixtures
from price_lists import call, catalogue, pricing
from records import cost, record

DAY = at("2026-11-21")
HOUR = 3600 * 10**9


@pytest.fixture(params=["file", "server"])
def place(request, tmp_path):
    """Where a ledger is: a file, then a server."""
    if request.param == "file":
        return tmp_path / "ledger.db"
    return server(request.getfixturevalue("database"), tmp_path / "outbox.db")


def kept(place, *records, fold_before=None):
    """A ledger of these calls."""
    with closing(opener(place)()) as store:
        fill(store, *records, fold_before=fold_before)


EVERY = Which()


def reprice(place, by, which=EVERY, **more):
    """What a run found, with the prices `by`."""
    return Repricing(place, which, by, TOTAL_TAGS, **more).reprice(lambda _: None, lambda _: None)


def asked(place, sql, *parameters):
    """Rows of a ledger, sums as whole numbers."""
    with looking(place) as connection:
        rows = connection.execute(sql, parameters).fetchall()
    return [tuple(int(value) if isinstance(value, Decimal) else value for value in row) for row in rows]


def differences(place):
    """What does not agree."""
    with looking(place) as connection:
        return [finding.text for finding in verify.findings(connection, time.time_ns())]


def test_a_call_without_a_price_gets_one(place):
    """The row has the cost, its parts and its price; the trail has what was, what became of it, who, why and when."""
    before = time.time_ns()
    kept(place, one := call())
    found = reprice(place, pricing(("gpt-9", "3.00"), version="v2"), reason="it was missing")
    (group,) = found.groups.values()
    assert (group.calls, group.repriced, group.newly_priced) == (1, 1, 1)
    assert (group.was_known, group.known, dict(group.unpriced)) == (None, 3 * 10**9, {})
    columns = ", ".join(schema.PRICED)
    (now,) = asked(place, f"SELECT {columns} FROM calls WHERE id = ?", one.id)
    parts = '[["input_tokens",1000000,"3.00",1000000,3000000000]]'
    assert now == (3 * 10**9, "user", "openai/gpt-9", "2020-01-01", "v2", None, None, parts, 0, 0)
    was = ", ".join(f"was_{column}" for column in schema.PRICED)
    ((*trail, at_ns),) = asked(place, f"SELECT call_id, number, reason, {was}, {columns}, at_ns FROM adjustments")
    unpriced = (None, None, None, None, None, "unknown_model", "no price for gpt-9", "[]", 0, 0)
    assert tuple(trail) == (one.id, 1, "it was missing", *unpriced, *now)
    assert before <= at_ns <= time.time_ns()
    assert differences(place) == []


def test_a_second_run_changes_nothing(place):
    """What costs what it should is left alone: no adjustment, no event, no total is written again."""
    kept(place, *(call() for _ in range(3)), call("gpt-8", by=catalogue(("gpt-8", "1.00"))))
    prices = pricing(("gpt-9", "3.00"), ("gpt-8", "2.00"))
    assert reprice(place, prices).total.repriced == 4
    tables = ("calls", "totals", "repriced", "adjustments", "events")
    before = [asked(place, f"SELECT * FROM {table} ORDER BY 1") for table in tables]
    again = reprice(place, prices)
    assert (again.total.repriced, again.total.nano) == (0, 11 * 10**9)
    assert [asked(place, f"SELECT * FROM {table} ORDER BY 1") for table in tables] == before


def test_one_event_tells_of_a_run(place):
    """Who repriced how many calls, from what to what, and why."""
    kept(place, call(), call(), call("gpt-8", by=catalogue(("gpt-8", "1.00"))), call("gpt-7"))
    run = Repricing(place, Which(), pricing(("gpt-9", "3.00"), ("gpt-8", "2.00")), (), "the new contract")
    run.reprice(lambda _: None, lambda _: None)
    ((kind, subject, was, became),) = asked(place, "SELECT kind, subject, was, became FROM events")
    assert (kind, subject) == ("calls_repriced", f"reprice {run.run}")
    assert was == "4 calls: 1.00 USD, 3 unpriced"
    assert became == "8.00 USD, 1 unpriced; 3 calls repriced; reason: the new contract"


def test_what_must_not_change_stays(place):
    """Costs that the provider stated, free endpoints, failed and unread calls, and prices no list of now has."""
    stated = Cost(Decimal("0.5"), (), "provider")
    kept(
        place,
        call(cost=stated, unpriced=None),
        call(cost=FREE, unpriced=None),
        call(status="error", usage={}, usage_state="none", unpriced=None),
        call(usage={}, usage_state="unread", unpriced=Unpriced("no_usage", "the body was never read")),
        call(usage={}, usage_state="invalid", unpriced=Unpriced("invalid_usage", "absurd")),
        call("gpt-old", by=catalogue(("gpt-old", "7.00"))),
        call("gpt-8"),
    )
    before = asked(place, "SELECT * FROM calls ORDER BY id")
    found = reprice(place, pricing(("gpt-9", "3.00")))
    assert asked(place, "SELECT * FROM calls ORDER BY id") == before
    assert found.total.repriced == 0
    assert found.kept == {repricing.STATED: 1, repricing.FREE_ENDPOINT: 1, repricing.NO_PRICE_NOW: 1}
    assert found.total.unpriced == {"no_usage": 1, "invalid_usage": 1, "unknown_model": 1}


def test_prices_of_a_file_that_is_not_in_use_are_not_lost(tmp_path):
    """Without the user's file, a call that it priced is not repriced by the lists below it."""
    path = write(tmp_path / "ledger.db", call("gpt-9", by=catalogue(("gpt-9", "3.00"))))
    found = reprice(path, repricing.Pricing(catalogue(("gpt-9", "9.00")), own_file=False))
    assert (found.total.repriced, found.kept) == (0, {repricing.OTHER_FILE: 1})


def test_usage_conditions_and_time_are_those_of_the_call(tmp_path):
    """Fractions of a second, a batch, cached tokens and the price of the day: as if it were priced when it was made."""
    prices = catalogue(("gpt-9", "3.00"), ("gpt-9-mini", "1.00", "2026-11-10"))
    usage = {"input_tokens": 1_000_000, "cache_read_tokens": 400_000, "output_tokens": Decimal("0.5")}
    records = [
        call(usage=usage),
        call(conditions={"service_tier": "flex"}),
        call("gpt-9-mini", started_ns=at("2026-11-09")),
        call("gpt-9-mini", started_ns=at("2026-11-10")),
        call("gpt-9-mini", response_model="gpt-9", started_ns=at("2026-11-09")),
    ]
    path = write(tmp_path / "ledger.db", *records)
    found = reprice(path, repricing.Pricing(prices, own_file=True))
    expected = [prices.price("openai", ("gpt-9",), usage, {}, records[0].started_ns)]
    got = dict(asked(path, "SELECT id, cost_nano FROM calls"))
    assert [got[each.id] for each in records] == [int(expected[0].total * 10**9), None, None, 10**9, 3 * 10**9]
    ((saved,),) = asked(path, "SELECT cache_saved_nano FROM calls WHERE id = ?", records[0].id)
    assert saved == expected[0].cache_saved_nano == 1_080_000_000
    assert found.total.unpriced == {"unpriced_condition": 1, "no_price_at_date": 1}


@pytest.mark.parametrize(("provider", "dollars"), [("openai", 1), ("gcp.vertex_ai", 3), ("aws.bedrock", 3)])
def test_the_name_that_decides_is_the_one_that_decided_then(tmp_path, provider, dollars):
    """The response's model before the request's; for providers whose response does not tell, the other way round."""
    names = {"provider": provider, "response_model": "answered"}
    path = write(tmp_path / "ledger.db", call("asked", **names))
    reprice(path, pricing(("asked", "3.00"), ("answered", "1.00"), provider=f'"{provider}"'))
    assert asked(path, "SELECT cost_nano FROM calls") == [(dollars * 10**9,)]


def test_only_the_calls_asked_for(place):
    """By day, provider, a pattern of models, and those without a price."""
    prices = pricing(("gpt-9", "3.00"), ("gpt_9", "3.00"))
    old = catalogue(("gpt-9", "1.00"))
    wanted = call(started_ns=DAY)
    others = (
        call(started_ns=DAY - 1),
        call(started_ns=DAY + 24 * HOUR),
        call(started_ns=DAY, provider="groq"),
        call("gpt_9", started_ns=DAY),
        call(by=old, started_ns=DAY),
    )
    kept(place, wanted, *others)
    which = Which(DAY, DAY + 24 * HOUR, "openai", "gpt-%", unpriced=True)
    assert reprice(place, prices, which).total.calls == 1
    assert asked(place, "SELECT call_id FROM adjustments") == [(wanted.id,)]


def test_a_call_repriced_twice_is_explained_twice(place):
    """Each adjustment begins where the last one ended, and the first holds what the call was written with."""
    kept(place, call(by=catalogue(("gpt-9", "2.00"))))
    reprice(place, pricing(("gpt-9", "5.00")))
    reprice(place, pricing(("gpt-9", "1.00")))
    rows = asked(place, "SELECT number, was_cost_nano, cost_nano FROM adjustments ORDER BY number")
    assert rows == [(1, 2 * 10**9, 5 * 10**9), (2, 5 * 10**9, 10**9)]
    assert asked(place, "SELECT raised_nano, lowered_nano, calls FROM repriced") == [(3 * 10**9, 4 * 10**9, 2)]
    assert differences(place) == []


def test_looking_writes_nothing(tmp_path):
    """A dry run gives the same table from a file that nobody may write, and not a byte of it changes."""
    path = write(tmp_path / "ledger.db", *(call() for _ in range(1200)))
    before = path.read_bytes()
    path.chmod(0o400)
    counted, steps = [], []
    found = foreseen(path, Which(), pricing(("gpt-9", "3.00")), counted.append, steps.append)
    assert (found.total.repriced, found.total.nano) == (1200, 3600 * 10**9)
    assert (counted, steps) == ([1200], [500, 500, 200])
    assert path.read_bytes() == before
    path.chmod(0o600)
    done = reprice(path, pricing(("gpt-9", "3.00")))
    assert done.groups == found.groups


def test_folded_calls_are_told_and_left(place):
    """Daily totals hold no conditions: their calls are counted, and stay as they are."""
    kept(place, call(started_ns=DAY - 48 * HOUR), call(started_ns=DAY - 48 * HOUR, cost=cost(), unpriced=None), call(started_ns=DAY), fold_before="2026-11-21")  # fmt: skip
    prices = pricing(("gpt-9", "3.00"))
    assert reprice(place, prices).folded == (2, 1)
    assert reprice(place, prices, Which(since_ns=DAY)).folded == (0, 0)
    assert reprice(place, prices, Which(until_ns=DAY, model="gpt-9", unpriced=True)).folded == (1, 1)
    assert differences(place) == []


def test_what_was_repriced_may_be_folded(place):
    """A daily total of repriced calls is that of calls that always cost so; all agrees before and after."""
    kept(place, call(started_ns=DAY), call(started_ns=DAY, by=catalogue(("gpt-9", "5.00"))))
    reprice(place, pricing(("gpt-9", "3.00")))
    with closing(opener(place)()) as store:
        assert store.fold(DAY + HOUR, 10) == 2
    assert asked(place, "SELECT calls, cost_nano, unpriced FROM rollups") == [(2, 6 * 10**9, None)]
    assert differences(place) == []


def test_verify_tells_a_cost_that_no_adjustment_explains(tmp_path):
    """A repriced call whose row was changed past the trail, and a trail that was cut, are found."""
    path = write(tmp_path / "ledger.db", call())
    reprice(path, pricing(("gpt-9", "3.00")))
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("UPDATE calls SET cost_nano = 7")
    assert [text.partition(":")[0] for text in differences(path)] == ["total", "adjustment"]
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("DELETE FROM adjustments")
    assert [text.partition(":")[0] for text in differences(path)] == ["total", "adjustment"]


PRICES = st.sampled_from(["0.00", "0.50", "1.00", "2.50"])
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([None, "0.00", "1.00", "2.00"]),
        st.integers(0, 3),
        st.integers(0, 1000),
        st.booleans(),
        st.dictionaries(st.sampled_from(["feature", "user"]), st.sampled_from(["x", "y"])),
    ),
    min_size=1,
    max_size=12,
)
RUNS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), PRICES, min_size=1), min_size=1, max_size=3)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(calls=CALLS, runs=RUNS, fold=st.integers(0, 4))
def test_whatever_is_repriced_all_agrees(tmp_path_factory, calls, runs, fold):
    """Any calls, any prices, several runs, some calls folded in between: every total is the sum of its calls."""
    path = tmp_path_factory.mktemp("repricing") / "ledger.db"
    records = [
        call(
            model,
            by=None if price is None else catalogue((model, price)),
            started_ns=DAY + days * 24 * HOUR,
            usage={"input_tokens": 1000 + cached, "cache_read_tokens": cached, "output_tokens": 7},
            estimated=estimated,
            tags=tags,
        )
        for model, price, days, cached, estimated, tags in calls
    ]
    with closing(FileStore(path)) as store:
        fill(store, *records)
    for number, prices in enumerate(runs):
        found = reprice(path, pricing(*prices.items()))
        assert differences(path) == []
        ((nano,),) = asked(path, "SELECT coalesce(sum(cost_nano), 0) FROM calls")
        assert found.total.nano == nano
        if number == 0 and fold:
            with closing(FileStore(path)) as store:
                store.fold(DAY + fold * 24 * HOUR, 100)
            assert differences(path) == []


# --- budgets --------------------------------------------------------------------------------------------------


BUDGETS = b"""budgets:
  - {name: day, limit: 10 USD, period: day, alert_at: [0.5, 1]}
  - {name: per-user, per: [user], limit: 100 USD, period: forever}
  - {name: last-hours, limit: 10 USD, period: rolling 12h, alert_at: [0.9]}
"""


@pytest.fixture
def held(place):
    """Write a call, held against every budget of the file with `nano` in its entries."""
    plan = Plan(parse(BUDGETS, "x").budgets)
    with closing(opener(place)()) as store, store.transaction() as connection:
        note_definitions(connection, plan, "me", 1)

    def hold(one, nano=0):
        lines = []
        for budget in plan.budgets:
            window = window_at(budget.period, one.started_ns // 10**9, repricing.UTC)
            key = one.tags["user"] if budget.per else ""
            lines.append(taking(line(name=budget.name, key=key, window=window, period=budget.period), nano, 1_000_000))
        with closing(opener(place)()) as store, store.transaction() as connection:
            post(store, connection, [Posted(row(one), Settlement(None, tuple(lines)))], tags=TOTAL_TAGS)

    return hold


def test_budgets_follow(place, held):
    """Entries and balances hold what the calls cost, up and down, in the window of the call's own time."""
    now = time.time_ns()
    held(call(started_ns=now - 1000), 0)
    held(call("gpt-8", by=catalogue(("gpt-8", "8.00")), started_ns=now), 8 * 10**9)
    held(call(started_ns=DAY - 480 * HOUR), 5 * 10**8)  # assumed, when it was not known
    reprice(place, pricing(("gpt-9", "3.00"), ("gpt-8", "2.00")))
    sql = "SELECT budget, key, sum(spent_nano), sum(spent_tokens), sum(spent_calls) FROM budget_windows GROUP BY 1, 2 ORDER BY 1"
    assert asked(place, sql) == [
        ("day", "", 8 * 10**9, 3_000_000, 3),
        ("last-hours", "", 8 * 10**9, 3_000_000, 3),
        ("per-user", "u1", 8 * 10**9, 3_000_000, 3),
    ]
    old = "SELECT spent_nano FROM budget_windows WHERE budget = 'day' ORDER BY window_id LIMIT 1"
    assert asked(place, old) == [(3 * 10**9,)]
    ((trail,),) = asked(place, "SELECT budgets FROM adjustments WHERE was_unpriced IS NULL")
    assert [each[0] for each in json.loads(trail)] == ["day", "last-hours", "per-user"]
    assert {tuple(each[-2:]) for each in json.loads(trail)} == {(8 * 10**9, 2 * 10**9)}
    assert differences(place) == []


def test_a_threshold_that_is_crossed_now_is_an_alert_once(place, held):
    """A window that counts warns of its highest share; one that is over is put right and warns nobody."""
    held(call(started_ns=time.time_ns()))
    held(call(started_ns=DAY - 480 * HOUR))
    found = reprice(place, pricing(("gpt-9", "9.00")))
    told = [(alert.line.budget.name, alert.share) for alert in found.alerts]
    assert told == [("day", Decimal("0.5")), ("last-hours", Decimal("0.9"))]
    rows = asked(place, "SELECT budget, kind, severity FROM alerts ORDER BY budget")
    assert rows == [("day", "threshold_reached", "info"), ("last-hours", "threshold_reached", "warning")]
    again = reprice(place, pricing(("gpt-9", "9.50")))
    assert (again.total.repriced, again.alerts) == (2, [])
    assert [alert.share for alert in reprice(place, pricing(("gpt-9", "10.00"))).alerts] == [1, 1]
    assert differences(place) == []


def test_a_refused_call_stays_refused(place, held):
    """The entry of a call that was not sent holds nothing, whatever calls like it cost."""
    one = call(status="blocked", usage={}, usage_state="none", unpriced=None, started_ns=time.time_ns())
    with closing(opener(place)()) as store, store.transaction() as connection:
        refused = line(name="day")
        post(store, connection, [Posted(row(one), Settlement(None, (), refused=refused))], tags=())
    held(call(started_ns=time.time_ns()))
    reprice(place, pricing(("gpt-9", "3.00")))
    assert asked(place, "SELECT nano, calls FROM budget_entries WHERE call_id = ?", one.id) == [(0, 0)]
    assert differences(place) == []


# --- others at the same time ------------------------------------------------------------------------------------


def test_a_call_that_changed_meanwhile_is_left_alone(place):
    """What was read before somebody else repriced the call, or folded it, is not written over."""
    kept(place, call(started_ns=DAY), call(started_ns=DAY + 1), call(started_ns=DAY + HOUR))
    with looking(place) as connection:
        (read,) = pages(connection, Which())
    late = [verdict.change for verdict in map(pricing(("gpt-9", "9.00")).judge, read)]
    reprice(place, pricing(("gpt-9", "3.00")), Which(until_ns=DAY + 1))
    with closing(changing(place)) as store:
        store.fold(DAY + 2, 1)  # the first, which was repriced
        applied = adjustments.apply(store, late, Run("r", "me", None), TOTAL_TAGS)
    assert [change.call.id for change in applied.changes] == [each.id for each in read[1:]]
    assert asked(place, "SELECT DISTINCT cost_nano FROM calls") == [(9 * 10**9,)]
    assert differences(place) == []


def test_two_runs_and_writers_at_once(place, held):
    """Two that reprice the same calls while others are written: each call is repriced once, and all agrees."""
    kept(place, *(call(id=f"old-{number}") for number in range(1500)))
    held(call(started_ns=time.time_ns()))
    errors = []

    def guarded(work):
        def run():
            try:
                work()
            except Exception as error:  # noqa: BLE001 - of a thread, for the test
                errors.append(error)

        return threading.Thread(target=run)

    def write_more():
        with closing(opener(place)()) as store:
            for number in range(40):
                fill(store, call("gpt-8", id=f"new-{number}", by=catalogue(("gpt-8", "1.00"))))
                held(call(id=f"held-{number}", started_ns=time.time_ns()))

    threads = [guarded(write_more), *(guarded(lambda: reprice(place, pricing(("gpt-9", "3.00")))) for _ in range(2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    reprice(place, pricing(("gpt-9", "3.00")))
    assert asked(place, "SELECT count(*), count(DISTINCT call_id) FROM adjustments") == [(1541, 1541)]
    assert asked(place, "SELECT count(*) FROM calls WHERE unpriced IS NOT NULL") == [(0,)]
    assert differences(place) == []


KILLED = """
import sys
from pathlib import Path
from otel_aicost.config import server
from otel_aicost.ledger import stored_calls
from otel_aicost.ledger.stored_calls import Which
from otel_aicost.repricing import Repricing
from price_lists import pricing
stored_calls.PAGE = 20
place = Path(sys.argv[1]) if len(sys.argv) == 2 else server(sys.argv[1], Path(sys.argv[2]))
run = Repricing(place, Which(), pricing(("gpt-9", "3.00")), ("feature",))
run.reprice(lambda _: None, lambda _: print("page", flush=True))
"""


def test_a_run_that_is_killed_leaves_whole_pages(place, held, spawn, long):
    """However often it is killed, each call is repriced with its budgets and totals or not at all; a last run ends it."""
    kept(place, *(call(id=f"{number:05}") for number in range(1000)))
    for number in range(40):
        held(call(id=f"held-{number}", started_ns=time.time_ns() - number * 10**9))
    where = [place] if not hasattr(place, "url") else [place.url, place.outbox]
    for turn in range(30 if long else 4):
        child = spawn(KILLED, *where)
        for _ in range(1 + turn % 3):
            child.stdout.readline()
        time.sleep(0.0007 * turn)
        child.send_signal(signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            child.wait(10)
        assert differences(place) == []
    done = asked(place, "SELECT count(*) FROM adjustments")[0][0]
    assert done > 0
    found = reprice(place, pricing(("gpt-9", "3.00")))
    assert found.total.repriced == 1040 - done
    assert asked(place, "SELECT count(*), count(DISTINCT call_id) FROM adjustments") == [(1040, 1040)]
    assert differences(place) == []


def test_a_ledger_that_stays_locked_is_said(tmp_path, monkeypatch):
    """While another process holds the file nothing is repriced; after some tries that is an error, and nothing is half."""
    path = write(tmp_path / "ledger.db", call())
    monkeypatch.setattr(repricing, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("otel_aicost.ledger.opening.BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="locked"):
            reprice(path, pricing(("gpt-9", "3.00")))
        other.execute("ROLLBACK")
    assert asked(path, "SELECT count(*) FROM adjustments") == [(0,)]
    assert reprice(path, pricing(("gpt-9", "3.00"))).total.repriced == 1


def test_an_outbox_is_not_repriced(tmp_path):
    """What waits to be sent is repriced on the server: its budgets are not settled here."""
    path = tmp_path / "outbox.db"
    with closing(OutboxStore(path)) as store:
        store.insert([row(call())])
    for work in (reprice, lambda *those: foreseen(*those[:1], Which(), those[1], print, print)):
        with pytest.raises(LedgerError, match="outbox"):
            work(path, pricing(("gpt-9", "3.00")))


def test_a_call_that_is_sent_again_stays_repriced(place, held):
    """The same call out of an outbox, once more, changes neither its cost nor its budgets."""
    one = call(started_ns=time.time_ns())
    held(one)
    reprice(place, pricing(("gpt-9", "3.00")))
    held(one)
    assert asked(place, "SELECT cost_nano FROM calls") == [(3 * 10**9,)]
    assert asked(place, "SELECT DISTINCT spent_nano FROM budget_windows") == [(3 * 10**9,)]
    assert differences(place) == []


def test_an_older_ledger_gets_the_tables(tmp_path):
    """A ledger of version 3 is migrated with its calls, and can be repriced then."""
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for version in schema.MIGRATIONS[:3]:
            for statement in version:
                raw.execute(statement)
        raw.execute("PRAGMA user_version = 3")
        one = call()
        columns = ", ".join(schema.CALL_COLUMNS)
        raw.execute(f"INSERT INTO calls ({columns}) VALUES ({', '.join('?' * len(schema.CALL_COLUMNS))})", row(one))
    with pytest.raises(LedgerError, match="migrate"):
        reprice(path, pricing(("gpt-9", "3.00")))
    changing(path, migrate=True).close()
    assert reprice(path, pricing(("gpt-9", "3.00"))).total.repriced == 1


def test_amounts_that_no_row_may_hold_are_refused(tmp_path):
    """A price that makes a call cost more than ten million dollars leaves it unpriced."""
    path = write(tmp_path / "ledger.db", call(usage={"input_tokens": 10**12, "output_tokens": 0}))
    found = reprice(path, pricing(("gpt-9", "30.00")))
    assert (found.total.repriced, found.total.unpriced) == (0, {"pricing_failed": 1})


def test_estimates_stay_estimates(tmp_path):
    """An estimated call is repriced as what it is, and its total counts as estimated."""
    path = write(tmp_path / "ledger.db", replace(call(), estimated=True), record())
    reprice(path, pricing(("gpt-9", "3.00")))
    assert asked(path, "SELECT estimated FROM calls WHERE model = 'gpt-9'") == [(1,)]
    assert asked(path, "SELECT estimated_nano, raised_nano FROM repriced") == [(3 * 10**9, 3 * 10**9)]
