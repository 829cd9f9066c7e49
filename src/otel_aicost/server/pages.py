"""Which budget alerts are to fire in Alertmanager now: the same, to the letter, as our Prometheus rules make."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from otel_aicost.alerts.alert import BUDGET_EXCEEDED, THRESHOLD_REACHED, dollars
from otel_aicost.alerts.of_budgets import WARN_FROM
from otel_aicost.exporter.budgets import period_of
from otel_aicost.ledger.alerts import crossings
from otel_aicost.ledger.limits import definitions
from otel_aicost.ledger.standings import UNITS, standings
from otel_aicost.server.labels import EXCEEDED, RUNBOOK, THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from otel_aicost.budgets.budget import Budget
    from otel_aicost.ledger.standings import Standing
    from otel_aicost.ledger.store import Connection

MOST: Final = 2000
"""Budgets and keys, each counted for every kind of alert, that are told of; those of the newest alerts."""
CALL_SECONDS: Final = 300
"""So long an alert of a single call fires: it has no window that goes on."""
DASHBOARD: Final = "aicost-budgets"
TEAM: Final = "team"
_SECOND: Final = 10**9


Labels: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, sorted: what Alertmanager tells alerts apart by."""


@dataclass(frozen=True, slots=True)
class Page:
    """One alert of Alertmanager."""

    labels: Labels
    annotations: Mapping[str, str]
    starts_ns: int
    until: int | None = None
    """When it is over for certain, seconds since the epoch: a window of the calendar ends."""
    look_at: int | None = None
    """When it may be over, as spend of a rolling window stops to count."""


def pages(connection: Connection, budgets: Sequence[Budget], now_ns: int, since_ns: int = 0) -> list[Page]:
    """What fires now, of the budgets that crossed a threshold at `since_ns` or later.

    `budgets`: those of the file; the ledger has those that programs started with.
    """
    raised: dict[str, dict[str, dict[str, int]]] = {}
    for name, key, kind, at_ns in crossings(connection, since_ns, MOST):
        raised.setdefault(name, {}).setdefault(key, {})[kind] = at_ns
    known = {budget.name: budget for budget in budgets} | definitions(connection)
    found: list[Page] = []
    for name, keys in raised.items():
        budget = known.get(name)
        if budget is not None and budget.period.kind == "call":
            found += (page for key, since in keys.items() for page in _of_call(budget, key, since, now_ns))
            continue
        for standing in standings(connection, now_ns, budgets, name, only={name: list(keys)}):
            found += _of(standing, budget, keys.get(standing.key or "", {}), now_ns)
    return found


def _of(standing: Standing, budget: Budget | None, since: Mapping[str, int], now_ns: int) -> Iterator[Page]:
    """The alerts of one window in one unit."""
    if standing.reached(Decimal(1)):
        labels = {"alertname": EXCEEDED, "severity": "critical"}
        yield _page(standing, budget, labels, since.get(BUDGET_EXCEEDED), now_ns)
    for share in () if budget is None else budget.alert_at:
        if share < 1 and standing.reached(share):  # one of 1 or more is the limit's
            severity = "warning" if share >= WARN_FROM else "info"
            labels = {"alertname": THRESHOLD, "severity": severity, "threshold": f"{share.normalize():f}"}
            yield _page(standing, budget, labels, since.get(THRESHOLD_REACHED), now_ns)


def _page(standing: Standing, budget: Budget | None, labels: dict[str, str], since: int | None, now_ns: int) -> Page:
    place = standing.budget, standing.key or "", period_of(standing.window)
    labels |= _labels(place, standing.unit, budget)
    begun = since if since is not None and since >= (standing.starts_at or 0) * _SECOND else now_ns
    ends = standing.resets_at
    until = None if standing.starts_at is None else ends  # a window that rolls has neither beginning nor end
    return Page(_sorted(labels), _annotations(standing, labels), min(begun, now_ns), until, ends)


def _of_call(budget: Budget, key: str, since: Mapping[str, int], now_ns: int) -> Iterator[Page]:
    """The alert of a call that took more than a budget of single calls allows; it fires for a while."""
    at_ns = since.get(BUDGET_EXCEEDED)
    if at_ns is None or now_ns >= at_ns + CALL_SECONDS * _SECOND:
        return
    limits = budget.limits_of(key)
    unit = next((UNITS[index] for index, limit in enumerate(limits) if limit is not None), UNITS[0])
    labels = {"alertname": EXCEEDED, "severity": "critical", **_labels((budget.name, key, "call"), unit, budget)}
    annotations = {
        "summary": f"{_named(labels)}: a call took more than the budget allows",
        "description": f"Which call: aicost calls. This alert ends {CALL_SECONDS // 60} minutes after it.",
        **_links(labels),
    }
    ends = at_ns // _SECOND + CALL_SECONDS
    yield Page(_sorted(labels), annotations, min(at_ns, now_ns), ends, ends)


def _labels(place: tuple[str, str, str], unit: str, budget: Budget | None) -> dict[str, str]:
    """The labels of a budget, a key and a period that both alerts have."""
    name, key, period = place
    team = "" if budget is None else budget.match.tags.get(TEAM, "")
    return {"kind": "budget", "budget": name, "key": key, "period": period, "unit": unit, "team": team}


def _sorted(labels: Mapping[str, str]) -> Labels:
    """Labels without a value are none."""
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def _annotations(standing: Standing, labels: Mapping[str, str]) -> dict[str, str]:
    share = "all" if standing.share is None else f"{float(standing.share * 100):.4g}%"
    the = f"the {labels['period']} budget"
    spent = f"{the} is spent ({share})" if labels["alertname"] == EXCEEDED else f"{share} of {the} is spent"
    facts = {
        "spend": _amount(standing.spent, standing.unit),
        "limit": _amount(standing.limit, standing.unit),
        "projected": "" if standing.projected is None else _amount(standing.projected, standing.unit),
        "resets": _resets(standing),
    }
    facts = {name: text for name, text in facts.items() if text}
    lines = {"budget": labels["budget"], "key": labels["key"]} | facts
    return {
        "summary": f"{_named(labels)}: {spent}",
        "description": "\n".join(f"{_HEADS[name]}: {text}" for name, text in lines.items() if text),
        **facts,
        **_links(labels),
    }


def _links(labels: Mapping[str, str]) -> dict[str, str]:
    """As the rules have them: the template of a mail puts the address of Grafana before that of a dashboard."""
    return {
        "dashboard_url": f"/d/{DASHBOARD}?{urlencode({'var-budget': labels['budget']})}",
        "runbook_url": f"{RUNBOOK}#{labels['alertname'].lower()}",
    }


def _named(labels: Mapping[str, str]) -> str:
    return f"{labels['budget']} ({labels['key']})" if labels["key"] else labels["budget"]


def _amount(amount: int, unit: str) -> str:
    return f"${dollars(amount)}" if unit == UNITS[0] else f"{amount:,} {unit}"


def _resets(standing: Standing) -> str:
    """When a window of the calendar ends, in the budget's own time."""
    if standing.resets_at is None or standing.starts_at is None:
        return ""
    zone = ZoneInfo(standing.timezone or "UTC")
    return f"{datetime.fromtimestamp(standing.resets_at, UTC).astimezone(zone):%a %d %b %Y %H:%M %Z}"


_HEADS: Final = {
    "budget": "Budget",
    "key": "Key",
    "spend": "Spent",
    "limit": "Limit",
    "projected": "Projected",
    "resets": "Resets",
}
