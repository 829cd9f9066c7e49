from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import pytest

from budgets.lines import line, settle, taking
from exporter.scraped import scrape
from ledgers import at, sample, write
from otel_aicost.alerts.alert import AlertRow
from otel_aicost.budgets.budget import Budget, Limits, Match, Plan
from otel_aicost.budgets.window import Period, window_at
from otel_aicost.exporter.budgets import MOST_WINDOWS, period_of
from otel_aicost.ledger.alerts import COLUMNS, raise_alert
from otel_aicost.ledger.opening import changing
from otel_aicost.ledger.processes import Counts, Heartbeat, Outbox, beat
from otel_aicost.ledger.standings import how_many, nearest
from otel_aicost.ledger.writer import Writer
from records import record

NOW = at("2026-11-21T12:00:00")
DOLLAR = 10**9
TEAM = Budget(
    "team-day",
    Period("day"),
    Limits(10 * DOLLAR, None, 100),
    match=Match(tags={"team": "red"}),
    alert_at=(Decimal("0.50"), Decimal("0.8"), Decimal("1.0")),
)
CALL = Budget("one-call", Period("call"), Limits(DOLLAR), on_exceed="block")
USERS = Budget("users", Period("month"), Limits(DOLLAR), per=("user",))
ROLLS = Budget("rolls", Period("rolling", rolling_seconds=86_400), Limits(None, 1000, None))


@pytest.fixture
def writer(path):
    made = Writer.of_file(path)
    yield made
    made.close(5)


def spend(writer, budget, nano, key="", tokens=0, calls=1, at_ns=NOW):
    """A call that takes so much of a budget."""
    from zoneinfo import ZoneInfo

    window = window_at(budget.period, at_ns // 10**9, ZoneInfo(budget.timezone))
    one = line(name=budget.name, key=key, window=window, period=budget.period)
    one = replace_budget(one, budget)
    settle(writer, f"{budget.name}-{key}-{time.monotonic_ns()}", taking(one, nano, tokens, calls))


def replace_budget(one, budget):
    return one._replace(budget=budget, limits=budget.limits_of(one.key))


def test_a_budget_tells_its_window(path, scraped, writer):
    """Spent, reserved, limit, share, thresholds, and when the window begins and ends: in dollars and in calls."""
    spend(writer, TEAM, 8_500_000_001)
    writer.flush(10)
    found = scraped(path, Plan((TEAM,)), now=NOW)

    place = {"budget": "team-day", "key": "", "period": "day"}
    assert found.one("aicost_budget_spend_usd", **place) == 8.500000001
    assert found.one("aicost_budget_reserved_usd", **place) == 0
    assert found.one("aicost_budget_limit_usd", **place) == 10
    assert found.one("aicost_budget_spend_calls", **place) == 1
    assert found.one("aicost_budget_limit_calls", **place) == 100
    assert found.all("aicost_budget_limit_tokens") == []
    assert found.one("aicost_budget_used_ratio", **place, unit="USD") == 0.8500000001
    assert found.by("threshold", "aicost_budget_threshold_reached", **place, unit="USD") == {"0.5": 1, "0.8": 1}
    assert found.all("aicost_budget_threshold_reached", unit="calls") == []
    assert found.one("aicost_budget_start_timestamp_seconds", **place) == at("2026-11-21") // 10**9
    assert found.one("aicost_budget_end_timestamp_seconds", **place) == at("2026-11-22") // 10**9
    info = {"budget": "team-day", "period": "day", "per": "", "team": "red", "on_exceed": "warn", "timezone": "UTC"}
    assert found.one("aicost_budget_info", **info) == 1


def test_a_budget_that_nothing_was_spent_of_is_there(path, scraped):
    """A budget of the file stands at 0 before its first call; one for each key, or each call, has no spend to show."""
    found = scraped(write(path), Plan((TEAM, CALL, USERS)), now=NOW)

    assert found.one("aicost_budget_spend_usd") == 0
    assert found.by("budget", "aicost_budget_limit_usd") == {"team-day": 10, "one-call": 1}
    assert found.one("aicost_budget_limit_usd", period="call") == 1
    assert found.by("budget", "aicost_budget_windows") == {"team-day": 0, "one-call": 0, "users": 0}
    assert set(found.by("budget", "aicost_budget_info")) == {"team-day", "one-call", "users"}


def test_of_very_many_windows_the_fullest_are_shown(path, scraped, writer):
    """A budget with more keys than are shown tells how many there are; those nearest to their limit are there."""
    for number in range(MOST_WINDOWS + 20):
        spend(writer, USERS, number * 1000, key=f"u{number:03}")
    spend(writer, TEAM, 1)
    writer.flush(30)
    found = scraped(path, Plan((TEAM, USERS)), now=NOW)

    shown = found.by("key", "aicost_budget_spend_usd", budget="users")
    assert len(shown) == MOST_WINDOWS
    assert min(shown) == "u020"
    assert found.by("budget", "aicost_budget_windows") == {"users": MOST_WINDOWS + 20, "team-day": 1}
    assert found.one("aicost_budget_spend_usd", budget="team-day") == 1e-9


def test_a_rolling_window_is_one(path, scraped, writer):
    """Its steps are added up; it has no beginning, and ends when the oldest of its spend stops to count."""
    for hours in (30, 20, 5):
        spend(writer, ROLLS, 0, tokens=100, at_ns=NOW - hours * 3600 * 10**9)
    writer.flush(10)
    found = scraped(path, Plan((ROLLS,)), now=NOW)

    place = {"budget": "rolls", "period": "rolling"}
    assert found.one("aicost_budget_spend_tokens", **place) == 200
    assert found.all("aicost_budget_start_timestamp_seconds") == []
    ends = found.one("aicost_budget_end_timestamp_seconds", **place)
    assert NOW / 1e9 + 4 * 3600 <= ends <= NOW / 1e9 + 4.5 * 3600
    assert found.one("aicost_budget_windows", budget="rolls") == 1


def test_a_spent_limit_of_nothing_is_infinitely_used(path, scraped, writer):
    """Where nothing is allowed and something was spent the share is infinite, and every threshold is reached."""
    none = replace(TEAM, limits=Limits(0))
    spend(writer, none, 5)
    writer.flush(10)
    found = scraped(path, Plan((none,)), now=NOW)

    assert found.one("aicost_budget_used_ratio") == float("inf")
    assert found.one("aicost_budget_threshold_reached", threshold="1") == 1


def test_another_week_of_the_same_budget_is_no_second_sample(path, scraped, writer):
    """Where a budget's week now begins on Sunday, the new window is shown and not the old one beside it."""
    old = Budget("week", Period("week"), Limits(DOLLAR))
    new = replace(old, period=Period("week", week_start=6))
    spend(writer, old, 5)
    spend(writer, new, 7)
    writer.flush(10)

    assert scraped(path, Plan((new,)), now=NOW).one("aicost_budget_spend_usd") == 7e-9


@pytest.mark.parametrize("kind", ["hour", "day", "week", "month", "quarter", "year", "forever", "rolling"])
def test_a_window_tells_its_period(kind):
    """The kind of period is read off the id of each window, whatever its beginning."""
    from zoneinfo import ZoneInfo

    for more in ({}, {"week_start": 6}, {"year_start": (4, 1)}):
        window = window_at(Period(kind, rolling_seconds=3600, **more), NOW // 10**9, ZoneInfo("America/New_York"))
        assert period_of(window.group.strip() or window.id) == kind


def test_open_alerts_are_counted(path, scraped):
    """Alerts that nobody resolved, by kind, severity, source and state."""
    write(path)
    told = {
        "id": "a" * 32, "fingerprint": "f", "at_ns": NOW, "kind": "budget", "severity": "warning", "budget": "b",
        "key": "", "window_id": "w", "title": "t", "details": "{}", "state": "unread", "state_at_ns": None,
        "source": "aicost",
    }  # fmt: skip
    with closing(changing(path)) as store, store.transaction() as connection:
        for number, state in enumerate(["unread", "unread", "read", "resolved"]):
            row = {**told, "id": f"{number:032}", "fingerprint": str(number), "state": state}
            raise_alert(connection, AlertRow(**{column: row[column] for column in COLUMNS}))
    found = scraped(path)

    assert found.by("state", "aicost_open_alerts", kind="budget", source="aicost") == {"unread": 2, "read": 1}


def test_who_writes_is_told(path, scraped):
    """Processes that were seen of late, what they hold, and the sums of what all of them have lost."""
    write(path, *sample())
    now = time.time_ns()
    base = Heartbeat("p1", "h1", 1, "shop", "0.1", {"openai": "3.54.0"}, now, now, False, 3, Counts(9, 1, 2, 4))
    with closing(changing(path)) as store, store.transaction() as connection:
        beat(connection, base)
        beat(connection, replace(base, id="p2", pid=2, queued=4, outbox=Outbox(7, now)))
        beat(connection, replace(base, id="p3", pid=3, seen_ns=now - 10**12))
        beat(connection, replace(base, id="p4", pid=4, ended=True))
    found = scraped(path)

    assert found.one("aicost_writers", service="shop", version="0.1", sdks="openai 3.54.0") == 2
    assert found.one("aicost_writer_queued_calls", service="shop") == 7
    assert found.one("aicost_writer_lost_calls_total", service="shop") == 4
    assert found.one("aicost_writer_errors_total", service="shop") == 8
    assert found.one("aicost_internal_errors_total", service="shop") == 16
    assert found.one("aicost_outbox_calls", host="h1") == 7
    assert found.one("aicost_outbox_oldest_timestamp_seconds", host="h1") == pytest.approx(now / 1e9)


def test_the_ledger_tells_its_size(path, scraped):
    """How many calls it holds, folded ones too, how large it is, and when the last call began."""
    write(path, *sample(), fold_before="2026-11-20")
    found = scraped(path)

    assert found.one("aicost_ledger_calls") == 10
    assert found.one("aicost_ledger_size_bytes") >= path.stat().st_size
    assert found.one("aicost_ledger_last_call_timestamp_seconds") == at("2026-11-21T05:00:00") / 1e9


def test_windows_are_counted_and_ranked(path, writer):
    """In the ledger: how many windows count, and which keys are the nearest to a limit, of whatever unit."""
    both = replace(USERS, limits=Limits(DOLLAR, 1000))
    spend(writer, both, DOLLAR // 2, key="half")
    spend(writer, both, 1, key="tokens", tokens=900)
    spend(writer, both, 1, key="none")
    writer.flush(10)
    from otel_aicost.ledger.opening import looking

    with looking(path) as connection:
        assert how_many(connection, NOW) == {"users": 3}
        assert nearest(connection, NOW, "users", 2) == ["tokens", "half"]
        assert how_many(connection, NOW + 40 * 86_400 * 10**9) == {}


def test_list_prices_are_those_of_the_models_used(path, collector):
    """Each model that was used has today's list price per million tokens; the price data tells its age."""
    from exporter.until import until
    from otel_aicost.prices.catalogue import Catalogue

    write(path, *[replace(one, started_ns=time.time_ns()) for one in sample()[:5]])
    one = collector(path, catalogue_of=Catalogue.load)
    found = until(lambda: (each := scrape(one)).all("aicost_list_price_usd_per_million_tokens") and each)

    prices = found.by("type", "aicost_list_price_usd_per_million_tokens", model="gpt-4o-2024-08-06")
    assert prices == {"input": 2.5, "output": 10, "cache_read": 1.25}
    made = found.by("source", "aicost_price_table_timestamp_seconds")
    assert set(made) == {"genai-prices", "supplement"}
    assert all(1.7e9 < at_seconds < time.time() for at_seconds in made.values())


def test_a_model_that_is_new_has_its_price_at_the_next_look(path, collector):
    """What was not used at the first look does not wait until all prices are looked up anew."""
    from otel_aicost.ledger.opening import looking
    from otel_aicost.prices.catalogue import Catalogue

    one = collector(path, catalogue_of=Catalogue.load)
    known = []
    for model in ("gpt-4o", "gpt-4o-mini"):
        write(path, record(started_ns=time.time_ns(), response_model=model))
        with looking(path) as connection:
            one._details.find(connection)
        known.append({model for _, model, _ in one._details._prices.dollars})
    assert known == [{"gpt-4o"}, {"gpt-4o", "gpt-4o-mini"}]


def test_the_age_that_prices_may_have_is_that_of_the_file(path, collector, monkeypatch):
    """30 days without a section, what it says with one, and no sample where nobody wants to be told."""
    monkeypatch.delenv("OTEL_AICOST_STALE_DAYS")
    from otel_aicost.alerts.settings import AlertSettings
    from otel_aicost.budgets.budget import Plan

    def shown(plan):
        return scrape(collector(path, plan)).all("aicost_price_table_max_age_seconds")

    write(path, record())
    assert shown(Plan()) == [30 * 86_400]
    assert shown(Plan(alerts=AlertSettings(stale_days=60))) == [60 * 86_400]
    assert shown(Plan(alerts=AlertSettings(stale_days=None))) == []


def test_prices_that_were_fetched_meanwhile_are_shown(path, collector, tmp_path):
    """A server that runs for months has the list prices, and the age, of the newest update."""
    import pricelists
    from otel_aicost.ledger.opening import looking
    from otel_aicost.prices import update
    from otel_aicost.prices.catalogue import Catalogue

    updates = tmp_path / "prices"
    write(path, record(started_ns=time.time_ns(), response_model="gpt-4o"))
    one = collector(path, catalogue_of=lambda: Catalogue.load(updates=updates))
    known = []
    for _ in range(2):
        with looking(path) as connection:
            one._details.find(connection)
        known.append(one._details._prices.dollars["openai", "gpt-4o", "input"])
        data = pricelists.published()
        pricelists.model(data, "openai", "gpt-4o")["prices"]["input_mtok"] = 7
        update.install(updates, update.read(pricelists.raw(data), "data.json", time.time_ns()), time.time_ns())
        one._details._priced_at = float("-inf")
    assert known == [2.5, 7]
