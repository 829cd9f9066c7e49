"""Alerts for tests."""

from __future__ import annotations

from decimal import Decimal

from budgets.lines import line
from otel_aicost.alerts.of_budgets import budget_alert
from otel_aicost.budgets.budget import Amounts
from otel_aicost.budgets.window import Window
from otel_aicost.ledger.balances import Alert

NOW = 1_795_255_200 * 10**9
"""2026-11-21 10:00 UTC."""
DOLLAR = 10**9
TODAY = Window("2026-11-21", 1_795_215_600, 1_795_302_000)
"""The day of Berlin."""


def reached(share, spent=None, **told):
    """The alert of a share of 50 dollars a day of alice's that was reached."""
    share = Decimal(share)
    told = {
        "limit": 50 * DOLLAR,
        "name": "user-day",
        "key": "alice",
        "window": TODAY,
        "timezone": "Europe/Berlin",
        **told,
    }
    one = line(**told)
    spent = Amounts(int(50 * DOLLAR * share), 4000, 9) if spent is None else spent
    return budget_alert(Alert(one, share, spent), NOW)
