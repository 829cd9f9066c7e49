"""Lines of the books for tests."""

from __future__ import annotations

from decimal import Decimal

from otel_aicost.budgets.budget import Amounts, Budget, Limits, Line
from otel_aicost.budgets.window import Period, Window
from otel_aicost.ledger.balances import Settlement
from records import record

DAY = Window("2026-11-21", 1_795_219_200, 1_795_305_600)


def line(asked=1, *, limit=10, name="b", key="", window=DAY, period=None, **budget):
    """One line of a budget in nano-dollars (and a call)."""
    limits = Limits(limit, budget.pop("tokens", None), budget.pop("calls", None))
    made = Budget(name, period or Period("day"), limits, **budget)
    return Line(made, key, window, limits, Amounts(asked, 0, 1), limits)


def taking(one, nano, tokens=0, calls=1):
    """The same line with what was really taken."""
    return one._replace(amounts=Amounts(nano, tokens, calls))


HALF = Decimal("0.5")


def settle(writer, name, *lines):
    """A call of that name ended, and took so much."""
    writer.put(record(id=name), Settlement(name, lines))
