"""The base layer of the catalogue: one list of genai-prices. Only this module and `data` touch that package.

Of it we use `data_snapshot.get_snapshot`, `DataSnapshot.find_provider_model`, `ModelInfo.get_prices`, the
values they give (`ModelPrice.__dict__`, `TieredPrices`, constraints) and `data_units.unit_data`: not its
arithmetic, and not its process-wide override. A contract test holds that; `pyproject.toml` pins the release.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from otel_aicost.prices.meters import THEIR_NAMES
from otel_aicost.prices.rates import ALWAYS, Price, Rate, Validity, narrow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import (
        ConditionalPrice,
        ModelInfo,
        ModelPrice,
        PriceVariant,
        StartDateConstraint,
        TieredPrices,
        TimeOfDateConstraint,
    )
    from genai_prices.types import Provider as TheirProvider

    from otel_aicost.model import Conditions
    from otel_aicost.prices.rates import When

PROVIDERS: Mapping[str, str] = MappingProxyType(
    {
        "azure.ai.openai": "azure",
        "azure.ai.inference": "azure",
        "aws.bedrock": "aws",
        "gcp.gemini": "google",
        "gcp.vertex_ai": "google",
        "gcp.gen_ai": "google",
        "mistral_ai": "mistral",
        "x_ai": "x-ai",
        "z_ai": "zai",
        "moonshot_ai": "moonshotai",
        "voyage_ai": "voyageai",
    }
)
"""The GenAI semantic-convention name of a provider -> its id in genai-prices, where the two differ."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST_SECONDS: Mapping[tuple[str, str], Decimal] = MappingProxyType(
    {("groq", "whisper-large-v3"): Decimal(10), ("groq", "whisper-large-v3-turbo"): Decimal(10)}
)
"""Models billed for ten seconds at the least: genai-prices has that in its arithmetic, not in its data."""


class Unit(NamedTuple):
    """What a price key of genai-prices stands for."""

    meter: str
    per: int


class Base:
    """A list of genai-prices as Price values: that of the installed package, or one that was fetched."""

    def __init__(self, fetched: DataSnapshot | None = None, version: str = "", made: date | None = None) -> None:
        """`fetched`, its name and the day it was fetched; without it the installed one is loaded."""
        # A second or so in a fresh process: loaded in the background, never with the package.
        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415
        from genai_prices.data_units import unit_data  # noqa: PLC0415

        ours = {theirs: our for our, theirs in THEIR_NAMES.items()}
        self._units = {
            str(unit.get("price_key", key)): Unit(ours.get(key, key), int(unit["per"]))
            for key, unit in unit_data.items()
        }
        self._made = made
        self._snapshot = fetched or get_snapshot()
        self._providers: dict[str, TheirProvider] = {p.id: p for p in self._snapshot.providers}
        if fetched is not None:
            self.version = version
            return
        updated = f" updated {self._snapshot.timestamp:%Y-%m-%d}" if self._snapshot.from_auto_update else ""
        self.version = f"genai-prices {metadata.version('genai-prices')}{updated}"

    def knows(self, provider: str) -> bool:
        """Whether there is a price list for a provider, by its semantic-convention name."""
        return self._provider(provider) is not None

    def providers(self) -> list[str]:
        """The providers with a price list, by semantic-convention name; one name each."""
        names = {theirs: ours for ours, theirs in reversed(list(PROVIDERS.items()))}
        return sorted(names.get(theirs, theirs) for theirs in self._providers)

    def models(self, provider: str) -> Iterator[str]:
        """The ids of the models listed for a provider."""
        owner = self._provider(provider)
        if owner is not None:
            yield from (info.id for info in owner.models)

    def everything(self) -> Iterator[tuple[str, str, Rate]]:
        """Every rate there is, of any time and under any conditions, with the provider and model it is of."""
        for owner in self._snapshot.providers:
            for info in owner.models:
                always = [] if isinstance(info.prices, list) else [info.prices]
                dated = [entry.prices for entry in (*_dated(info), *(info.price_variants or ()))]
                for prices in (*always, *dated):
                    yield from ((owner.id, info.id, rate) for rate in self._rates(prices, None))

    def newest(self) -> date:
        """The day it was fetched, else on which the newest of its prices began: the package tells no other."""
        if self._made is not None:
            return self._made
        if self._snapshot.from_auto_update:
            return self._snapshot.timestamp.date()
        today = datetime.now(UTC).date()
        models = (model for provider in self._snapshot.providers for model in provider.models)
        used = (entry.constraint for model in models for entry in (*_dated(model), *(model.price_variants or ())))
        starts = (getattr(constraint, "start_date", None) for constraint in used)
        return max((start for start in starts if isinstance(start, date) and start <= today), default=date.min)

    def find(self, provider: str, model: str, conditions: Conditions, at_ns: int) -> tuple[Price | None, Validity]:
        """Return the price of a model at a time, or `None`, and how long this answer holds."""
        owner = self._provider(provider)
        if owner is None:
            return None, ALWAYS
        try:
            _, info = self._snapshot.find_provider_model(model, owner, None, None)
        except LookupError:
            return None, ALWAYS
        at = _EPOCH + timedelta(microseconds=at_ns // 1000)
        # As theirs: a model borrowed from another provider does not bring that one's variants along.
        own = any(info is model for model in owner.models)
        offered = [v for v in info.price_variants or () if _in_force(v, at)] if own else []
        variants = [variant for variant in offered if variant.when.items() <= conditions.items()]
        standard = info.get_prices(at)
        resolved = info.get_prices(at, dict(conditions)) if variants else standard
        price = Price(
            source="genai-prices",
            id=f"{owner.id}/{info.id}",
            date=_start_of(info, standard, variants),
            rates=self._rates(resolved, _LEAST_SECONDS.get((owner.id, info.id))),
            free=info.id.endswith(":free") and not _stated(resolved),
            matched=frozenset(item for variant in variants for item in variant.when.items()),
            conditional=tuple(
                replace(rate, when=_when(variant))
                for variant in offered
                if variant not in variants
                for rate in self._rates(variant.prices, None)
            ),
            url=next(iter(owner.pricing_urls or ()), None),
        )
        return price, _validity(info, at)

    def _provider(self, name: str) -> TheirProvider | None:
        identifier = PROVIDERS.get(name, name)
        return self._providers.get(identifier) or self._providers.get(identifier.replace("_", "-"))

    def _rates(self, prices: ModelPrice, least: Decimal | None) -> tuple[Rate, ...]:
        rates = []
        for key, value in _stated(prices).items():
            unit = self._units.get(key)
            if unit is None:  # a unit of a later release: its meter stays unpriced, and says so
                continue
            base, tiers = _base_and_tiers(value)
            minimum = least if unit.meter.endswith("audio_seconds") else None
            rates.append(Rate(unit.meter, base, unit.per, tiers, minimum=minimum))
        return tuple(rates)


def _stated(prices: ModelPrice) -> dict[str, Decimal | TieredPrices]:
    return {key: value for key, value in prices.__dict__.items() if value is not None}


def _base_and_tiers(value: Decimal | TieredPrices) -> tuple[Decimal, tuple[tuple[int, Decimal], ...]]:
    if isinstance(value, Decimal):
        return value, ()
    return value.base, tuple((tier.start, tier.price) for tier in value.tiers)


def _in_force(variant: PriceVariant, at: datetime) -> bool:
    return variant.constraint is None or variant.constraint.active(at)


def _when(variant: PriceVariant) -> When:
    return MappingProxyType({key: (value,) for key, value in variant.when.items()})


def _dated(info: ModelInfo) -> list[ConditionalPrice]:
    return info.prices if isinstance(info.prices, list) else []


def _start_of(info: ModelInfo, standard: ModelPrice, variants: list[PriceVariant]) -> str | None:
    """Return the day from which a price is valid: the latest start among what it was made from."""
    used = [c.constraint for c in _dated(info) if c.prices is standard] + [v.constraint for v in variants]
    starts = [start for constraint in used if isinstance(start := getattr(constraint, "start_date", None), date)]
    return max(starts).isoformat() if starts else None


def _validity(info: ModelInfo, at: datetime) -> Validity:
    """Return the time around `at` within which no constraint of the model changes its mind."""
    constraints = [c.constraint for c in _dated(info)] + [v.constraint for v in info.price_variants or ()]
    valid = ALWAYS
    for constraint in constraints:
        for edge in _edges(constraint, at):
            valid = narrow(valid, (edge, ALWAYS[1]) if edge <= _ns(at) else (ALWAYS[0], edge))
    return valid


def _edges(constraint: StartDateConstraint | TimeOfDateConstraint | None, at: datetime) -> Iterator[int]:
    if constraint is None:
        return
    start = getattr(constraint, "start_date", None)
    if isinstance(start, date):
        yield _ns(datetime.combine(start, time(), UTC))
        return
    for clock in (constraint.start_time, constraint.end_time):  # type: ignore[union-attr]  # the other kind
        for days in (-1, 0, 1):
            yield _ns(datetime.combine(at.date() + timedelta(days), clock, clock.tzinfo or UTC))


def _ns(moment: datetime) -> int:
    since = moment - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
