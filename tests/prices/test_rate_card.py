"""Rate cards: quantities billed once, whole nano-dollars, an explicit answer to what cannot be billed."""

from __future__ import annotations

import decimal
import threading
from decimal import Decimal
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_aicost.model import (
    METERS,
    NANO,
    UNPRICED_CONDITION,
    UNPRICED_INVALID,
    UNPRICED_METER,
    UNPRICED_USAGE,
    Cost,
    Unpriced,
)
from otel_aicost.prices.meters import DIMENSIONS
from otel_aicost.prices.rate_card import MOST_PLANS, MOST_UNITS, FreeCard, RateCard, Stamp
from otel_aicost.prices.rates import Rate

STAMP = Stamp("user", "test/model", "2026-01-01", "test list")
MILLION = 1_000_000


def rate(meter, price, per=MILLION, **more):
    return Rate(meter, Decimal(price), per, **more)


def card(*rates, unmatched=None):
    return RateCard(rates, STAMP, unmatched or {})


CHAT = card(rate("input_tokens", "2.50"), rate("cache_read_tokens", "1.25"), rate("output_tokens", "10"))
CLAUDE = card(
    rate("input_tokens", "3"),
    rate("cache_read_tokens", "0.30"),
    rate("cache_write_tokens", "3.75"),
    rate("cache_write_1h_tokens", "6"),
    rate("output_tokens", "15"),
)
AUDIO = card(
    rate("input_tokens", "4"),
    rate("cache_read_tokens", "0.40"),
    rate("input_audio_tokens", "32"),
    rate("cache_audio_read_tokens", "0.40"),
    rate("output_tokens", "16"),
    rate("output_audio_tokens", "64"),
)


def billed(found):
    assert isinstance(found, Cost), found
    return {part.meter: (part.quantity, part.amount) for part in found.parts}


def reason(found):
    assert isinstance(found, Unpriced), found
    return found.reason


def test_cached_tokens_are_billed_once_and_as_cached():
    """Of 1,500 input tokens with 1,000 from the cache, 500 are billed as input."""
    found = CHAT.price({"input_tokens": 1500, "cache_read_tokens": 1000, "output_tokens": 200})
    assert billed(found) == {
        "input_tokens": (500, Decimal("0.001250000")),
        "cache_read_tokens": (1000, Decimal("0.001250000")),
        "output_tokens": (200, Decimal("0.002")),
    }
    assert found.total == Decimal("0.0045")


def test_cache_writes_are_told_apart_by_their_lifetime():
    """Writes for an hour have their own price; those for five minutes fall under that of writes."""
    usage = {
        "input_tokens": 1000,
        "cache_read_tokens": 100,
        "cache_write_tokens": 500,
        "cache_write_5m_tokens": 300,
        "cache_write_1h_tokens": 200,
        "output_tokens": 0,
    }
    quantities = {meter: quantity for meter, (quantity, _) in billed(CLAUDE.price(usage)).items()}
    assert quantities == {
        "input_tokens": 400,
        "cache_read_tokens": 100,
        "cache_write_tokens": 300,
        "cache_write_1h_tokens": 200,
    }


def test_reasoning_is_billed_as_output():
    """A share without a price of its own changes nothing."""
    usage = {"input_tokens": 10, "output_tokens": 100}
    assert CHAT.price({**usage, "reasoning_tokens": 60}) == CHAT.price(usage)


def test_reasoning_with_a_price_of_its_own_is_billed_by_it():
    """Where reasoning is priced, the output is what remains."""
    dear = card(rate("output_tokens", "8"), rate("reasoning_tokens", "3"))
    found = dear.price({"output_tokens": 100, "reasoning_tokens": 60})
    assert {m: q for m, (q, _) in billed(found).items()} == {"output_tokens": 40, "reasoning_tokens": 60}


def test_audio_without_a_price_is_billed_as_text_input():
    """As in genai-prices: a model without an audio price takes audio tokens for input tokens."""
    found = CHAT.price({"input_tokens": 100, "input_audio_tokens": 80, "output_tokens": 1})
    assert billed(found)["input_tokens"][0] == 100


def test_what_is_both_cached_and_audio_is_billed_as_both():
    """The overlap has a price; cached audio is neither cached text nor fresh audio."""
    usage = {
        "input_tokens": 1000,
        "cache_read_tokens": 400,
        "input_audio_tokens": 500,
        "cache_audio_read_tokens": 300,
    }
    quantities = {meter: quantity for meter, (quantity, _) in billed(AUDIO.price(usage)).items()}
    assert quantities == {
        "cache_audio_read_tokens": 300,
        "cache_read_tokens": 100,
        "input_audio_tokens": 200,
        "input_tokens": 400,
    }


def test_an_overlap_that_is_not_stated_is_not_guessed():
    """Cached tokens and audio tokens without a word on cached audio cannot be billed; a stated 0 can."""
    usage = {"input_tokens": 1000, "cache_read_tokens": 400, "input_audio_tokens": 500}
    assert reason(AUDIO.price(usage)) == UNPRICED_METER
    assert isinstance(AUDIO.price({**usage, "cache_audio_read_tokens": 0}), Cost)


def test_an_overlap_without_a_price_is_unpriced():
    """A card with cached and audio prices, but none for cached audio, bills no cached audio."""
    gappy = card(rate("input_tokens", "4"), rate("cache_read_tokens", "1"), rate("input_audio_tokens", "32"))
    usage = {"input_tokens": 10, "cache_read_tokens": 4, "input_audio_tokens": 5}
    assert reason(gappy.price({**usage, "cache_audio_read_tokens": 2})) == UNPRICED_METER
    assert isinstance(gappy.price({**usage, "cache_audio_read_tokens": 0}), Cost)


def test_the_long_context_price_takes_all_tokens_from_the_threshold_on():
    """At 200,000 input tokens the base price holds; one more, and every token has the other."""
    long = card(
        rate("input_tokens", "3", tiers=((200_000, Decimal(6)),)),
        rate("output_tokens", "15", tiers=((200_000, Decimal("22.5")),)),
    )
    below = long.price({"input_tokens": 200_000, "output_tokens": 1000})
    above = long.price({"input_tokens": 200_001, "output_tokens": 1000})
    assert below.total == Decimal("0.6") + Decimal("0.015")
    assert above.total == Decimal("1.200006") + Decimal("0.0225")
    assert {part.price for part in above.parts} == {Decimal(6), Decimal("22.5")}


def test_the_highest_tier_that_is_passed_counts():
    """Several tiers: the last one below the input tokens."""
    tiers = ((100, Decimal(2)), (1000, Decimal(3)))
    steps = card(rate("input_tokens", "1", per=1, tiers=tiers))
    assert [steps.price({"input_tokens": n}).parts[0].price for n in (100, 101, 1000, 1001)] == [1, 2, 2, 3]


@pytest.mark.parametrize(
    ("seconds", "dollars"),
    [
        (Decimal("60.2"), "0.006"),
        (60.5, "0.0061"),
        (Decimal("0.4"), "0"),
        (Decimal("0.5"), "0.0001"),
        (330, "0.033"),
    ],
)
def test_seconds_are_rounded_before_they_are_priced(seconds, dollars):
    """Whisper: to the nearest second, halves up."""
    whisper = card(rate("input_audio_seconds", "0.006", per=60, round=Decimal(1)))
    assert whisper.price({"input_audio_seconds": seconds}).total == Decimal(dollars)


def test_a_minimum_is_billed_where_there_is_anything():
    """Nine seconds cost ten, ten cost ten, none cost nothing."""
    least = card(rate("input_audio_seconds", "1", per=1, minimum=Decimal(10)))
    totals = [least.price({"input_audio_seconds": seconds}).total for seconds in (9, 10, 11, 0)]
    assert totals == [10, 10, 11, 0]


REALTIME = card(
    rate("input_tokens", "5"),
    rate("output_tokens", "20"),
    rate("input_audio_tokens", "100"),
    rate("output_audio_tokens", "200"),
    rate("input_audio_seconds", "0.06", per=60, unless="input_audio_tokens"),
    rate("output_audio_seconds", "0.24", per=60, unless="output_audio_tokens"),
)


def test_seconds_are_billed_unless_the_tokens_are_reported():
    """A rate with `unless` stands in only for what is not reported, each direction for itself."""
    usage = {
        "input_tokens": 1000,
        "input_audio_seconds": 60,
        "output_tokens": 1000,
        "output_audio_seconds": 60,
    }
    minutes = billed(REALTIME.price(usage))
    assert minutes["input_audio_seconds"][1] == Decimal("0.06")
    assert minutes["output_audio_seconds"][1] == Decimal("0.24")
    mixed = billed(REALTIME.price({**usage, "input_audio_tokens": 600}))
    assert mixed["input_audio_tokens"] == (600, Decimal("0.06"))
    assert "input_audio_seconds" not in mixed
    assert mixed["output_audio_seconds"][1] == Decimal("0.24")


def test_a_total_of_audio_is_the_sum_of_its_directions():
    """A card by the hour of audio bills what is sent and what is generated; a stated total wins."""
    live = card(rate("audio_seconds", "3.6", per=3600))
    assert live.price({"input_audio_seconds": 10, "output_audio_seconds": Decimal("2.5")}).total == Decimal("0.0125")
    assert live.price({"audio_seconds": 20, "input_audio_seconds": 10}).total == Decimal("0.02")


@pytest.mark.parametrize(
    ("usage", "meter"),
    [
        ({"input_tokens": 1, "web_searches": 1}, "web_searches"),
        ({"input_audio_seconds": 3}, "input_audio_seconds"),
        ({"output_tokens": 5, "output_images": 1}, "output_images"),
        ({"input_tokens": 5, "requests": 1}, "requests"),
        ({"input_tokens": 5, "widgets": 1}, "widgets"),
        ({"input_characters": 5}, "input_characters"),
    ],
)
def test_a_meter_without_a_price_is_named(usage, meter):
    """What no rate covers makes the call unpriced, never free."""
    found = CHAT.price(usage)
    assert reason(found) == UNPRICED_METER
    assert meter in found.detail


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 9, "input_audio_tokens": 9, "input_audio_seconds": Decimal("1.5")},
        {"output_tokens": 9, "output_audio_tokens": 9, "output_audio_seconds": 2},
        {"input_tokens": 9, "input_characters": 30},
        {"output_tokens": 9, "output_image_tokens": 9, "output_images": 1},
    ],
)
def test_what_tokens_measure_already_is_information(usage):
    """Seconds, characters and images beside the tokens of the same thing cost nothing more."""
    tokens = {meter: quantity for meter, quantity in usage.items() if meter.endswith("tokens")}
    assert CHAT.price(usage).total == CHAT.price(tokens).total


def test_the_tokens_of_an_image_model_are_its_images():
    """A model with image-token prices bills tokens; the number of images is information."""
    image = card(rate("input_tokens", "5"), rate("input_image_tokens", "10"), rate("output_tokens", "40"))
    found = image.price({"input_tokens": 100, "output_tokens": 4000, "output_images": 1})
    assert found.total == Decimal("0.1605")


def test_a_meter_priced_under_other_conditions_says_which():
    """An image of a size nobody has a price for is unpriced by its conditions."""
    images = card(unmatched={"output_images": "size=1024x1024"})
    found = images.price({"output_images": 1})
    assert reason(found) == UNPRICED_CONDITION
    assert "size=1024x1024" in found.detail


def test_a_fee_for_the_request_is_billed_once_or_as_counted():
    """A priced `requests` counts one for every call that does not say how many."""
    search = card(rate("input_tokens", "1"), rate("requests", "12", per=1000))
    assert search.price({"input_tokens": 1000}).total == Decimal("0.013")
    assert search.price({"input_tokens": 1000, "requests": 3}).total == Decimal("0.037")
    assert search.price({"input_tokens": 1000, "requests": 0}).total == Decimal("0.001")


def test_shares_can_be_priced_without_their_whole():
    """Prices for text and audio only: a total is fine as long as they make up all of it."""
    split = card(rate("input_text_tokens", "1"), rate("input_audio_tokens", "10"))
    usage = {"input_tokens": 30, "input_text_tokens": 10, "input_audio_tokens": 20}
    assert split.price(usage).total == Decimal("0.00021")
    assert reason(split.price({**usage, "input_tokens": 31})) == UNPRICED_METER
    assert reason(split.price({"input_tokens": 31})) == UNPRICED_METER


class Colour(IntEnum):
    """An integer of another type."""

    RED = 3


class Foreign:
    """A number that fails."""

    def __index__(self):
        msg = "no"
        raise RuntimeError(msg)


@pytest.mark.parametrize(
    "quantity",
    [
        -1,
        Decimal("-0.5"),
        True,
        False,
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        "12",
        None,
        [],
        MOST_UNITS + 1,
        1e300,
        Foreign(),
    ],
)
def test_a_quantity_that_cannot_be_is_invalid(quantity):
    """Negative, not a number, not finite, beyond belief: no cost, and no exception."""
    assert reason(CHAT.price({"input_tokens": quantity, "output_tokens": 1})) == UNPRICED_INVALID


@pytest.mark.parametrize("quantity", [3, 3.0, Decimal(3), Decimal("3.000"), Colour.RED])
def test_any_exact_number_is_a_quantity(quantity):
    """Whatever the type, three tokens are three tokens."""
    assert card(rate("input_tokens", "1", per=1)).price({"input_tokens": quantity}).total == 3


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": 100, "cache_read_tokens": 101},
        {"cache_read_tokens": 1},
        {"input_tokens": 100, "cache_read_tokens": 60, "cache_write_tokens": 60},
        {"input_tokens": 100, "cache_write_tokens": 10, "cache_write_1h_tokens": 11},
        {"output_tokens": 100, "reasoning_tokens": 101},
        {"reasoning_tokens": 101},
        {"input_tokens": 10, "input_audio_tokens": 11},
    ],
)
def test_shares_beyond_their_whole_are_invalid(usage):
    """More cached than sent, more thought than said: a mistake, told as one."""
    found = CLAUDE.price(usage)
    assert reason(found) == UNPRICED_INVALID
    assert "hold" in found.detail


@pytest.mark.parametrize("cached", [99, 100])
def test_shares_up_to_their_whole_are_fine(cached):
    """All of the input may be from the cache."""
    assert isinstance(CHAT.price({"input_tokens": 100, "cache_read_tokens": cached}), Cost)


def test_no_usage_is_no_cost():
    """An empty usage is unknown; a usage of zeros costs nothing, and has no parts."""
    assert reason(CHAT.price({})) == UNPRICED_USAGE
    zeros = CHAT.price({"input_tokens": 0, "output_tokens": Decimal(0), "web_searches": 0})
    assert (zeros.total, zeros.parts) == (0, ())


def test_a_billion_dollars_is_a_mistake():
    """One call may cost up to $1,000,000,000, which fits the ledger; more is set aside."""
    dear = card(rate("requests", "1000", per=1))
    assert dear.price({"requests": MILLION}).total == 10**9
    assert reason(dear.price({"requests": MILLION + 1})) == UNPRICED_INVALID


def test_half_a_nano_dollar_goes_to_the_even_one():
    """0.5 nano-dollars are 0, 1.5 are 2, 2.5 are 2, and 2.5000001 are 3."""
    tiny = card(rate("input_tokens", "0.0000000005", per=1))
    found = [tiny.price({"input_tokens": n}).total / NANO for n in (1, 3, 5, Decimal("5.0000002"))]
    assert found == [0, 2, 2, 3]


def test_the_decimal_context_of_the_application_plays_no_part():
    """With two digits of precision and every trap set, the cost is the same."""
    usage = {"input_tokens": 123_456, "cache_read_tokens": Decimal("3456.5"), "output_tokens": 7}
    with decimal.localcontext(decimal.Context(prec=2, traps=[decimal.Inexact, decimal.Rounded])):
        odd = CHAT.price(usage)
    assert odd == CHAT.price(usage)


def test_a_free_card_costs_nothing_whatever_the_usage():
    """A model that is free by its provider's word: 0, with its source."""
    found = FreeCard(STAMP).price({"input_tokens": 10**9, "anything": 3})
    assert (found.total, found.parts, found.source, found.price_id) == (0, (), "user", "test/model")


def test_costs_bear_the_stamp_of_their_card():
    """Source, id, date and version of the price list are on every cost."""
    found = CHAT.price({"input_tokens": 1})
    assert (found.source, found.price_id, found.price_date, found.catalogue) == (
        "user",
        "test/model",
        "2026-01-01",
        "test list",
    )


def test_meters_made_up_by_the_thousand_do_not_fill_the_memory():
    """The plans of a card are bounded."""
    own = card(rate("input_tokens", "1"))
    for number in range(3 * MOST_PLANS):
        own.price({f"made_up_{number}": 1})
    assert len(own._plans) <= MOST_PLANS


def test_a_card_serves_threads():
    """The same card in eight threads gives the same costs."""
    usages = [{"input_tokens": n, "cache_read_tokens": n // 2, "output_tokens": 1} for n in range(1, 200)]
    expected = [CHAT.price(usage) for usage in usages]
    found = []
    threads = [threading.Thread(target=lambda: found.append([CHAT.price(usage) for usage in usages])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8


PRICES = st.decimals(min_value=0, max_value=1000, places=6, allow_nan=False, allow_infinity=False)
QUANTITIES = st.one_of(
    st.integers(min_value=0, max_value=10**9),
    st.decimals(min_value=0, max_value=10**6, places=3, allow_nan=False, allow_infinity=False),
)
ABSURD = st.one_of(
    st.integers(), st.floats(), st.decimals(), st.booleans(), st.text(), st.none(), st.lists(st.integers())
)
SOME_METERS = st.sampled_from(sorted(DIMENSIONS))
CARDS = st.dictionaries(SOME_METERS, st.tuples(PRICES, st.integers(1, 10**9)), max_size=6).map(
    lambda rates: card(*(Rate(meter, price, per) for meter, (price, per) in rates.items()))
)


@given(CARDS, st.dictionaries(SOME_METERS, QUANTITIES, max_size=6))
def test_parts_add_up_to_the_total(own, usage):
    """Whatever is billed: finite, not negative, whole nano-dollars, and the parts are the total."""
    found = own.price(usage)
    if isinstance(found, Cost):
        assert sum((part.amount for part in found.parts), Decimal(0)) == found.total
        assert found.total.is_finite()
        assert found.total >= 0
        assert all(part.quantity > 0 and part.amount % NANO == 0 for part in found.parts)
    else:
        assert found.reason
        assert found.detail


@given(
    CARDS,
    st.dictionaries(st.one_of(st.sampled_from(sorted(METERS)), st.text(max_size=5)), ABSURD, max_size=5),
)
def test_absurd_usage_never_raises(own, usage):
    """Any mapping is a cost or a reason."""
    found = own.price(usage)
    assert isinstance(found, (Cost, Unpriced))
    if isinstance(found, Cost):
        assert found.total.is_finite()
        assert found.total >= 0


@given(
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.integers(0, 10**7),
)
def test_every_token_is_billed_once(fresh, read, five, hour, said):
    """Input, reads, and writes of both lifetimes: the quantities of the parts add up to what was reported."""
    writes = five + hour
    usage = {
        "input_tokens": fresh + read + writes,
        "cache_read_tokens": read,
        "cache_write_tokens": writes,
        "cache_write_5m_tokens": five,
        "cache_write_1h_tokens": hour,
        "output_tokens": said,
    }
    found = CLAUDE.price(usage)
    assert sum(part.quantity for part in found.parts) == usage["input_tokens"] + said
    exact = fresh * 3 + read * Decimal("0.3") + five * Decimal("3.75") + hour * 6 + said * 15
    assert abs(found.total - exact / MILLION) <= len(found.parts) * NANO / 2


@pytest.mark.parametrize(
    ("prices", "usage", "saved"),
    [
        (CHAT, {"input_tokens": 1000, "cache_read_tokens": 400, "output_tokens": 9}, 400 * 1250),
        (CHAT, {"input_tokens": 400, "cache_read_tokens": 400}, 400 * 1250),
        (CHAT, {"input_tokens": 1000, "cache_read_tokens": 0}, 0),
        (CLAUDE, {"input_tokens": 1000, "cache_read_tokens": 400, "cache_write_tokens": 500}, 400 * 2700),
        (
            AUDIO,
            {
                "input_tokens": 100,
                "input_audio_tokens": 50,
                "cache_read_tokens": 30,
                "cache_audio_read_tokens": 20,
            },
            20 * 31_600 + 10 * 3600,
        ),
        (
            card(rate("input_tokens", "1"), rate("cache_read_tokens", "2")),
            {"input_tokens": 9, "cache_read_tokens": 9},
            0,
        ),
        (card(rate("cache_read_tokens", "2")), {"cache_read_tokens": 9}, 0),
    ],
)
def test_what_the_cache_saved_is_the_difference_to_plain_input(prices, usage, saved):
    """Tokens read from a cache are held against the price of the same tokens without one; a loss is no saving."""
    found = prices.price(usage)
    assert isinstance(found, Cost), found
    assert found.cache_saved_nano == saved
    assert found.batch_saved_nano == 0


def test_what_the_cache_saved_is_of_the_tier_that_holds():
    """Past a threshold, what is not cached costs more, and the cache saves more."""
    tiered = card(rate("input_tokens", "1", tiers=((1000, Decimal(3)),)), rate("cache_read_tokens", "0.5"))
    small, large = (tiered.price({"input_tokens": total, "cache_read_tokens": 600}) for total in (1000, 1001))
    assert (small.cache_saved_nano, large.cache_saved_nano) == (600 * 500, 600 * 2500)
