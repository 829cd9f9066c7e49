"""The rules of the monitors: sums of calls in, alerts out. Nothing here asks a database or a clock.

`at_ns` is now; `day` and `hour` are ids of windows in the time zone of the file: they make an alert one of that time.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_aicost.alerts.alert import (
    EXPENSIVE_MODEL_SHARE,
    LOW_CACHE_SHARE,
    SPEND_SPIKE,
    STALE_PRICES,
    UNPRICED_CALLS,
    AlertRow,
    alert,
    dollars,
    exact,
    percent,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_aicost.alerts.settings import ExpensiveModels, LowCacheShare, SpendSpike

MOST: Final = 20
"""Alerts of one rule and window at the most: a program that invents names of models must not drown the others."""
LEAST_DAYS: Final = 3
"""What an hour usually costs is not known before so many days are there to look at."""
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAMED: Final = 3


class CacheUse(NamedTuple):
    """The calls of one model whose prompts a provider could have cached."""

    provider: str
    model: str
    calls: int
    input_tokens: int
    cached_tokens: int


class ModelSpend(NamedTuple):
    """What the calls of one model cost."""

    provider: str
    model: str
    nano: int
    calls: int


class UnpricedCalls(NamedTuple):
    """Calls of one model without a price, for one reason."""

    provider: str
    model: str
    reason: str
    calls: int


def low_cache_share(rule: LowCacheShare, uses: Iterable[CacheUse], day: str, at_ns: int) -> list[AlertRow]:
    """Models with enough calls on `day` of whose input tokens less than the wanted share was read from a cache."""
    found = []
    for use in uses:
        share = Decimal(use.cached_tokens) / use.input_tokens if use.input_tokens else Decimal(1)
        if use.calls >= rule.calls and share < rule.below:
            found.append((use, share))
    found.sort(key=lambda each: (-each[0].input_tokens, each[0]))
    return [
        alert(
            LOW_CACHE_SHARE,
            "info",
            f"Only {_rounded(share)} of the input tokens of {use.provider}/{use.model} came from its cache on {day} "
            f"({use.calls:,} calls with cacheable prompts), less than {percent(rule.below)}",
            once=(f"{use.provider}/{use.model}", day),
            at_ns=at_ns,
            details={
                "provider": use.provider,
                "model": use.model,
                "day": day,
                "share": f"{share:.4f}",
                "below": str(rule.below),
                "calls": use.calls,
                "input_tokens": use.input_tokens,
                "cache_read_tokens": use.cached_tokens,
            },
        )
        for use, share in found[:MOST]
    ]


def expensive_models(rule: ExpensiveModels, spends: Sequence[ModelSpend], day: str, at_ns: int) -> list[AlertRow]:
    """The models of the rule took more than its share of the money of the last 24 hours; at most once a `day`."""
    total = sum(spend.nano for spend in spends)
    dear = sorted((spend for spend in spends if _is_one(rule.models, spend.model)), key=lambda spend: -spend.nano)
    taken = sum(spend.nano for spend in dear)
    if not total or total < rule.least_nano or Decimal(taken) / total <= rule.above:
        return []
    share = Decimal(taken) / total
    named = ", ".join(spend.model for spend in dear[:_NAMED]) + (" ..." if len(dear) > _NAMED else "")
    return [
        alert(
            EXPENSIVE_MODEL_SHARE,
            "warning",
            f"Expensive models ({named}) took {_rounded(share)} of the money of the last 24 hours, more than "
            f"{percent(rule.above)}: {dollars(taken)} of {dollars(total)} USD",
            once=(", ".join(rule.models), day),
            at_ns=at_ns,
            details={
                "share": f"{share:.4f}",
                "above": str(rule.above),
                "spent": exact(taken),
                "total": exact(total),
                "models": {f"{spend.provider}/{spend.model}": exact(spend.nano) for spend in dear[:MOST]},
            },
        )
    ]


def spend_spike(rule: SpendSpike, hour: str, nano: int, usual: Sequence[int], at_ns: int) -> list[AlertRow]:
    """An hour that costs more than so many times the mean of `usual`: the same hour of earlier days, whole ones.

    The hour may still go on: it is held against whole hours, so that nothing is said too early.
    """
    if len(usual) < LEAST_DAYS or nano < rule.least_nano:
        return []
    mean = Decimal(sum(usual)) / len(usual)
    if nano <= rule.times * mean:
        return []
    clock = f"{hour[:10]} {hour[11:13]}:00"
    return [
        alert(
            SPEND_SPIKE,
            "warning",
            f"The hour from {clock} on has cost {dollars(nano)} USD, more than {rule.times} times the "
            f"{dollars(int(mean))} USD that this hour usually costs",
            once=("all", hour),
            at_ns=at_ns,
            details={
                "hour": hour,
                "spent": exact(nano),
                "usual": exact(int(mean)),
                "times": str(rule.times),
                "days": len(usual),
            },
        )
    ]


def unpriced_calls(sums: Iterable[UnpricedCalls], day: str, at_ns: int) -> list[AlertRow]:
    """Calls of `day` that have no price: once for each model and reason, whose number goes on growing."""
    worst = sorted(sums, key=lambda each: (-each.calls, each))
    return [
        alert(
            UNPRICED_CALLS,
            "warning",
            f"{_calls(each.calls)} to {each.provider}/{each.model} on {day} without a known cost "
            f"({each.reason.replace('_', ' ')}): no total holds them",
            once=(f"{each.provider}/{each.model}", each.reason, day),
            at_ns=at_ns,
            details={
                "provider": each.provider,
                "model": each.model,
                "reason": each.reason,
                "calls": each.calls,
                "day": day,
            },
        )
        for each in worst[:MOST]
    ]


def stale_prices(days: int, catalogues: Iterable[str], today: date, week: str, at_ns: int) -> list[AlertRow]:
    """The newest price catalogue that calls were priced with is older than `days`; once a week.

    Its age is that of the newest date in the name of its base; of a base without one, that of the newest date in all
    of its name: when prices were last fetched or checked.
    """
    dated = [(max(dates), name) for name in catalogues if (dates := _dates(name.partition(" + ")[0]) or _dates(name))]
    if not dated or (age := (today - max(dated)[0]).days) <= days:
        return []
    newest, name = max(dated)
    return [
        alert(
            STALE_PRICES,
            "warning",
            f"The price catalogue in use is {age} days old (checked {newest}), older than {days} days: "
            "`aicost prices update`, or upgrade otel-aicost and genai-prices",
            once=(str(newest), week),
            at_ns=at_ns,
            details={"catalogue": name, "checked": str(newest), "age_days": age},
        )
    ]


def _is_one(patterns: Iterable[str], model: str) -> bool:
    return any(fnmatchcase(model.lower(), pattern.lower()) for pattern in patterns)


def _rounded(share: Decimal) -> str:
    """A measured share; to a tenth of a per cent, so that it does not look like the limit it passed."""
    return f"{share * 100:.1f}%"


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number:,} calls"


def _dates(text: str) -> list[date]:
    found = []
    for word in _DATE.findall(text):
        try:
            found.append(date.fromisoformat(word))
        except ValueError:
            continue
    return found
