"""Which budget alerts fire in Alertmanager: labelled, to the letter, as the rules label theirs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ledgers import write
from otel_aicost.alerts.of_budgets import call_alert
from otel_aicost.budgets.budget import Amounts, Limits, Line
from otel_aicost.budgets.window import FOREVER, Period, Window
from otel_aicost.ledger.alerts import raise_alert
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.store import FileStore
from otel_aicost.server.pages import CALL_SECONDS, pages
from server.spending import DOLLAR, allow, budget, define, spend

SECOND = 10**9
NOW = 1_795_255_200 * SECOND
"""2026-11-21 10:00 UTC."""


@pytest.fixture
def ledger(tmp_path):
    return write(tmp_path / "ledger.db")


def firing(ledger, *budgets, now_ns=NOW, since_ns=0):
    with looking(ledger) as connection:
        return pages(connection, budgets, now_ns, since_ns)


def labels(ledger, *budgets, now_ns=NOW):
    return [dict(page.labels) for page in firing(ledger, *budgets, now_ns=now_ns)]


def test_the_labels_are_those_of_the_rules(ledger):
    """One alert for the limit and one for each share below it; what is empty is no label."""
    one = budget("chat-day", team="search", at=("0.5", "0.80", "1", "1.2"))
    define(ledger, one)
    spend(ledger, one, "12.5", now_ns=NOW - SECOND)
    common = {"kind": "budget", "budget": "chat-day", "period": "day", "unit": "USD", "team": "search"}
    assert labels(ledger) == [
        {"alertname": "AICostBudgetExceeded", "severity": "critical", **common},
        {"alertname": "AICostBudgetThreshold", "severity": "info", "threshold": "0.5", **common},
        {"alertname": "AICostBudgetThreshold", "severity": "warning", "threshold": "0.8", **common},
    ]


@pytest.mark.parametrize(
    ("period", "told"),
    [
        (Period("hour"), "hour"),
        (Period("week"), "week"),
        (Period("month"), "month"),
        (Period("quarter"), "quarter"),
        (Period("year"), "year"),
        (Period("year", year_start=(4, 1)), "year"),
        (Period("forever"), "forever"),
        (Period("rolling", rolling_seconds=7 * 86_400), "rolling"),
    ],
)
def test_a_period_is_one_word(ledger, period, told):
    """Whatever the id of its window is."""
    one = budget(period=period, at=("1",))
    spend(ledger, one, "10", now_ns=NOW)
    assert [each["period"] for each in labels(ledger, one, now_ns=NOW + SECOND)] == [told]


@pytest.mark.parametrize(
    ("spent", "fires"), [("4.999999999", []), ("5", ["0.5"]), ("7.999999999", ["0.5"]), ("8", ["0.5", "0.8"])]
)
def test_a_share_fires_from_there_on(ledger, spent, fires):
    """To the nano-dollar, on both sides of it."""
    one = budget()
    spend(ledger, one, spent, now_ns=NOW - SECOND)
    assert [each.get("threshold") for each in labels(ledger, one)] == fires


def test_each_key_and_unit_fires_for_itself(ledger):
    """Alice spent all of her tokens and half of her dollars, Bob nothing to speak of."""
    one = budget("user-day", per=("user",), at=("0.5", "1"), limits=Limits(10 * DOLLAR, 1000))
    define(ledger, one)
    spend(ledger, one, "5", tokens=1000, key="alice", now_ns=NOW - SECOND)
    spend(ledger, one, "1", tokens=10, key="bob", now_ns=NOW - SECOND)
    found = [(each["key"], each["unit"], each.get("threshold")) for each in labels(ledger)]
    assert found == [("alice", "USD", "0.5"), ("alice", "tokens", None), ("alice", "tokens", "0.5")]


def test_it_says_what_the_mail_says(ledger):
    """Spent, limit, projection and the reset in the budget's own time; links to the dashboard and the runbook."""
    one = budget("user-day", per=("user",), at=("1",), timezone="Europe/Berlin")
    spend(ledger, one, "10.4", key="alice", now_ns=NOW - SECOND)
    (page,) = firing(ledger, one)
    assert dict(page.annotations) == {
        "summary": "user-day (alice): the day budget is spent (104%)",
        "description": "Budget: user-day\nKey: alice\nSpent: $10.40\nLimit: $10.00\nProjected: $22.69\n"
        "Resets: Sun 22 Nov 2026 00:00 CET",
        "spend": "$10.40",
        "limit": "$10.00",
        "projected": "$22.69",
        "resets": "Sun 22 Nov 2026 00:00 CET",
        "dashboard_url": "/d/aicost-budgets?var-budget=user-day",
        "runbook_url": "https://github.com/otel-aicost/otel-aicost/blob/main/deploy/prometheus/runbook.md"
        "#aicostbudgetexceeded",
    }
    assert page.starts_ns == NOW - SECOND
    assert datetime.fromtimestamp(page.until, UTC) == datetime(2026, 11, 21, 23, tzinfo=UTC)


def test_it_ends_with_its_window(ledger):
    """Nothing fires in the next one, though the alert stays in the ledger."""
    one = budget()
    spend(ledger, one, "10", now_ns=NOW - SECOND)
    midnight = 1_795_305_600 * SECOND
    assert len(firing(ledger, one, now_ns=midnight - SECOND)) == 3
    assert firing(ledger, one, now_ns=midnight) == []


def test_a_window_that_rolls_has_no_certain_end(ledger):
    """It is looked at again when the oldest of its spend stops to count."""
    one = budget(period=Period("rolling", rolling_seconds=3600), at=("1",))
    spend(ledger, one, "10", now_ns=NOW - SECOND)
    (page,) = firing(ledger, one)
    assert page.until is None
    assert NOW // SECOND + 3600 - 60 <= page.look_at <= NOW // SECOND + 3660
    assert "resets" not in page.annotations
    assert firing(ledger, one, now_ns=page.look_at * SECOND) == []


def test_one_without_end_does_not_reset(ledger):
    """Neither does anybody look for its end."""
    one = budget(period=Period("forever"), at=("1",))
    spend(ledger, one, "10", window=FOREVER, now_ns=NOW - SECOND)
    (page,) = firing(ledger, one)
    assert (page.until, page.look_at) == (None, None)


def test_a_raised_limit_ends_it(ledger):
    """The limit that holds for the next call decides, not the one when the alert was raised."""
    one = budget(at=("1",))
    spend(ledger, one, "10", now_ns=NOW - SECOND)
    allow(ledger, one.name, 20)
    assert firing(ledger, one) == []


def test_a_call_too_dear_fires_for_a_while(ledger):
    """A budget of single calls has no window whose end would end it."""
    one = budget("each", Period("call"), at=("1",))
    line = Line(one, "", Window("call", None, None), one.limits, Amounts(11 * DOLLAR, 0, 1))
    store = FileStore(ledger)
    with store.transaction() as connection:
        raise_alert(connection, call_alert(line, NOW))
    store.close()
    define(ledger, one)
    (page,) = firing(ledger)
    assert dict(page.labels) == {
        "alertname": "AICostBudgetExceeded", "severity": "critical", "kind": "budget", "budget": "each",
        "period": "call", "unit": "USD",
    }  # fmt: skip
    assert page.until == NOW // SECOND + CALL_SECONDS
    assert firing(ledger, now_ns=NOW + CALL_SECONDS * SECOND) == []


def test_only_the_latest_can_be_asked_for(ledger):
    """As the look does that follows a new alert."""
    old, new = budget("old", at=("1",)), budget("new", at=("1",))
    spend(ledger, old, "10", now_ns=NOW - 600 * SECOND)
    spend(ledger, new, "10", now_ns=NOW - SECOND)
    assert [dict(page.labels)["budget"] for page in firing(ledger, old, new, since_ns=NOW - 60 * SECOND)] == ["new"]
