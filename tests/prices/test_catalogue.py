"""The catalogue: golden prices, layers, conditions, and what has no price."""

from __future__ import annotations

import decimal
import hashlib
import logging
import threading
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version

import pytest

from otel_aicost import faults
from otel_aicost.model import (
    UNPRICED_CONDITION,
    UNPRICED_DATE,
    UNPRICED_FAILED,
    UNPRICED_INVALID,
    UNPRICED_METER,
    UNPRICED_MODEL,
    UNPRICED_PROVIDER,
    UNPRICED_USAGE,
    Cost,
    Unpriced,
)
from otel_aicost.prices.base import Base
from otel_aicost.prices.catalogue import CARDS, SLICES, Catalogue, KnownModel, load_supplement
from otel_aicost.prices.rates import Price, Query
from otel_aicost.prices.reading import parse

TODAY = "2026-11-21"
MILLION = 1_000_000


def ns(moment):
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture(scope="module")
def base():
    return Base()


@pytest.fixture(scope="module")
def shipped(base):
    """The catalogue as it is installed, without a user's file."""
    return Catalogue(base, load_supplement(), version="test")


@pytest.fixture
def layered(base):
    """Make a catalogue with a user's file of the given YAML."""

    def make(yaml):
        return Catalogue(base, load_supplement(), parse(f"schema: 1\n{yaml}".encode(), "prices.yaml"))

    return make


def total(found):
    assert isinstance(found, Cost), found
    assert sum((part.amount for part in found.parts), Decimal(0)) == found.total
    return found.total


def reason(found):
    assert isinstance(found, Unpriced), found
    return found.reason


REALTIME = {
    "input_tokens": 10_000,
    "output_tokens": 15_000,
    "input_audio_seconds": 330,
    "output_audio_seconds": 432,
}
CACHED = {
    "input_tokens": 10_000,
    "cache_read_tokens": 4000,
    "cache_write_tokens": 3000,
    "cache_write_5m_tokens": 2000,
    "cache_write_1h_tokens": 1000,
    "output_tokens": 500,
}
LONG = {"input_tokens": 200_001, "output_tokens": 1000}

GOLDEN = [
    ("openai", "whisper-1", {"input_audio_seconds": 330}, {}, TODAY, "0.033000"),
    ("openai", "whisper-1", {"input_audio_seconds": Decimal("60.2")}, {}, TODAY, "0.006"),
    ("openai", "gpt-4o", {"input_tokens": 1500, "output_tokens": 2000}, {}, TODAY, "0.023750"),
    ("openai", "gpt-4o", {"input_tokens": 1500, "output_tokens": 2000}, {}, "2024-06-01", "0.0375"),
    ("openai", "gpt-4o", {"input_tokens": 1500, "output_tokens": 2000}, {}, "2024-10-01T23:59:59", "0.0375"),
    ("openai", "gpt-4o", {"input_tokens": 1500, "output_tokens": 2000}, {}, "2024-10-02", "0.023750"),
    ("openai", "tts-1", {"input_characters": 5000}, {}, TODAY, "0.075"),
    ("openai", "tts-1-hd", {"input_characters": 5000}, {}, TODAY, "0.150000"),
    ("openai", "gpt-4o-realtime-preview", REALTIME, {}, TODAY, "2.408000"),
    ("openai", "gpt-4o-realtime-preview-2024-10-01", REALTIME, {}, TODAY, "2.408000"),
    ("anthropic", "claude-3-5-sonnet-20241022", {"input_tokens": 1500, "output_tokens": 800}, {}, TODAY, "0.0165"),
    # gpt-3.5-turbo over the years
    ("openai", "gpt-3.5-turbo", {"input_tokens": MILLION, "output_tokens": MILLION}, {}, "2023-04-01", "4"),
    ("openai", "gpt-3.5-turbo", {"input_tokens": MILLION, "output_tokens": MILLION}, {}, "2023-06-13", "3.5"),
    ("openai", "gpt-3.5-turbo", {"input_tokens": MILLION, "output_tokens": MILLION}, {}, "2024-02-15", "3.5"),
    ("openai", "gpt-3.5-turbo", {"input_tokens": MILLION, "output_tokens": MILLION}, {}, "2024-02-16", "2"),
    # what genai-prices has already
    ("openai", "gpt-4", {"input_tokens": 1000, "output_tokens": 1000}, {}, TODAY, "0.09"),
    ("openai", "gpt-4-32k", {"input_tokens": 1000, "output_tokens": 1000}, {}, TODAY, "0.18"),
    ("openai", "gpt-4-turbo", {"input_tokens": 1000, "output_tokens": 1000}, {}, TODAY, "0.04"),
    ("openai", "gpt-4o-mini", {"input_tokens": MILLION, "output_tokens": MILLION}, {}, TODAY, "0.75"),
    ("openai", "gpt-3.5-turbo-16k", {"input_tokens": 1000, "output_tokens": 1000}, {}, TODAY, "0.007"),
    ("anthropic", "claude-3-opus-20240229", {"input_tokens": 1000, "output_tokens": 1000}, {}, TODAY, "0.09"),
    ("anthropic", "claude-3-sonnet-20240229", {"input_tokens": 1000, "output_tokens": 1000}, {}, TODAY, "0.018"),
    ("anthropic", "claude-3-haiku-20240307", {"input_tokens": 1000, "output_tokens": 1000}, {}, TODAY, "0.0015"),
    ("anthropic", "claude-3-5-haiku-20241022", {"input_tokens": 1000, "output_tokens": 1000}, {}, TODAY, "0.0048"),
    # cache reads, writes for five minutes and an hour: 3000 + 4000 + 2000 + 1000 tokens, and 500 of output
    ("anthropic", "claude-sonnet-4-5", CACHED, {}, TODAY, "0.0312"),
    ("openai", "gpt-5", {"input_tokens": 1500, "cache_read_tokens": 1000, "output_tokens": 200}, {}, TODAY, "0.00275"),
    ("openai", "o3", {"input_tokens": 0, "output_tokens": 1000, "reasoning_tokens": 900}, {}, TODAY, "0.008"),
    # long context, on both sides of the threshold
    ("anthropic", "claude-sonnet-4-5", {**LONG, "input_tokens": 200_000}, {}, TODAY, "0.615"),
    ("anthropic", "claude-sonnet-4-5", LONG, {}, TODAY, "1.222506"),
    # service tiers, batches, fast
    ("openai", "gpt-5", {"input_tokens": MILLION}, {"service_tier": "flex"}, TODAY, "0.625"),
    ("openai", "gpt-5", {"input_tokens": MILLION}, {"service_tier": "priority"}, TODAY, "2.5"),
    ("openai", "gpt-5", {"input_tokens": MILLION}, {"service_tier": "default"}, TODAY, "1.25"),
    ("openai", "gpt-5", {"input_tokens": MILLION}, {"service_tier": "auto"}, TODAY, "1.25"),
    ("anthropic", "claude-haiku-4-5", {"input_tokens": MILLION}, {"service_tier": "standard"}, TODAY, "1"),
    ("anthropic", "claude-opus-5", {"input_tokens": MILLION}, {"speed": "fast"}, TODAY, "10"),
    ("anthropic", "claude-opus-5", {"input_tokens": MILLION}, {"inference_geo": "us"}, TODAY, "5.5"),
    ("groq", "llama-3.1-8b-instant", {"input_tokens": MILLION}, {"service_tier": "flex"}, TODAY, "0.05"),
    ("openai", "gpt-4o", {"input_tokens": MILLION, "output_tokens": MILLION}, {"processing": "batch"}, TODAY, "6.25"),
    (
        "openai",
        "gpt-4o",
        {"input_tokens": MILLION, "output_tokens": MILLION},
        {"processing": "batch"},
        "2025-01-01",
        "6.25",
    ),
    ("openai", "text-embedding-3-small", {"input_tokens": MILLION}, {"processing": "batch"}, TODAY, "0.01"),
    ("openai", "text-embedding-3-large", {"input_tokens": MILLION}, {"processing": "batch"}, TODAY, "0.065"),
    ("anthropic", "claude-3-opus-20240229", {"input_tokens": MILLION}, {"processing": "batch"}, "2025-01-01", "7.5"),
    # a batch price that equals the standard one is not halved again
    ("openai", "gpt-3.5-turbo-1106", {"input_tokens": MILLION}, {"processing": "batch"}, TODAY, "1"),
    # fees of tools: a batch halves tokens, not searches
    ("anthropic", "claude-sonnet-4-5", {"input_tokens": 1000, "web_searches": 3}, {}, TODAY, "0.033"),
    ("openai", "gpt-5", {"input_tokens": 1000, "web_searches": 1, "file_searches": 2}, {}, TODAY, "0.01625"),
    ("openai", "gpt-5.3-codex", {"input_tokens": 0, "web_searches": 1}, {}, TODAY, "0.01"),
    (
        "anthropic",
        "claude-sonnet-4-0",
        {"input_tokens": 1000, "web_searches": 1},
        {"processing": "batch"},
        TODAY,
        "0.0115",
    ),
    # images
    ("openai", "dall-e-3", {"output_images": 1}, {"size": "1024x1024", "quality": "standard"}, TODAY, "0.04"),
    ("openai", "dall-e-3", {"output_images": 1}, {"size": "1024x1024", "quality": "hd"}, TODAY, "0.08"),
    ("openai", "dall-e-3", {"output_images": 2}, {"size": "1024x1792", "quality": "hd"}, TODAY, "0.24"),
    ("openai", "dall-e-3", {"output_images": 1}, {"size": "1792x1024"}, TODAY, "0.08"),
    ("openai", "dall-e-3", {"output_images": 1}, {}, TODAY, "0.04"),
    ("openai", "dall-e-2", {"output_images": 3}, {"size": "256x256"}, TODAY, "0.048"),
    ("openai", "dall-e-2", {"output_images": 3}, {"size": "512x512"}, TODAY, "0.054"),
    ("openai", "dall-e-2", {"output_images": 3}, {}, TODAY, "0.06"),
    ("openai", "gpt-image-1", {"input_tokens": 100, "output_tokens": 4160}, {"quality": "high"}, TODAY, "0.1669"),
    # audio tokens that genai-prices bills as text
    (
        "openai",
        "gpt-4o-audio-preview",
        {"input_tokens": 1000, "input_audio_tokens": 1000, "output_tokens": 1000, "output_audio_tokens": 1000},
        {},
        TODAY,
        "0.12",
    ),
    (
        "openai",
        "gpt-4o-mini-audio-preview-2024-12-17",
        {"input_tokens": 10, "input_audio_tokens": 10},
        {},
        TODAY,
        "0.0001",
    ),
    # free
    ("ollama", "llama3.3:70b", {"input_tokens": 10**9}, {"service_tier": "odd"}, TODAY, "0"),
    ("vllm", "anything/at-all", {"output_tokens": 5, "reasoning_tokens": 9}, {}, TODAY, "0"),
]


@pytest.mark.parametrize(("provider", "model", "usage", "conditions", "day", "dollars"), GOLDEN)
def test_golden(shipped, provider, model, usage, conditions, day, dollars):
    """What a usage of a model costs, to the nano-dollar."""
    assert total(shipped.price(provider, [model], usage, conditions, ns(day))) == Decimal(dollars)


UNPRICED = [
    ("openai", "gpt-6-foo", {"input_tokens": 1}, {}, TODAY, UNPRICED_MODEL),
    ("openai", "", {"input_tokens": 1}, {}, TODAY, UNPRICED_MODEL),
    ("openai_compatible", "gpt-4o", {"input_tokens": 1}, {}, TODAY, UNPRICED_PROVIDER),
    ("", "gpt-4o", {"input_tokens": 1}, {}, TODAY, UNPRICED_PROVIDER),
    ("openai", "dall-e-3", {"output_images": 1}, {}, "2023-11-05", UNPRICED_DATE),
    ("openai", "dall-e-3", {"output_images": 1}, {"size": "256x256"}, TODAY, UNPRICED_CONDITION),
    ("openai", "gpt-4o", {"input_tokens": 1, "code_executions": 1}, {}, TODAY, UNPRICED_METER),
    ("openai", "gpt-4o-mini-tts", {"input_characters": 60}, {}, TODAY, UNPRICED_METER),
    ("anthropic", "claude-3-opus-20240229", {"input_tokens": 1, "web_searches": 1}, {}, TODAY, UNPRICED_METER),
    ("openai", "gpt-4o", {}, {}, TODAY, UNPRICED_USAGE),
    ("openai", "gpt-4o", {"input_tokens": 1, "cache_read_tokens": 2}, {}, TODAY, UNPRICED_INVALID),
    # never the standard price where another one is due
    ("openai", "gpt-5", {"input_tokens": 1}, {"service_tier": "scale"}, TODAY, UNPRICED_CONDITION),
    ("openai", "gpt-4", {"input_tokens": 1}, {"service_tier": "priority"}, TODAY, UNPRICED_CONDITION),
    ("openai", "gpt-5", {"input_tokens": 1}, {"service_tier": "flex"}, "2026-10-11", UNPRICED_CONDITION),
    ("openai", "gpt-4o", {"input_tokens": 1}, {"processing": "batch"}, "2024-04-14", UNPRICED_CONDITION),
    (
        "anthropic",
        "claude-3-opus-20240229",
        {"input_tokens": 1},
        {"processing": "batch"},
        "2024-10-07",
        UNPRICED_CONDITION,
    ),
    ("anthropic", "claude-opus-4-5", {"input_tokens": 1}, {"speed": "fast"}, TODAY, UNPRICED_CONDITION),
    ("anthropic", "claude-opus-5", {"input_tokens": 1}, {"service_tier": "priority"}, TODAY, UNPRICED_CONDITION),
    ("azure.ai.openai", "gpt-5", {"input_tokens": 1}, {"service_tier": "flex"}, TODAY, UNPRICED_CONDITION),
    ("azure.ai.openai", "gpt-5", {"input_tokens": 1}, {"processing": "batch"}, TODAY, UNPRICED_CONDITION),
    ("groq", "llama-3.1-8b-instant", {"input_tokens": 1}, {"service_tier": "performance"}, TODAY, UNPRICED_CONDITION),
]


@pytest.mark.parametrize(("provider", "model", "usage", "conditions", "day", "why"), UNPRICED)
def test_unpriced(shipped, provider, model, usage, conditions, day, why):
    """What has no price has a reason instead, and a sentence for a human."""
    found = shipped.price(provider, [model], usage, conditions, ns(day))
    assert reason(found) == why
    assert found.detail


def test_an_unknown_host_is_told_how_it_is_mended(shipped):
    """The sentence names the two variables that help."""
    detail = shipped.price("openai_compatible", ["gpt-4o"], {"input_tokens": 1}, {}, ns(TODAY)).detail
    assert "OTEL_AICOST_PROVIDER_HOSTS" in detail
    assert "OTEL_AICOST_PRICES" in detail


def test_the_model_of_the_response_comes_first(shipped):
    """The names are tried in the order given; one that nobody knows is passed over."""
    usage = {"input_tokens": MILLION}
    assert total(shipped.price("openai", ["gpt-4o-mini", "gpt-4o"], usage, {}, ns(TODAY))) == Decimal("0.15")
    assert total(shipped.price("openai", ["my-deployment", "gpt-4o"], usage, {}, ns(TODAY))) == Decimal("2.5")


def test_upper_and_lower_case_do_not_matter(shipped):
    """Model names are found as they stand and in lower case, and not by likeness."""
    assert total(shipped.price("openai", ["GPT-4o"], {"input_tokens": MILLION}, {}, ns("2024-06-01"))) == 5
    assert reason(shipped.price("openai", ["gpt-4o-ultra"], {"input_tokens": 1}, {}, ns(TODAY))) == UNPRICED_MODEL


def test_a_cost_says_where_its_price_is_from(shipped):
    """Source, id, date and the version of the catalogue."""
    old = shipped.price("openai", ["gpt-4o"], {"input_tokens": 1}, {}, ns("2024-06-01"))
    new = shipped.price("openai", ["gpt-4o"], {"input_tokens": 1}, {"processing": "batch"}, ns(TODAY))
    halved = shipped.price("openai", ["gpt-4o"], {"input_tokens": 1}, {"processing": "batch"}, ns("2025-01-01"))
    assert (old.source, old.price_id, old.price_date, old.catalogue) == (
        "supplement",
        "openai/gpt-4o",
        "2024-05-13",
        "test",
    )
    assert (new.source, new.price_id, new.price_date) == ("genai-prices", "openai/gpt-4o", "2026-10-14")
    assert halved.price_id == "openai/gpt-4o; processing=batch x0.5"


OWN_GPT = """
models:
  - provider: openai
    model: gpt-4o
    periods:
      - from: 2026-01-01
        rates: [{meter: input_tokens, price: "2.00", per: 1_000_000}, {meter: output_tokens, price: "8", per: 1_000_000}]
      - {from: 2026-06-01, defer: true}
"""


def test_the_users_price_wins_while_it_is_in_force(layered):
    """Before its first period and from `defer` on, the layers below decide."""
    own = layered(OWN_GPT)
    days = {"2025-12-31": "2.5", "2026-01-01": "2", "2026-05-31": "2", "2026-06-01": "2.5"}
    for day, dollars in days.items():
        found = own.price("openai", ["gpt-4o"], {"input_tokens": MILLION}, {}, ns(day))
        assert total(found) == Decimal(dollars)
        assert found.source == ("user" if dollars == "2" else "genai-prices")


def test_a_layer_decides_for_the_whole_model(layered):
    """The user's price has no cached rate: cached tokens are input tokens, not the layer below's."""
    usage = {"input_tokens": MILLION, "cache_read_tokens": MILLION}
    assert total(layered(OWN_GPT).price("openai", ["gpt-4o"], usage, {}, ns("2026-02-01"))) == 2


def test_the_users_price_holds_by_the_name_that_was_asked_for(layered):
    """A price for gpt-4o is used when the response calls itself gpt-4o-2024-08-06."""
    found = layered(OWN_GPT).price(
        "openai", ["gpt-4o-2024-08-06", "gpt-4o"], {"input_tokens": MILLION}, {}, ns("2026-02-01")
    )
    assert (total(found), found.source) == (2, "user")


def test_a_negotiated_discount_applies_to_any_layer(layered):
    """Ten percent off all of Anthropic, from a day on; the cost is then the user's."""
    own = layered('adjustments: [{provider: anthropic, from: 2026-06-01, to: 2026-12-01, multiply: "0.9"}]')
    usage = {"input_tokens": MILLION, "web_searches": 1000}
    days = {"2026-05-31": "11", "2026-06-01": "9.9", "2026-11-30": "9.9", "2026-12-01": "11"}
    for day, dollars in days.items():
        found = own.price("anthropic", ["claude-haiku-4-5"], usage, {}, ns(day))
        assert total(found) == Decimal(dollars)
        assert found.source == ("user" if dollars == "9.9" else "genai-prices")
    assert total(own.price("openai", ["gpt-5"], {"input_tokens": MILLION}, {}, ns("2026-07-01"))) == Decimal("1.25")


def test_discounts_multiply_and_reach_tiers(layered):
    """A batch of the user's discounted model, beyond the long-context threshold."""
    own = layered('adjustments: [{provider: "*", model: {prefix: claude-}, from: 2026-01-01, multiply: "0.8"}]')
    found = own.price("anthropic", ["claude-sonnet-4-5"], {"input_tokens": 300_000}, {"processing": "batch"}, ns(TODAY))
    assert total(found) == Decimal("0.3") * 3 * Decimal("0.8")


def test_a_condition_of_the_users_own_selects_a_discount(layered):
    """`when` can name any condition that `record(...)` gives."""
    own = layered('adjustments: [{provider: "*", when: {contract: acme}, from: 2026-01-01, multiply: "0.5"}]')
    usage = {"input_tokens": MILLION}
    assert total(own.price("openai", ["gpt-4o"], usage, {"contract": "acme"}, ns(TODAY))) == Decimal("1.25")
    assert total(own.price("openai", ["gpt-4o"], usage, {"contract": "other"}, ns(TODAY))) == Decimal("2.5")


def test_a_tier_can_be_given_a_price(layered):
    """A factor of 1 says that Anthropic's priority tier costs what the standard one does."""
    own = layered(
        'adjustments: [{provider: anthropic, when: {service_tier: priority}, from: 2026-01-01, multiply: "1"}]'
    )
    found = own.price(
        "anthropic", ["claude-haiku-4-5"], {"input_tokens": MILLION}, {"service_tier": "priority"}, ns(TODAY)
    )
    assert (total(found), found.source) == (1, "genai-prices")


def test_a_rate_can_be_for_a_tier(layered):
    """`when` on a rate gives the tier its own price; other tiers stay unpriced."""
    own = layered("""
models:
  - provider: my_cloud
    model: {prefix: m-}
    assume: {region: eu}
    periods:
      - from: 2026-01-01
        rates:
          - {meter: input_tokens, price: "1", per: 1_000_000}
          - {meter: input_tokens, price: "2", per: 1_000_000, when: {region: us}}
          - {meter: input_tokens, price: "3", per: 1_000_000, when: {region: us, service_tier: [fast, faster]}}
""")
    usage = {"input_tokens": MILLION}

    def ask(**conditions):
        return own.price("my_cloud", ["M-1"], usage, conditions, ns(TODAY))

    assert [total(ask()), total(ask(region="us")), total(ask(region="us", service_tier="faster"))] == [1, 2, 3]
    assert reason(ask(service_tier="fast")) == UNPRICED_CONDITION


def test_added_rates_fill_gaps_and_replace_nothing(layered):
    """`add: true` prices what the model's own price leaves out."""
    own = layered("""
models:
  - provider: openai
    model: {regex: 'gpt-.*'}
    add: true
    periods:
      - from: 2026-01-01
        rates:
          - {meter: code_executions, price: "0.03", per: 1}
          - {meter: input_tokens, price: "999", per: 1}
""")
    found = own.price("openai", ["gpt-4o"], {"input_tokens": MILLION, "code_executions": 2}, {}, ns(TODAY))
    assert (total(found), found.source) == (Decimal("2.56"), "genai-prices")


def test_a_broken_user_file_is_left_out_and_said(tmp_path, caplog):
    """The application goes on with list prices; the log holds every mistake, and each cost's version says so."""
    path = tmp_path / "prices.yaml"
    path.write_text("schema: 1\nmodels:\n  - provider: openai\n    model: gpt-4o\n    period: []\n")
    with caplog.at_level(logging.WARNING, "otel_aicost"):
        own = Catalogue.load(path)
    assert own.version.endswith("+ user file unusable")
    assert f"{path}:5: models[0].period: unknown key; is it `periods`?" in caplog.text
    assert f"{path}:3: models[0].periods: is missing" in caplog.text
    found = own.price("openai", ["gpt-4o"], {"input_tokens": MILLION}, {}, ns(TODAY))
    assert (total(found), found.catalogue) == (Decimal("2.5"), own.version)


def test_a_user_file_that_is_not_there_is_said(tmp_path, caplog):
    """A path that leads nowhere is a mistake like any other."""
    with caplog.at_level(logging.WARNING, "otel_aicost"):
        assert "unusable" in Catalogue.load(tmp_path / "none.yaml").version
    assert "cannot be read" in caplog.text


def test_the_version_names_every_layer(tmp_path):
    """The version is enough to reproduce a past cost."""
    path = tmp_path / "prices.yaml"
    path.write_text("schema: 1\n")
    digest = hashlib.sha256(b"schema: 1\n").hexdigest()[:8]
    expected = f"genai-prices {version('genai-prices')} + supplement {load_supplement().checked} + user {digest}"
    assert Catalogue.load(path).version == expected


def test_without_genai_prices_the_files_still_price(monkeypatch):
    """A base layer that cannot be loaded is counted and named; the supplement works on."""

    def fail():
        msg = "gone"
        raise ImportError(msg)

    monkeypatch.setattr("otel_aicost.prices.base.Base", fail)
    own = Catalogue.load()
    assert own.version.startswith("genai-prices unavailable + supplement")
    assert faults.counts() == {"prices.base": 1}
    assert total(own.price("openai", ["whisper-1"], {"input_audio_seconds": 60}, {}, ns(TODAY))) == Decimal("0.006")
    assert reason(own.price("openai", ["gpt-5"], {"input_tokens": 1}, {}, ns(TODAY))) == UNPRICED_MODEL
    assert reason(own.price("anthropic", ["claude-x"], {"input_tokens": 1}, {}, ns(TODAY))) == UNPRICED_PROVIDER


@pytest.mark.parametrize(
    "call",
    [
        ("openai", [["a list"]], {"input_tokens": 1}, {}, 0),
        ("openai", ["gpt-4o"], 3, {}, 0),
        ("openai", ["gpt-4o"], {"input_tokens": 1}, None, 0),
        ("openai", ["gpt-4o"], {"input_tokens": 1}, {}, 2**80),
        ("openai", ["gpt-4o"], {"input_tokens": 1}, {}, None),
        (None, None, None, None, None),
    ],
)
def test_an_error_of_ours_is_counted_and_not_raised(shipped, call):
    """Whatever is passed: an Unpriced that says pricing failed."""
    assert reason(shipped.price(*call)) == UNPRICED_FAILED
    assert faults.counts() == {"prices": 1}


def test_the_cache_is_bounded(base):
    """Models, conditions and times made up by the thousand do not fill the memory."""
    own = Catalogue(base, load_supplement())
    for number in range(CARDS + 10):
        own.price("nobody", [f"model-{number}"], {"input_tokens": 1}, {}, ns(TODAY))
    assert len(own._cards) <= CARDS
    for day in range(1, 29):
        own.price("deepseek", ["deepseek-v4-pro"], {"input_tokens": 1}, {}, ns(f"2026-11-{day:02}"))
    assert max(map(len, own._cards.values())) == SLICES


def test_a_miss_is_looked_up_once(base, monkeypatch):
    """An unknown model costs a lookup the first time only."""
    own = Catalogue(base, load_supplement())
    asked = []
    monkeypatch.setattr(Base, "find", lambda *_: asked.append(1) or (None, (-(2**80), 2**80)))
    for _ in range(3):
        own.price("openai", ["gpt-none"], {"input_tokens": 1}, {}, ns(TODAY))
    assert len(asked) == 1


def test_threads_share_a_catalogue(shipped):
    """Eight threads with cold caches get the same costs as one."""
    calls = [
        (model, day)
        for model in ("gpt-4o", "gpt-3.5-turbo", "o3", "gpt-5")
        for day in ("2023-07-01", "2024-06-01", "2026-11-21")
    ]

    def ask(own):
        return [own.price("openai", [model], {"input_tokens": MILLION}, {}, ns(day)) for model, day in calls]

    expected = ask(shipped)
    cold = Catalogue(Base(), load_supplement(), version="test")
    found = []
    threads = [threading.Thread(target=lambda: found.append(ask(cold))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8


def test_what_is_known_can_be_listed(layered):
    """Every model of every layer, with its source and, where one is told, the day it was checked."""
    own = layered(OWN_GPT)
    known = list(own.known())
    assert KnownModel("openai", "gpt-4o", "user") in known
    whisper = next(e for e in load_supplement().entries if e.model.text == "whisper-1")
    assert KnownModel("openai", "whisper-1", "supplement", whisper.checked) in known
    assert KnownModel("azure.ai.openai", "o1", "genai-prices") in known
    assert len(known) > 2000
    assert {"openai", "ollama", "gcp.gemini"} <= set(own.providers())
    assert "*" not in own.providers()


def test_rates_of_a_model_can_be_asked_for(shipped):
    """`resolve` gives the rates in force, and those under other conditions."""
    price, (start, end) = shipped.resolve(Query("openai", ("gpt-5",), {}, ns(TODAY)))
    assert isinstance(price, Price)
    assert {rate.meter: rate.price for rate in price.rates}["input_tokens"] == Decimal("1.25")
    assert any(rate.when == {"service_tier": ("flex",)} for rate in price.conditional)
    assert start <= ns(TODAY) < end


@pytest.mark.parametrize("entry", load_supplement().entries, ids=lambda entry: entry.label)
def test_every_entry_of_the_supplement_names_its_source(entry):
    """No price without a URL and the day it was read there."""
    assert entry.source.startswith("https://")
    assert entry.checked


def test_the_supplement_agrees_with_the_base_where_it_defers(shipped, base):
    """On the day an alias is left to genai-prices, genai-prices knows it."""
    for entry in load_supplement().entries:
        for period in entry.periods:
            if period.defer:
                assert base.find(entry.provider, entry.model.text, {}, period.start_ns)[0] is not None


@pytest.mark.parametrize(
    ("conditions", "saved"),
    [
        ({"processing": "batch"}, "6.25"),
        ({"processing": "standard"}, "0"),
        ({}, "0"),
        ({"processing": "batch", "service_tier": "auto"}, "6.25"),
    ],
)
def test_what_a_batch_saved_is_the_difference_to_single_calls(shipped, conditions, saved):
    """A batch is held against the price of the same usage at the same time outside of one."""
    usage = {"input_tokens": MILLION, "output_tokens": MILLION}
    found = shipped.price("openai", ["gpt-4o"], usage, conditions, ns(TODAY))
    assert found.batch_saved_nano == Decimal(saved) * 10**9


def test_a_short_decimal_context_does_not_shorten_what_was_saved(shipped):
    """The application's own context plays no part in what a batch saved."""
    usage = {"input_tokens": 123_456_789, "output_tokens": 1}
    with decimal.localcontext(prec=2):
        found = shipped.price("openai", ["gpt-4o"], usage, {"processing": "batch"}, ns(TODAY))
    plain = shipped.price("openai", ["gpt-4o"], usage, {}, ns(TODAY))
    assert found.batch_saved_nano == (plain.total - found.total) * 10**9


def test_a_catalogue_tells_how_recent_it_is(shipped):
    """Each layer has the latest day on which anything in it was checked; genai-prices that of its newest price."""
    made = shipped.made()

    assert set(made) == {"genai-prices", "supplement"}
    assert made["supplement"].isoformat() == load_supplement().checked
    assert datetime(2025, 1, 1, tzinfo=UTC).date() < made["genai-prices"] <= datetime.now(UTC).date()
