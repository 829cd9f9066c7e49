"""The daily summary: when it is due in any time zone, which days it is about, and what it says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from alerts.raised import reached
from otel_aicost.alerts.message import SHOWN, message
from otel_aicost.alerts.summary import COMPARED, DaySpend, Summary, days_before, due, summary_alert

BERLIN = ZoneInfo("Europe/Berlin")
DOLLAR = 10**9
NOW = 1_795_255_200 * DOLLAR
"""2026-11-21 10:00 UTC."""


def at(zone, *clock):
    return int(datetime(*clock, tzinfo=zone).timestamp())


@pytest.mark.parametrize(
    ("zone", "minutes", "clock", "expected"),
    [
        (BERLIN, 480, (2026, 11, 21, 7, 59, 59), False),
        (BERLIN, 480, (2026, 11, 21, 8, 0, 0), True),
        (BERLIN, 480, (2026, 11, 21, 23, 59, 59), True),
        (BERLIN, 0, (2026, 11, 21, 0, 0, 0), True),
        # The clock is set forward: 02:30 is not there, and due at 03:30.
        (BERLIN, 150, (2026, 3, 29, 1, 59, 59), False),
        (BERLIN, 150, (2026, 3, 29, 3, 30, 0), True),
        # The clock is set back: 08:00 is 08:00.
        (BERLIN, 480, (2026, 10, 25, 7, 59, 59), False),
        (BERLIN, 480, (2026, 10, 25, 8, 0, 0), True),
        (ZoneInfo("Australia/Lord_Howe"), 480, (2026, 4, 5, 7, 59, 59), False),
        (ZoneInfo("Australia/Lord_Howe"), 480, (2026, 4, 5, 8, 0, 0), True),
    ],
)
def test_it_is_due_from_its_hour_on(zone, minutes, clock, expected):
    """To the second, on days of every length."""
    assert due(minutes, at(zone, *clock), zone) is expected


@pytest.mark.parametrize(
    ("zone", "today", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 30), 23),
        ("Europe/Berlin", date(2026, 10, 26), 25),
        ("Australia/Lord_Howe", date(2026, 4, 6), 24.5),
        ("America/New_York", date(2026, 3, 9), 23),
        ("UTC", date(2026, 3, 30), 24),
    ],
)
def test_yesterday_is_a_day_of_the_calendar(zone, today, hours):
    """With the hours it had; the days before it follow without a gap."""
    zone = ZoneInfo(zone)
    windows = days_before(at(zone, today.year, today.month, today.day, 8), zone)
    assert [window.id for window in windows] == [str(today - timedelta(days=back)) for back in range(1, COMPARED + 2)]
    assert (windows[0].end - windows[0].start) / 3600 == hours
    for later, earlier in pairwise(windows):
        assert earlier.end == later.start


def test_a_day_that_the_calendar_skipped_is_no_yesterday():
    """Samoa had no 30th of December 2011."""
    zone = ZoneInfo("Pacific/Apia")
    windows = days_before(int(datetime(2011, 12, 31, 12, tzinfo=zone).timestamp()), zone)
    assert [window.id for window in windows[:2]] == ["2011-12-29", "2011-12-28"]


FULL = Summary(
    "2026-11-20",
    DaySpend(12_340_000_000, 1234, 3),
    (DaySpend(10 * DOLLAR), *[DaySpend(4 * DOLLAR)] * 6),
    budgets=[("company", 12 * DOLLAR)],
    users=[("nobody", 0), ("alice", 7 * DOLLAR), ("bob\n  fake: 1", 1)],
    features=[],
    models=[("openai/gpt-5", 5_123_456_789)],
)


def test_it_tells_the_day_against_the_days_before():
    """Total, calls, the day before and the mean, and how many calls nobody knows the cost of."""
    row = summary_alert(FULL, "Europe/Berlin", NOW)
    assert row.title == (
        "2026-11-20: 12.34 USD in 1,234 calls (the day before 10.00, on average of 7 days 4.86); 3 of them without a known cost"
    )
    assert (row.kind, row.severity, row.fingerprint) == (
        "daily_summary",
        "info",
        "daily_summary|Europe/Berlin|2026-11-20",
    )
    told = json.loads(row.details)
    assert (told["total"], told["day_before"], told["mean"], told["mean_of_days"]) == (
        "12.34",
        "10.00",
        "4.857142857",
        7,
    )
    assert told["models"] == [{"name": "openai/gpt-5", "spent": "5.123456789"}]


@pytest.mark.parametrize(
    ("before", "said"),
    [((), "USD in 0 calls"), ((DaySpend(DOLLAR),), "calls (the day before 1.00)")],
)
def test_a_young_ledger_is_not_compared_with_days_before_it(before, said):
    """What is not known is left out rather than zero."""
    assert summary_alert(Summary("2026-11-20", DaySpend(), before), "UTC", NOW).title.endswith(said)


def test_the_message_lists_who_spent_it():
    """One line each; a name cannot begin a line of its own; a list without entries is not there."""
    told = message([summary_alert(FULL, "Europe/Berlin", NOW)], "Europe/Berlin")
    assert told.title.startswith("2026-11-20: 12.34 USD")
    assert told.body.splitlines() == [
        "Budgets:",
        "  company: 12.00 USD",
        "Users:",
        "  alice: 7.00 USD",
        "  bob\N{REPLACEMENT CHARACTER}  fake: 1: 0.000000001 USD",
        "Models:",
        "  openai/gpt-5: 5.123456789 USD",
        told.body.splitlines()[-1],
    ]
    assert told.body.splitlines()[-1].startswith("daily_summary, 2026-11-21 11:00 Europe/Berlin, ")


def test_several_alerts_are_one_message():
    """The worst first; past a number they are only counted."""
    calm = [
        summary_alert(FULL._replace(day=str(date(2026, 1, 1) + timedelta(days=n))), "UTC", NOW) for n in range(SHOWN)
    ]
    bad = reached("1")
    told = message([*calm, bad], "UTC")
    assert (told.severity, told.title) == ("critical", f"{SHOWN + 1} alerts of otel-aicost, the worst is critical")
    assert told.body.startswith("[critical] Budget user-day of alice is used up")
    assert told.body.endswith("... and 1 more: aicost alerts")
    assert message([*calm[1:], bad], "UTC").body.count("daily_summary, ") == SHOWN - 1


def test_the_time_in_a_message_is_local():
    """That of the file."""
    row = summary_alert(FULL, "Asia/Kolkata", NOW)
    here = datetime.fromtimestamp(NOW // DOLLAR, UTC).astimezone(ZoneInfo("Asia/Kolkata"))
    assert f"{here:%Y-%m-%d %H:%M} Asia/Kolkata" in message([row], "Asia/Kolkata").body
