"""Windows: which one holds an instant, and that they tile time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_aicost.budgets.window import STEPS, Period, counts_until, parse_period, window_at

ZONES = sorted(available_timezones() - {"localtime"})
ODD = (
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/St_Johns",
    "America/Havana",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Antarctica/Casey",
    "America/Scoresbysund",
    "Africa/Casablanca",
    "Europe/Berlin",
)
"""Zones with half-hour changes, skipped days, changes at or around midnight, offsets that are no whole hours."""
FIRST, LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2000, 2040))
PERIODS = [
    *(Period(kind) for kind in ("hour", "day", "week", "month", "quarter", "year")),
    Period("week", week_start=6),
    Period("year", year_start=(4, 6)),
    parse_period("rolling 30d"),
    parse_period("rolling 1m"),
]
CALENDAR = 8
"""How many of them are periods of the calendar."""
NAMES = [f"{period.kind}-{period.week_start}-{period.year_start[0]}-{period.rolling_seconds}" for period in PERIODS]


def at(text, zone="UTC"):
    """Seconds since the epoch of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def tile(period, instant, zone):
    """The window of the instant holds it, and its neighbours meet it exactly."""
    window = window_at(period, instant, zone)
    assert window.start <= instant < window.end
    before, after = window_at(period, window.start - 1, zone), window_at(period, window.end, zone)
    assert (before.end, after.start) == (window.start, window.end)
    assert len({before.id, window.id, after.id}) == 3
    for inside in (window.start, window.end - 1):
        assert window_at(period, inside, zone) == window


@pytest.mark.parametrize("period", PERIODS, ids=NAMES)
@settings(deadline=None)
@given(zone=st.sampled_from(ZONES), instant=st.integers(FIRST, LAST))
def test_windows_tile_time_everywhere(period, zone, instant):
    """In any zone at any instant from 2000 to 2040, windows follow one another without gap or overlap."""
    tile(period, instant, ZoneInfo(zone))


def offset(when, zone):
    return datetime.fromtimestamp(when, UTC).astimezone(zone).utcoffset()


def changes(zone):
    """The instants at which the clock of a zone is changed, to the second, from 2000 to 2040."""
    found, step = [], 7 * 86_400
    here = offset(FIRST, zone)
    for low in range(FIRST, LAST, step):
        there = offset(low + step, zone)
        if there != here:
            start, end = low, low + step
            while end - start > 1:
                middle = (start + end) // 2
                start, end = (middle, end) if offset(middle, zone) == here else (start, middle)
            found.append(end)
        here = there
    return found


@pytest.fixture(scope="module")
def clocks():
    """Every zone, once for all that show the same time throughout: name, zone, changes of its clock."""
    told = {}
    for name in ZONES:
        zone = ZoneInfo(name)
        found = changes(zone)
        behaviour = (offset(FIRST, zone), *((change, offset(change, zone)) for change in found))
        told.setdefault(behaviour, (name, zone, found))
    return list(told.values())


def walk(period, start, end, zone):
    """The windows from the one that holds `start` to the one that holds `end`: each ends where the next begins."""
    window = window_at(period, start, zone)
    walked = [window]
    while window.end <= end:
        following = window_at(period, window.end, zone)
        assert following.start == window.end, (zone, window, following)
        assert following.end > following.start
        walked.append(window := following)
    assert window_at(period, walked[0].start, zone) == walked[0]  # the others were found by their start
    for each in walked:
        assert window_at(period, each.end - 1, zone) == each
    assert len({each.id for each in walked}) == len(walked), (zone, walked)
    return walked


@pytest.mark.parametrize("period", PERIODS[:CALENDAR], ids=NAMES[:CALENDAR])
def test_windows_tile_time_around_every_change_of_every_clock(period, clocks):
    """In all zones, at every change of the clock from 2000 to 2040, windows meet exactly and have names of their own."""
    beside = {"hour": 2 * 3600, "day": 86_400}.get(period.kind, 60)
    checked = 0
    for _, zone, found in clocks:
        for change in found:
            walk(period, change - beside, change + beside, zone)
            checked += 1
    assert checked > 5000


@pytest.mark.parametrize("period", PERIODS[1:CALENDAR], ids=NAMES[1:CALENDAR])
def test_a_window_lasts_as_long_as_its_days(period, clocks):
    """From midnight to midnight it is so many days long, less what the clock was set forward within it."""
    lengths = set()
    for _, zone, found in clocks:
        for change in found:
            window = window_at(period, change, zone)
            first, last = (datetime.fromtimestamp(edge, UTC).astimezone(zone) for edge in (window.start, window.end))
            if (first.hour, first.minute, last.hour, last.minute) == (0, 0, 0, 0):
                days = (last.date() - first.date()).days
                shift = last.utcoffset() - first.utcoffset()
                assert window.end - window.start == days * 86_400 - shift.total_seconds(), (zone, window)
                lengths.add((window.end - window.start) / 3600)
    if period.kind == "day":
        assert {23, 23.5, 24.5, 25} <= lengths


@pytest.mark.parametrize("name", [*ODD, "UTC"])
def test_every_day_of_forty_years_follows_the_one_before(name):
    """Day for day from 2000 to 2040 no day is missing, but for the one that an island skipped."""
    days = [window.id for window in walk(Period("day"), FIRST, LAST, ZoneInfo(name))]
    first = datetime.fromisoformat(days[0]).toordinal()
    skipped = {"Pacific/Apia": {"2011-12-30"}}.get(name, set())
    expected = [datetime.fromordinal(first + number).date().isoformat() for number in range(len(days) + len(skipped))]
    assert days == [day for day in expected if day not in skipped]


@pytest.mark.parametrize("period", PERIODS[:CALENDAR], ids=NAMES[:CALENDAR])
def test_all_windows_of_forty_years_tile_time(period, clocks, long):
    """Every window of every zone, one after the other; all but the years, which are few, at full length only.

    The hours are those of the oddest zones: there are 350,000 of them in each.
    """
    if not long and period.kind != "year":
        pytest.skip("with --long only")
    zones = [ZoneInfo(name) for name in ODD] if period.kind == "hour" else [zone for _, zone, _ in clocks]
    for zone in zones:
        walk(period, FIRST, LAST, zone)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2026-10-26", 24),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Asia/Beirut", "2026-03-29", 23),
    ],
)
def test_a_day_is_as_long_as_the_clock_makes_it(zone, day, hours):
    """A day with a change of the clock has 23, 25, 23.5 or 24.5 hours."""
    window = window_at(Period("day"), at(f"{day}T12:00", zone), ZoneInfo(zone))
    assert (window.id, (window.end - window.start) / 3600) == (day, hours)


def test_a_day_that_was_skipped_has_no_window():
    """In Apia, 29 December 2011 was followed by the 31st."""
    zone = ZoneInfo("Pacific/Apia")
    window = window_at(Period("day"), at("2011-12-29T12:00", "Pacific/Apia"), zone)
    assert window.id == "2011-12-29"
    assert window_at(Period("day"), window.end, zone).id in {"2011-12-30", "2011-12-31"}
    assert window_at(Period("day"), window.end + 3600, zone).id == "2011-12-31"


def test_a_day_that_has_begun_goes_on_when_the_clock_is_set_back_over_midnight():
    """St. John's set its clock back at 00:01: the hour before midnight came twice, the day began once."""
    zone = ZoneInfo("America/St_Johns")
    began = at("2010-11-07T00:00", "America/St_Johns")
    assert window_at(Period("day"), began - 1, zone).id == "2010-11-06"
    assert [window_at(Period("day"), began + seconds, zone).id for seconds in (0, 61, 3599, 7200)] == ["2010-11-07"] * 4


@pytest.mark.parametrize(
    ("period", "moment", "named", "start", "end"),
    [
        (Period("hour"), "2026-11-21T05:59:59", "2026-11-21T05+0100", "2026-11-21T05:00", "2026-11-21T06:00"),
        (Period("day"), "2026-11-21T23:59:59", "2026-11-21", "2026-11-21T00:00", "2026-11-22T00:00"),
        (Period("day"), "2026-11-22T00:00", "2026-11-22", "2026-11-22T00:00", "2026-11-23T00:00"),
        (Period("week"), "2026-11-22T23:00", "week 2026-11-16", "2026-11-16T00:00", "2026-11-23T00:00"),
        (Period("week", week_start=6), "2026-11-22T23:00", "week 2026-11-22", "2026-11-22T00:00", "2026-11-29T00:00"),
        (Period("month"), "2028-02-29T23:00", "2028-02", "2028-02-01T00:00", "2028-03-01T00:00"),
        (Period("month"), "2026-12-31T23:59", "2026-12", "2026-12-01T00:00", "2027-01-01T00:00"),
        (Period("quarter"), "2026-11-21T00:00", "2026-Q4", "2026-10-01T00:00", "2027-01-01T00:00"),
        (Period("year"), "2026-11-21T00:00", "2026", "2026-01-01T00:00", "2027-01-01T00:00"),
        (Period("year", year_start=(4, 1)), "2026-03-31T23:59", "year 2025-04-01", "2025-04-01T00:00", "2026-04-01T00:00"),
        (Period("year", year_start=(4, 1)), "2026-04-01T00:00", "year 2026-04-01", "2026-04-01T00:00", "2027-04-01T00:00"),
    ],
)  # fmt: skip
def test_each_period_has_its_window_in_the_zone(period, moment, named, start, end):
    """A period's window has its name, and begins and ends at local time in Berlin."""
    zone = "Europe/Berlin"
    found = window_at(period, at(moment, zone), ZoneInfo(zone))
    assert (found.id, found.start, found.end) == (named, at(start, zone), at(end, zone))


def test_forever_has_no_end():
    """The window of `forever` is the same at any time, and never ends."""
    assert window_at(Period("forever"), 0, ZoneInfo("UTC")) == window_at(Period("forever"), LAST, ZoneInfo("UTC"))
    assert counts_until(Period("forever"), window_at(Period("forever"), 0, ZoneInfo("UTC"))) is None


def test_rolling_spend_counts_for_the_whole_length_and_one_step_at_most_more():
    """What is spent in a step counts until the length has passed since the step's end."""
    period = parse_period("rolling 60d")
    moment = at("2026-11-21T12:00")
    step = window_at(period, moment, ZoneInfo("UTC"))
    assert step.end - step.start == 60 * 86_400 // STEPS
    assert moment + 60 * 86_400 <= counts_until(period, step) <= moment + 61 * 86_400
    assert step.id.startswith(step.group)


@pytest.mark.parametrize("text", ["", "daily", "rolling", "rolling 0d", "rolling 30", "rolling 9999w", "30d", "7 days"])
def test_a_period_that_is_none_is_refused(text):
    """Nothing is guessed from a word that is no period."""
    with pytest.raises(ValueError, match="must be one of"):
        parse_period(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("rolling 90m", 5400), ("Rolling  12h", 43_200), ("rolling 30d", 2_592_000), ("rolling 2w", 1_209_600)]
)  # fmt: skip
def test_rolling_lengths(text, seconds):
    """A rolling period is so many minutes, hours, days or weeks."""
    assert parse_period(text).rolling_seconds == seconds
