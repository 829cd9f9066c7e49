"""How the budgets stand, window by window; of very many windows those that are nearest to their limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from otel_aicost.budgets.window import window_at
from otel_aicost.exporter.families import NANO, dollars, gauge
from otel_aicost.ledger.limits import definitions
from otel_aicost.ledger.standings import UNITS, how_many, nearest, standings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from prometheus_client import Metric
    from prometheus_client.core import GaugeMetricFamily

    from otel_aicost.budgets.budget import Budget
    from otel_aicost.ledger.standings import Standing
    from otel_aicost.ledger.store import Connection

MOST_WINDOWS: Final = 100
"""Of each budget."""
CALL_WINDOW: Final = "each call"


def families(connection: Connection, budgets: Sequence[Budget], now_ns: int) -> Iterator[Metric]:
    """Every family of `aicost_budget_*` but the counters. `budgets`: those of the file; programs may hold others."""
    known = {**{budget.name: budget for budget in budgets}, **definitions(connection)}
    counts = how_many(connection, now_ns)
    many = {
        name: nearest(connection, now_ns, name, MOST_WINDOWS) for name, count in counts.items() if count > MOST_WINDOWS
    }
    found = _one_each(standings(connection, now_ns, budgets, only=many), known, now_ns)
    yield from _amounts(found)
    yield from _reached(found, known)
    yield from _times(found)
    windows = gauge("aicost_budget_windows")
    for name in sorted({*counts, *known}):
        windows.add_metric((name,), counts.get(name, 0))
    yield windows
    yield _info(known)


def period_of(window: str) -> str:
    """The kind of period that a window, by its id, is one of."""
    word = window.partition(" ")[0]
    if word in {"rolling", "week", "year", "forever"}:
        return word
    if window == CALL_WINDOW:
        return "call"
    if "T" in word:
        return "hour"
    if "Q" in word:
        return "quarter"
    return {0: "year", 1: "month"}.get(word.count("-"), "day")


def _one_each(found: Iterable[Standing], known: Mapping[str, Budget], now_ns: int) -> list[Standing]:
    """One for each set of labels.

    Where a budget was given another period of the same kind two windows may count for a while: the new one is shown.
    """
    chosen: dict[tuple[str, str, str, str], Standing] = {}
    for one in found:
        if one.key is None:  # a window for each key, and none yet
            continue
        place = (one.budget, one.key, period_of(one.window), one.unit)
        if place not in chosen or _is_current(one, known.get(one.budget), now_ns):
            chosen[place] = one
    return list(chosen.values())


def _is_current(one: Standing, budget: Budget | None, now_ns: int) -> bool:
    if budget is None or budget.period.kind == "call":
        return True
    window = window_at(budget.period, now_ns // NANO, ZoneInfo(budget.timezone))
    return one.window == (window.group.strip() or window.id)


def _labels(one: Standing) -> tuple[str, str, str]:
    return one.budget, one.key or "", period_of(one.window)


def _amounts(found: Sequence[Standing]) -> Iterator[Metric]:
    for unit in UNITS:
        spent, reserved, limit = (gauge(f"aicost_budget_{what}_{unit.lower()}") for what in _WHAT)
        for one in found:
            if one.unit != unit:
                continue
            shown = dollars if unit == "USD" else float
            limit.add_metric(_labels(one), shown(one.limit))
            if one.window != CALL_WINDOW:  # nothing is kept of what a single call may cost
                spent.add_metric(_labels(one), shown(one.spent))
                reserved.add_metric(_labels(one), shown(one.reserved))
        yield from (spent, reserved, limit)


def _reached(found: Sequence[Standing], known: Mapping[str, Budget]) -> Iterator[Metric]:
    used, reached = gauge("aicost_budget_used_ratio"), gauge("aicost_budget_threshold_reached")
    for one in found:
        if one.window == CALL_WINDOW:
            continue
        used.add_metric((*_labels(one), one.unit), float(one.rank))
        budget = known.get(one.budget)
        for share in () if budget is None else budget.alert_at:
            if one.reached(share):
                reached.add_metric((*_labels(one), one.unit, f"{share.normalize():f}"), 1)
    yield used
    yield reached


def _times(found: Sequence[Standing]) -> Iterator[Metric]:
    start, end = gauge("aicost_budget_start_timestamp_seconds"), gauge("aicost_budget_end_timestamp_seconds")
    for labels, one in {_labels(one): one for one in found}.items():
        for family, at in ((start, one.starts_at), (end, one.resets_at)):
            if at is not None:
                family.add_metric(labels, at)
    yield start
    yield end


def _info(known: Mapping[str, Budget]) -> GaugeMetricFamily:
    family = gauge("aicost_budget_info")
    for name, budget in sorted(known.items()):
        team = budget.match.tags.get("team", "")
        per = ",".join(budget.per)
        family.add_metric((name, budget.period.kind, per, team, budget.on_exceed, budget.timezone), 1)
    return family


_WHAT: Final = ("spend", "reserved", "limit")
