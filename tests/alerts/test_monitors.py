"""The rules of the monitors, on both sides of each threshold."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest

from otel_aicost.alerts.monitors import (
    LEAST_DAYS,
    MOST,
    CacheUse,
    ModelSpend,
    UnpricedCalls,
    expensive_models,
    low_cache_share,
    spend_spike,
    stale_prices,
    unpriced_calls,
)
from otel_aicost.alerts.settings import ExpensiveModels, LowCacheShare, SpendSpike

NOW = 1_795_255_200 * 10**9
DAY = "2026-11-21"
HOUR = "2026-11-21T11+0100"
DOLLAR = 10**9


@pytest.mark.parametrize(
    ("calls", "tokens", "cached", "found"),
    [(100, 1000, 199, True), (100, 1000, 200, False), (99, 1000, 0, False), (100, 0, 0, False), (100, 1000, 0, True)],
)
def test_a_low_cache_share(calls, tokens, cached, found):
    """Less than the share, and calls enough; a model without a cacheable prompt has no share."""
    rule = LowCacheShare(Decimal("0.2"), 100)
    rows = low_cache_share(rule, [CacheUse("openai", "gpt-5", calls, tokens, cached)], DAY, NOW)
    assert bool(rows) is found
    assert [(row.kind, row.severity) for row in rows] == [("low_cache_share", "info")] * found


def test_a_low_cache_share_says_which_model_and_how_low():
    """A sentence with model, share, day, calls and limit; each model once a day."""
    rule = LowCacheShare(Decimal("0.2"), 1)
    uses = [CacheUse("openai", "small", 1, 10, 0), CacheUse("openai", "gpt-5", 1234, 1000, 123)]
    rows = low_cache_share(rule, uses, DAY, NOW)
    assert [json.loads(row.details)["model"] for row in rows] == ["gpt-5", "small"]
    assert rows[0].title == (
        "Only 12.3% of the input tokens of openai/gpt-5 came from its cache on 2026-11-21 "
        "(1,234 calls with cacheable prompts), less than 20%"
    )
    assert rows[0].fingerprint == "low_cache_share|openai/gpt-5|2026-11-21"


@pytest.mark.parametrize(
    ("dear", "cheap", "found"),
    [
        (500, 500, False),
        (501, 500, True),
        (1000, 0, True),
        (0, 0, False),
        (499, 0, False),
    ],
)
def test_expensive_models(dear, cheap, found):
    """Above the share and not at it, and nothing while all of the money is less than `least`."""
    rule = ExpensiveModels(("gpt-5*", "*opus*"), Decimal("0.5"), 500)
    spends = [
        ModelSpend("openai", "GPT-5-pro", dear // 2, 1),
        ModelSpend("anthropic", "claude-opus-4", dear - dear // 2, 1),
        ModelSpend("openai", "gpt-4o-mini", cheap, 9),
    ]
    assert bool(expensive_models(rule, spends, DAY, NOW)) is found


def test_expensive_models_are_named_with_their_share():
    """The dearest first; once a day for the rule."""
    rule = ExpensiveModels(("a*",), Decimal("0.5"))
    spends = [
        *(ModelSpend("p", f"a{number}", number * DOLLAR, 1) for number in range(1, 6)),
        ModelSpend("p", "b", DOLLAR, 1),
    ]
    (row,) = expensive_models(rule, spends, DAY, NOW)
    assert row.title == (
        "Expensive models (a5, a4, a3 ...) took 93.8% of the money of the last 24 hours, more than 50%: "
        "15.00 of 16.00 USD"
    )
    assert (row.severity, row.fingerprint) == ("warning", "expensive_model_share|a*|2026-11-21")


@pytest.mark.parametrize(
    ("nano", "usual", "found"),
    [
        (3 * DOLLAR, [DOLLAR] * 7, False),
        (3 * DOLLAR + 1, [DOLLAR] * 7, True),
        (3 * DOLLAR + 1, [DOLLAR] * LEAST_DAYS, True),
        (3 * DOLLAR + 1, [DOLLAR] * (LEAST_DAYS - 1), False),
        (DOLLAR, [0] * 7, True),
        (DOLLAR - 1, [0] * 7, False),
        (7 * DOLLAR, [7 * DOLLAR, 0, 7 * DOLLAR], False),
    ],
)
def test_a_spend_spike(nano, usual, found):
    """More than so many times the mean, as much as `least`, and days enough to know what is usual."""
    rows = spend_spike(SpendSpike(Decimal(3), DOLLAR), HOUR, nano, usual, NOW)
    assert bool(rows) is found


def test_a_spend_spike_names_the_hour():
    """As it is on the clock of the file; once an hour."""
    (row,) = spend_spike(SpendSpike(Decimal("2.5"), 1), HOUR, 12 * DOLLAR, [2 * DOLLAR, 3 * DOLLAR, 4 * DOLLAR], NOW)
    assert row.title == (
        "The hour from 2026-11-21 11:00 on has cost 12.00 USD, more than 2.5 times the 3.00 USD that this hour usually costs"
    )
    assert (row.kind, row.fingerprint) == ("spend_spike", "spend_spike|all|2026-11-21T11+0100")


def test_unpriced_calls_are_one_alert_for_each_model_and_reason():
    """Once a day, whatever their number grows to."""
    sums = [UnpricedCalls("openai", "gpt-9", "unknown_model", 1), UnpricedCalls("openai", "gpt-9", "no_usage", 1200)]
    rows = unpriced_calls(sums, DAY, NOW)
    assert [row.title for row in rows] == [
        "1,200 calls to openai/gpt-9 on 2026-11-21 without a known cost (no usage): no total holds them",
        "1 call to openai/gpt-9 on 2026-11-21 without a known cost (unknown model): no total holds them",
    ]
    more = unpriced_calls([sums[0]._replace(calls=77)], DAY, NOW)
    assert more[0].id == rows[1].id
    assert unpriced_calls(sums, "2026-11-22", NOW)[0].id != rows[0].id
    assert unpriced_calls([], DAY, NOW) == []


def test_invented_models_do_not_drown_the_rest():
    """Of many at once the worst are said."""
    rows = unpriced_calls(
        [UnpricedCalls("p", f"m{number}", "unknown_model", number) for number in range(500)], DAY, NOW
    )
    assert len(rows) == MOST
    assert json.loads(rows[0].details)["calls"] == 499


CATALOGUE = "genai-prices 0.2.3 + supplement 2026-10-22"


@pytest.mark.parametrize(
    ("days", "names", "found"),
    [
        (30, [CATALOGUE], False),
        (29, [CATALOGUE], True),
        (1, [CATALOGUE, "genai-prices 0.2.3 updated 2026-11-20 + supplement 2026-10-22"], False),
        (1, ["genai-prices 0.2.3", "supplement 2026-13-45"], False),
        (30, ["genai-prices 1a2b3c4d of 2026-10-21 + supplement 2026-11-20"], True),
        (30, ["genai-prices 1a2b3c4d of 2026-10-21, checked 2026-11-20 + supplement 2026-10-01"], False),
        (1, [], False),
    ],
)
def test_stale_prices(days, names, found):
    """Older than so many days, by the newest date of any catalogue in use; one without a date has no age."""
    rows = stale_prices(days, names, date(2026, 11, 21), "week 2026-11-16", NOW)
    assert bool(rows) is found


def test_stale_prices_are_said_once_a_week():
    """Prices grow older every day: that is no news."""

    def said(today, week):
        return stale_prices(30, [CATALOGUE], today, week, NOW)[0]

    first = said(date(2026, 11, 22), "week 2026-11-16")
    assert first.title.startswith("The price catalogue in use is 31 days old (checked 2026-10-22), older than 30 days")
    assert said(date(2026, 11, 23), "week 2026-11-16").id == first.id
    assert said(date(2026, 11, 23) + timedelta(days=1), "week 2026-11-23").id != first.id
