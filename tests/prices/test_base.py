"""The base layer: what we rely on in genai-prices, and that our arithmetic gives what theirs does."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ConditionalPrice,
    ModelPrice,
    PriceVariant,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from otel_aicost.model import METERS, NO_CONDITIONS, Cost, Unpriced
from otel_aicost.prices.base import PROVIDERS, Base
from otel_aicost.prices.catalogue import Catalogue
from otel_aicost.prices.files import PriceFile
from otel_aicost.prices.meters import DIMENSIONS, MODALITIES, THEIR_NAMES, lies_within

NANO_HALF = Decimal("0.5e-9")
AT = datetime(2026, 11, 21, 14, tzinfo=UTC)


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


@pytest.fixture(scope="module")
def base() -> Base:
    return Base()


@pytest.fixture(scope="module")
def catalogue(base: Base) -> Catalogue:
    """Genai-prices alone, so that its own arithmetic is the measure."""
    return Catalogue(base, PriceFile("supplement"))


def test_our_meters_have_the_dimensions_of_their_units() -> None:
    """Every unit of genai-prices is a meter of ours, under our name, with the same dimensions."""
    ours = {theirs: our for our, theirs in THEIR_NAMES.items()}
    for unit, facts in unit_data.items():
        assert DIMENSIONS[ours.get(unit, unit)] == frozenset(facts["dimensions"].items()), unit


def test_every_public_meter_has_dimensions() -> None:
    """What the model declares as a meter can be decomposed."""
    assert METERS.keys() <= DIMENSIONS.keys()


def test_the_parts_of_genai_prices_we_use_are_there() -> None:
    """The contract with genai-prices: names, types and fields that `base` touches, and no others."""
    snapshot = get_snapshot()
    assert isinstance(snapshot.from_auto_update, bool)
    assert isinstance(snapshot.timestamp, datetime)
    owner = next(p for p in snapshot.providers if p.id == "openai")
    assert all(isinstance(url, str) for url in owner.pricing_urls)
    found, info = snapshot.find_provider_model("gpt-5", owner, None, None)
    assert found is owner
    assert any(info is model for model in owner.models)
    with pytest.raises(LookupError):
        snapshot.find_provider_model("gpt-none", owner, None, None)
    prices = info.get_prices(AT)
    assert isinstance(prices, ModelPrice)
    assert prices.__dict__["input_mtok"] == Decimal("1.25")
    assert info.get_prices(AT, {"service_tier": "flex"}).__dict__["input_mtok"] == Decimal("0.625")
    assert set(unit_data["input_tokens"]) >= {"per", "price_key", "dimensions"}


def test_the_parts_of_its_update_we_use_are_there() -> None:
    """The contract with what makes a list of published data: the names, and that it takes our snapshot's place."""
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import _providers_from_raw
    from genai_prices.update_prices import DEFAULT_UPDATE_URL

    assert DEFAULT_UPDATE_URL.startswith("https://")
    assert DEFAULT_UPDATE_URL.endswith("/v2/data.json")
    model = {"id": "m", "match": {"equals": "m"}, "prices": {"input_mtok": 1}}
    raw = [{"id": "p", "name": "P", "api_pattern": "p", "models": [model]}]
    snapshot = DataSnapshot(_providers_from_raw(raw), from_auto_update=True)
    assert snapshot.providers[0].models[0].get_prices(AT).__dict__["input_mtok"] == 1


def test_prices_have_no_other_shapes_than_the_ones_we_read() -> None:
    """Every price is a Decimal or TieredPrices under a known key; every constraint one of two kinds."""
    keys = {unit["price_key"] for unit in unit_data.values()}
    constraints = (type(None), StartDateConstraint, TimeOfDateConstraint)
    for provider in get_snapshot().providers:
        for info in provider.models:
            dated = info.prices if isinstance(info.prices, list) else [ConditionalPrice(prices=info.prices)]
            for conditional in [*dated, *(info.price_variants or ())]:
                assert isinstance(conditional, (ConditionalPrice, PriceVariant))
                assert isinstance(conditional.constraint, constraints), info.id
                for key, value in conditional.prices.__dict__.items():
                    assert value is None or (key in keys and isinstance(value, (Decimal, TieredPrices)))


def test_every_name_leads_to_a_provider_of_theirs(base: Base) -> None:
    """The table of provider names points at ids that exist; a name without an entry stands for itself."""
    assert all(base.knows(name) for name in PROVIDERS)
    assert all(base.knows(name) for name in ("openai", "anthropic", "groq", "deepseek", "cohere", "openrouter"))
    assert not base.knows("openai_compatible")
    assert not base.knows("")
    assert "azure.ai.openai" in base.providers()
    assert "gpt-5" in list(base.models("openai"))
    assert list(base.models("nobody")) == []


def _usage(meters: list[str], dice: random.Random) -> dict[str, int]:
    """Make a usage of the given meters in which every quantity is within those that hold it."""
    usage: dict[str, int] = {}
    for meter in sorted(meters, key=lambda m: -len(DIMENSIONS[m])):
        inner = sum(q for m, q in usage.items() if lies_within(m, meter))
        usage[meter] = inner + dice.randrange(0, 400_000)
    for one in list(usage):  # what is both of two meters has to be stated: nothing is
        for other in list(usage):
            both = DIMENSIONS[one] | DIMENSIONS[other]
            if len({key for key, _ in both}) == len(both):
                name = next((m for m, of in DIMENSIONS.items() if of == both), None)
                if name is not None:
                    usage.setdefault(name, 0)
    return usage


def _theirs(usage: dict[str, int]) -> TheirUsage:
    return TheirUsage(**{THEIR_NAMES.get(m, m): q for m, q in usage.items() if m != "requests"})


def test_all_models_cost_what_genai_prices_says(base: Base, catalogue: Catalogue) -> None:
    """For two random usages of every model, the total is theirs, each part rounded to a nano-dollar."""
    dice = random.Random(20261121)
    snapshot = get_snapshot()
    names = {PROVIDERS.get(name, name): name for name in base.providers()}
    compared = 0
    for owner in snapshot.providers:
        for info in owner.models:
            _, found = snapshot.find_provider_model(info.id, owner, None, None) if _finds(owner, info) else (0, 0)
            if found is not info:
                continue
            price, _ = base.find(names[owner.id], info.id, NO_CONDITIONS, ns(AT))
            assert price is not None
            for _ in range(2):
                usage = _usage([rate.meter for rate in price.rates], dice)
                if "requests" in usage:
                    usage["requests"] = 1
                cost = catalogue.price(names[owner.id], [info.id], usage or {"input_tokens": 1}, {}, ns(AT))
                if not price.rates:
                    assert isinstance(cost, Unpriced) or info.id.endswith(":free")
                    continue
                theirs = info.calc_price(_theirs(usage), owner, genai_request_timestamp=AT).total_price
                assert isinstance(cost, Cost), (info.id, cost)
                assert abs(cost.total - theirs) <= NANO_HALF * len(cost.parts), info.id
                compared += 1
    assert compared > 4000


def _finds(owner: object, info: object) -> bool:
    """Whether an id leads to its own model: some are shadowed by a looser rule above them."""
    try:
        get_snapshot().find_provider_model(info.id, owner, None, None)  # type: ignore[attr-defined]
    except LookupError:
        return False
    return True


@pytest.mark.parametrize("clock", ["00:59:59", "01:00:00", "03:59:59", "04:00:00", "09:59:59", "23:30:00"])
def test_prices_by_the_hour_hold_for_their_slice_of_the_day_only(base: Base, clock: str) -> None:
    """A DeepSeek price is the one of its hour, and is not kept beyond it."""
    moment = datetime.fromisoformat(f"2026-11-21T{clock}+00:00")
    deepseek = next(provider for provider in get_snapshot().providers if provider.id == "deepseek")
    info = next(model for model in deepseek.models if model.id == "deepseek-v4-pro")
    price, (start, end) = base.find("deepseek", "deepseek-v4-pro", NO_CONDITIONS, ns(moment))
    assert price is not None
    for at in (start, ns(moment), end - 1):
        there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at // 1000)
        assert {r.price for r in price.rates} == set(info.get_prices(there).__dict__.values())
    assert start <= ns(moment) < end
    assert end - start < 24 * 3600 * 10**9


def test_hours_change_the_cost_through_the_cache(catalogue: Catalogue) -> None:
    """The same call is priced by the hour it was made in, warm cache or not."""
    usage = {"input_tokens": 1_000_000}
    peak, quiet = (ns(datetime(2026, 11, 20, hour, tzinfo=UTC)) for hour in (2, 5))
    costs = [catalogue.price("deepseek", ["deepseek-v4-pro"], usage, {}, at) for at in (peak, quiet, peak, quiet)]
    totals = [cost.total for cost in costs if isinstance(cost, Cost)]
    assert totals == [Decimal("1.32"), Decimal("0.66"), Decimal("1.32"), Decimal("0.66")]


def test_a_dated_price_changes_at_midnight_utc(base: Base, catalogue: Catalogue) -> None:
    """o3 costs $10 per million until the last nanosecond of 2025-06-09, and $2 from then on."""
    change = ns(datetime(2025, 6, 10, tzinfo=UTC))
    before, after = (catalogue.price("openai", ["o3"], {"input_tokens": 10**6}, {}, at) for at in (change - 1, change))
    assert isinstance(before, Cost)
    assert isinstance(after, Cost)
    assert (before.total, before.price_date) == (Decimal(10), None)
    assert (after.total, after.price_date) == (Decimal(2), "2025-06-10")


def test_groq_bills_ten_seconds_at_the_least(catalogue: Catalogue) -> None:
    """Speech shorter than ten seconds costs ten seconds on Groq, as in genai-prices; longer, what it is."""
    for seconds, billed in ((1, 10), (10, 10), (11, 11)):
        cost = catalogue.price("groq", ["whisper-large-v3"], {"input_audio_seconds": seconds}, {}, ns(AT))
        assert isinstance(cost, Cost)
        assert [part.quantity for part in cost.parts] == [billed]


def test_a_borrowed_model_brings_no_variants(base: Base) -> None:
    """Azure borrows OpenAI's prices, not OpenAI's flex prices: that tier has no price there."""
    price, _ = base.find("azure.ai.openai", "gpt-5", {"service_tier": "flex"}, ns(AT))
    assert price is not None
    assert price.matched == frozenset()
    own, _ = base.find("openai", "gpt-5", {"service_tier": "flex"}, ns(AT))
    assert own is not None
    assert own.matched == {("service_tier", "flex")}


def test_a_variant_that_costs_the_same_still_counts_as_one(base: Base) -> None:
    """gpt-3.5-turbo-1106 has a batch price equal to its standard one: it is matched all the same."""
    price, _ = base.find("openai", "gpt-3.5-turbo-1106", {"processing": "batch"}, ns(AT))
    assert price is not None
    assert price.matched == {("processing", "batch")}


def test_a_list_that_updates_itself_is_named_so(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version tells the installed list from one that the application let genai-prices download."""
    assert base.version.startswith("genai-prices 0.")
    theirs = get_snapshot()
    updated = SimpleNamespace(
        providers=theirs.providers, from_auto_update=True, timestamp=datetime(2026, 12, 1, tzinfo=UTC)
    )
    monkeypatch.setattr("genai_prices.data_snapshot.get_snapshot", lambda: updated)
    assert Base().version.endswith("updated 2026-12-01")


def test_modalities_are_complete() -> None:
    """Each modality has its input, output and cached tokens."""
    for modality in MODALITIES:
        assert {
            f"input_{modality}_tokens",
            f"output_{modality}_tokens",
            f"cache_{modality}_read_tokens",
        } <= set(DIMENSIONS)
