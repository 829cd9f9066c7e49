"""Budgets as values: whom they concern, what fits, which thresholds are reached."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from otel_aicost import config
from otel_aicost.budgets.budget import Amounts, Budget, Limits, Match, Subject, crossed, exceeded, parse_money
from otel_aicost.budgets.window import Period

DOLLAR = 10**9
CALL = Subject("openai", "gpt-4o-mini", "chat", "shop", {"user": "alice", "team": "a/b"}, "f00d")
BUDGET = Budget("b", Period("day"), Limits(DOLLAR))


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        (Match(), True),
        (Match(provider="openai"), True),
        (Match(provider="anthropic"), False),
        (Match(model="gpt-4*"), True),
        (Match(model="GPT-4O-MINI"), True),
        (Match(model="gpt-4o"), False),
        (Match(operation="embeddings"), False),
        (Match(service="shop", operation="chat"), True),
        (Match(service="other"), False),
        (Match(tags={"user": "alice"}), True),
        (Match(tags={"user": "alice", "job": "1"}), False),
    ],
)
def test_a_budget_is_about_the_calls_it_matches(match, fits):
    """All that a match names has to be so."""
    assert (replace(BUDGET, match=match).key(CALL) is not None) is fits


@pytest.mark.parametrize(
    ("per", "key"),
    [
        ((), ""),
        (("user",), "alice"),
        (("trace",), "f00d"),
        (("service",), "shop"),
        (("team",), "a/b"),
        (("user", "team"), "alice/a%2Fb"),
        (("job",), None),
        (("user", "job"), None),
    ],
)
def test_the_key_of_a_call(per, key):
    """A window for each value; two values never run together; without a value the call is not concerned."""
    assert replace(BUDGET, per=per).key(CALL) == key


def test_an_override_is_for_its_key():
    """Other keys have the usual limits."""
    budget = replace(BUDGET, per=("user",), overrides={"alice": Limits(2 * DOLLAR)})
    assert (budget.limits_of("alice"), budget.limits_of("bob")) == (Limits(2 * DOLLAR), Limits(DOLLAR))


@pytest.mark.parametrize(
    ("limits", "taken", "asked", "unit"),
    [
        (Limits(), Amounts(9, 9, 9), Amounts(9, 9, 9), None),
        (Limits(10), Amounts(4), Amounts(6), None),
        (Limits(10), Amounts(4), Amounts(7), 0),
        (Limits(10), Amounts(10), Amounts(0), 0),
        (Limits(0), Amounts(), Amounts(), 0),
        (Limits(10, 5), Amounts(0, 5), Amounts(1, 0), 1),
        (Limits(calls=2), Amounts(calls=1), Amounts(calls=1), None),
        (Limits(calls=2), Amounts(calls=2), Amounts(calls=1), 2),
    ],
)
def test_what_fits(limits, taken, asked, unit):
    """Up to the limit it fits; and nothing does where the limit is reached."""
    assert exceeded(limits, taken, asked) == unit


@pytest.mark.parametrize(
    ("spent", "said", "shares"),
    [
        (Amounts(499), "0", []),
        (Amounts(500), "0", ["0.5"]),
        (Amounts(500), "0.5", []),
        (Amounts(2000), "0", ["0.5", "1"]),
        (Amounts(1, 9), "0", ["0.5"]),
    ],
)
def test_thresholds(spent, said, shares):
    """A share is reached when the fullest of the limits has reached it, and is new if it was not said before."""
    budget = replace(BUDGET, alert_at=(Decimal("0.5"), Decimal(1)))
    assert crossed(budget, Limits(1000, 10), spent, Decimal(said)) == [Decimal(share) for share in shares]


def test_a_limit_of_nothing_is_passed_by_anything():
    """With a limit of 0 every threshold is reached by the first spend, and by no spend none."""
    assert crossed(BUDGET, Limits(0), Amounts(1), Decimal(0)) == [Decimal(1)]
    assert crossed(BUDGET, Limits(0), Amounts(0), Decimal(0)) == []


@pytest.mark.parametrize(
    ("text", "nano"), [("0", 0), ("0.000000001", 1), ("1000000000 USD", 10**18), ("$5", 5 * DOLLAR)]
)
def test_money(text, nano):
    """Amounts are exact from a nano-dollar to a billion dollars."""
    assert parse_money(text) == nano


# --- without a file ----------------------------------------------------------------------------------------------


def plan(tmp_path, monkeypatch, **environ):
    monkeypatch.chdir(tmp_path)
    settings, mistakes = config.load({f"OTEL_AICOST_{name}": text for name, text in environ.items()})
    made, more = config.load_budgets(settings)
    return made.budgets, mistakes + more


def test_variables_make_budgets(tmp_path, monkeypatch):
    """Each of the four limits is a budget; they block only if that is asked for."""
    told = {"DAILY_LIMIT": "50", "MONTHLY_LIMIT": "1000 USD", "USER_DAILY_LIMIT": "2.50", "WORK_LIMIT": "analysis_id=5"}
    budgets, mistakes = plan(tmp_path, monkeypatch, **told)
    assert mistakes == []
    assert [(each.name, each.period.kind, each.per, each.limits.nano, each.blocks) for each in budgets] == [
        ("daily", "day", (), 50 * DOLLAR, False),
        ("monthly", "month", (), 1000 * DOLLAR, False),
        ("user-daily", "day", ("user",), 2_500_000_000, False),
        ("work", "forever", ("analysis_id",), 5 * DOLLAR, False),
    ]
    assert all(each.blocks for each in plan(tmp_path, monkeypatch, ON_EXCEED="block", **told)[0])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DAILY_LIMIT", "many"),
        ("MONTHLY_LIMIT", "-1"),
        ("WORK_LIMIT", "5"),
        ("WORK_LIMIT", "a b=5"),
        ("ON_EXCEED", "stop"),
    ],
)
def test_a_variable_that_cannot_be_used_is_told(tmp_path, monkeypatch, name, text):
    """It names the variable, and there is no such budget."""
    budgets, mistakes = plan(tmp_path, monkeypatch, **{name: text})
    assert budgets == ()
    assert [mistake.startswith(f"OTEL_AICOST_{name}={text!r}: ") for mistake in mistakes] == [True]


FILE = "budgets: [{name: daily, limit: 1 USD, period: day}]"


def test_the_file_in_the_current_directory_is_read(tmp_path, monkeypatch):
    """aicost.yaml is found where the program starts, unless it is switched off or another one is named."""
    (tmp_path / "aicost.yaml").write_text(FILE)
    (tmp_path / "other.yaml").write_text(FILE.replace("daily", "other"))
    assert [each.name for each in plan(tmp_path, monkeypatch)[0]] == ["daily"]
    assert plan(tmp_path, monkeypatch, CONFIG="off") == ((), [])
    assert [each.name for each in plan(tmp_path, monkeypatch, CONFIG=str(tmp_path / "other.yaml"))[0]] == ["other"]


def test_a_file_that_is_named_has_to_be_there(tmp_path, monkeypatch):
    """A missing file is a mistake only if it was named; the variables hold all the same."""
    assert plan(tmp_path, monkeypatch) == ((), [])
    budgets, mistakes = plan(tmp_path, monkeypatch, CONFIG="nowhere.yaml", DAILY_LIMIT="1")
    assert [each.name for each in budgets] == ["daily"]
    assert "cannot be read" in mistakes[0]
    assert "NONE of its budgets holds" in mistakes[1]


def test_the_budget_of_the_file_wins(tmp_path, monkeypatch):
    """A variable's budget of the same name is left out, and that is said."""
    (tmp_path / "aicost.yaml").write_text(FILE)
    budgets, mistakes = plan(tmp_path, monkeypatch, DAILY_LIMIT="7")
    assert [each.limits.nano for each in budgets] == [DOLLAR]
    assert "has a budget 'daily'" in mistakes[0]
