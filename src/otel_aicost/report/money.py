"""Nano-dollars as text: exact for machines, as short as honest for people."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

from otel_aicost.model import NANO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_aicost.ledger.questions import Sums

CENTS = 2
NANOS = 9
NONE = "-"
SIGNIFICANT = 6
"""Digits of the largest amount of a column."""
SIGNIFICANT_MEAN = 4
"""The same where the amounts are means: more would be noise."""
THOUSANDTHS = 3
"""Never so many decimals, `$1.234` reads like a thousand: one more, or cents from hundreds of dollars on."""
HUNDRED = 100
LEAST = 2
"""Digits that even the smallest amount of a column shows."""


def exact(nano: int) -> str:
    """Dollars without rounding, with cents at the least: `23750000` is `0.02375`, `5000000000` is `5.00`."""
    return _text(Decimal(nano) * NANO)


def average_nano(sums: Sums) -> int | None:
    """The mean cost of the priced calls, to the nearest nano-dollar; `None` where no call is priced."""
    if sums.priced == 0:
        return None
    return int((Decimal(sums.cost_nano) / sums.priced).quantize(Decimal(1), ROUND_HALF_EVEN))


def cost_nano(sums: Sums) -> int | None:
    """What the calls cost; `None`, not zero, where there are calls and the cost of none is known."""
    return sums.cost_nano if sums.priced or not sums.calls else None


def column(amounts: Sequence[int | None], significant: int = SIGNIFICANT) -> list[str]:
    """Nano-dollars as dollars with the same number of decimals each; `None` is a dash.

    Cents at the least; more while the largest amount has fewer than `significant` digits or the smallest
    fewer than two, and as long as another decimal says something.
    """
    known = [Decimal(amount) * NANO for amount in amounts if amount]
    decimals = _decimals(known, significant) if known else CENTS
    return [NONE if amount is None else f"${_rounded(Decimal(amount) * NANO, decimals):,f}" for amount in amounts]


def _decimals(amounts: Sequence[Decimal], significant: int) -> int:
    of_largest = significant - 1 - max(amounts).adjusted()
    of_smallest = LEAST - 1 - min(amounts).adjusted()
    most = min(max(of_largest, of_smallest, CENTS), NANOS)
    needed = max(len(_text(_rounded(amount, most)).partition(".")[2]) for amount in amounts)
    if needed != THOUSANDTHS:
        return needed
    return CENTS if of_smallest <= CENTS and max(amounts) >= HUNDRED else THOUSANDTHS + 1


def _rounded(amount: Decimal, decimals: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)


def _text(amount: Decimal) -> str:
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<{CENTS}}"
