"""A budget's definition as text: canonical, to tell whether it changed; readable, to say what changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from otel_aicost.budgets.budget import Budget, Limits, Match, parse_money
from otel_aicost.budgets.window import DAYS, Period, parse_period
from otel_aicost.model import NANO_DIGITS

_UNITS: Final = (("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60))
_CENTS: Final = 2
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def dollars(nano: int) -> str:
    """Nano-dollars as exact text that `parse_money` reads: `50.00 USD`."""
    whole, _, decimals = f"{Decimal(nano).scaleb(-NANO_DIGITS):f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<{_CENTS}} USD"


def limits_text(limits: Limits) -> str | None:
    """Limits for a person, exact: `50.00 USD, 200000 tokens`; `None` where none is set."""
    told = [] if limits.nano is None else [dollars(limits.nano)]
    counts = ((limits.tokens, "token"), (limits.calls, "call"))
    told += [f"{amount} {unit}{'' if amount == 1 else 's'}" for amount, unit in counts if amount is not None]
    return ", ".join(told) or None


def window_text(window_id: str) -> str:
    """A window, or all steps of one that rolls: `2026-11-21`, `rolling 30d`."""
    words = window_id.split(" ")
    if words[0] != "rolling" or len(words) == 1:
        return window_id
    return period_text(Period("rolling", rolling_seconds=int(words[1].removesuffix("s"))))


def canonical(budget: Budget) -> str:
    """The definition as JSON: the same text for the same budget; what has its default is left out."""
    return _encode(_object(budget, ("name",)))


def recalled(name: str, text: str) -> Budget | None:
    """The budget that `canonical` made the text of, as far as this version knows its keys; `None`: it is none."""
    try:
        told = json.loads(text)
        names = {field.name for field in fields(Budget)}
        known: dict[str, Any] = {
            key: _READERS[key](value) if key in _READERS else value for key, value in told.items() if key in names
        }
        return Budget(name, known.pop("period"), known.pop("limits"), **known)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def differences(was: str | None, became: str) -> tuple[str | None, str]:
    """What differs between two definitions, before and after; all of the second where there was none before."""
    old, new = ({} if text is None else _flat(text) for text in (was, became))
    keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    before, after = (", ".join(f"{key}: {side.get(key, '-')}" for key in keys) for side in (old, new))
    return (None if was is None else before), after


def _flat(text: str) -> dict[str, str]:
    try:
        told = json.loads(text)
        told.update(told.pop("limits", {}))
    except (ValueError, AttributeError, TypeError):
        return {"definition": text}
    return {key: value if isinstance(value, str) else _encode(value) for key, value in told.items()}


def _object(value: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    told = {}
    for field in fields(value):
        own = getattr(value, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if field.name not in without and own != default:
            told[field.name] = _plain(own)
    return told


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a budget holds
    if isinstance(value, Limits):
        money = {} if value.nano is None else {"limit": dollars(value.nano)}
        counts = {"tokens": value.tokens, "calls": value.calls}
        return {**money, **{unit: amount for unit, amount in counts.items() if amount is not None}}
    if isinstance(value, Period):
        return period_text(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(own) for own in value]
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return _object(value) if is_dataclass(value) else value


def period_text(period: Period) -> str:
    """A period as it is written: `day`, `rolling 30d`; where it begins stands after `from`."""
    if period.kind == "rolling":
        unit, seconds = next((each for each in _UNITS if period.rolling_seconds % each[1] == 0), ("s", 1))
        return f"rolling {period.rolling_seconds // seconds}{unit}"
    if period.week_start:
        return f"{period.kind} from {DAYS[period.week_start]}"
    if period.year_start != (1, 1):
        return f"{period.kind} from {period.year_start[0]:02}-{period.year_start[1]:02}"
    return period.kind


def _period(text: str) -> Period:
    word, _, first = text.partition(" from ")
    period = parse_period(word)
    if first in DAYS:
        return Period(period.kind, week_start=DAYS.index(first))
    if first:
        month, day = map(int, first.split("-"))
        return Period(period.kind, year_start=(month, day))
    return period


def _limits(told: Mapping[str, Any]) -> Limits:
    money = told.get("limit")
    return Limits(None if money is None else parse_money(money), told.get("tokens"), told.get("calls"))


def _match(told: Mapping[str, Any]) -> Match:
    words = {key: told[key] for key in ("provider", "model", "operation", "service") if key in told}
    return Match(**words, tags=MappingProxyType(dict(told.get("tags", {}))))


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "period": _period,
    "limits": _limits,
    "match": _match,
    "per": tuple,
    "on_exceed": str,
    "mode": str,
    "alert_at": lambda shares: tuple(map(Decimal, shares)),
    "overrides": lambda told: MappingProxyType({key: _limits(limits) for key, limits in told.items()}),
    "on_unpriced": str,
    "assumed_nano": int,
    "on_store_down": str,
    "timezone": lambda text: str(ZoneInfo(text)),  # a KeyError where this machine does not know it
}
