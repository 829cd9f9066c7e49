"""What a provider's cost API says, as values: what was billed, and what was used for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from otel_aicost.errors import AICostError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DATED = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")


class BillError(AICostError):
    """The provider's cost API cannot be read: what happened and what to do. It holds no key."""


class Billed(NamedTuple):
    """What one line of a bill takes, in dollars. Without a `model`, `item` says what it is for."""

    day: date
    model: str | None
    item: str
    amount: Decimal


class Used(NamedTuple):
    """What was used of a model on a day, under one `tier`. `requests` is `None` where the provider does not count."""

    day: date
    model: str
    tier: str
    requests: int | None
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Bill:
    """Some days as the provider has them. `used` is empty where its usage API could not be read: `gap` says why."""

    billed: tuple[Billed, ...]
    used: tuple[Used, ...] = ()
    gap: str = ""


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days of UTC, both inclusive."""

    first: date
    last: date
    count: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", (self.last - self.first).days + 1)


def undated(model: str) -> str:
    """The name of a model without its date: bills and responses do not always agree on that."""
    return _DATED.sub("", model.lower())


def day_of_seconds(seconds: object) -> date:
    """The UTC day of Unix seconds. A `BillError` for anything else."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, Decimal)):
        msg = f"start_time is {seconds!r:.60}"
        raise unexpected(msg)
    try:
        return datetime.fromtimestamp(int(seconds), UTC).date()
    except (ValueError, OverflowError, OSError):
        msg = f"start_time is {seconds!r:.60}"
        raise unexpected(msg) from None


def day_of_instant(text: object) -> date:
    """The UTC day of an RFC 3339 instant. A `BillError` for anything else."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC).date()
    except (ValueError, OverflowError):
        msg = f"starting_at is {text!r:.60}"
        raise unexpected(msg) from None


def amount_of(value: object) -> Decimal:
    """An amount of money; credits are negative. A `BillError` for what is none."""
    try:
        amount = Decimal(str(value))
    except ArithmeticError:
        msg = f"an amount is {value!r:.60}"
        raise unexpected(msg) from None
    if isinstance(value, bool) or not amount.is_finite():
        msg = f"an amount is {value!r:.60}"
        raise unexpected(msg)
    return amount


def count_of(result: Mapping[str, object], *keys: str) -> int:
    """The sum of some counts; one that is missing or null is none."""
    total = 0
    for key in keys:
        value = result.get(key) or 0
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            msg = f"{key} is {value!r:.60}"
            raise unexpected(msg)
        total += int(value)
    return total


def unexpected(what: str) -> BillError:
    """The answer is not what the provider's documentation says."""
    return BillError(f"the cost API answered with something else than documented: {what}")
