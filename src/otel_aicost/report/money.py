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
SIGNIFICANT = 6
"""An amount is shown with this many digits, and with cents at the least."""
NONE = "-"


def exact(nano: int) -> str:
    """Dollars without rounding and with cents at the least: `23750000` is `0.02375`, `5000000000` is `5.00`."""
    return _text(Decimal(nano) * NANO)


def average_nano(sums: Sums) -> int | None:
    """The mean cost of the priced calls, to the nearest nano-dollar; `None` where no call is priced."""
    if sums.priced == 0:
        return None
    return int((Decimal(sums.cost_nano) / sums.priced).quantize(Decimal(1), ROUND_HALF_EVEN))


def cost_nano(sums: Sums) -> int | None:
    """What the calls cost; `None`, not zero, where there are calls and the cost of none is known."""
    return sums.cost_nano if sums.priced or not sums.calls else None


def column(amounts: Sequence[int | None]) -> list[str]:
    """Nano-dollars as dollars with the same number of decimals each; `None` is a dash.

    The amount that needs most decimals decides: cents at the least, six significant digits at the most.
    """
    decimals = max((_decimals(amount) for amount in amounts if amount is not None), default=CENTS)
    unit = Decimal(1).scaleb(-decimals)
    return [
        NONE if amount is None else f"${(Decimal(amount) * NANO).quantize(unit, ROUND_HALF_EVEN):,f}"
        for amount in amounts
    ]


def _decimals(nano: int) -> int:
    if nano == 0:
        return CENTS
    amount = Decimal(nano) * NANO
    shown = min(max(SIGNIFICANT - 1 - amount.adjusted(), CENTS), NANOS)
    rounded = amount.quantize(Decimal(1).scaleb(-shown), ROUND_HALF_EVEN)
    return len(_text(rounded).partition(".")[2])


def _text(amount: Decimal) -> str:
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<{CENTS}}"
