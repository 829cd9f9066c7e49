"""Windows of time: the one of a period that holds an instant, in a time zone.

Spend is kept by window, so nothing ever has to be reset: a new window begins with nothing spent. All knowledge of
time zones is that of `zoneinfo`. Windows of one period tile time: no gap, no overlap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

Kind = Literal["call", "hour", "day", "week", "month", "quarter", "year", "forever", "rolling"]
KINDS: Final = ("call", "hour", "day", "week", "month", "quarter", "year", "forever")
"""The periods that are one word; the other is `rolling 30d`."""
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

STEPS: Final = 60
"""A rolling window moves on in so many steps: spend stays in it for at most one step too long."""
_ROLLING = re.compile(r"rolling\s+(\d{1,4})\s*([mhdw])")
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST_DAYS: Final = 3660
_HOUR: Final = 3600
_MONTHS: Final = 12


@dataclass(frozen=True, slots=True)
class Period:
    """How long a budget's limit holds. `call` has no window: its limit is for every single call."""

    kind: Kind
    rolling_seconds: int = 0
    week_start: int = 0
    """The first day of a week, 0 for Monday."""
    year_start: tuple[int, int] = (1, 1)
    """Month and day on which a year begins; quarters are those of the calendar."""


class Window(NamedTuple):
    """A stretch of time: from `start` (inclusive) to `end` (exclusive), in seconds since the epoch, UTC."""

    id: str
    """Names it among all windows of all periods: `2026-11-21`, `2026-11`, `week 2026-11-16`, `forever` ..."""
    start: int | None
    """`None`: it has always been, and has no end either."""
    end: int | None
    group: str = ""
    """For a rolling period: what the ids of all its steps begin with. A step is one window of many that count."""


FOREVER: Final = Window("forever", None, None)


def parse_period(text: str) -> Period:
    """`day`, `week`, `rolling 30d` ... as a Period. Raises `ValueError` for anything else."""
    word = " ".join(text.lower().split())
    for kind in KINDS:
        if word == kind:
            return Period(kind)
    found = _ROLLING.fullmatch(word)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not _SECONDS["m"] <= seconds <= _LONGEST_DAYS * _SECONDS["d"]:
        msg = f"must be one of {', '.join(KINDS)}, or `rolling` with a length such as 90m, 12h, 30d, 2w"
        raise ValueError(msg)
    return Period("rolling", rolling_seconds=seconds)


def window_at(period: Period, at: int, zone: ZoneInfo) -> Window:
    """The window that holds the instant `at`, in seconds since the epoch; not for `call`."""
    if period.kind == "forever":
        return FOREVER
    if period.kind == "rolling":
        return _step(period.rolling_seconds, at)
    if period.kind == "hour":
        return _hour(at, zone)
    first = _first_day(period, _local(at, zone).date())
    following = _next(period, first)
    # The clock may be set back across midnight; a day that has begun goes on all the same.
    while at >= (end := _begins(following, zone)):
        first, following = following, _next(period, following)
    return Window(_name(period, first), _begins(first, zone), end)


def counts_until(period: Period, window: Window) -> int | None:
    """When spend of this window stops to count, in seconds since the epoch: a rolling step counts on after its end."""
    return window.end if window.end is None else window.end + period.rolling_seconds


def _step(length: int, at: int) -> Window:
    size = max(1, length // STEPS)
    start = at - at % size
    group = f"rolling {length}s "
    return Window(f"{group}{start}", start, start + size, group)


def _hour(at: int, zone: ZoneInfo) -> Window:
    """The hour on the clock; where the clock is changed within it, the part before or after."""
    local = _local(at, zone)
    offset = local.utcoffset()
    start = at - local.minute * 60 - local.second
    end = start + _HOUR
    if _local(start, zone).utcoffset() != offset:
        start = _first(start, at, lambda when: _local(when, zone).utcoffset() == offset)
    if _local(end - 1, zone).utcoffset() != offset:
        end = _first(at, end - 1, lambda when: _local(when, zone).utcoffset() != offset)
    return Window(f"{local:%Y-%m-%dT%H%z}" + (f" from {start}" if start % 60 else ""), start, end)


def _begins(day: date, zone: ZoneInfo) -> int:
    """The first instant at which the calendar shows `day`, or a later one where that day was skipped."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    early, late = sorted(int(midnight.replace(fold=fold).timestamp()) for fold in (0, 1))
    if _local(early, zone).date() >= day:  # midnight is there, once or twice: the first one counts
        return early
    # The clock is set forward over midnight, somewhere between the two.
    return _first(early, late, lambda when: _local(when, zone).date() >= day)


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The first second after `low` for which `holds`, up to `high`, where it does; one change lies between."""
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


def _local(at: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(zone)


def _first_day(period: Period, day: date) -> date:
    if period.kind == "week":
        return day - timedelta(days=(day.weekday() - period.week_start) % len(DAYS))
    if period.kind == "month":
        return day.replace(day=1)
    if period.kind == "quarter":
        return date(day.year, day.month - (day.month - 1) % 3, 1)
    if period.kind == "year":
        month, first = period.year_start
        return date(day.year - ((day.month, day.day) < (month, first)), month, first)
    return day


def _next(period: Period, first: date) -> date:
    if period.kind == "year":
        return first.replace(year=first.year + 1)
    if period.kind in {"month", "quarter"}:
        months = first.month - 1 + (1 if period.kind == "month" else 3)
        return date(first.year + months // _MONTHS, months % _MONTHS + 1, 1)
    return first + timedelta(days=7 if period.kind == "week" else 1)


def _name(period: Period, first: date) -> str:
    if period.kind == "month":
        return f"{first:%Y-%m}"
    if period.kind == "quarter":
        return f"{first.year}-Q{(first.month + 2) // 3}"
    if period.kind == "year":
        return f"{first.year}" if period.year_start == (1, 1) else f"year {first}"
    return f"week {first}" if period.kind == "week" else f"{first}"
