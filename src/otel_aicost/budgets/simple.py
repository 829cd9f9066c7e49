"""The budgets of a simple set-up, without a file: a limit for all, for each user, for each unit of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_aicost.budgets.budget import Budget, Limits
from otel_aicost.budgets.window import Period
from otel_aicost.model import NANO_DIGITS

if TYPE_CHECKING:
    from decimal import Decimal

    from otel_aicost.budgets.budget import OnExceed

USER: Final = "user"
"""The tag that names the user."""


def simple_budgets(
    daily: Decimal | None,
    monthly: Decimal | None,
    user_daily: Decimal | None,
    work: tuple[str, Decimal] | None,
    on_exceed: OnExceed,
) -> tuple[Budget, ...]:
    """A budget for each limit there is, in dollars; `work` is the tag of a unit of work and its limit."""
    told = (
        ("daily", "day", (), daily),
        ("monthly", "month", (), monthly),
        ("user-daily", "day", (USER,), user_daily),
        ("work", "forever", (work[0],) if work else (), work[1] if work else None),
    )
    return tuple(
        Budget(name, Period(period), Limits(int(limit.scaleb(NANO_DIGITS))), per=per, on_exceed=on_exceed)  # type: ignore[arg-type]  # of those above
        for name, period, per, limit in told
        if limit is not None
    )
