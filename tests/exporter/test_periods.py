from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from exporter.scraped import scrape
from ledgers import at, write
from otel_aicost.budgets.budget import Plan
from otel_aicost.exporter.past import Past
from otel_aicost.exporter.ranges import Range, Sum, Summing
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.queries import Query
from otel_aicost.ledger.questions import Filter
from otel_aicost.ledger.reader import open_ledger
from otel_aicost.ledger.store import FileStore
from records import cost, record

NOW = at("2026-11-21T12:00:00")
HOUR = 3600 * 10**9
SPEND = "aicost_spend_usd"


def call(started, dollars="1"):
    return record(started_ns=started if isinstance(started, int) else at(started), cost=cost(dollars))


def test_periods_are_those_of_the_calendar(path, scraped):
    """Each call is in the day, week (from Monday), month, quarter and year that it began in, and in no other."""
    write(
        path,
        call("2026-11-21T00:00:00", "0.000000001"),
        call("2026-11-20T23:59:59", "0.1"),
        call("2026-11-16T00:00:00", "0.2"),
        call("2026-11-15T23:59:59", "0.4"),
        call("2026-10-31T23:59:59", "0.8"),
        call("2026-09-30T23:59:59", "1.6"),
        call("2025-12-31T23:59:59", "3.2"),
        call("2024-12-31T23:59:59", "6.4"),
    )
    found = scraped(path, now=NOW)

    this = {
        period: found.one(SPEND, period=period, offset="0") for period in ("day", "week", "month", "quarter", "year")
    }
    last = {
        period: found.one(SPEND, period=period, offset="1") for period in ("day", "week", "month", "quarter", "year")
    }
    assert this == {
        "day": 0.000000001,
        "week": 0.300000001,
        "month": 0.700000001,
        "quarter": 1.500000001,
        "year": 3.100000001,
    }
    assert last == {"day": 0.1, "week": 0.4, "month": 0.8, "quarter": 1.6, "year": 3.2}
    assert found.one("aicost_period_start_timestamp_seconds", period="week") == at("2026-11-16") // 10**9
    assert found.one("aicost_period_end_timestamp_seconds", period="quarter") == at("2027-01-01") // 10**9


def test_the_time_zone_is_that_of_the_plan(path, scraped):
    """A day of Tokyo begins nine hours before that of UTC."""
    write(path, call("2026-11-20T15:00:00"), call("2026-11-20T14:59:59", "2"))
    found = scraped(path, Plan(timezone="Asia/Tokyo"), now=NOW)

    assert found.one(SPEND, period="day", offset="0") == 1
    assert found.one(SPEND, period="day", offset="1") == 2
    assert found.one("aicost_period_start_timestamp_seconds", period="day") == at("2026-11-20T15:00:00") // 10**9


def test_the_last_period_is_also_told_up_to_the_same_point(path, scraped):
    """At noon, yesterday counts up to noon; and a month goes no further than the last one had days."""
    write(path, call("2026-11-20T11:59:59"), call("2026-11-20T12:00:00", "2"), call("2026-11-14T11:00:00", "4"))
    found = scraped(path, now=NOW)
    name = "aicost_previous_spend_to_date_usd"
    assert found.one(name, period="day") == 1
    assert found.one(name, period="week") == 4

    write(path, call("2026-11-30T23:00:00", "8"))
    assert scraped(path, now=at("2026-12-31T12:00:00")).one(name, period="month") == 15


def test_a_day_that_the_clock_makes_longer_is_one_day(path, scraped):
    """Where the clock is set back the day has 25 hours, and what was spent in the last of them belongs to it."""
    write(path, call("2026-10-25T22:30:00"))
    found = scraped(path, Plan(timezone="Europe/Berlin"), now=at("2026-10-25T22:45:00"))

    assert found.one(SPEND, period="day", offset="0") == 1
    start = found.one("aicost_period_start_timestamp_seconds", period="day")
    assert found.one("aicost_period_end_timestamp_seconds", period="day") - start == 25 * 3600


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/Sao_Paulo"])
def test_every_scrape_is_exact_however_late_calls_arrive(path, collector, zone):
    """Calls of today, yesterday and last year arrive in any order while time goes on: each scrape has them all."""
    dice = random.Random(5)  # the same calls each time
    clock = [NOW]
    one = collector(path, Plan(timezone=zone), now=lambda: clock[0])
    tz, written = ZoneInfo(zone), []
    write(path)
    for _ in range(25):
        clock[0] += dice.randrange(0, 5 * HOUR)
        back = dice.choice([0, HOUR // 2, 3 * HOUR, 40 * HOUR, 24 * 45 * HOUR, 24 * 500 * HOUR])
        new = [(clock[0] - dice.randrange(0, back + HOUR), dice.randrange(10**9)) for _ in range(dice.randrange(4))]
        write(path, *(call(started, f"0.{nano:09}") for started, nano in new))
        written += new
        found = scrape(one)
        local = datetime.fromtimestamp(clock[0] / 1e9, tz)
        for kind, start in (
            ("day", local.replace(hour=0, minute=0, second=0, microsecond=0)),
            ("month", local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)),
            ("year", local.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)),
        ):
            begin = int(start.timestamp()) * 10**9
            assert found.nano(SPEND, period=kind, offset="0") == sum(nano for at_ns, nano in written if at_ns >= begin)
        yesterday = local.replace(hour=0, minute=0, second=0, microsecond=0)
        before = (yesterday - timedelta(days=1)).replace(fold=0)
        begin, noon = int(before.timestamp()) * 10**9, clock[0] - int(yesterday.timestamp()) * 10**9
        to_date = sum(nano for at_ns, nano in written if begin <= at_ns < begin + noon)
        assert found.nano("aicost_previous_spend_to_date_usd", period="day") == to_date


def test_the_past_is_not_read_again(path):
    """A look at a past that has not changed asks for the last hours only; one late call costs the blocks after it."""
    write(path, *(call(NOW - day * 24 * HOUR) for day in range(100)))
    past, zone, first = Past(), ZoneInfo("UTC"), at("2025-01-01")

    class Counting(Summing):
        asked: list[Range] = []  # noqa: RUF012 - of this test

        def sums(self, ranges):
            self.asked += ranges
            return super().sums(ranges)

    def look(total):
        Counting.asked = []
        with looking(path) as connection:
            summing = Counting(connection, zone)
            past.look(summing, zone, first, NOW, Sum(total, total * 10**9))
            (found,) = past.between(summing, [Range(first, NOW + HOUR)])
        return found.calls, len(Counting.asked)

    found, asked = look(100)
    assert (found, asked > 600) == (100, True)
    assert look(100) == (100, 2)
    write(path, call(NOW - 30 * HOUR))
    found, asked = look(101)
    assert (found, asked < 40) == (101, True)
    assert look(101) == (101, 2)


def test_calls_that_were_written_past_the_totals_are_counted(path, collector):
    """Whoever writes calls without the running totals does not make the periods wrong."""
    write(path, call("2026-11-20T10:00:00"))
    one = collector(path, now=NOW)
    assert scrape(one).one(SPEND, period="month", offset="0") == 1
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE totals SET calls = calls + 1, cost_nano = cost_nano + 5")
    assert scrape(one).one(SPEND, period="month", offset="0") == 1
    write(path, call("2026-11-19T10:00:00", "2"))
    assert scrape(one).one(SPEND, period="month", offset="0") == 3


def test_folded_calls_are_in_the_days_of_the_report(path, collector):
    """Daily totals count in the periods that hold their day, as in `aicost report`, before and after folding."""
    calls = [call("2026-10-31T23:00:00", "1"), call("2026-11-01T00:30:00", "2"), call("2026-11-20T01:00:00", "4")]
    write(path, *calls)
    one = collector(path, now=NOW)
    before = scrape(one)
    with closing(FileStore(path)) as store:
        store.fold(at("2026-11-02"), 10)
    after, fresh = scrape(one), scrape(collector(path, now=NOW))
    berlin = scrape(collector(path, Plan(timezone="Europe/Berlin"), now=NOW))

    for found in (before, after, fresh, berlin):
        assert found.one(SPEND, period="month", offset="0") == 6
        assert found.one(SPEND, period="month", offset="1") == 1
        assert found.by("offset", "aicost_top_spend_usd", by="user", period="month") == {"0": 6, "1": 1}
    ledger = open_ledger(path)
    with ledger.read() as connection:
        november = Filter(since=date(2026, 11, 1))
        assert Query(ledger, connection).totals(november).cost_nano == 6 * 10**9


def test_top_spenders_come_to_what_the_period_came_to(path, scraped):
    """By every key the names, the rest and those without a name add up to the spend of the period."""
    dice = random.Random(3)
    people = [f"u{number}" for number in range(45)]
    calls = [
        record(
            started_ns=NOW - dice.randrange(0, 60 * 24 * HOUR),
            cost=cost(f"0.{dice.randrange(10**9):09}"),
            tags={"user": user, "team.name": "x"} if user else {"feature": "search"},
        )
        for user in [*people, *dice.choices([*people, None, "other"], k=200)]
    ]
    found = scraped(write(path, *calls), now=NOW)
    october = [one for one in calls if at("2026-10-01") <= one.started_ns < at("2026-11-01")]
    users = {one.tags["user"] for one in october if "user" in one.tags}

    for by in ("provider", "model", "service", "operation", "feature", "team", "user", "job"):
        for period, offset in (("day", "0"), ("week", "1"), ("month", "0"), ("month", "1")):
            top = found.nano("aicost_top_spend_usd", by=by, period=period, offset=offset)
            assert top == found.nano(SPEND, period=period, offset=offset)
    month = found.by("name", "aicost_top_spend_usd", by="user", period="month", offset="1")
    assert len(month) == 32
    assert min(value for name, value in month.items() if name.startswith("u")) > 0
    assert found.one("aicost_top_names", by="user", period="month", offset="1") == len(users)
    assert sum(found.all("aicost_top_calls", by="user", period="month", offset="1")) == len(october)
    tokens = sum(sum(one.usage.values()) for one in october)
    assert sum(found.all("aicost_top_tokens", by="user", period="month", offset="1")) == tokens
    assert found.one("aicost_top_names", by="job", period="month", offset="0") == 0


def test_the_dearest_calls_are_named(path, scraped):
    """Ten calls of the last 24 hours, with what leads to each."""
    calls = [
        record(started_ns=NOW - index * HOUR, cost=cost(str(index)), trace_id=f"{index:032x}", tags={"user": "ann"})
        for index in range(1, 30)
    ]
    found = scraped(write(path, *calls), now=NOW)

    assert sorted(found.all("aicost_costliest_call_usd")) == list(range(15, 25))
    assert found.one("aicost_costliest_call_usd", call=calls[23].id, trace_id=f"{24:032x}", user="ann") == 24
