"""Why a call was not sent, as the exception the application gets."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from otel_aicost import faults
from otel_aicost.errors import BudgetExceeded
from otel_aicost.model import NANO_DIGITS

if TYPE_CHECKING:
    from otel_aicost.budgets.budget import Line
    from otel_aicost.ledger.balances import Refusal
    from otel_aicost.model import Unpriced

CURRENCIES: Final = ("USD", "tokens", "calls")


def because_over(refusal: Refusal, who: str = "") -> BudgetExceeded:
    """The limit is reached, or this call may pass it; `who` ends the sentence with who says so, if not the ledger."""
    line, unit = refusal.line, refusal.unit
    currency = CURRENCIES[unit]
    limit, needed = line.checked[unit] or 0, line.amounts[unit]
    resets_at = None if refusal.resets_at is None else datetime.fromtimestamp(refusal.resets_at, UTC)
    if line.budget.period.kind == "call":
        reason = f"{_named(line)}: this call may take {amount(needed, unit)} {currency} of {amount(limit, unit)}"
    else:
        when = f"; the window ends {resets_at:%Y-%m-%d %H:%M} UTC" if resets_at is not None else "; it never resets"
        reason = (
            f"{_named(line)}: {amount(refusal.spent[unit], unit)} {currency} spent and "
            f"{amount(refusal.reserved[unit], unit)} reserved of {amount(limit, unit)}, "
            f"this call may take {amount(needed, unit)}{when}{who}"
        )
    return BudgetExceeded(
        reason,
        budget=line.budget.name,
        key=line.key,
        spent=amount(refusal.spent[unit], unit),
        reserved=amount(refusal.reserved[unit], unit),
        needed=amount(needed, unit),
        limit=amount(limit, unit),
        currency=currency,
        resets_at=resets_at,
    )


def because_unpriced(line: Line, unpriced: Unpriced) -> BudgetExceeded:
    """The call has no price, and the budget says `on_unpriced: block`."""
    reason = f"{_named(line)}: the call has no price ({unpriced.detail}), and on_unpriced is block"
    return BudgetExceeded(reason, budget=line.budget.name, key=line.key, limit=_limit(line))


def because_down(line: Line, error: Exception) -> BudgetExceeded:
    """Nobody knows what is spent, and the budget says `on_store_down: closed`."""
    reason = f"{_named(line)}: what is spent cannot be looked up ({error}), and on_store_down is closed"
    return BudgetExceeded(reason, budget=line.budget.name, key=line.key, limit=_limit(line))


def because_stuck(refused: BudgetExceeded, model: str, why: str) -> BudgetExceeded:
    """The refusal of a budget whose fallback `model` cannot take the place of the call's own, and why."""
    facts = {name: value for name, value in vars(refused).items() if name != "reason"}
    return BudgetExceeded(f"{refused.reason}; it cannot fall back to {model}: {why}", **facts)


def say_unpriced(line: Line, unpriced: Unpriced) -> None:
    """Warn of a call that is let through without a price, where the budget says `on_unpriced: warn`."""
    if line.budget.on_unpriced == "warn" and line.limits.nano is not None:
        faults.say(
            f"budget {line.budget.name} unpriced",
            "otel-aicost: %s lets a call pass whose price nobody knows: %s",
            _named(line),
            unpriced.detail,
        )


def _named(line: Line) -> str:
    return f"budget {line.budget.name} of {line.key}" if line.key else f"budget {line.budget.name}"


def amount(number: int, unit: int) -> Decimal:
    """Dollars with cents at the least; tokens and calls as they are."""
    if unit:
        return Decimal(number)
    dollars = Decimal(number).scaleb(-NANO_DIGITS).normalize()
    return dollars.quantize(Decimal("0.01")) if int(dollars.as_tuple().exponent) > -2 else dollars  # noqa: PLR2004


def _limit(line: Line) -> Decimal | None:
    return None if line.limits.nano is None else amount(line.limits.nano, 0)
