"""What scenarios would cost: each call, a session, a month; and the monthly budget that fits. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import yaml

from otel_aicost.model import NANO_DIGITS, Cost, Unpriced
from otel_aicost.prices.rates import EXACT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_aicost.prices.catalogue import Catalogue
    from otel_aicost.scenarios.scenario import PlannedCall, Scenario

HEADROOM = 20
"""Percent on top of what a month is expected to cost."""
ALERT_AT = (Decimal("0.5"), Decimal("0.9"), Decimal("1.0"))
"""Half is gone; more is gone than a month was expected to cost (with the usual headroom); all is gone."""
DIGITS = 2
"""A limit is rounded up to so many digits that are not zero."""
CENT = 10**7


@dataclass(frozen=True, slots=True)
class Line:
    """One call of a scenario and what it costs once."""

    call: PlannedCall
    price: Cost | Unpriced

    @property
    def nano(self) -> int | None:
        """Nano-dollars a session, all `count` calls together; `None` where there is no price."""
        if isinstance(self.price, Unpriced):
            return None
        return int(EXACT.scaleb(self.price.total, NANO_DIGITS)) * self.call.count


@dataclass(frozen=True, slots=True)
class Advice:
    """A monthly budget."""

    limit_nano: int
    headroom: int
    expected_nano: int

    @property
    def expected_share(self) -> Decimal:
        """What an expected month takes of it."""
        return EXACT.divide(Decimal(self.expected_nano), Decimal(self.limit_nano))


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a scenario would cost."""

    scenario: Scenario
    lines: tuple[Line, ...]
    headroom: int = HEADROOM

    @property
    def unpriced(self) -> tuple[Line, ...]:
        """The lines that nobody knows a price for: the sums are without them."""
        return tuple(line for line in self.lines if line.nano is None)

    @property
    def session_nano(self) -> int:
        """What is known of a session, in nano-dollars."""
        return sum(line.nano or 0 for line in self.lines)

    @property
    def month_nano(self) -> int:
        """What is known of a month, in nano-dollars."""
        return self.session_nano * self.scenario.sessions

    @property
    def advice(self) -> Advice | None:
        """The budget that fits; `None` where a line is unpriced, or nothing costs anything."""
        if self.unpriced or not self.month_nano:
            return None
        return Advice(limit_for(self.month_nano, self.headroom), self.headroom, self.month_nano)


def estimated(scenario: Scenario, catalogue: Catalogue, now_ns: int, headroom: int = HEADROOM) -> Estimate:
    """Price every call of a scenario, at its date or else at `now_ns` (nanoseconds since the epoch)."""
    at_ns = now_ns if scenario.date is None else _midnight(scenario.date)
    lines = (
        Line(call, catalogue.price(call.provider, (call.model,), call.usage, call.conditions, at_ns))
        for call in scenario.calls
    )
    return Estimate(scenario, tuple(lines), headroom)


def limit_for(month_nano: int, headroom: int = HEADROOM) -> int:
    """What a month is expected to cost and `headroom` percent, rounded up to two digits and to whole cents."""
    wanted = -(-month_nano * (100 + headroom) // 100)
    step = max(int(10 ** (len(str(wanted)) - DIGITS)), CENT)
    return -(-wanted // step) * step


def budgets_yaml(estimates: Sequence[Estimate]) -> str | None:
    """The recommended budgets as `aicost.yaml` has them; `None` if there are none."""
    budgets = [
        {
            "name": f"{estimate.scenario.name}-month",
            **({"match": {"tags": dict(estimate.scenario.tags)}} if estimate.scenario.tags else {}),
            "limit": f"{_dollars(advice.limit_nano)} USD",
            "period": "month",
            "alert_at": [float(share) for share in ALERT_AT],
        }
        for estimate in estimates
        if (advice := estimate.advice) is not None
    ]
    if not budgets:
        return None
    text: str = yaml.safe_dump({"budgets": budgets}, sort_keys=False, default_flow_style=None, allow_unicode=True)
    return text


def _dollars(nano: int) -> str:
    whole, rest = divmod(nano, 10**NANO_DIGITS)
    return f"{whole}.{rest // CENT:02}" if rest else f"{whole}"


def _midnight(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp()) * 10**9
