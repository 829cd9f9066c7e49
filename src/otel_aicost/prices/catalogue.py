"""The catalogue: looks a model up in its layers and prices calls with rate cards compiled from what it finds.

The layers: the user's file, our supplement, genai-prices. The first with a price in force for the model
decides for the whole model; then adjustments multiply. What no layer prices is `Unpriced`, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from otel_aicost import faults
from otel_aicost.errors import PriceDataError, PriceFileError
from otel_aicost.model import (
    NANO_DIGITS,
    NO_CONDITIONS,
    UNPRICED_CONDITION,
    UNPRICED_DATE,
    UNPRICED_FAILED,
    UNPRICED_MODEL,
    UNPRICED_PROVIDER,
    Cost,
    Unpriced,
)
from otel_aicost.names import ENV_PRICES, ENV_PROVIDER_HOSTS
from otel_aicost.prices.editions import USER_FILE, Editions, read_editions, state_of
from otel_aicost.prices.files import PriceFile
from otel_aicost.prices.meters import lies_within
from otel_aicost.prices.naming import named
from otel_aicost.prices.rate_card import FreeCard, RateCard, Stamp
from otel_aicost.prices.rates import ALWAYS, EXACT, Price, Query, Validity, narrow
from otel_aicost.prices.reading import parse, read_price_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from otel_aicost.model import Conditions, PriceSource, Usage
    from otel_aicost.prices.base import Base
    from otel_aicost.prices.files import Adjustment

CARDS = 2048
"""How many sets of provider, models and conditions are kept compiled."""
SLICES = 8
"""How many times of validity of each; a model with prices by the hour has several a day."""

STANDARD: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "service_tier": frozenset({"default", "auto", "standard", "standard_only", "on_demand"}),
        "processing": frozenset({"standard"}),
        "speed": frozenset({"standard"}),
        "inference_geo": frozenset({"global", "not_available"}),
    }
)
"""Conditions that change prices unless they have one of these values: any other needs a price of its own."""

Card: TypeAlias = RateCard | FreeCard
Slice: TypeAlias = tuple[int, int, Card | Unpriced]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One line of the list of prices."""

    provider: str
    model: str
    source: PriceSource
    checked: str | None = None
    """When it was last held against its source, an ISO date.

    `None` where nobody tells, and where nothing can become stale: it is free, or of the past.
    """


class Catalogue:
    """Prices calls. Thread-safe; after the first call of a kind, pricing takes a few microseconds."""

    def __init__(
        self,
        base: Base | Editions | None,
        supplement: PriceFile,
        user: PriceFile | None = None,
        version: str = "",
    ) -> None:
        self._base = base
        self._user = user or PriceFile("user")
        self._supplement = supplement
        self._version = version
        self._cards: dict[tuple[object, ...], tuple[Slice, ...]] = {}
        self._directory: Path | None = None
        self._state: tuple[object, ...] = ()

    @classmethod
    def load(cls, user_file: Path | None = None, updates: Path | None = None) -> Catalogue:
        """Load all layers: some 50 to 500 ms, meant for the background. It does not raise.

        `updates` is the directory of `aicost prices update`; what is stored there takes the place of the list of the
        installed genai-prices, and of a user's file where none is named.
        A user file that cannot be used is left out as a whole: which models it was about cannot be told. Its
        mistakes are logged, `version` says so, and every cost carries that version.
        """
        state = state_of(updates)
        base, version = _load_base(updates)
        if user_file is None and updates is not None and (updates / USER_FILE).is_file():
            user_file = updates / USER_FILE
        supplement = load_supplement()
        version += f" + supplement {supplement.checked}"
        user = None
        if user_file is not None:
            try:
                user = read_price_file(user_file)
                version += f" + user {user.digest}"
            except PriceFileError as error:
                version += " + user file unusable"
                faults.say("prices.user_file", _UNUSABLE, user_file, error, ENV_PRICES)
        made = cls(base, supplement, user, version)
        made._directory, made._state = updates, state
        return made

    @property
    def base(self) -> Base | Editions | None:
        """Its lowest layer; `None` where that could not be loaded."""
        return self._base

    def is_outdated(self) -> bool:
        """Whether `aicost prices update` stored anything since it was loaded; some microseconds."""
        return self._directory is not None and state_of(self._directory) != self._state

    @property
    def version(self) -> str:
        """What it is made of, e.g. `genai-prices 0.2.3 + supplement 2026-11-21 + user 1a2b3c4d`."""
        return self._version

    def price(
        self,
        provider: str,
        models: Sequence[str],
        usage: Usage,
        conditions: Conditions = NO_CONDITIONS,
        at_ns: int = 0,
    ) -> Cost | Unpriced:
        """Price a call made at `at_ns` (nanoseconds since the epoch), or say why it has no price.

        `models`: the names to look up, the response's before the request's. It never raises: an error of ours
        is counted and gives an `Unpriced`.
        """
        try:
            found = self._price(Query(provider, tuple(models), conditions, at_ns), usage)
            if conditions and conditions.get("processing") == "batch" and isinstance(found, Cost):
                return self._with_batch_saved(found, Query(provider, tuple(models), conditions, at_ns), usage)
            return found  # noqa: TRY300 - what follows is about errors
        except Exception as error:  # noqa: BLE001 - whatever a price list or a usage holds, the call goes on
            faults.report("prices", error)
            return Unpriced(UNPRICED_FAILED, f"pricing failed: {type(error).__name__}: {error}"[:300])

    def _price(self, query: Query, usage: Usage) -> Cost | Unpriced:
        for start, end, card in self._cards.get((query.provider, *query.models, *query.conditions.items()), ()):
            if start <= query.at_ns < end:
                return card if isinstance(card, Unpriced) else card.price(usage)
        card = self._compile(query)
        return card if isinstance(card, Unpriced) else card.price(usage)

    def _with_batch_saved(self, found: Cost, query: Query, usage: Usage) -> Cost:
        """What the same call costs outside of a batch, told as the difference."""
        others = {key: value for key, value in query.conditions.items() if key != "processing"}
        alone = self._price(query._replace(conditions=others), usage)
        if not isinstance(alone, Cost) or alone.total <= found.total:
            return found
        return replace(found, batch_saved_nano=int(EXACT.scaleb(EXACT.subtract(alone.total, found.total), NANO_DIGITS)))

    def resolve(self, query: Query) -> tuple[Price | Unpriced, Validity]:
        """Return the price in force, adjusted, and how long this answer holds."""
        query = query._replace(models=named(query.provider, query.models))
        found, valid = self._lookup(query)
        if found is None:
            return self._unknown(query), valid
        if not found.free:
            found, span = self._complete(found, query)
            valid = narrow(valid, span)
            found, span = self._adjust(found, query)
            valid = narrow(valid, span)
            problem = _unmet(found, query.conditions)
            if problem is not None:
                return problem, valid
        return found, valid

    def known(self) -> Iterator[KnownModel]:
        """Every model with an entry, layer by layer."""
        for file in (self._user, self._supplement):
            for entry in file.entries:
                checked = entry.checked if entry.periods[-1].rates else None
                yield KnownModel(entry.provider, entry.model.label, file.layer, checked)
        if self._base is not None:
            for provider in self._base.providers():
                for model in self._base.models(provider):
                    yield KnownModel(provider, model, "genai-prices")

    def made(self) -> dict[PriceSource, date]:
        """How recent each layer is, as far as it tells: the day when anything in it was last checked, or began."""
        told: dict[PriceSource, date] = {} if self._base is None else {"genai-prices": self._base.newest()}
        for file in (self._supplement, self._user):
            checked = [entry.checked for entry in file.entries if entry.checked]
            if checked:
                told[file.layer] = date.fromisoformat(max(checked))
        return told

    def providers(self) -> list[str]:
        """Every provider that some layer has prices of."""
        named = {entry.provider for file in (self._user, self._supplement) for entry in file.entries}
        return sorted((named | set(self._base.providers() if self._base is not None else ())) - {"*"})

    def _compile(self, query: Query) -> Card | Unpriced:
        key = (query.provider, *query.models, *query.conditions.items())
        query = query._replace(models=tuple(model for model in query.models if model))
        found, (start, end) = self.resolve(query)
        card = found if isinstance(found, Unpriced) else self._card(found)
        # Without a lock: at worst two threads compile the same card. A full table starts anew.
        if len(self._cards) >= CARDS:
            self._cards = {}
        self._cards[key] = ((start, end, card), *self._cards.get(key, ())[: SLICES - 1])
        return card

    def _card(self, price: Price) -> Card:
        name = "; ".join((price.id, *price.changes))
        version = self._version
        if price.edition is not None and self._base is not None:
            version = version.replace(self._base.version, price.edition, 1)
        stamp = Stamp(price.source, name, price.date, version)
        return FreeCard(stamp) if price.free else RateCard(price.rates, stamp, price.unmatched)

    def _lookup(self, query: Query) -> tuple[Price | None, Validity]:
        """Ask the user's file for each model, then, model by model, the supplement and genai-prices.

        A user's price for `gpt-4o` thus holds for a response that calls itself `gpt-4o-2024-08-06`.
        """
        below: list[PriceFile | Base | Editions] = [self._supplement, *([self._base] if self._base is not None else [])]
        valid = ALWAYS
        for layers in ([self._user], below):
            for model in query.models:
                for layer in layers:
                    found, span = layer.find(query.provider, model, query.conditions, query.at_ns)
                    valid = narrow(valid, span)
                    if found is not None:
                        return found, valid
        return None, valid

    def _complete(self, price: Price, query: Query) -> tuple[Price, Validity]:
        """Add the rates that entries with `add: true` have for meters the price has none for."""
        rates = {rate.meter: rate for rate in price.rates}
        valid = ALWAYS
        for file in (self._user, self._supplement):
            added, span = file.additions(query)
            valid = narrow(valid, span)
            for rate in added:
                rates.setdefault(rate.meter, rate)
        return replace(price, rates=tuple(rates.values())), valid

    def _adjust(self, price: Price, query: Query) -> tuple[Price, Validity]:
        valid = ALWAYS
        for file in (self._supplement, self._user):
            for adjustment in file.adjustments:
                if not adjustment.applies(query):
                    continue
                in_force, span = adjustment.validity(query.at_ns)
                valid = narrow(valid, span)
                if in_force:
                    price = _adjusted(price, adjustment, query.conditions, file)
        return price, valid

    def _unknown(self, query: Query) -> Unpriced:
        files = (self._user, self._supplement)
        provider, models = query.provider, query.models
        listed = self._base is not None and self._base.knows(provider)
        if not listed and not any(file.knows(provider) for file in files):
            return Unpriced(
                UNPRICED_PROVIDER,
                f"there are no prices of {provider!r}; if its host stands for a provider that has some, say "
                f"so in {ENV_PROVIDER_HOSTS}=host=provider, or give prices in a file named by {ENV_PRICES}",
            )
        if not models:
            return Unpriced(UNPRICED_MODEL, f"the call to {provider} names no model")
        named = " or ".join(f"{provider}/{model}" for model in models)
        entries = [entry for file in files for model in models for entry in file.candidates(provider, model)]
        later = [entry.periods[0].date for entry in entries if entry.periods[0].start_ns > query.at_ns]
        if later:
            return Unpriced(UNPRICED_DATE, f"the prices of {named} begin on {min(later)}")
        return Unpriced(UNPRICED_MODEL, f"no price list knows {named}; give it a price in a file named by {ENV_PRICES}")


_UNUSABLE = (
    "the price file %s cannot be used, and NONE of its prices is; calls are priced without it:\n%s\n"
    "mend it, see `aicost prices check`, and start again (the file is named by %s)"
)


def load_supplement() -> PriceFile:
    """Read the supplement that comes with the package."""
    raw = resources.files(__package__).joinpath("supplement.yaml").read_bytes()
    return parse(raw, "supplement.yaml", "supplement")


def _load_base(updates: Path | None) -> tuple[Base | Editions | None, str]:
    try:
        from otel_aicost.prices.base import Base  # noqa: PLC0415 - slow, and allowed to fail

        base = _updated(updates) or Base()
    except Exception as error:  # noqa: BLE001 - without it the files still price what they can
        faults.report("prices.base", error)
        return None, "genai-prices unavailable"
    return base, base.version


def _updated(updates: Path | None) -> Editions | None:
    try:
        editions = () if updates is None else read_editions(updates)
    except PriceDataError as error:
        faults.say("prices.editions", "the packaged prices are used: %s", error)
        return None
    return Editions(updates, editions) if updates is not None and editions else None


def _adjusted(price: Price, adjustment: Adjustment, conditions: Conditions, file: PriceFile) -> Price:
    items = {(key, conditions[key]) for key in adjustment.when}
    if adjustment.only_without_variant and items & price.matched:
        return price
    rates = tuple(
        rate.times(adjustment.multiply)
        if not adjustment.meters or any(lies_within(rate.meter, meter) for meter in adjustment.meters)
        else rate
        for rate in price.rates
    )
    changed = rates != price.rates
    return replace(
        price,
        rates=rates,
        matched=price.matched | items,
        source="user" if changed and file.layer == "user" else price.source,
        changes=(*price.changes, adjustment.label) if changed else price.changes,
    )


def _unmet(price: Price, conditions: Conditions) -> Unpriced | None:
    """Return why the price must not be used: a condition that changes prices has no price of its own."""
    for key, value in conditions.items():
        if key in STANDARD and value not in STANDARD[key] and (key, value) not in price.matched:
            return Unpriced(
                UNPRICED_CONDITION,
                f"{price.id} has no price for {key}={value} at that time; a price file can give one, "
                "as a rate or an adjustment with `when`",
            )
    return None
