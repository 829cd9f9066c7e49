"""The daily summary: when it is due, and what it says."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_aicost.alerts.alert import DAILY_SUMMARY, AlertRow, alert, dollars, exact
from otel_aicost.budgets.window import Period, Window, window_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from zoneinfo import ZoneInfo

DAY: Final = Period("day")
COMPARED: Final = 7
"""How many days before it a day is held against."""
TOP: Final = 5


class DaySpend(NamedTuple):
    """What the calls of a stretch of time cost."""

    nano: int = 0
    calls: int = 0
    unpriced: int = 0


class Summary(NamedTuple):
    """A day in numbers. Each part is a list of names with nano-dollars, the dearest first."""

    day: str
    spent: DaySpend
    before: tuple[DaySpend, ...]
    """The days before it that are known, the last one first; none where the ledger does not reach back."""
    budgets: Sequence[tuple[str, int]] = ()
    users: Sequence[tuple[str, int]] = ()
    features: Sequence[tuple[str, int]] = ()
    models: Sequence[tuple[str, int]] = ()


def due(minutes: int, now: int, zone: ZoneInfo) -> bool:
    """Whether the summary of yesterday is due at `now` (seconds since the epoch): its time of today has come."""
    today = date.fromisoformat(window_at(DAY, now, zone).id)
    hour, minute = divmod(minutes, 60)
    return now >= datetime(today.year, today.month, today.day, hour, minute, tzinfo=zone).timestamp()


def days_before(now: int, zone: ZoneInfo) -> list[Window]:
    """Yesterday, and the `COMPARED` days before it, the newest first: whole days of the calendar."""
    windows = []
    start = window_at(DAY, now, zone).start or 0
    for _ in range(1 + COMPARED):
        windows.append(window_at(DAY, start - 1, zone))
        start = windows[-1].start or 0
    return windows


def summary_alert(summary: Summary, zone: str, at_ns: int) -> AlertRow:
    """The summary as an alert: for information, once a day."""
    spent = summary.spent
    title = f"{summary.day}: {dollars(spent.nano)} USD in {spent.calls:,} calls{_compared(summary)}"
    if spent.unpriced:
        title += f"; {spent.unpriced:,} of them without a known cost"
    return alert(
        DAILY_SUMMARY,
        "info",
        title,
        once=(zone, summary.day),
        at_ns=at_ns,
        details={
            "day": summary.day,
            "timezone": zone,
            "total": exact(spent.nano),
            "calls": spent.calls,
            "unpriced_calls": spent.unpriced,
            "day_before": exact(summary.before[0].nano) if summary.before else None,
            "mean": exact(mean) if (mean := _mean(summary)) is not None else None,
            "mean_of_days": len(summary.before),
            **{part: _document(getattr(summary, part)) for part in PARTS},
        },
    )


PARTS: Final[Mapping[str, str]] = {"budgets": "Budgets", "users": "Users", "features": "Features", "models": "Models"}
"""The lists of a summary, and their headings."""


def _compared(summary: Summary) -> str:
    mean = _mean(summary)
    if mean is None:
        return ""
    days = len(summary.before)
    usual = f", on average of {days} days {dollars(mean)}" if days > 1 else ""
    return f" (the day before {dollars(summary.before[0].nano)}{usual})"


def _mean(summary: Summary) -> int | None:
    known = summary.before
    return sum(day.nano for day in known) // len(known) if known else None


def _document(part: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"name": name, "spent": exact(nano)} for name, nano in part if nano]
