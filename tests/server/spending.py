"""Budgets in a real ledger that are spent, as an instrumented process would spend them."""

from __future__ import annotations

import time
from contextlib import closing
from decimal import Decimal
from itertools import count
from zoneinfo import ZoneInfo

from otel_aicost.budgets.budget import Amounts, Budget, Limits, Line, Match, Plan
from otel_aicost.budgets.window import Period, window_at
from otel_aicost.ledger.balances import Settlement, settle
from otel_aicost.ledger.limits import note_definitions, set_limits
from otel_aicost.ledger.opening import opener

DOLLAR = 10**9
_numbers = count(1)


def budget(name="day", period=None, *, limit=10, at=("0.5", "0.8", "1"), team=None, **told):
    """A budget of some dollars."""
    limits = told.pop("limits", Limits(limit * DOLLAR))
    match = Match(tags={} if team is None else {"team": team})
    return Budget(name, period or Period("day"), limits, match, alert_at=tuple(map(Decimal, at)), **told)


def spend(place, one, dollars="1", *, key="", window=None, tokens=0, now_ns=None):
    """One call that took so much of a budget, in the transaction that writes it; its alerts are raised by that."""
    now_ns = time.time_ns() if now_ns is None else now_ns
    window = window or window_at(one.period, now_ns // 10**9, ZoneInfo(one.timezone))
    amounts = Amounts(int(Decimal(dollars) * DOLLAR), tokens, 1)
    line = Line(one, key, window, one.limits_of(key), amounts)
    name = f"call-{next(_numbers)}"
    with closing(opener(place)()) as store, store.transaction() as connection:
        settle(connection, name, Settlement(name, (line,)), now_ns)


def define(place, *budgets):
    """As a program that starts with these budgets notes them."""
    with closing(opener(place)()) as store, store.transaction() as connection:
        note_definitions(connection, Plan(budgets), "tester", time.time_ns())


def allow(place, name, dollars, key=""):
    """As `aicost budgets set`."""
    with closing(opener(place)()) as store, store.transaction() as connection:
        set_limits(connection, name, key, Limits(dollars * DOLLAR), "tester", time.time_ns())
