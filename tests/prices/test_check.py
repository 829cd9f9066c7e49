"""What `aicost prices check` doubts in a file that can be read."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from otel_aicost.prices.catalogue import Catalogue, load_supplement
from otel_aicost.prices.check import FAR_OFF, STALE_DAYS, doubts_of
from otel_aicost.prices.reading import parse

TODAY = date(2026, 11, 21)
FRESH = f"source: s, checked: {TODAY}"


@pytest.fixture(scope="module")
def below():
    return Catalogue.load()


@pytest.fixture
def doubts(below):
    def look(*entries):
        text = "schema: 1\nmodels:\n" + "\n".join(f"  - {{{entry}}}" for entry in entries)
        return [(doubt.line, doubt.text) for doubt in doubts_of(parse(text.encode(), "f"), below, TODAY)]

    return look


def entry(price="2.00", per=1_000_000, meter="input_tokens", model="gpt-4o", provider="openai", more=FRESH):
    rates = f'[{{meter: {meter}, price: "{price}", per: {per}}}]'
    return f"provider: {provider}, model: {model}, periods: [{{from: 2026-01-01, rates: {rates}}}], {more}"


def test_a_plain_override_raises_no_doubt(doubts):
    """A fresh price near the catalogue's is fine."""
    assert doubts(entry()) == []


def test_the_supplement_raises_no_doubt_on_the_day_it_was_checked(below):
    """What we ship is clean by its own check."""
    supplement = load_supplement()
    assert doubts_of(supplement, below, date.fromisoformat(supplement.checked)) == []


@pytest.mark.parametrize(("days", "stale"), [(STALE_DAYS, False), (STALE_DAYS + 1, True)])
def test_a_price_is_stale_after_thirty_days(doubts, days, stale):
    """On the thirtieth day it is not yet."""
    told = doubts(entry(more=f"source: s, checked: {TODAY - timedelta(days)}"))
    assert bool(told) is stale
    assert all("is stale" in text for _, text in told)


def test_a_price_nobody_dated_is_doubted(doubts):
    """Without `checked` nobody can tell."""
    assert "no `checked` date" in doubts(entry(more="source: s"))[0][1]


def test_prices_of_the_past_do_not_become_stale(doubts):
    """An entry that defers, or is free, has nothing to check again."""
    past = "periods: [{from: 2026-01-01, free: true}, {from: 2026-02-01, defer: true}], checked: 2020-01-01"
    assert doubts(f"provider: openai, model: gpt-4o, {past}") == []


@pytest.mark.parametrize(
    ("price", "per", "doubted"),
    [("50", 1_000_000, False), ("50.01", 1_000_000, True), ("0.125", 1_000_000, False), ("0.1249", 1_000_000, True)],
)
def test_a_price_far_from_the_catalogue_is_doubted(doubts, price, per, doubted):
    """gpt-4o costs $2.50 per million: twenty times that, and a twentieth, are the limits."""
    told = doubts(entry(price, per))
    assert bool(told) is doubted
    assert FAR_OFF == 20
    assert all("is `per` right?" in text for _, text in told)


def test_a_price_typed_for_the_wrong_unit_is_doubted(doubts):
    """$2.50 for one token instead of a million."""
    assert doubts(entry("2.50", 1)) == [
        (3, "input_tokens: 2.50 per 1 is 1,000,000.0 times the catalogue's 2.5 per 1000000: is `per` right?")
    ]


def test_a_meter_nobody_knows_is_doubted(doubts):
    """It is legal, for `record(...)`, and told."""
    assert "widgets is not a meter we know" in doubts(entry(meter="widgets", model="m"))[0][1]


def test_a_provider_nobody_knows_is_doubted(doubts):
    """`azure` is called azure.ai.openai."""
    assert "'azure'" in doubts(entry(provider="azure"))[0][1]
    assert doubts(entry(provider='"*"', model="mine")) == []


def test_gaps_between_meters_are_doubted(doubts):
    """Cached and audio tokens without a price for cached audio; audio without a price for all input."""
    rates = ", ".join(
        f'{{meter: {meter}, price: "1", per: 1}}' for meter in ("input_audio_tokens", "cache_read_tokens")
    )
    told = [
        text
        for _, text in doubts(f"provider: openai, model: m, periods: [{{from: 2026-01-01, rates: [{rates}]}}], {FRESH}")
    ]
    assert any("cache_audio_read_tokens" in text for text in told)
    assert any("input_audio_tokens has a price, input_tokens" in text for text in told)


def test_entries_that_never_decide_are_doubted(doubts):
    """A second entry of the same model, and a pattern within a wider one before it."""
    assert [line for line, _ in doubts(entry(), entry("2.10"))] == [4]
    wide = entry(model="{prefix: gpt-}")
    narrow = entry(model="{prefix: gpt-4}")
    assert [line for line, _ in doubts(wide, narrow)] == [4]
    assert doubts(narrow, wide) == []
    assert doubts(wide, entry()) == []
    everything = entry(model="{regex: '.*'}")
    assert [line for line, _ in doubts(everything, narrow)] == [4]


def test_an_entry_that_begins_earlier_is_not_shadowed(doubts):
    """The one before it is not in force yet on its first days."""
    early = entry("2.10").replace("2026-01-01", "2025-01-01")
    assert doubts(entry(), early) == []
