"""What repricing does to a scrape: counters never fall, and what is exact at each scrape follows at once."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.scraped import scrape
from ledgers import TOTAL_TAGS, at, fill, write
from otel_aicost.exporter.collector import LedgerCollector
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.stored_calls import Which
from otel_aicost.repricing import Repricing
from price_lists import call, catalogue, pricing

NOW = at("2026-11-21T12:00:00")
DAY = 86_400 * 10**9
OLD = catalogue(("gpt-8", "5.00"))


def reprice(path, *prices, tags=TOTAL_TAGS):
    """Reprice all calls with these."""
    return Repricing(path, Which(), pricing(*prices), tags).reprice(lambda _: None, lambda _: None)


def counters(found):
    """Every sample that may never fall; to Prometheus an empty label is none."""
    kinds = {"counter", "histogram"}
    return {
        (one.name, frozenset(pair for pair in one.labels.items() if pair[1])): one.value
        for family in found.families.values()
        if family.type in kinds
        for one in family.samples
        if not one.name.endswith("_created")
    }


def test_a_call_that_gets_a_price_is_added_to_the_cost(path, collector):
    """Its cost comes to the counter, the count of unpriced calls stays, and how many got a price is a count beside it."""
    one = collector(write(path, call(started_ns=NOW), call(started_ns=NOW)), now=NOW)
    before = scrape(one)
    assert before.all("aicost_cost_usd_total") == []
    reprice(path, ("gpt-9", "3.00"))
    after = scrape(one)
    assert after.one("aicost_cost_usd_total", model="gpt-9", feature="search", status="ok") == 6
    assert after.one("aicost_unpriced_calls_total", reason="unknown_model") == 2
    assert after.one("aicost_repriced_calls_total", reason="unknown_model") == 2
    assert after.one("aicost_repriced_down_usd_total") == 0
    assert after.one("aicost_calls_total") == 2
    assert after.one("aicost_spend_usd", period="day", offset="0") == 6


def test_a_cost_that_goes_down_is_a_counter_of_its_own(path, collector):
    """The counter of cost keeps what was in it; what was too much is told apart, and periods show what it is now."""
    one = collector(write(path, call("gpt-8", by=OLD, started_ns=NOW)), now=NOW)
    scrape(one)
    reprice(path, ("gpt-8", "2.00"))
    after = scrape(one)
    assert after.one("aicost_cost_usd_total") == 5
    assert after.one("aicost_repriced_down_usd_total", model="gpt-8", feature="search") == 3
    assert after.one("aicost_repriced_calls_total", reason="") == 1
    assert after.one("aicost_spend_usd", period="day", offset="0") == 2


def test_estimates_and_savings_grow_with_the_cost(path, collector):
    """What rests on estimates, and what caches saved, is added where repricing finds more of it, and never less."""
    usage = {"input_tokens": 1_000_000, "cache_read_tokens": 400_000, "output_tokens": 0}
    one = collector(write(path, replace(call(usage=usage, started_ns=NOW), estimated=True)), now=NOW)
    reprice(path, ("gpt-9", "3.00"))
    found = scrape(one)
    assert found.one("aicost_estimated_cost_usd_total") == pytest.approx(1.92)
    assert found.one("aicost_saved_usd_total", by="cache") == pytest.approx(1.08)
    reprice(path, ("gpt-9", "1.00"))
    again = scrape(one)
    assert again.one("aicost_estimated_cost_usd_total") == pytest.approx(1.92)
    assert again.one("aicost_saved_usd_total", by="cache") == pytest.approx(1.08)


def test_money_that_moves_between_days_is_seen(path, collector):
    """As much up on one day as down on another leaves the total as it was, and every period is right all the same."""
    one = collector(
        write(
            path,
            call("gpt-8", by=OLD, started_ns=NOW - 40 * DAY),
            call("gpt-7", by=catalogue(("gpt-7", "2.00")), started_ns=NOW - 5 * DAY, tags={"user": "a"}),
        ),
        now=NOW,
    )
    before = scrape(one)
    assert [before.one("aicost_spend_usd", period="month", offset=each) for each in "01"] == [2, 5]
    reprice(path, ("gpt-8", "4.00"), ("gpt-7", "3.00"))
    after = scrape(one)
    assert [after.one("aicost_spend_usd", period="month", offset=each) for each in "01"] == [3, 4]
    assert after.one("aicost_spend_usd", period="year", offset="0") == 7


def test_money_that_moves_between_users_is_seen(path, collector):
    """As much up for one user as down for another, in the same day, is found by the next look at top spenders."""
    one = collector(
        write(
            path,
            call("gpt-8", by=OLD, started_ns=NOW, tags={"user": "a"}),
            call("gpt-7", by=catalogue(("gpt-7", "2.00")), started_ns=NOW, tags={"user": "b"}),
        ),
        now=NOW,
    )
    before = scrape(one)
    assert before.by("name", "aicost_top_spend_usd", by="user", period="day", offset="0") == {"a": 5, "b": 2}
    reprice(path, ("gpt-8", "4.00"), ("gpt-7", "3.00"))
    fresh = scrape(collector(path, now=NOW))
    assert fresh.by("name", "aicost_top_spend_usd", by="user", period="day", offset="0") == {"a": 4, "b": 3}
    with closing(FileStore(path)) as store, store.reading() as connection:
        one._details.find(connection, prices=False)
    assert scrape(one).by("name", "aicost_top_spend_usd", by="user", period="day", offset="0") == {"a": 4, "b": 3}


RUNS = st.lists(
    st.tuples(
        st.dictionaries(
            st.sampled_from(["gpt-7", "gpt-8"]), st.sampled_from(["0.00", "1.00", "5.00", "9.00"]), min_size=1
        ),
        st.sampled_from([(), ("user",), TOTAL_TAGS]),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=RUNS)
def test_no_counter_ever_falls(tmp_path_factory, runs):
    """Whatever is repriced, under whichever tags, and whatever is written meanwhile: no sample of a counter is less."""
    path = tmp_path_factory.mktemp("repriced") / "ledger.db"
    days = [NOW - days * DAY for days in range(3)]
    write(path, *(call(model, started_ns=day) for model in ("gpt-7", "gpt-8") for day in days))
    one = LedgerCollector(path, now_ns=lambda: NOW)
    seen = counters(scrape(one))
    for prices, tags, more in runs:
        if more:
            with closing(FileStore(path)) as store:
                fill(store, call("gpt-8", by=OLD, started_ns=NOW))
        found = reprice(path, *prices.items(), tags=tags)
        scraped = scrape(one)
        now = counters(scraped)
        assert all(now.get(name, -1) >= value for name, value in seen.items())
        nano = scraped.nano("aicost_cost_usd_total") - scraped.nano("aicost_repriced_down_usd_total")
        assert nano == found.total.nano == scraped.nano("aicost_spend_usd", period="month", offset="0")
        left = sum(scraped.all("aicost_unpriced_calls_total")) - sum(
            one.value for one in scraped.samples if one.name == "aicost_repriced_calls_total" and one.labels["reason"]
        )
        assert left == sum(found.total.unpriced.values())
        seen = now
    one.close()
