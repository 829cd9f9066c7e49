"""A rate card: the rates of one model compiled into a plan that turns a usage into the parts of a cost.

Pure. Each quantity is billed once, at its most particular priced meter: of 1,000 input tokens with 400 read
from the cache, 600 are billed as input and 400 as cache reads. Money is counted in whole nano-dollars, so the
parts add up to the total, and with integers, so the application's decimal context plays no part.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from math import gcd
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from otel_aicost.model import (
    NANO,
    UNPRICED_CONDITION,
    UNPRICED_INVALID,
    UNPRICED_METER,
    UNPRICED_USAGE,
    Cost,
    CostPart,
    Unpriced,
)
from otel_aicost.prices.meters import DIMENSIONS, SAME_THING, lies_within, outermost, overlap, uncached
from otel_aicost.prices.rates import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from otel_aicost.model import PriceSource, Quantity, Usage
    from otel_aicost.prices.rates import Rate

MOST_PLANS = 256
MOST_UNITS = 10**15
MOST_NANO = 10**18
"""A billion dollars for one call. What lies beyond these two is not a usage but a mistake."""
_DIGITS = Decimal("1e-12")
"""Quantities that are not whole are kept to a millionth of a millionth."""
_NANO_PER_DOLLAR = 10**9
_dollars = EXACT.multiply
_TOTAL_AUDIO = "audio_seconds"
_TOTAL_INPUT = "input_tokens"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every cost of a card bears: where its price is from."""

    source: PriceSource
    price_id: str
    price_date: str | None = None
    catalogue: str | None = None


class _Step(NamedTuple):
    """How one meter is billed: what the steps `inner` leave of it, times `top / bottom` nano-dollars."""

    meter: str
    inner: tuple[int, ...]
    price: Decimal
    per: int
    top: int
    bottom: int
    rate: Rate | None
    """The rate, where it has tiers, rounding or the like; `None` for a plain one."""
    skipped: bool
    """It takes its share, and bills nothing: `unless` holds."""
    full: Rate | None
    """Of what is read from a cache: the rate of the same tokens without one."""


class _Plan(NamedTuple):
    """How usages that state the same meters are billed."""

    steps: tuple[_Step, ...] = ()
    bounds: tuple[tuple[str, str], ...] = ()
    """(inner, outer): a quantity without a rate that cannot be more than the one that holds it."""
    shares: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(meter, parts): an unpriced meter whose priced parts must make up all of it."""
    stated: tuple[tuple[str, str], ...] = ()
    """(meter, why): what the usage has to state, 0 included, for it to be told apart."""
    problem: Unpriced | None = None


class FreeCard:
    """The card of a model that costs nothing by its provider's own word, whatever the usage."""

    def __init__(self, stamp: Stamp) -> None:
        self._cost = Cost(Decimal(0), (), stamp.source, stamp.price_id, stamp.price_date, stamp.catalogue)

    def price(self, usage: Usage) -> Cost:  # noqa: ARG002 - the same face as RateCard
        """Return a cost of 0."""
        return self._cost


class RateCard:
    """The compiled rates of one model. `unmatched`: meters priced only under conditions not given."""

    __slots__ = ("_per_request", "_plans", "_rates", "_stamp", "_total_audio", "_unmatched")

    def __init__(
        self, rates: Sequence[Rate], stamp: Stamp, unmatched: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        # Particular meters first: a step then knows what the meters within its own have taken already.
        ordered = sorted(rates, key=lambda rate: (-len(DIMENSIONS.get(rate.meter, ())), rate.meter))
        self._rates = {rate.meter: rate for rate in ordered}
        self._stamp = stamp
        self._unmatched = unmatched
        self._plans: dict[tuple[str, ...], _Plan] = {}
        self._per_request = "requests" in self._rates
        self._total_audio = _TOTAL_AUDIO in self._rates

    def price(self, usage: Usage) -> Cost | Unpriced:
        """Bill a usage, or say why it cannot be billed. It never raises over what is in the usage."""
        if not usage:
            return Unpriced(UNPRICED_USAGE, "the response states no usage")
        values: dict[str, Quantity] = {}
        whole = True
        for meter, given in usage.items():
            if given.__class__ is int and 0 <= given <= MOST_UNITS:
                if given:
                    values[meter] = given
                continue
            quantity = _quantity(given)
            if quantity is None:
                return Unpriced(UNPRICED_INVALID, f"{meter} cannot be {given!r}"[:200])
            whole = whole and quantity.__class__ is int
            if quantity:
                values[meter] = quantity
        if self._per_request and "requests" not in usage:
            values["requests"] = 1
        if self._total_audio and _TOTAL_AUDIO not in usage:
            values[_TOTAL_AUDIO] = _sum(values, ("input_audio_seconds", "output_audio_seconds"))
        meters = tuple(values)
        plan = self._plans.get(meters) or self._plan(meters)
        return self._check(plan, values, usage) or self._bill(plan, values, whole=whole)

    def _bill(self, plan: _Plan, values: Mapping[str, Quantity], *, whole: bool) -> Cost | Unpriced:
        leaves: list[Quantity] = []
        parts: list[CostPart] = []
        total = saved = 0
        for meter, inner, price, per, top, bottom, rate, skipped, full in plan.steps:
            left = values[meter]
            for index in inner:
                left = left - leaves[index] if whole else EXACT.subtract(left, leaves[index])
            leaves.append(left)
            if left <= 0 or skipped:
                if left < 0:
                    return self._contradiction(meter, values)
                continue
            if rate is not None:
                left = _billed(rate, left)
                price, top, bottom = _tier(rate, values.get(_TOTAL_INPUT, 0))  # noqa: PLW2901
            nano = left * top if bottom == 1 and left.__class__ is int else _times(left, top, bottom)
            total += nano
            if full is not None:
                _, top, bottom = _tier(full, values.get(_TOTAL_INPUT, 0))  # noqa: PLW2901
                saved += max(0, _times(left, top, bottom) - nano)
            parts.append(CostPart(meter, left, price, per, _dollars(nano, NANO)))
        if total > MOST_NANO:
            return Unpriced(UNPRICED_INVALID, f"more than a billion dollars at {self._stamp.price_id}")
        stamp = self._stamp
        return Cost(
            _dollars(total, NANO), tuple(parts), stamp.source, stamp.price_id, stamp.price_date, stamp.catalogue, saved
        )

    def _check(self, plan: _Plan, values: Mapping[str, Quantity], usage: Usage) -> Unpriced | None:
        if plan.problem is not None:
            return plan.problem
        for inner, outer in plan.bounds:
            if values[inner] > values[outer]:
                return self._contradiction(outer, values)
        for meter, why in plan.stated:
            if meter not in usage:
                return Unpriced(UNPRICED_METER, why)
        for meter, shares in plan.shares:
            if _sum(values, shares) < values[meter]:
                return self._unpriced(meter)
        return None

    def _plan(self, meters: tuple[str, ...]) -> _Plan:
        """Compile how usages that state just these meters are billed, and keep it."""
        if len(self._plans) >= MOST_PLANS:
            self._plans = {}
        plan = self._plans[meters] = self._compile(frozenset(meters))
        return plan

    def _compile(self, stated: frozenset[str]) -> _Plan:
        bounds: list[tuple[str, str]] = []
        shares: list[tuple[str, tuple[str, ...]]] = []
        for meter in sorted(stated):
            outer = [priced for priced in self._rates if priced != meter and lies_within(meter, priced)]
            missing = [priced for priced in outer if priced not in stated]
            if missing:
                detail = f"{meter} without {missing[0]}, which holds them: totals are inclusive"
                return _Plan(problem=Unpriced(UNPRICED_INVALID, detail))
            if meter in self._rates:
                continue
            bounds += ((meter, priced) for priced in outer)
            if outer or self._measured_otherwise(meter, stated):
                continue
            parts = outermost(m for m in self._rates if m in stated and lies_within(m, meter))
            if not parts:
                return _Plan(problem=self._unpriced(meter))
            shares.append((meter, tuple(parts)))
        joins = list(self._joins(stated))
        for one, other, both in joins:
            if both in stated and both not in self._rates:
                detail = f"{self._stamp.price_id} prices {one} and {other} but not {both}, which are both"
                return _Plan(problem=Unpriced(UNPRICED_METER, detail))
        why = "{} and {} may overlap: the usage must state {}, 0 included"
        told = tuple((both, why.format(one, other, both)) for one, other, both in joins)
        return _Plan(self._steps(stated), tuple(bounds), tuple(shares), told)

    def _steps(self, stated: frozenset[str]) -> tuple[_Step, ...]:
        used = [rate for rate in self._rates.values() if rate.meter in stated]
        return tuple(_step(rate, used[:index], stated, self._full(rate.meter)) for index, rate in enumerate(used))

    def _full(self, meter: str) -> Rate | None:
        """What the same tokens cost where they are not read from a cache: the most particular rate that has them."""
        plain = uncached(meter)
        if plain is None:
            return None
        return next((rate for rate in self._rates.values() if lies_within(plain, rate.meter)), None)

    def _joins(self, stated: frozenset[str]) -> Iterator[tuple[str, str, str]]:
        priced = sorted(self._rates.keys() & stated)
        for index, one in enumerate(priced):
            for other in priced[:index]:
                both = overlap(one, other)
                if both is not None:
                    yield other, one, both

    def _measured_otherwise(self, meter: str, stated: frozenset[str]) -> bool:
        """Whether tokens that are billed measure the same thing."""
        others = SAME_THING.get(meter, ())
        if meter == "output_images" and any("image_tokens" in priced for priced in self._rates):
            others = (*others, "output_tokens")  # an image model: its tokens are images
        billed = [other for other in others if other in stated]
        return any(lies_within(other, priced) for other in billed for priced in self._rates)

    def _unpriced(self, meter: str) -> Unpriced:
        name = self._stamp.price_id
        if meter in self._unmatched:
            detail = f"{meter} of {name} is priced only for {self._unmatched[meter]}"
            return Unpriced(UNPRICED_CONDITION, detail)
        return Unpriced(UNPRICED_METER, f"{name} has no price for {meter}; `aicost prices show` lists what it has")

    def _contradiction(self, meter: str, values: Mapping[str, Quantity]) -> Unpriced:
        inner = {m: q for m, q in values.items() if m != meter and lies_within(m, meter)}
        shares = ", ".join(f"{m} ({q})" for m, q in sorted(inner.items()))
        detail = f"{shares} cannot be more than {meter} ({values.get(meter, 0)}), which holds them"
        return Unpriced(UNPRICED_INVALID, detail[:300])


def _step(rate: Rate, before: Sequence[Rate], stated: frozenset[str], full: Rate | None) -> _Step:
    inner = tuple(i for i, other in enumerate(before) if lies_within(other.meter, rate.meter))
    top, bottom = _ratio(rate.price, rate.per)
    plain = not (rate.tiers or rate.round or rate.minimum)
    skipped = rate.unless is not None and rate.unless in stated
    return _Step(rate.meter, inner, rate.price, rate.per, top, bottom, None if plain else rate, skipped, full)


def _ratio(price: Decimal, per: int) -> tuple[int, int]:
    """Return nano-dollars a unit, as an exact fraction."""
    top, bottom = price.as_integer_ratio()
    top, bottom = top * _NANO_PER_DOLLAR, bottom * per
    shared = gcd(top, bottom)
    return top // shared, bottom // shared


def _tier(rate: Rate, total_input: Quantity) -> tuple[Decimal, int, int]:
    price = rate.price
    for above, dearer in rate.tiers:
        if total_input > above:
            price = dearer
    return price, *_ratio(price, rate.per)


def _billed(rate: Rate, quantity: Quantity) -> Quantity:
    if rate.round is not None:
        steps = EXACT.divide(quantity, rate.round)
        quantity = EXACT.multiply(steps.to_integral_value(ROUND_HALF_UP, EXACT), rate.round)
    if rate.minimum is not None:
        quantity = max(quantity, rate.minimum)
    return quantity


def _times(quantity: Quantity, top: int, bottom: int) -> int:
    """Return `quantity * top / bottom`, rounded half to even."""
    if quantity.__class__ is not int:
        numerator, denominator = quantity.as_integer_ratio()
        quantity, bottom = numerator, bottom * denominator
    nano, rest = divmod(quantity * top, bottom)
    if rest and (2 * rest > bottom or (2 * rest == bottom and nano & 1)):
        nano += 1
    return nano


def _sum(values: Mapping[str, Quantity], meters: Sequence[str]) -> Quantity:
    total: Quantity = 0
    for meter in meters:
        total = EXACT.add(total, values.get(meter, 0))
    return int(total) if total == int(total) else total


def _quantity(given: object) -> Quantity | None:
    """Return what is not a plain `int` as an exact quantity, or `None` where it cannot be one."""
    if isinstance(given, float):
        given = Decimal(float.__repr__(given))
    if isinstance(given, Decimal):
        if not given.is_finite() or not 0 <= given <= MOST_UNITS:
            return None
        exponent = given.as_tuple().exponent
        too_fine = isinstance(exponent, int) and exponent < -12  # noqa: PLR2004
        return given.quantize(_DIGITS, ROUND_HALF_EVEN, EXACT) if too_fine else given
    if isinstance(given, bool):
        return None
    try:
        whole = operator.index(given)  # type: ignore[arg-type]  # that is the question
    except Exception:  # noqa: BLE001 - whatever a foreign number's __index__ does, it is no quantity
        return None
    return whole if 0 <= whole <= MOST_UNITS else None
