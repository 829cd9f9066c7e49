"""How two sets of prices differ: model by model, rate by rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from otel_aicost.model import NO_CONDITIONS
from otel_aicost.prices.rates import EXACT, Price, Query, describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from otel_aicost.model import Conditions, Unpriced
    from otel_aicost.prices.catalogue import Catalogue
    from otel_aicost.prices.rates import Rate


class Listed(Protocol):
    """What can be asked for all its models."""

    def providers(self) -> list[str]: ...

    def models(self, provider: str) -> Iterator[str]: ...


@dataclass(frozen=True, slots=True)
class RateChange:
    """One meter under one set of conditions, before and after."""

    meter: str
    when: str
    """`service_tier=flex`; empty for the standard price."""
    old: Rate | None
    """`None`: it had no price."""
    new: Rate | None


def rate_changes(old: Price | Unpriced, new: Price | Unpriced) -> list[RateChange]:
    """What differs between two answers to the same question; nothing where each unit costs the same."""
    before, after = _rates(old), _rates(new)
    return [
        RateChange(meter, when, before.get((meter, when)), after.get((meter, when)))
        for meter, when in dict.fromkeys((*before, *after))
        if not _same(before.get((meter, when)), after.get((meter, when)))
    ]


def same(old: Price | Unpriced, new: Price | Unpriced) -> bool:
    """Whether any usage costs the same at both, whichever list they are from."""
    if not (isinstance(old, Price) and isinstance(new, Price)):
        return not isinstance(old, Price) and not isinstance(new, Price)
    return old.free == new.free and not rate_changes(old, new)


def resolved(
    catalogue: Catalogue, provider: str, models: Sequence[str], at_ns: int, conditions: Conditions = NO_CONDITIONS
) -> Price | Unpriced:
    """The price of a model at a time, or why it has none."""
    return catalogue.resolve(Query(provider, tuple(models), conditions, at_ns))[0]


def models_of(*lists: Listed) -> list[tuple[str, str]]:
    """Every provider and model that one of the lists names."""
    found = {(provider, model) for one in lists for provider in one.providers() for model in one.models(provider)}
    return sorted(found)


def _rates(answer: Price | Unpriced) -> Mapping[tuple[str, str], Rate]:
    if not isinstance(answer, Price):
        return {}
    standard = {(rate.meter, ""): rate for rate in answer.rates}
    others = {(rate.meter, describe(rate.when)): rate for rate in answer.conditional}
    return {**others, **standard}


def _same(old: Rate | None, new: Rate | None) -> bool:
    if old is None or new is None:
        return old is new
    if (old.unless, old.round, old.minimum) != (new.unless, new.round, new.minimum):
        return False
    return _per_unit(old) == _per_unit(new)


def _per_unit(rate: Rate) -> tuple[tuple[int, Decimal], ...]:
    return tuple((above, EXACT.divide(price, rate.per)) for above, price in ((0, rate.price), *rate.tiers))
