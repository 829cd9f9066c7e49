"""Amounts are exact for machines, and short but honest for people."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_aicost.ledger.questions import Sums
from otel_aicost.report import money


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0.00"),
        (1, "0.000000001"),
        (23_750_000, "0.02375"),
        (33_000_000, "0.033"),
        (500_000_000, "0.50"),
        (5_000_000_000, "5.00"),
        (10**18 + 1, "1000000000.000000001"),
    ],
)
def test_exact(nano, text):
    """Nothing is rounded, and cents are always there."""
    assert money.exact(nano) == text


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_exact_can_be_read_back(nano):
    """The text is the amount."""
    assert Decimal(money.exact(nano)).scaleb(9) == nano


@pytest.mark.parametrize(
    ("dollars", "texts"),
    [
        (["5"], ["$5.00"]),
        (["0"], ["$0.00"]),
        (["0.02375", "0.0165"], ["$0.02375", "$0.01650"]),
        (["1234.56789", "99"], ["$1,234.57", "$99.00"]),
        (["1234.56789", "0.000033"], ["$1,234.567890", "$0.000033"]),
        (["0.000000001"], ["$0.000000001"]),
        (["143.0677", "0.2"], ["$143.07", "$0.20"]),
        (["143.0677", "0.075"], ["$143.0677", "$0.0750"]),
        (["1.125"], ["$1.1250"]),
    ],
)
def test_column(dollars, texts):
    """A column has the same decimals throughout: enough for its smallest amount, and never three."""
    assert money.column([int(Decimal(each).scaleb(9)) for each in dollars]) == texts


def test_unknown_is_a_dash():
    """An unknown amount is a dash and never a zero."""
    assert money.column([None, 10**9]) == ["-", "$1.00"]
    assert money.column([None]) == ["-"]


@given(st.lists(st.integers(min_value=1, max_value=2**60), min_size=1, max_size=5))
def test_no_amount_reads_zero(amounts):
    """Whatever stands beside it, an amount that is more than nothing never reads as nothing."""
    for text in money.column(amounts):
        assert Decimal(text.replace("$", "").replace(",", "")) > 0


def test_average():
    """The mean is over the priced calls, to the nearest nano-dollar, and unknown without any."""
    assert money.average_nano(Sums(calls=5, priced=3, cost_nano=10)) == 3
    assert money.average_nano(Sums(calls=5, unpriced=5)) is None


def test_cost_of_nothing():
    """No calls cost nothing; calls without any price cost nobody knows what."""
    assert money.cost_nano(Sums()) == 0
    assert money.cost_nano(Sums(calls=1, unpriced=1)) is None
    assert money.cost_nano(Sums(calls=1, priced=1)) == 0
