"""One look of the monitors at a ledger: what is there to be warned of now that was not yet."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from otel_aicost.alerts import monitors
from otel_aicost.alerts.summary import DAY, TOP, DaySpend, Summary, days_before, due, summary_alert
from otel_aicost.budgets.window import Period, Window, window_at
from otel_aicost.ledger import spending
from otel_aicost.ledger.alerts import is_raised

if TYPE_CHECKING:
    from otel_aicost.alerts.alert import AlertRow
    from otel_aicost.alerts.settings import AlertSettings
    from otel_aicost.ledger.store import Connection

USUAL_DAYS: Final = 7
CLAIM: Final = "alerts.next_check_ns"
"""The key in `meta` that holds when the next process may look."""
USER: Final = "user"
FEATURE: Final = "feature"
_HOUR: Final = Period("hour")
_WEEK: Final = Period("week")
_SECOND: Final = 10**9
_DAY_NS: Final = 86_400 * _SECOND


def claim(connection: Connection, now_ns: int, until_ns: int) -> bool:
    """Take this look: `True` for one process of a ledger, and then for nobody before `until_ns`."""
    return connection.execute(_CLAIM, (CLAIM, str(until_ns), now_ns)).rowcount == 1


def look(connection: Connection, settings: AlertSettings, now_ns: int) -> list[AlertRow]:
    """The alerts that are due and were not raised yet. It only reads, and needs no transaction."""
    watch = _Look(connection, settings, now_ns)
    found = [*watch.summary(), *watch.spike(), *watch.shares(), *watch.prices()]
    return [row for row in found if not is_raised(connection, row.fingerprint)]


class _Look:
    def __init__(self, connection: Connection, settings: AlertSettings, now_ns: int) -> None:
        self.connection = connection
        self.settings = settings
        self.now_ns = now_ns
        self.now = now_ns // _SECOND
        self.zone = ZoneInfo(settings.timezone)
        self.today = window_at(DAY, self.now, self.zone)
        self.yesterday = window_at(DAY, (self.today.start or 0) - 1, self.zone)

    def shares(self) -> list[AlertRow]:
        """Of yesterday, how much came from caches; of the last 24 hours, how much went to expensive models."""
        found: list[AlertRow] = []
        settings, day = self.settings, self.yesterday
        if settings.low_cache_share is not None:
            uses = spending.cache_use(self.connection, *_ns(day))
            found += monitors.low_cache_share(settings.low_cache_share, uses, day.id, self.now_ns)
        if settings.expensive_models is not None:
            spends = spending.by_model(self.connection, self.now_ns - _DAY_NS, self.now_ns)
            found += monitors.expensive_models(settings.expensive_models, spends, self.today.id, self.now_ns)
        return found

    def prices(self) -> list[AlertRow]:
        """Calls without a price, of today and of the end of yesterday; the age of the prices of the last 24 hours."""
        found: list[AlertRow] = []
        if self.settings.unpriced_calls:
            for day in (self.yesterday, self.today):
                found += monitors.unpriced_calls(spending.unpriced(self.connection, *_ns(day)), day.id, self.now_ns)
        if self.settings.stale_days is not None:
            names = spending.catalogues(self.connection, self.now_ns - _DAY_NS, self.now_ns)
            today, week = date.fromisoformat(self.today.id), window_at(_WEEK, self.now, self.zone).id
            found += monitors.stale_prices(self.settings.stale_days, names, today, week, self.now_ns)
        return found

    def spike(self) -> list[AlertRow]:
        """The hour that goes on, and the one before, whose last minutes nobody has looked at yet."""
        rule = self.settings.spend_spike
        found: list[AlertRow] = []
        if rule is None:
            return found
        hour = window_at(_HOUR, self.now, self.zone)
        for window in (window_at(_HOUR, (hour.start or 0) - 1, self.zone), hour):
            spent = spending.spent(self.connection, *_ns(window)).nano
            if spent >= rule.least_nano:
                found += monitors.spend_spike(rule, window.id, spent, self._usual(window), self.now_ns)
        return found

    def summary(self) -> list[AlertRow]:
        """The summary of yesterday, if its time has come."""
        minutes = self.settings.daily_summary
        if minutes is None or not due(minutes, self.now, self.zone):
            return []
        days = days_before(self.now, self.zone)
        first = spending.first_call_ns(self.connection)
        empty = summary_alert(Summary(days[0].id, DaySpend(), ()), self.settings.timezone, self.now_ns)
        if first is None or first >= _ns(days[0])[1] or is_raised(self.connection, empty.fingerprint):
            return []
        return [summary_alert(self._summary(days, first), self.settings.timezone, self.now_ns)]

    def _summary(self, days: list[Window], first_ns: int) -> Summary:
        connection, yesterday = self.connection, _ns(days[0])
        tagged = spending.by_tags(connection, *yesterday, (USER, FEATURE))
        models = sorted(spending.by_model(connection, *yesterday), key=lambda each: -each.nano)
        return Summary(
            days[0].id,
            spending.spent(connection, *yesterday),
            self._known(days[1:], first_ns),
            spending.by_budget(connection, *yesterday),
            tagged[USER],
            tagged[FEATURE],
            [(f"{each.provider}/{each.model}", each.nano) for each in models[:TOP]],
        )

    def _known(self, windows: list[Window], first_ns: int) -> tuple[DaySpend, ...]:
        """What these windows cost, as far as the ledger reaches back in single calls."""
        known = [_ns(window) for window in windows if _ns(window)[1] > first_ns]
        return tuple(spending.spent(self.connection, start, end) for start, end in known)

    def _usual(self, hour: Window) -> list[int]:
        """What the same hour on the clock cost on each of the last days that had one and that the ledger knows."""
        first = spending.first_call_ns(self.connection) or 0
        begins = datetime.fromtimestamp(hour.start or 0, UTC).astimezone(self.zone).replace(tzinfo=None, fold=0)
        usual = []
        for days in range(1, USUAL_DAYS + 1):
            clock = begins - timedelta(days=days)
            at = int(clock.replace(tzinfo=self.zone).timestamp())
            back = datetime.fromtimestamp(at, UTC).astimezone(self.zone)
            if back.hour == clock.hour and at * _SECOND >= first:  # else it was skipped by the clock, or is unknown
                usual.append(spending.spent(self.connection, *_ns(window_at(_HOUR, at, self.zone))).nano)
        return usual


def _ns(window: Window) -> tuple[int, int]:
    """When a window of the calendar begins and ends."""
    return (window.start or 0) * _SECOND, (window.end or 0) * _SECOND


_CLAIM: Final = """
    INSERT INTO meta (key, value) VALUES (?, ?)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE CAST(meta.value AS BIGINT) <= ?
"""
