"""Estimates of scenarios for people and for machines."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

from rich.text import Text

from otel_aicost.model import NANO, Cost
from otel_aicost.prices.rates import describe
from otel_aicost.report.money import NONE, column, exact
from otel_aicost.report.screen import Column, Grid, harmless, heading
from otel_aicost.scenarios.estimating import ALERT_AT, budgets_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from otel_aicost.model import Quantity
    from otel_aicost.scenarios.estimating import Advice, Estimate, Line
    from otel_aicost.scenarios.scenario import PlannedCall

UNKNOWN = "unpriced"
CENT = Decimal("0.01")
MINUTE = 60


def tables(estimates: Sequence[Estimate]) -> Iterator[RenderableType]:
    """Each scenario: its calls, a session, a month, and the budget; then all budgets as YAML."""
    for estimate in estimates:
        yield heading(_title(estimate))
        yield _grid(estimate)
        for line in estimate.unpriced:
            yield _text(f"unpriced: {line.call.name}: {line.price.detail}")  # type: ignore[union-attr]  # unpriced lines have one
        yield _text(_month(estimate))
        yield _text(_advised(estimate))
        yield ""
    snippet = budgets_yaml(estimates)
    if snippet is not None:
        yield heading("For aicost.yaml")
        if len([e for e in estimates if e.advice]) > 1 and not all(e.scenario.tags for e in estimates if e.advice):
            yield "# Budgets without `match` count every call: keep the one that applies."
        yield _text(snippet.rstrip("\n"))


def document(estimates: Sequence[Estimate], catalogue: str) -> dict[str, Any]:
    """The same as one document; a cost that nobody knows is null, and a sum with such a line in it too."""
    return {
        "catalogue": catalogue,
        "scenarios": [_scenario(estimate) for estimate in estimates],
        "budgets_yaml": budgets_yaml(estimates),
    }


def _scenario(estimate: Estimate) -> dict[str, Any]:
    scenario, advice = estimate.scenario, estimate.advice
    return {
        "name": scenario.name,
        "date": scenario.date,
        "sessions_per_month": scenario.sessions,
        "tags": dict(scenario.tags),
        "calls": [_line(line) for line in estimate.lines],
        "unpriced_calls": len(estimate.unpriced),
        "session": _sum(estimate, estimate.session_nano),
        "month": _sum(estimate, estimate.month_nano),
        "budget": None if advice is None else _budget(advice),
    }


def _line(line: Line) -> dict[str, Any]:
    call, price, nano = line.call, line.price, line.nano
    return {
        "name": call.name,
        "provider": call.provider,
        "model": call.model,
        "conditions": dict(call.conditions),
        "usage": {meter: _number(amount) for meter, amount in call.usage.items()},
        "count": call.count,
        "cost_usd": None if nano is None else exact(nano),
        "cost_nano": nano,
        "source": price.source if isinstance(price, Cost) else None,
        "price_id": price.price_id if isinstance(price, Cost) else None,
        "price_date": price.price_date if isinstance(price, Cost) else None,
        "unpriced": None if isinstance(price, Cost) else price.reason,
        "unpriced_detail": None if isinstance(price, Cost) else price.detail,
    }


def _sum(estimate: Estimate, nano: int) -> dict[str, Any]:
    known = {"known_usd": exact(nano), "known_nano": nano}
    if estimate.unpriced:
        return {"cost_usd": None, "cost_nano": None, **known}
    return {"cost_usd": exact(nano), "cost_nano": nano, **known}


def _budget(advice: Advice) -> dict[str, Any]:
    return {
        "limit_usd": exact(advice.limit_nano),
        "limit_nano": advice.limit_nano,
        "headroom_percent": advice.headroom,
        "expected_share": float(round(advice.expected_share, 4)),
        "alert_at": [float(share) for share in ALERT_AT],
    }


def _number(amount: Quantity) -> int | str:
    return amount if isinstance(amount, int) else f"{amount:f}"


def _title(estimate: Estimate) -> str:
    scenario = estimate.scenario
    sessions = f"{scenario.sessions:,} session{'' if scenario.sessions == 1 else 's'} a month"
    return f"{scenario.name}: {sessions}, prices of {scenario.date or 'today'}"


def _grid(estimate: Estimate) -> Grid:
    calls = [line.call for line in estimate.lines]
    session = _amounts(estimate, [line.nano for line in estimate.lines], estimate.session_nano)
    months = [None if line.nano is None else line.nano * estimate.scenario.sessions for line in estimate.lines]
    month = _amounts(estimate, months, estimate.month_nano)
    counts = [Column("times", [f"{call.count:,}" for call in calls])] if any(call.count > 1 for call in calls) else []
    return Grid(
        [
            Column("call", [call.name for call in calls], right=False),
            Column("model", [_model(call) for call in calls], right=False),
            Column("usage", [_usage(call) for call in calls], right=False, fold=True),
            *counts,
            Column("a session", session[:-1], total=session[-1]),
            Column("a month", month[:-1], total=month[-1]),
        ],
        totals=True,
    )


def _amounts(estimate: Estimate, nanos: Sequence[int | None], total: int) -> list[str]:
    *cells, last = column([*nanos, total])
    return [*(UNKNOWN if cell == NONE else cell for cell in cells), f"{last} + ?" if estimate.unpriced else last]


def _model(call: PlannedCall) -> str:
    told = f"{call.provider}/{call.model}"
    return f"{told} ({describe(call.conditions)})" if call.conditions else told


def _usage(call: PlannedCall) -> str:
    return ", ".join(_amount(meter, amount) for meter, amount in call.usage.items())


def _amount(meter: str, amount: Quantity) -> str:
    """`2,500 input_tokens`; seconds as minutes, where those have one decimal at the most."""
    if meter.endswith("seconds") and amount and not amount % 6:
        return f"{Decimal(amount) / MINUTE:,f} min {meter.removesuffix('_seconds')}"
    return f"{amount:,} {meter}"


def _month(estimate: Estimate) -> str:
    if not estimate.unpriced:
        return f"A session costs {_exactly(estimate.session_nano)}, a month {_cents(estimate.month_nano)}."
    many = len(estimate.unpriced)
    rest = "1 call without a known price comes" if many == 1 else f"{many} calls without a known price come"
    return (
        f"What is known costs {_exactly(estimate.session_nano)} a session and {_cents(estimate.month_nano)} a month; "
        f"{rest} on top."
    )


def _advised(estimate: Estimate) -> str:
    advice = estimate.advice
    if advice is None:
        return "No budget is recommended: " + (
            "not all prices are known." if estimate.unpriced else "nothing costs anything."
        )
    alerts = ", ".join(_cents(int(advice.limit_nano * share)) for share in ALERT_AT)
    return (
        f"Recommended budget: {_cents(advice.limit_nano)} a month: {advice.headroom} % on top, rounded up. "
        f"An expected month takes {advice.expected_share * 100:.0f} % of it. It warns at {alerts}."
    )


def _cents(nano: int) -> str:
    return f"${(Decimal(nano) * NANO).quantize(CENT, ROUND_HALF_EVEN):,f}"


def _exactly(nano: int) -> str:
    return f"${exact(nano)}"


def _text(text: str) -> Text:
    return Text("\n".join(harmless(line) for line in text.split("\n")))
