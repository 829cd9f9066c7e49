"""What a price file holds, once read: entries of models with their dated periods, and adjustments."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from otel_aicost.model import NO_CONDITIONS
from otel_aicost.prices.rates import (
    ALWAYS,
    NO_WHEN,
    Price,
    Rate,
    Validity,
    When,
    describe,
    meets,
    narrow,
    select,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from otel_aicost.model import Conditions
    from otel_aicost.prices.rates import Query

ANY = "*"
Layer = Literal["user", "supplement"]


@dataclass(frozen=True)
class Pattern:
    """Which models an entry is about: one by its name, or all whose lower-case name matches."""

    kind: Literal["exact", "prefix", "regex"]
    text: str

    def matches(self, model: str) -> bool:
        """Whether a model is meant. Upper and lower case do not matter."""
        if self.kind == "regex":
            return self._compiled.fullmatch(model) is not None
        if self.kind == "prefix":
            return model.lower().startswith(self.text.lower())
        return model.lower() == self.text.lower()

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.text, re.IGNORECASE)

    @property
    def label(self) -> str:
        """As costs and tables name it."""
        if self.kind == "regex":
            return "*" if self.text == ".*" else f"/{self.text}/"
        return f"{self.text}*" if self.kind == "prefix" else self.text


@dataclass(frozen=True, slots=True)
class Period:
    """What an entry says from a day until its next period: rates, that it is free, or that others decide."""

    date: str
    start_ns: int
    rates: tuple[Rate, ...] = ()
    free: bool = False
    defer: bool = False
    line: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """The prices of one model, or of all models that match. Its periods are in the order of time."""

    provider: str
    model: Pattern
    periods: tuple[Period, ...]
    add: bool = False
    """Its rates are added to whatever base price a model has, for the meters that one has no rate for."""
    assume: Conditions = field(default_factory=lambda: NO_CONDITIONS)
    """What a condition that is not given stands for."""
    source: str | None = None
    checked: str | None = None
    line: int = 0

    @property
    def label(self) -> str:
        """`provider/model`, as costs name it."""
        return f"{self.provider}/{self.model.label}"

    def period_at(self, at_ns: int) -> tuple[Period | None, Validity]:
        """Return the period a time falls in, and how long this answer holds; `None` before the first."""
        found, start, end = None, ALWAYS[0], ALWAYS[1]
        for period in self.periods:
            if period.start_ns > at_ns:
                end = period.start_ns
                break
            found, start = period, period.start_ns
        return found, (start, end)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A factor on prices: a batch discount, a negotiated one, a mark-up."""

    provider: str
    multiply: Decimal
    start_ns: int
    end_ns: int = ALWAYS[1]
    when: When = field(default_factory=lambda: NO_WHEN)
    model: Pattern | None = None
    meters: tuple[str, ...] = ()
    """The meters it is about, with all that lies within them; none named: all."""
    only_without_variant: bool = False
    """Left out where the base price is already the one for these conditions."""
    line: int = 0

    def applies(self, query: Query) -> bool:
        """Whether it is about these models under these conditions, whatever the time."""
        if self.provider not in (ANY, query.provider) or not meets(self.when, query.conditions):
            return False
        return self.model is None or any(self.model.matches(model) for model in query.models)

    def validity(self, at_ns: int) -> tuple[bool, Validity]:
        """Whether it is in force, and how long this answer holds."""
        if at_ns < self.start_ns:
            return False, (ALWAYS[0], self.start_ns)
        if at_ns >= self.end_ns:
            return False, (self.end_ns, ALWAYS[1])
        return True, (self.start_ns, self.end_ns)

    @property
    def label(self) -> str:
        """For a human: `processing=batch x0.5`."""
        return f"{describe(self.when)} x{self.multiply}" if self.when else f"x{self.multiply}"


@dataclass(frozen=True)
class PriceFile:
    """A layer of the catalogue that was read from a file."""

    layer: Layer
    entries: tuple[Entry, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    digest: str = ""
    """Eight hexadecimal digits of the SHA-256 of the file."""

    @cached_property
    def _exact(self) -> dict[tuple[str, str], list[Entry]]:
        found: dict[tuple[str, str], list[Entry]] = {}
        for entry in self.entries:
            if not entry.add and entry.model.kind == "exact":
                found.setdefault((entry.provider, entry.model.text.lower()), []).append(entry)
        return found

    @cached_property
    def _patterns(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.add and entry.model.kind != "exact"]

    @cached_property
    def _additions(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.add]

    @property
    def checked(self) -> str:
        """The latest day on which anything in it was checked, or its digest."""
        return max((entry.checked for entry in self.entries if entry.checked), default=self.digest)

    def knows(self, provider: str) -> bool:
        """Whether it has an entry for a provider."""
        return any(entry.provider in (ANY, provider) for entry in self.entries if not entry.add)

    def candidates(self, provider: str, model: str) -> Iterator[Entry]:
        """The entries about a model in the order they are asked: its own, then patterns as they stand."""
        name = model.lower()
        for owner in (provider, ANY):
            yield from self._exact.get((owner, name), ())
        for entry in self._patterns:
            if entry.provider in (ANY, provider) and entry.model.matches(model):
                yield entry

    def find(self, provider: str, model: str, conditions: Conditions, at_ns: int) -> tuple[Price | None, Validity]:
        """Return the price of a model at a time, or `None`, and how long this answer holds."""
        valid = ALWAYS
        for entry in self.candidates(provider, model):
            period, span = entry.period_at(at_ns)
            valid = narrow(valid, span)
            if period is not None:
                return (None if period.defer else self._price(entry, period, conditions)), valid
        return None, valid

    def _price(self, entry: Entry, period: Period, conditions: Conditions) -> Price:
        price = Price(
            source=self.layer,
            id=entry.label,
            date=period.date,
            rates=(),
            free=period.free,
            url=entry.source,
            checked=entry.checked,
        )
        return select(price, period.rates, {**entry.assume, **conditions})

    def additions(self, query: Query) -> tuple[list[Rate], Validity]:
        """Return the rates to add to a base price, and how long this answer holds."""
        rates: list[Rate] = []
        valid = ALWAYS
        for entry in self._additions:
            if entry.provider not in (ANY, query.provider) or not any(map(entry.model.matches, query.models)):
                continue
            period, span = entry.period_at(query.at_ns)
            valid = narrow(valid, span)
            if period is not None:
                rates += self._price(entry, period, query.conditions).rates
        return rates, valid
