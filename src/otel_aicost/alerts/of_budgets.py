"""The alerts of budgets: a share of a limit is reached, a limit is used up, a call was blocked."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Protocol
from zoneinfo import ZoneInfo

from otel_aicost.alerts.alert import (
    BUDGET_EXCEEDED,
    CALL_BLOCKED,
    THRESHOLD_REACHED,
    AlertRow,
    Severity,
    alert,
    dollars,
    exact,
    percent,
)
from otel_aicost.budgets.window import Period, window_at

if TYPE_CHECKING:
    from otel_aicost.budgets.budget import Amounts, Budget, Limits, Line
    from otel_aicost.errors import BudgetExceeded

WARN_FROM: Final = Decimal("0.8")
"""The share of a limit from which a threshold is a warning; before, it is for information."""
UNITS: Final = ("USD", "tokens", "calls")
_SECOND: Final = 10**9
_LENGTHS: Final = ((86_400, "days"), (3600, "hours"), (60, "minutes"))


class Crossing(Protocol):
    """A share of a limit that was reached just now; `ledger.balances.Alert` is one."""

    @property
    def line(self) -> Line: ...

    @property
    def share(self) -> Decimal: ...

    @property
    def spent(self) -> Amounts: ...


def budget_alert(crossing: Crossing, now_ns: int) -> AlertRow:
    """The alert of a threshold that was reached: once for each share, budget, key and window.

    Below 0.8 of the limit it is for information, below 1 a warning; from 1 on the budget is exceeded: critical.
    """
    line, share = crossing.line, crossing.share
    unit = _fullest(line.limits, crossing.spent)
    spent, limit = crossing.spent[unit], line.limits[unit] or 0
    kind, severity = _grade(share)
    what = "is used up" if share == 1 else f"has reached {percent(share)} of its limit"
    return alert(
        kind,
        severity,
        f"Budget {_named(line.budget, line.key)} {what}: {_told(spent, limit, unit)} spent; {_resets(line)}",
        once=(line.budget.name, line.key, line.window.id, f"{share.normalize():f}"),
        at_ns=now_ns,
        details={
            "share": f"{share.normalize():f}",
            "unit": UNITS[unit],
            "spent": _exactly(spent, unit),
            "limit": _exactly(limit, unit),
            "calls": crossing.spent.calls,
            "tokens": crossing.spent.tokens,
            "resets_at": _iso(None if line.window.group else line.window.end),
        },
        budget=line.budget.name,
        key=line.key,
        window_id=line.window.id,
    )


def blocked_alert(budget: Budget, refused: BudgetExceeded, at_ns: int) -> AlertRow:
    """The alert of a call that was not sent at `at_ns`: a warning, once for each budget, key and window.

    For a budget of single calls once a day, for one that rolls once in its length.
    """
    window = _once_in(budget, at_ns // _SECOND)
    amounts = {name: getattr(refused, name) for name in ("spent", "reserved", "needed", "limit")}
    return alert(
        CALL_BLOCKED,
        "warning",
        f"A call was blocked by {refused.reason}",
        once=(budget.name, refused.key, window),
        at_ns=at_ns,
        details={
            **{name: None if amount is None else f"{amount:f}" for name, amount in amounts.items()},
            "unit": refused.currency,
            "resets_at": None if refused.resets_at is None else refused.resets_at.isoformat(),
        },
        budget=budget.name,
        key=refused.key,
        window_id=window,
    )


def call_alert(line: Line, at_ns: int) -> AlertRow:
    """The alert of a call, begun at `at_ns`, that took more than a budget of single calls allows.

    Once a day for each budget and key.
    """
    unit = _fullest(line.limits, line.amounts)
    taken, limit = line.amounts[unit], line.limits[unit] or 0
    day = _once_in(line.budget, at_ns // _SECOND)
    return alert(
        BUDGET_EXCEEDED,
        "critical",
        f"A call took more than budget {_named(line.budget, line.key)} allows: {_told(taken, limit, unit)}",
        once=(line.budget.name, line.key, day),
        at_ns=at_ns,
        details={"unit": UNITS[unit], "spent": _exactly(taken, unit), "limit": _exactly(limit, unit)},
        budget=line.budget.name,
        key=line.key,
        window_id=day,
    )


def _grade(share: Decimal) -> tuple[str, Severity]:
    if share >= 1:
        return BUDGET_EXCEEDED, "critical"
    return THRESHOLD_REACHED, "warning" if share >= WARN_FROM else "info"


def _fullest(limits: Limits, spent: Amounts) -> int:
    """Which of the limits is closest to its end, or furthest beyond."""
    known = [(index, limit) for index, limit in enumerate(limits) if limit is not None]
    return max(known, key=lambda each: spent[each[0]] / each[1] if each[1] else float(spent[each[0]] > 0) * 1e30)[0]


def _named(budget: Budget, key: str) -> str:
    return f"{budget.name} of {key}" if key else budget.name


def _told(spent: int, limit: int, unit: int) -> str:
    if unit:
        return f"{spent:,} of {limit:,} {UNITS[unit]}"
    return f"{dollars(spent)} of {exact(limit)} USD"


def _exactly(amount: int, unit: int) -> str | int:
    return amount if unit else exact(amount)


def _resets(line: Line) -> str:
    """When it begins anew: in the budget's own time."""
    if line.budget.period.kind == "rolling":
        return f"it counts the last {_length(line.budget.period.rolling_seconds)}"
    if line.window.end is None:
        return "it never resets"
    ends = datetime.fromtimestamp(line.window.end, ZoneInfo(line.budget.timezone))
    return f"it resets {ends:%Y-%m-%d %H:%M} {line.budget.timezone}"


def _length(seconds: int) -> str:
    size, name = next((each for each in _LENGTHS if seconds % each[0] == 0 and seconds > each[0]), _LENGTHS[-1])
    return f"{seconds // size} {name}"


def _iso(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()


def _once_in(budget: Budget, at: int) -> str:
    period = budget.period
    if period.kind == "rolling":
        return f"rolling {period.rolling_seconds}s {at // period.rolling_seconds * period.rolling_seconds}"
    day = Period("day") if period.kind == "call" else period
    return window_at(day, at, ZoneInfo(budget.timezone)).id
