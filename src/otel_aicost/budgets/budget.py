"""What a budget is: whom it concerns, what it allows, and what happens when that is spent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from otel_aicost.model import NANO_DIGITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.alerts.settings import AlertSettings
    from otel_aicost.apis import Api
    from otel_aicost.budgets.window import Period, Window

OnExceed = Literal["warn", "block", "fallback"]
Mode = Literal["balanced", "strict"]
OnUnpriced = Literal["allow", "warn", "block", "assume"]
OnStoreDown = Literal["open", "closed", "local"]

ON_EXCEED: Final[tuple[OnExceed, ...]] = ("warn", "block")
"""What is one word; the other is `fallback`, with a model."""
MODES: Final[tuple[Mode, ...]] = ("balanced", "strict")
ON_STORE_DOWN: Final[tuple[OnStoreDown, ...]] = ("open", "closed", "local")
REPLACEABLE: Final = ("chat", "generate_content")
"""The operations whose model a fallback replaces, unless the budget matches another: one thing under two names."""

LEASE_SECONDS: Final = 60.0
"""How long what a killed process had reserved stays reserved."""
MOST_DOLLARS: Final = 10**9
NANO_PER_DOLLAR: Final = 10**9
_MONEY = re.compile(r"\$?\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*(?:USD)?", re.IGNORECASE)


class Amounts(NamedTuple):
    """What was, or may be, spent: nano-dollars, tokens (input and output), calls."""

    nano: int = 0
    tokens: int = 0
    calls: int = 0


class Limits(NamedTuple):
    """The most of each; `None`: no limit."""

    nano: int | None = None
    tokens: int | None = None
    calls: int | None = None

    def over(self, others: Limits) -> Limits:
        """These, and where they say nothing the others."""
        return Limits(*(other if mine is None else mine for mine, other in zip(self, others, strict=True)))


class Subject(NamedTuple):
    """The call a budget is asked about."""

    provider: str
    model: str
    operation: str
    service: str
    tags: Mapping[str, str]
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class Match:
    """Which calls a budget is about; what is `None` does not matter."""

    provider: str | None = None
    model: str | None = None
    """A shell pattern: `gpt-4*`."""
    operation: str | None = None
    service: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def fits(self, subject: Subject) -> bool:
        """Whether the budget is about this call."""
        return (
            self.provider in (None, subject.provider)
            and (self.model is None or fnmatchcase(subject.model.lower(), self.model.lower()))
            and self.operation in (None, subject.operation)
            and self.service in (None, subject.service)
            and all(subject.tags.get(tag) == value for tag, value in self.tags.items())
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget. A call is held against every budget that it fits."""

    name: str
    period: Period
    limits: Limits
    match: Match = field(default_factory=Match)
    per: tuple[str, ...] = ()
    """One window for each value: names of tags, or `trace`, or `service`. A call without one is not concerned."""
    on_exceed: OnExceed = "warn"
    fallback: str | None = None
    """The model that takes the place of the one asked for, with `on_exceed: fallback`."""
    mode: Mode = "balanced"
    alert_at: tuple[Decimal, ...] = (Decimal(1),)
    """Shares of a limit at which a line is logged, once a window; ascending."""
    overrides: Mapping[str, Limits] = field(default_factory=lambda: MappingProxyType({}))
    """Other limits for some keys; each has all three."""
    on_unpriced: OnUnpriced = "warn"
    assumed_nano: int = 0
    """What a call without a price is taken to cost, with `on_unpriced: assume`."""
    on_store_down: OnStoreDown | None = None
    """`None`: `closed` in strict mode, which is to hold whatever happens, else `open`."""
    timezone: str = "UTC"

    @property
    def blocks(self) -> bool:
        """Whether it may ever stop a call as it was made: it is asked before one is sent."""
        return self.on_exceed != "warn"

    @property
    def when_down(self) -> OnStoreDown:
        """What becomes of calls while nobody knows what is spent."""
        return self.on_store_down or ("closed" if self.mode == "strict" else "open")

    @property
    def counted_here(self) -> bool:
        """Whether each process holds it by its own count while the ledger does not answer."""
        return self.blocks and self.when_down == "local"

    @property
    def replaced_operations(self) -> tuple[str, ...]:
        """The operations of the calls in which its fallback may take the place of the model."""
        return (self.match.operation,) if self.match.operation else REPLACEABLE

    def key(self, subject: Subject) -> str | None:
        """The key of the call's window: `""` where there is one for all, `None` if the budget is not concerned."""
        if not self.match.fits(subject):
            return None
        if not self.per:
            return ""
        values = [_value(name, subject) for name in self.per]
        if any(value is None for value in values):
            return None
        if len(values) == 1:
            return values[0]
        return "/".join((value or "").replace("%", "%25").replace("/", "%2F") for value in values)

    def limits_of(self, key: str) -> Limits:
        """The limits that hold for a key."""
        return self.overrides.get(key, self.limits)


class Line(NamedTuple):
    """One entry of a call in the books: the window of a budget, what it allows, and what the call takes of it."""

    budget: Budget
    key: str
    window: Window
    limits: Limits
    amounts: Amounts = Amounts()
    checked: Limits = Limits()
    """The limits that the amounts have to fit in; none where the amount is not known and that is allowed."""
    passes: bool = False
    """The call is what the budget falls back to: it counts there, and is not stopped."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All budgets of a process."""

    budgets: tuple[Budget, ...] = ()
    lease_seconds: float = LEASE_SECONDS
    alerts: AlertSettings | None = None
    """The section `alerts:`; `None`: there is none."""
    timezone: str = "UTC"
    """The file's: that of budgets which name none, and of the calendar periods that are shown."""
    apis: tuple[Api, ...] = ()
    """The section `apis:`."""


def parse_money(text: str) -> int:
    """`50 USD`, `$0.50` or `50` in nano-dollars. Raises `ValueError` unless it is a whole number of them, 0 or more."""
    found = _MONEY.fullmatch(text.strip())
    try:
        amount = Decimal(found[1].replace("_", "")) if found else None
    except InvalidOperation:
        amount = None
    if amount is None or amount > MOST_DOLLARS or -int(amount.as_tuple().exponent) > NANO_DIGITS:
        msg = f"must be an amount of dollars such as 50 USD or 0.25 USD, 0 or more, and not {text!r}"
        raise ValueError(msg)
    return int(amount.scaleb(NANO_DIGITS))


def exceeded(limits: Limits, taken: Amounts, asked: Amounts) -> int | None:
    """Which of nano-dollars (0), tokens (1) and calls (2) does not fit: `taken` and `asked` together pass the limit.

    Where all is taken already nothing more fits, not even a call whose cost cannot be told beforehand.
    """
    for index, limit in enumerate(limits):
        if limit is not None and (taken[index] + asked[index] > limit or taken[index] >= limit):
            return index
    return None


def crossed(budget: Budget, limits: Limits, spent: Amounts, said: Decimal) -> list[Decimal]:
    """The shares of `alert_at` above `said` that `spent` has reached, ascending."""
    reached = max(
        (Decimal(spent[index]) / limit if limit else Decimal(2) ** 63 if spent[index] else Decimal(0))
        for index, limit in enumerate(limits)
        if limit is not None
    )
    return [share for share in budget.alert_at if said < share <= reached]


def _value(name: str, subject: Subject) -> str | None:
    if name == "trace":
        return subject.trace_id
    if name == "service":
        return subject.service
    return subject.tags.get(name)
