"""An alert as a value: what it says, how bad it is, and the fingerprint that lets it be raised once only."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_aicost.model import NANO_DIGITS

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity = Literal["info", "warning", "critical"]
State = Literal["unread", "read", "resolved"]

SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
"""From the least to the worst."""
STATES: Final[tuple[State, ...]] = ("unread", "read", "resolved")

THRESHOLD_REACHED: Final = "threshold_reached"
BUDGET_EXCEEDED: Final = "budget_exceeded"
CALL_BLOCKED: Final = "call_blocked"
LOW_CACHE_SHARE: Final = "low_cache_share"
EXPENSIVE_MODEL_SHARE: Final = "expensive_model_share"
SPEND_SPIKE: Final = "spend_spike"
UNPRICED_CALLS: Final = "unpriced_calls"
STALE_PRICES: Final = "stale_prices"
DAILY_SUMMARY: Final = "daily_summary"
TEST: Final = "test"
"""The kind of a message of `aicost alerts test`; it is in no ledger."""
KINDS: Final = (
    THRESHOLD_REACHED,
    BUDGET_EXCEEDED,
    CALL_BLOCKED,
    LOW_CACHE_SHARE,
    EXPENSIVE_MODEL_SHARE,
    SPEND_SPIKE,
    UNPRICED_CALLS,
    STALE_PRICES,
    DAILY_SUMMARY,
)

OWN: Final = "aicost"
ALERTMANAGER: Final = "alertmanager"
"""Where an alert is from: raised by a process of ours, or filed because Alertmanager told of it."""

LONGEST_TITLE: Final = 500
_ID_DIGITS: Final = 32
_CENTS: Final = 2
_SIGNIFICANT: Final = 3


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One row of the table `alerts`."""

    id: str
    """32 hexadecimal digits made of the fingerprint: in whichever database it is raised, it is the same one."""
    fingerprint: str
    at_ns: int
    kind: str
    severity: Severity
    title: str
    """One plain sentence, without control characters."""
    details: str = "{}"
    """A JSON object; amounts of money are exact decimal text in dollars."""
    budget: str | None = None
    key: str | None = None
    window_id: str | None = None
    state: State = "unread"
    state_at_ns: int | None = None
    source: str = OWN


def alert(  # noqa: PLR0913 - keyword arguments, the columns of the row
    kind: str,
    severity: Severity,
    title: str,
    *,
    once: tuple[str, ...],
    at_ns: int,
    details: Mapping[str, Any],
    budget: str | None = None,
    key: str | None = None,
    window_id: str | None = None,
) -> AlertRow:
    """An alert that is raised once for its kind and `once`: what it is about, and the window of time."""
    mark = fingerprint(kind, *once)
    return AlertRow(
        id=hashlib.sha256(mark.encode("utf-8", "surrogatepass")).hexdigest()[:_ID_DIGITS],
        fingerprint=mark,
        at_ns=at_ns,
        kind=kind,
        severity=severity,
        title=plain(title),
        details=json.dumps(details),
        budget=budget,
        key=key,
        window_id=window_id,
    )


def fingerprint(*parts: str) -> str:
    """The parts joined by `|`, so that different parts never look the same."""
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)


def plain(text: str) -> str:
    """One line without control characters: what came with a call must not steer a terminal or forge a log line."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shown if len(shown) <= LONGEST_TITLE else shown[: LONGEST_TITLE - 1] + "\N{HORIZONTAL ELLIPSIS}"


def exact(nano: int) -> str:
    """Dollars without rounding, with cents at the least: `23750000` is `0.02375`."""
    return _with_cents(f"{Decimal(nano).scaleb(-NANO_DIGITS):f}")


def dollars(nano: int) -> str:
    """Dollars for a sentence: cents, and of less than a dollar three digits: `40.12`, `0.0233`."""
    amount = Decimal(nano).scaleb(-NANO_DIGITS)
    wanted = _SIGNIFICANT - 1 - amount.adjusted() if 0 < amount < 1 else _CENTS
    decimals = min(max(wanted, _CENTS), NANO_DIGITS)
    return _with_cents(f"{amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN):,f}")


def _with_cents(text: str) -> str:
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<{_CENTS}}"


def percent(share: Decimal) -> str:
    """A share as a percentage, with as many decimals as it was written with."""
    return f"{(share * 100).normalize():f}%"
