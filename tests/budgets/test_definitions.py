"""Definitions as text: the same for the same budget, readable again, and clear about what changed."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_aicost.budgets.budget import Limits, parse_money
from otel_aicost.budgets.definitions import (
    canonical,
    differences,
    dollars,
    limits_text,
    period_text,
    recalled,
    window_text,
)
from otel_aicost.budgets.reading import parse
from otel_aicost.budgets.window import Period, parse_period

EVERY_KEY = b"""
timezone: Europe/Berlin
budgets:
  - {name: a, limit: 1000 USD, period: month, alert_at: [0.5, 0.8]}
  - {name: b, per: [user, team], limit: 50 USD, tokens: 200000, calls: 7, period: day, on_exceed: block, mode: strict,
     overrides: {alice/red: 100 USD, bob/blue: {tokens: 5}}, on_store_down: open, note: why}
  - {name: c, per: trace, limit: 0, period: forever, on_unpriced: assume 0.01 USD, timezone: Asia/Kathmandu}
  - {name: d, match: {provider: openai, model: "gpt-4*", operation: chat, service: shop, tags: {team: red}}, calls: 3,
     period: week, week_start: sunday}
  - {name: e, limit: 0.000000001 USD, period: rolling 90m, on_unpriced: block}
  - {name: f, tokens: 1, period: year, year_start: "04-01"}
  - {name: g, limit: 0.50 USD, period: call}
"""


@pytest.mark.parametrize("budget", parse(EVERY_KEY, "x").budgets, ids=lambda budget: budget.name)
def test_a_definition_is_the_budget(budget):
    """What was stored of a budget is that budget again, whatever its keys."""
    text = canonical(budget)
    again = recalled(budget.name, text)
    assert again == budget
    assert canonical(again) == text


def test_the_order_of_keys_is_no_change():
    """The same budget written in another way has the same definition."""
    one = parse(b"budgets: [{name: a, limit: 5 USD, period: day, match: {tags: {a: x, b: y}}}]", "x").budgets[0]
    two = parse(b"budgets: [{match: {tags: {b: y, a: x}}, period: DAY, limit: $5.00, name: a}]", "x").budgets[0]
    assert canonical(one) == canonical(two)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "{}",
        '{"period":"fortnight","limits":{}}',
        '{"period":"day"}',
        '{"period":"day","limits":{"calls":1},"timezone":"Mars/Olympus"}',
    ],
)
def test_what_is_no_definition_is_none(text):
    """Text of another version, or damaged, is no budget and no error."""
    assert recalled("a", text) is None


def test_keys_of_a_newer_version_are_passed_over():
    """A key that this version does not know leaves the rest readable."""
    told = {**json.loads(canonical(parse(EVERY_KEY, "x").budgets[0])), "shiny": True}
    assert recalled("a", json.dumps(told)) == parse(EVERY_KEY, "x").budgets[0]


def test_only_what_changed_is_told():
    """A change tells the keys that differ, before and after; one that is gone, or new, as a dash."""
    before = canonical(parse(b"budgets: [{name: a, limit: 5 USD, tokens: 9, period: day}]", "x").budgets[0])
    after = canonical(parse(b"budgets: [{name: a, limit: 7.5, period: day, mode: strict}]", "x").budgets[0])
    assert differences(before, after) == (
        "limit: 5.00 USD, mode: -, tokens: 9",
        "limit: 7.50 USD, mode: strict, tokens: -",
    )
    assert differences(None, before) == (None, "limit: 5.00 USD, period: day, tokens: 9")
    assert differences("nonsense", before)[0] == "definition: nonsense, limit: -, period: -, tokens: -"


@given(st.integers(0, 10**18))
def test_dollars_are_exact(nano):
    """Every amount reads back as itself."""
    assert parse_money(dollars(nano)) == nano


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (Limits(), None),
        (Limits(0), "0.00 USD"),
        (Limits(1), "0.000000001 USD"),
        (Limits(5 * 10**9, 1, 1), "5.00 USD, 1 token, 1 call"),
        (Limits(None, 0, 2), "0 tokens, 2 calls"),
    ],
)
def test_limits_in_words(limits, text):
    """Limits are told exactly, and what is not limited not at all."""
    assert limits_text(limits) == text


@pytest.mark.parametrize("text", ["hour", "day", "forever", "rolling 90m", "rolling 12h", "rolling 30d", "rolling 2w"])
def test_periods_as_they_are_written(text):
    """A period is told as a file would have it."""
    assert period_text(parse_period(text)) == text


@pytest.mark.parametrize(
    ("window", "text"),
    [
        ("2026-11-21", "2026-11-21"),
        ("rolling 5400s", "rolling 90m"),
        ("rolling 5400s 1795219200", "rolling 90m"),
        ("rolling 61s", "rolling 61s"),
        ("forever", "forever"),
    ],
)
def test_windows_in_words(window, text):
    """The steps of a window that rolls are told by its length."""
    assert window_text(window) == text


def test_decimals_have_one_form():
    """0.5 and 0.50 are the same share."""
    half, other = (
        parse(b"budgets: [{name: a, limit: 1, period: day, alert_at: [%b]}]" % share, "x").budgets[0]
        for share in (b"0.5", b"0.50")
    )
    assert canonical(half) == canonical(other)
    assert recalled("a", canonical(half)).alert_at == (Decimal("0.5"), Decimal(1))
    assert Period("day") == recalled("a", canonical(half)).period
