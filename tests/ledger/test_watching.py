"""The monitors on a real ledger: which calls they look at, in which window, and what they raise."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from alerts.raised import reached
from ledgers import write
from otel_aicost.alerts.settings import AlertSettings, ExpensiveModels, LowCacheShare, SpendSpike
from otel_aicost.ledger import watching
from otel_aicost.ledger.alerts import raise_alert
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.visits import Visits
from otel_aicost.model import Unpriced
from otel_aicost.observers.watch import check
from records import cost, record

BERLIN = ZoneInfo("Europe/Berlin")
QUIET = AlertSettings(unpriced_calls=False, stale_days=None, timezone="Europe/Berlin")
SECOND = 10**9


def ns(text, zone=BERLIN):
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * SECOND


NOW = ns("2026-11-21T10:30:00")


def call(at, dollars="1", **fields):
    return record(
        started_ns=ns(at) if isinstance(at, str) else at, cost=None if dollars is None else cost(dollars), **fields
    )


def look(ledger, settings, now_ns=NOW):
    with closing(FileStore(ledger)) as store, store.reading() as connection:
        return watching.look(connection, settings, now_ns)


def raised(ledger, settings, now_ns=NOW):
    return check(Visits(lambda: FileStore(ledger)), settings, now_ns)


def test_what_was_raised_is_not_found_again(ledger):
    """A second look, and another process, say nothing of it."""
    write(ledger, call("2026-11-21T10:00:00", None, unpriced=Unpriced("unknown_model", "?")))
    assert [row.kind for row in raised(ledger, AlertSettings())] == ["unpriced_calls"]
    assert look(ledger, AlertSettings()) == raised(ledger, AlertSettings()) == []


def test_an_empty_ledger_is_no_reason_to_warn(ledger):
    """With every monitor on."""
    FileStore(ledger).close()
    settings = AlertSettings(
        daily_summary=0,
        low_cache_share=LowCacheShare(Decimal(1), 1),
        expensive_models=ExpensiveModels(("*",), Decimal("0.1"), 0),
        spend_spike=SpendSpike(Decimal(2), 0),
    )
    assert look(ledger, settings) == []


@pytest.mark.parametrize(
    ("at", "found"),
    [
        ("2026-11-19T23:59:59", []),
        ("2026-11-20T00:00:00", ["2026-11-20"]),
        ("2026-11-20T23:59:59", ["2026-11-20"]),
        ("2026-11-21T00:00:00", ["2026-11-21"]),
        ("2026-11-21T10:30:00", ["2026-11-21"]),
    ],
)
def test_unpriced_calls_of_today_and_yesterday(ledger, at, found):
    """Yesterday as well: nobody may have looked in its last minutes."""
    write(ledger, call(at, None, unpriced=Unpriced("unknown_model", "?")), call("2026-11-21T10:00:00"))
    rows = look(ledger, AlertSettings(stale_days=None, timezone="Europe/Berlin"))
    assert [json.loads(row.details)["day"] for row in rows] == found


def test_unpriced_calls_can_be_left_out(ledger):
    """By `unpriced_calls: false`."""
    write(ledger, call("2026-11-21T10:00:00", None, unpriced=Unpriced("unknown_model", "?")))
    assert look(ledger, QUIET) == []


def priced_with(at, catalogue):
    priced = call(at)
    import dataclasses

    return dataclasses.replace(priced, cost=dataclasses.replace(priced.cost, catalogue=catalogue))


def test_stale_prices_are_those_of_the_last_day(ledger):
    """A catalogue that was in use the day before yesterday says nothing of the one of today."""
    settings = AlertSettings(unpriced_calls=False, stale_days=10, timezone="Europe/Berlin")
    write(
        ledger,
        priced_with("2026-11-20T10:29:59", "x + supplement 2026-11-20"),
        priced_with("2026-11-20T10:30:00", "x + supplement 2026-11-10"),
    )
    (row,) = look(ledger, settings)
    assert json.loads(row.details) == {
        "catalogue": "x + supplement 2026-11-10",
        "checked": "2026-11-10",
        "age_days": 11,
    }
    assert look(ledger, AlertSettings(unpriced_calls=False, stale_days=11)) == []


def cached(at, read, tokens=2000, **fields):
    return call(at, usage={"input_tokens": tokens, "cache_read_tokens": read, "output_tokens": 5}, **fields)


def test_the_cache_share_is_that_of_yesterday(ledger):
    """Of calls whose prompts could have been cached, by model; embeddings have no cache."""
    settings = AlertSettings(
        unpriced_calls=False,
        stale_days=None,
        timezone="Europe/Berlin",
        low_cache_share=LowCacheShare(Decimal("0.5"), 2),
    )
    write(
        ledger,
        cached("2026-11-20T00:00:00", 100),
        cached("2026-11-20T23:59:59", 900),
        cached("2026-11-20T12:00:00", 0, tokens=1023),  # too short to be cached
        cached("2026-11-19T23:59:59", 2000),
        cached("2026-11-21T00:00:00", 2000),
        cached("2026-11-20T12:00:00", 0, operation="embeddings", request_model="e", response_model="e"),
        cached("2026-11-20T12:00:01", 0, operation="embeddings", request_model="e", response_model="e"),
        cached("2026-11-20T12:00:00", 0, request_model="rare", response_model="rare"),
        cached("2026-11-20T12:00:00", 1000, request_model="good", response_model="good"),
        cached("2026-11-20T12:00:00", 1000, request_model="good", response_model="good"),
    )
    (row,) = look(ledger, settings)
    told = json.loads(row.details)
    assert (told["model"], told["calls"], told["share"], told["day"]) == (
        "gpt-4o-2024-08-06",
        2,
        "0.2500",
        "2026-11-20",
    )


def test_the_expensive_share_is_that_of_24_hours(ledger):
    """A call that began a second earlier is not in it."""
    settings = AlertSettings(
        unpriced_calls=False,
        stale_days=None,
        timezone="Europe/Berlin",
        expensive_models=ExpensiveModels(("gpt-5*",), Decimal("0.5"), 1),
    )
    dear = {"request_model": "gpt-5", "response_model": "gpt-5"}
    write(
        ledger,
        call("2026-11-20T10:29:59", "100", **dear),
        call("2026-11-20T10:30:00", "2", **dear),
        call("2026-11-21T10:00:00", "1"),
    )
    (row,) = look(ledger, settings)
    assert (json.loads(row.details)["spent"], json.loads(row.details)["total"]) == ("2.00", "3.00")


SPIKE = AlertSettings(
    unpriced_calls=False, stale_days=None, timezone="Europe/Berlin", spend_spike=SpendSpike(Decimal(3), 10**9)
)


def week(hour, dollars="1", days=range(1, 8), today="2026-11-21"):
    """A call in an hour of each of the days before."""
    day = datetime.fromisoformat(today)
    return [call(f"{day - timedelta(days=back):%Y-%m-%d}T{hour}:15:00", dollars) for back in days]


@pytest.mark.parametrize(
    ("now", "spent_at", "dollars", "hours"),
    [
        ("10:30:00", "10:00:00", "3", []),
        ("10:30:00", "10:00:00", "3.000000001", ["2026-11-21T10+0100"]),
        ("10:30:00", "10:29:59", "4", ["2026-11-21T10+0100"]),
        ("11:02:00", "10:59:59", "4", ["2026-11-21T10+0100"]),
        ("12:00:00", "10:59:59", "4", []),
    ],
)
def test_an_hour_is_held_against_the_same_hour_of_the_week(ledger, now, spent_at, dollars, hours):
    """The one that goes on, and the one before, whose last minutes nobody has looked at."""
    write(ledger, *week("10"), *week("11"), call(f"2026-11-21T{spent_at}", dollars))
    rows = look(ledger, SPIKE, ns(f"2026-11-21T{now}"))
    assert [json.loads(row.details)["hour"] for row in rows] == hours


def test_days_before_the_ledger_are_not_zero(ledger):
    """A ledger of three days has a usual hour of three days; one of two days has none."""
    spike = call("2026-11-21T10:10:00", "4")
    write(ledger, call("2026-11-18T09:00:00", "0.000000001"), *week("10", days=range(1, 4)), spike)
    (row,) = look(ledger, SPIKE)
    assert (json.loads(row.details)["days"], json.loads(row.details)["usual"]) == (3, "1.00")


def test_a_young_ledger_has_no_usual_hour(ledger):
    """Two days are not enough."""
    write(ledger, *week("10", days=range(1, 3)), call("2026-11-21T10:10:00", "400"))
    assert look(ledger, SPIKE) == []


def test_quiet_days_count_as_quiet(ledger):
    """An hour in which nothing is ever spent is one where much is a surprise."""
    write(ledger, call("2026-11-10T10:00:00", "1"), call("2026-11-21T10:10:00", "1"))
    assert [row.kind for row in look(ledger, SPIKE)] == ["spend_spike"]


def test_the_same_hour_is_the_one_on_the_clock(ledger):
    """Across a change of the clock: 10 o'clock of Berlin is 9 UTC on one day and 8 on the other."""
    today = "2026-10-27"
    write(ledger, call("2026-10-01T00:00:00"), *week("10", today=today), call(f"{today}T10:10:00", "3"))
    assert look(ledger, SPIKE, ns(f"{today}T10:30:00")) == []
    write(ledger, call(f"{today}T10:11:00", "0.01"))
    (row,) = look(ledger, SPIKE, ns(f"{today}T10:30:00"))
    assert (json.loads(row.details)["days"], json.loads(row.details)["usual"]) == (7, "1.00")


def test_an_hour_that_was_skipped_is_no_quiet_one(ledger):
    """On the day the clock was set forward there was no two o'clock."""
    today = "2026-03-31"
    write(
        ledger,
        call("2026-03-01T00:00:00"),
        *week("02", today=today, days=(1, 3, 4, 5, 6, 7)),
        call(f"{today}T02:10:00", "9"),
    )
    (row,) = look(ledger, SPIKE, ns(f"{today}T02:30:00"))
    assert json.loads(row.details)["days"] == 6


SUMMARY = AlertSettings(unpriced_calls=False, stale_days=None, timezone="Europe/Berlin", daily_summary=8 * 60)


def test_the_summary_is_made_once_from_its_hour_on(ledger):
    """Not before, then once, also if nobody was there at that minute."""
    write(ledger, call("2026-11-20T12:00:00"))
    assert raised(ledger, SUMMARY, ns("2026-11-21T07:59:59")) == []
    (row,) = raised(ledger, SUMMARY, ns("2026-11-21T22:15:00"))
    assert row.fingerprint == "daily_summary|Europe/Berlin|2026-11-20"
    assert raised(ledger, SUMMARY, ns("2026-11-21T23:59:59")) == []
    assert raised(ledger, SUMMARY, ns("2026-11-22T07:59:59")) == []
    assert [row.title for row in raised(ledger, SUMMARY, ns("2026-11-22T08:00:00"))] == [
        "2026-11-21: 0.00 USD in 0 calls (the day before 1.00)"
    ]


def test_there_is_no_summary_of_days_before_the_first_call(ledger):
    """The first one comes after the first day."""
    write(ledger, call("2026-11-21T00:00:00"))
    assert look(ledger, SUMMARY) == []


def test_the_summary_adds_up(ledger):
    """Total, calls, who and what; blocked calls were not sent; the days before as far as the ledger goes."""
    write(
        ledger,
        call("2026-11-18T12:00:00", "2"),
        call("2026-11-19T23:59:59", "4"),
        call("2026-11-20T00:00:00", "1", tags={"user": "alice", "feature": "chat"}),
        call("2026-11-20T12:00:00", "5", tags={"user": "bob"}, request_model="o3", response_model="o3"),
        call("2026-11-20T23:59:59", "1.5", tags={"user": "alice", "feature": "mail"}),
        call("2026-11-20T13:00:00", None, unpriced=Unpriced("unknown_model", "?"), tags={}),
        call("2026-11-20T13:00:00", None, status="blocked", usage_state="none", usage={}),
        call("2026-11-21T00:00:00", "99"),
    )
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM calls ORDER BY started_ns").fetchall()]
        for budget, call_id, nano in (
            ("team", ids[2], 10**9),
            ("team", ids[3], 5 * 10**9),
            ("old", ids[1], 7),
            ("all", ids[3], 1),
        ):
            connection.execute(
                "INSERT INTO budget_entries VALUES (?, ?, '', 'w', ?, 1, 1, 0, 0, 0, 1)", (call_id, budget, nano)
            )
    (row,) = look(ledger, SUMMARY)
    assert (
        row.title
        == "2026-11-20: 7.50 USD in 4 calls (the day before 4.00, on average of 2 days 3.00); 1 of them without a known cost"
    )
    told = json.loads(row.details)
    assert told["budgets"] == [{"name": "team", "spent": "6.00"}, {"name": "all", "spent": "0.000000001"}]
    assert told["users"] == [{"name": "bob", "spent": "5.00"}, {"name": "alice", "spent": "2.50"}]
    assert told["features"] == [{"name": "mail", "spent": "1.50"}, {"name": "chat", "spent": "1.00"}]
    assert told["models"] == [
        {"name": "openai/o3", "spent": "5.00"},
        {"name": "openai/gpt-4o-2024-08-06", "spent": "2.50"},
    ]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_the_summary_of_a_day_with_a_change_of_the_clock(ledger, day, hours):
    """It holds every hour the day had, and none of its neighbours."""
    start = ns(f"{day}T00:00:00")
    calls = [call(start + (hour * 3600 + 1) * SECOND, "1") for hour in range(-1, hours + 1)]
    write(ledger, *calls)
    (row,) = look(ledger, SUMMARY, ns(f"{datetime.fromisoformat(day) + timedelta(days=1):%Y-%m-%d}T08:00:00"))
    assert row.title.startswith(f"{day}: {hours}.00 USD in {hours} calls (the day before 1.00")


def test_a_round_is_for_one_process(ledger):
    """Whoever claims it has it, until its time is over."""
    FileStore(ledger).close()
    barrier, mine = threading.Barrier(8), []

    def work():
        barrier.wait()
        with closing(FileStore(ledger, 10)) as store, store.transaction() as connection:
            mine.append(watching.claim(connection, NOW, NOW + 100))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(mine) == [False] * 7 + [True]
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        assert watching.claim(connection, NOW + 99, NOW + 200) is False
        assert watching.claim(connection, NOW + 100, NOW + 200) is True


def test_looking_keeps_nobody_from_writing(ledger):
    """A call is reserved, and written, while somebody looks."""
    write(ledger, call("2026-11-21T10:00:00"))
    with closing(FileStore(ledger)) as store, store.reading() as connection:
        before = connection.execute("SELECT count(*) FROM calls").fetchone()
        with closing(FileStore(ledger, 0.0)) as other, other.transaction() as writing:
            raise_alert(writing, reached("0.8"))
        write(ledger, call("2026-11-21T10:00:01"))
        assert connection.execute("SELECT count(*) FROM calls").fetchone() == before
        assert connection.execute("SELECT count(*) FROM alerts").fetchone() == (0,)


def test_the_hour_is_that_of_utc_without_a_time_zone(ledger):
    """`UTC` is the default of the file."""
    write(ledger, call(ns("2026-11-20T23:30:00", UTC), None, unpriced=Unpriced("unknown_model", "?")))
    (row,) = look(ledger, AlertSettings(stale_days=None), ns("2026-11-21T00:10:00", UTC))
    assert json.loads(row.details)["day"] == "2026-11-20"
