"""The values of a price list: a Rate is one priced meter, a Price what is known of one model at one time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Context, Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_aicost.model import Conditions, PriceSource

EXACT = Context(prec=80, traps=[])
"""Our own arithmetic: the application may have set the decimal context of its thread to anything."""

When: TypeAlias = "Mapping[str, tuple[str, ...]]"
"""Condition -> the values it may have."""
NO_WHEN: When = MappingProxyType({})

Validity: TypeAlias = tuple[int, int]
"""From (inclusive) to (exclusive), in nanoseconds since the epoch."""
ALWAYS: Validity = (-(2**80), 2**80)


class Query(NamedTuple):
    """What the catalogue is asked: which price held for a call."""

    provider: str
    models: tuple[str, ...]
    """The names to look up, in this order."""
    conditions: Conditions
    at_ns: int


@dataclass(frozen=True, slots=True)
class Rate:
    """One priced meter: `price` dollars per `per` units."""

    meter: str
    price: Decimal
    per: int
    tiers: tuple[tuple[int, Decimal], ...] = ()
    """(threshold, price), ascending: past `threshold` input tokens in all, every unit costs `price`."""
    when: When = field(default_factory=lambda: NO_WHEN)
    """The conditions under which this rate holds."""
    unless: str | None = None
    """A meter; where the usage states that one, this rate is not used."""
    round: Decimal | None = None
    """The quantity is rounded to the nearest multiple of this, halves up, before it is priced."""
    minimum: Decimal | None = None
    """The least that is billed, where there is anything to bill."""

    def times(self, factor: Decimal) -> Rate:
        """Return the rate with every price multiplied."""
        tiers = tuple((above, EXACT.multiply(price, factor)) for above, price in self.tiers)
        return replace(self, price=EXACT.multiply(self.price, factor), tiers=tiers)


@dataclass(frozen=True, slots=True)
class Price:
    """What a layer of the catalogue knows of a model at a time, under given conditions."""

    source: PriceSource
    id: str
    """`provider/model`, as the layer names it."""
    date: str | None
    """The ISO date from which the price is valid, where the layer knows it."""
    rates: tuple[Rate, ...]
    free: bool = False
    matched: frozenset[tuple[str, str]] = frozenset()
    """The conditions the layer has a price of its own for."""
    conditional: tuple[Rate, ...] = ()
    """The rates that hold under other conditions than those asked for."""
    url: str | None = None
    """Where the price was read."""
    checked: str | None = None
    """When it was read there, an ISO date."""
    edition: str | None = None
    """Which list it is from, where that is not the newest of its layer."""
    changes: tuple[str, ...] = ()
    """What adjustments did to it, e.g. `processing=batch x0.5`."""

    @property
    def unmatched(self) -> dict[str, str]:
        """Meters that are priced under other conditions only -> which ones."""
        priced = {rate.meter for rate in self.rates}
        whens: dict[str, list[str]] = {}
        for rate in self.conditional:
            if rate.meter not in priced:
                whens.setdefault(rate.meter, []).append(describe(rate.when))
        return {meter: "; ".join(told) for meter, told in whens.items()}


def meets(when: When, conditions: Conditions) -> bool:
    """Whether the conditions have, for each key of `when`, one of its values."""
    return all(conditions.get(key) in values for key, values in when.items())


def narrow(one: Validity, other: Validity) -> Validity:
    """Return the time both are valid in."""
    return max(one[0], other[0]), min(one[1], other[1])


def select(price: Price, rates: Sequence[Rate], conditions: Conditions) -> Price:
    """Return `price` with the rates that hold under `conditions`; of several for a meter the narrowest."""
    chosen: dict[str, Rate] = {}
    for rate in rates:
        rival = chosen.get(rate.meter)
        if meets(rate.when, conditions) and (rival is None or len(rate.when) > len(rival.when)):
            chosen[rate.meter] = rate
    used = tuple(chosen.values())
    matched = {(key, conditions[key]) for rate in used for key in rate.when}
    others = tuple(rate for rate in rates if rate not in used)
    return replace(price, rates=used, matched=price.matched | matched, conditional=others)


def describe(when: When | Conditions) -> str:
    """Return conditions for a human: `quality=hd, size=1024x1024`."""
    if not when:
        return "any conditions"
    return ", ".join(
        f"{key}={value if isinstance(value, str) else '|'.join(value)}" for key, value in sorted(when.items())
    )
