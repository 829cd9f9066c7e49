"""What was spent in this day, week, month, quarter and year, and in the last ones, by the plan's calendar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_aicost.budgets.window import Period, window_at
from otel_aicost.exporter.families import dollars, gauge
from otel_aicost.exporter.ranges import NS, Range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from zoneinfo import ZoneInfo

    from prometheus_client import Metric

    from otel_aicost.exporter.past import Past
    from otel_aicost.exporter.ranges import Sum, Summing

KINDS: Final = ("day", "week", "month", "quarter", "year")


@dataclass(frozen=True, slots=True)
class Calendar:
    """The periods around a moment."""

    zone: ZoneInfo
    now_ns: int

    def period(self, kind: str, offset: int = 0) -> Range:
        """The period of that kind that holds the moment, or the one so many before it."""
        found = self._at(kind, self.now_ns)
        for _ in range(offset):
            found = self._at(kind, found.start - NS)
        return found

    def last_to_date(self, kind: str) -> Range:
        """The last period as far as this one has come; all of it where it was shorter."""
        last, this = self.period(kind, 1), self.period(kind)
        return Range(last.start, min(last.end, last.start + self.now_ns - this.start))

    @property
    def first_ns(self) -> int:
        """The earliest moment of all these periods."""
        return min(self.period(kind, 1).start for kind in KINDS)

    def _at(self, kind: str, at_ns: int) -> Range:
        window = window_at(Period(kind), at_ns // NS, self.zone)  # type: ignore[arg-type]  # one of KINDS
        return Range((window.start or 0) * NS, (window.end or 0) * NS)


def families(past: Past, summing: Summing, calendar: Calendar, all_calls: Sum, repriced: int = 0) -> Iterator[Metric]:
    """Spend of this period and the last, of the last up to the same point, and when this one begins and ends."""
    past.look(summing, calendar.zone, calendar.first_ns, calendar.now_ns, all_calls, repriced)
    this = [calendar.period(kind) for kind in KINDS]
    last = [calendar.period(kind, 1) for kind in KINDS]
    to_date = [calendar.last_to_date(kind) for kind in KINDS]
    sums = past.between(summing, [*this, *last, *to_date])
    spend = gauge("aicost_spend_usd")
    for offset in (0, 1):
        for kind, one in zip(KINDS, sums[offset * len(KINDS) :], strict=False):
            spend.add_metric((kind, str(offset)), dollars(one.nano))
    yield spend
    yield _each("aicost_previous_spend_to_date_usd", [dollars(one.nano) for one in sums[2 * len(KINDS) :]])
    yield _each("aicost_period_start_timestamp_seconds", [one.start // NS for one in this])
    yield _each("aicost_period_end_timestamp_seconds", [one.end // NS for one in this])


def _each(name: str, values: Sequence[float]) -> Metric:
    family = gauge(name)
    for kind, value in zip(KINDS, values, strict=True):
        family.add_metric((kind,), value)
    return family
