"""Alerts as values: kinds, severities, fingerprints and sentences."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from alerts.raised import DOLLAR, NOW, reached
from budgets.lines import line
from otel_aicost.alerts.alert import LONGEST_TITLE, dollars, exact, fingerprint, percent, plain
from otel_aicost.alerts.of_budgets import blocked_alert, call_alert
from otel_aicost.budgets.budget import Amounts, Budget, Limits
from otel_aicost.budgets.window import FOREVER, Period, Window
from otel_aicost.errors import BudgetExceeded


@pytest.mark.parametrize(
    ("share", "kind", "severity"),
    [
        ("0.5", "threshold_reached", "info"),
        ("0.799", "threshold_reached", "info"),
        ("0.8", "threshold_reached", "warning"),
        ("0.999", "threshold_reached", "warning"),
        ("1", "budget_exceeded", "critical"),
        ("1.0", "budget_exceeded", "critical"),
        ("2", "budget_exceeded", "critical"),
    ],
)
def test_the_share_decides_how_bad_it_is(share, kind, severity):
    """Below 0.8 for information, below 1 a warning, from 1 on critical."""
    row = reached(share)
    assert (row.kind, row.severity) == (kind, severity)


def test_a_threshold_is_one_sentence_with_all_there_is_to_know():
    """Amount, limit, share, budget, key, and the reset in the budget's own time; amounts are exact in the details."""
    row = reached("0.8", Amounts(40_123_456_789, 4000, 9))
    assert row.title == (
        "Budget user-day of alice has reached 80% of its limit: 40.12 of 50.00 USD spent; "
        "it resets 2026-11-22 00:00 Europe/Berlin"
    )
    assert json.loads(row.details) == {
        "share": "0.8",
        "unit": "USD",
        "spent": "40.123456789",
        "limit": "50.00",
        "calls": 9,
        "tokens": 4000,
        "resets_at": "2026-11-21T23:00:00+00:00",
    }
    assert (row.budget, row.key, row.window_id, row.at_ns, row.state) == (
        "user-day", "alice", "2026-11-21", NOW, "unread",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("told", "spent", "said"),
    [
        ({"key": ""}, None, "Budget user-day is used up: 50.00 of 50.00 USD spent; it resets"),
        ({"limit": None, "tokens": 9000}, Amounts(7, 9500, 3), "9,500 of 9,000 tokens spent"),
        ({"calls": 3}, Amounts(1, 0, 3), "3 of 3 calls spent"),
        ({"limit": 0}, Amounts(12_345_678, 1, 1), "0.0123 of 0.00 USD spent"),
        ({"window": FOREVER, "period": Period("forever")}, None, "spent; it never resets"),
        (
            {
                "period": Period("rolling", 30 * 86_400),
                "window": Window("rolling 2592000s 7", 7, 8, "rolling 2592000s "),
            },
            None,
            "spent; it counts the last 30 days",
        ),
        ({"period": Period("rolling", 90 * 60), "window": Window("r 7", 7, 8, "r ")}, None, "the last 90 minutes"),
    ],
)
def test_the_sentence_fits_the_budget(told, spent, said):
    """It speaks of the limit that is closest to its end, in its unit, and of a reset where there is one."""
    assert said in reached("1", spent, **told).title


def test_another_share_is_said_so():
    """Twice the limit is not the end of it."""
    assert "has reached 200% of its limit: 100.00 of 50.00 USD" in reached("2").title


def test_a_fingerprint_is_one_of_budget_key_window_and_share():
    """The same again is the same alert, and anything else is another."""
    rows = [
        reached("0.8"),
        reached("0.9"),
        reached("0.8", key="bob"),
        reached("0.8", name="other"),
        reached("0.8", window=Window("2026-11-22", 1_795_302_000, 1_795_388_400)),
    ]
    assert len({row.fingerprint for row in rows}) == len({row.id for row in rows}) == 5
    assert reached("0.80", Amounts(41 * DOLLAR, 1, 1)).id == rows[0].id
    assert rows[0].fingerprint == "threshold_reached|user-day|alice|2026-11-21|0.8"


def test_parts_with_bars_are_not_mixed_up():
    """A key is whatever a user was called."""
    assert fingerprint("a|b", "c") != fingerprint("a", "b|c")
    assert fingerprint("a%7Cb") != fingerprint("a|b")


def test_a_title_is_one_line():
    """A key cannot begin a line of a log, steer a terminal, or go on for ever."""
    row = reached("1", key="alice\nCRITICAL fake\x1b[31m")
    assert row.title.startswith(
        "Budget user-day of alice\N{REPLACEMENT CHARACTER}CRITICAL fake\N{REPLACEMENT CHARACTER}[31m"
    )
    assert len(plain("x" * LONGEST_TITLE)) == len(plain("x" * (LONGEST_TITLE + 1))) == LONGEST_TITLE
    assert plain("x" * LONGEST_TITLE).endswith("x")


def refused(**told):
    return BudgetExceeded(
        "budget b of alice: 49.80 USD spent",
        budget="b",
        key="alice",
        spent=Decimal("49.80"),
        limit=Decimal(50),
        resets_at=datetime(2026, 11, 21, 23, tzinfo=UTC),
        **told,
    )


def blocked(period, at=NOW, zone="Europe/Berlin"):
    return blocked_alert(Budget("b", period, Limits(1), per=("user",), timezone=zone), refused(), at)


def test_a_blocked_call_is_a_warning_with_the_reason():
    """The alert says what the exception said."""
    row = blocked(Period("day"))
    assert (row.kind, row.severity, row.budget, row.key) == ("call_blocked", "warning", "b", "alice")
    assert row.title == "A call was blocked by budget b of alice: 49.80 USD spent"
    assert row.window_id == "2026-11-21"
    assert json.loads(row.details) == {
        "spent": "49.80",
        "reserved": None,
        "needed": None,
        "limit": "50",
        "unit": "USD",
        "resets_at": "2026-11-21T23:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("period", "seconds"),
    [
        (Period("day"), 13 * 3600),
        (Period("hour"), 3600),
        (Period("call"), 13 * 3600),
        (Period("rolling", 7200), 7200),
    ],
)
def test_a_blocked_call_is_said_once_a_window(period, seconds):
    """A moment before the window ends it is the same alert; of single calls there is one a day."""
    first = blocked(period)
    assert blocked(period, NOW + (seconds - 1) * DOLLAR).id == first.id
    assert blocked(period, NOW + seconds * DOLLAR).id != first.id


def test_a_window_without_an_end_is_one():
    """Years later it is the same."""
    assert blocked(Period("forever")).id == blocked(Period("forever"), NOW * 2).id


def test_a_call_that_took_too_much_is_critical_once_a_day():
    """It was sent, and what it took is said against the limit; another key, or day, is another alert."""
    one = line(700_000_000, limit=DOLLAR // 2, name="one-call", key="alice", period=Period("call"), window=FOREVER)
    row = call_alert(one, NOW)
    assert row.title == "A call took more than budget one-call of alice allows: 0.70 of 0.50 USD"
    assert (row.kind, row.severity, row.window_id) == ("budget_exceeded", "critical", "2026-11-21")
    assert json.loads(row.details) == {"unit": "USD", "spent": "0.70", "limit": "0.50"}
    assert call_alert(one._replace(amounts=Amounts(800_000_000, 1, 1)), NOW + 13 * 3600 * DOLLAR).id == row.id
    assert call_alert(one, NOW + 14 * 3600 * DOLLAR).id != row.id
    assert call_alert(one._replace(key="bob"), NOW).id != row.id


@pytest.mark.parametrize(
    ("nano", "short", "whole"),
    [
        (0, "0.00", "0.00"),
        (1, "0.000000001", "0.000000001"),
        (23_254_321, "0.0233", "0.023254321"),
        (500_000_000, "0.50", "0.50"),
        (999_999_999, "1.00", "0.999999999"),
        (1_000_000_000, "1.00", "1.00"),
        (1_234_567_890_000, "1,234.57", "1234.56789"),
    ],
)
def test_dollars_are_short_in_sentences_and_exact_in_details(nano, short, whole):
    """Cents, and three digits of less than a dollar."""
    assert (dollars(nano), exact(nano)) == (short, whole)


def test_shares_are_percentages():
    """As they were written."""
    assert [percent(Decimal(share)) for share in ("0.5", "1.0", "0.125", "10")] == ["50%", "100%", "12.5%", "1000%"]
