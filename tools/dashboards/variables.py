"""The variables and annotations that several dashboards have."""

from __future__ import annotations

from tools.dashboards import look
from tools.dashboards.board import annotation, choice
from tools.dashboards.promql import gauge

SERVICE = choice("Service", "aicost_calls_total")
SCOPE = (
    SERVICE,
    choice("Provider", 'aicost_calls_total{service=~"$service"}'),
    choice("Model", 'aicost_calls_total{service=~"$service",provider=~"$provider"}'),
    choice("Team", 'aicost_calls_total{service=~"$service"}'),
    choice("Feature", 'aicost_calls_total{service=~"$service",team=~"$team"}'),
)
"""What `promql.FILTER` filters by."""

_USED, _USED_BEFORE = (gauge("aicost_budget_used_ratio", by="budget, key, unit", offset=at) for at in ("", "2m"))
EXCEEDED = annotation(
    "Budget exceeded",
    f"{_USED} >= 1 unless {_USED_BEFORE} >= 1",
    look.BAD,
    "{{budget}} {{key}} ({{unit}})",
)
_PRICES, _PRICES_BEFORE = (
    gauge("aicost_price_table_timestamp_seconds", by="source", offset=offset) for offset in ("", "2m")
)
NEW_PRICES = annotation("New price data", f"{_PRICES} > {_PRICES_BEFORE}", look.NEUTRAL, "{{source}}")
_REACHED, _REACHED_BEFORE = (
    gauge("aicost_budget_threshold_reached", by="budget, key, unit, threshold", offset=at) for at in ("", "2m")
)
REACHED = annotation(
    "Threshold reached",
    f"{_REACHED} unless {_REACHED_BEFORE}",
    look.WARN,
    "{{budget}} {{key}}: {{threshold}} of the limit ({{unit}})",
    shown=False,
)
_WRITERS, _WRITERS_BEFORE = (gauge("aicost_writers", by="service, version", offset=offset) for offset in ("", "5m"))
NEW_VERSION = annotation(
    "New version of otel-aicost",
    f"{_WRITERS} unless {_WRITERS_BEFORE}",
    "purple",
    "{{service}}: {{version}}",
    shown=False,
)
