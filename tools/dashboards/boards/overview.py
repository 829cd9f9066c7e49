"""Overview: what is spent, where it is heading, who spends it, and whether to believe it."""

from __future__ import annotations

from tools.dashboards import look, overrides, panels
from tools.dashboards.board import Board, Row, picks
from tools.dashboards.panels import About, Panel, Query
from tools.dashboards.promql import FILTER, gained, gauge, part, rate, top, total
from tools.dashboards.variables import EXCEEDED, NEW_PRICES, SCOPE

_EXACT = (
    "Exact: the ledger's own sum at the scrape, in the exporter's time zone. All services; the variables do not apply."
)
_RANGE = "Exact to one scrape: the difference of running totals over the selected range."
_MONTH = 'period="month"'
_SPENT = gauge("aicost_spend_usd", 'period="month",offset="0"')
_START = gauge("aicost_period_start_timestamp_seconds", _MONTH)
_END = gauge("aicost_period_end_timestamp_seconds", _MONTH)
_BY_MONTH = f"{_SPENT} * ({_END} - {_START}) / (time() - {_START})"
_BY_DAY = f"{_SPENT} + {gained('aicost_cost_usd_total', during='1d')} * ({_END} - time()) / 86400"
_BOTH = f'label_replace({_BY_MONTH}, "by", "month", "", "") or label_replace({_BY_DAY}, "by", "day", "", "")'


def _period(number: int, period: str, title: str, last: str) -> Panel:
    now = gauge("aicost_spend_usd", f'period="{period}",offset="0"')
    then = gauge("aicost_previous_spend_to_date_usd", f'period="{period}"')
    versus, fullest = f"against {last}", "of the fullest budget"
    about = About(
        number,
        title,
        f"Spend since the period began; how much more or less than {last} up to the same moment; how much of the "
        f"budget with this period is gone that is nearest to its limit (left out where there is none). {_EXACT}",
        look.USD,
        decimals=2,
        width=8,
        overrides=(overrides.share(versus, look.GREW), overrides.share(fullest, look.BUDGET)),
    )
    return panels.stat(
        about,
        Query(now, "spent"),
        Query(f"{now} / ({then} > 0) - 1", versus),
        Query(gauge("aicost_budget_used_ratio", f'period="{period}"'), fullest),
    )


def _top(number: int, tag: str, title: str) -> Panel:
    about = About(
        number,
        title,
        f"The greatest by the tag `{tag}`, in the period of the variable Top of; the rest together is "
        f"`other`. {_EXACT}",
        look.USD,
        decimals=2,
        width=8,
        height=8,
        empty=f"No call has the tag {tag}",
    )
    wanted = top("spend_usd", tag, "$period", "0")
    return panels.bars(about, Query(f"sort_desc(topk(10, {wanted}))", "{{name}}"))


def _over_time(number: int, label: str) -> Panel:
    about = About(
        number,
        f"Dollars per hour by {label}",
        f"How fast each {label} spends, stacked. Approximate: a rate, for the shape. Sums are in the panel below.",
        look.USD,
        decimals=2,
        width=12,
        height=8,
    )
    query = Query(f"{rate('aicost_cost_usd_total', FILTER, label)} * 3600", f"{{{{{label}}}}}")
    return panels.series(about, query, stacked=True, shown="max")


_SPENDING = Row(
    100,
    "What have we spent?",
    (
        _period(101, "day", "Today", "yesterday"),
        _period(102, "week", "This week", "last week"),
        _period(103, "month", "This month", "last month"),
    ),
)
_HEADING = Row(
    200,
    "Where is it heading?",
    (
        panels.stat(
            About(
                201,
                "What will this month cost?",
                "Two projections: the month goes on as it did so far; or as in the last 24 hours. Between them lies "
                "the band. Approximate, and rough in the first days of a month. For comparison all "
                "of last month (exact).",
                look.USD,
                decimals=2,
                width=6,
                height=8,
                empty="Too early to say",
            ),
            Query(_BY_MONTH, "as this month so far"),
            Query(_BY_DAY, "as the last 24 hours"),
            Query(gauge("aicost_spend_usd", 'period="month",offset="1"'), "last month"),
        ),
        panels.series(
            About(
                202,
                "How does this month go on?",
                "Spend of the month so far (exact at each scrape), the lower and the higher projection of its end as "
                "they were at each moment (approximate), and all of last month. Choose a range of "
                "days to see the month.",
                look.USD,
                decimals=2,
                width=10,
                height=8,
                overrides=(
                    overrides.of("higher projection", custom_fillBelowTo="lower projection", custom_fillOpacity=20),
                    *overrides.coloured(
                        {"so far": look.NEUTRAL, "higher projection": "orange", "lower projection": "orange"}
                    ),
                    overrides.dashed("last month", look.QUIET),
                ),
            ),
            Query(_SPENT, "so far"),
            Query(f"max({_BOTH})", "higher projection"),
            Query(f"min({_BOTH})", "lower projection"),
            Query(gauge("aicost_spend_usd", 'period="month",offset="1"'), "last month"),
        ),
        panels.bars(
            About(
                203,
                "Which budgets are nearest to their limit?",
                "How much of each budget's current window is spent; 100 % is the limit. Exact at the scrape. "
                "More is on the dashboard Budgets.",
                look.SHARE,
                decimals=0,
                steps=look.BUDGET,
                width=8,
                height=8,
                limits=(0, 1),
                empty="No budget is defined",
            ),
            Query(f"sort_desc(topk(8, {gauge('aicost_budget_used_ratio', by='budget, key')}))", "{{budget}} {{key}}"),
        ),
    ),
)
_ALERTS = Row(
    300,
    "Does anything need attention?",
    (
        panels.table(
            About(
                301,
                "Which alerts fire now?",
                "The alerts of otel-aicost's rules that Prometheus holds to be firing. No data: none fires.",
                look.COUNT,
                width=18,
                height=6,
            ),
            {
                "alertname": "Alert",
                "severity": "Severity",
                "budget": "Budget",
                "key": "Key",
                "threshold": "Threshold",
                "model": "Model",
                "service": "Service",
                "team": "Team",
            },
            Query(
                "max by (alertname, severity, budget, key, threshold, model, service, team) "
                '(ALERTS{alertname=~"AICost.*",alertstate="firing"})'
            ),
            sort="Severity",
        ),
        panels.stat(
            About(
                302,
                "Alerts not resolved",
                "Alerts in the ledger by severity, its own and those filed by the webhook, read or not. Exact. "
                "`aicost alerts` lists and resolves them.",
                look.COUNT,
                decimals=0,
                height=6,
                empty="No open alert",
                overrides=overrides.coloured(look.SEVERITY),
            ),
            Query(total("aicost_open_alerts", by="severity"), "{{severity}}"),
            text="value_and_name",
        ),
    ),
)
_WHERE = Row(
    400,
    "Where does the money go?",
    (
        _over_time(401, "provider"),
        _over_time(402, "model"),
        panels.bars(
            About(
                403,
                "Which models cost the most?",
                f"Dollars of the selected range by model, for the chosen variables. {_RANGE}",
                look.USD,
                decimals=2,
                width=24,
                height=7,
            ),
            Query(
                f"sort_desc(topk(10, {gained('aicost_cost_usd_total', FILTER, 'provider, model')}))",
                "{{model}} ({{provider}})",
            ),
        ),
    ),
)
_WHO = Row(
    500,
    "Who spends it?",
    (
        _top(501, "feature", "Top features"),
        _top(502, "user", "Top users"),
        _top(503, "team", "Top teams"),
    ),
)
_CALLS = gained("aicost_calls_total", FILTER)
_TRUST = Row(
    600,
    "Can these numbers be trusted?",
    (
        panels.stat(
            About(
                601,
                "Calls without a known price",
                "Share of the calls in the selected range whose cost is not known and so in no sum here: the true "
                f"spend is higher. {_RANGE} The dashboard Health says why.",
                look.SHARE,
                decimals=2,
                steps=look.RARE,
                width=8,
            ),
            Query(part(gained("aicost_unpriced_calls_total", FILTER), _CALLS)),
        ),
        panels.stat(
            About(
                602,
                "Cost that is estimated",
                "Share of the cost in the selected range that rests on estimated usage, as of streams that were cut "
                f"off. {_RANGE}",
                look.SHARE,
                decimals=2,
                steps=look.RARE,
                width=8,
            ),
            Query(
                part(
                    gained("aicost_estimated_cost_usd_total", FILTER),
                    gained("aicost_cost_usd_total", FILTER),
                )
            ),
        ),
        panels.stat(
            About(
                603,
                "Since the last call",
                "How long ago the newest call in the ledger began. Exact at the scrape. Long while the services are "
                "busy means that calls do not arrive: see the dashboard Health.",
                look.SECONDS,
                decimals=0,
                steps=look.ages(3600, 86400),
                width=8,
            ),
            Query(f"time() - {gauge('aicost_ledger_last_call_timestamp_seconds')}"),
        ),
    ),
)

BOARD = Board(
    uid="aicost-overview",
    description="What AI calls cost: now, by the end of the month, and who spends it. From the ledger of otel-aicost.",
    rows=(_SPENDING, _HEADING, _ALERTS, _WHERE, _WHO, _TRUST),
    variables=(*SCOPE, picks("period", "Top of", {"This month": "month", "This week": "week", "Today": "day"})),
    annotations=(EXCEEDED, NEW_PRICES),
)
