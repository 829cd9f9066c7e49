"""Engineering: how long calls take, how they end, what is wasted, and the traces behind it."""

from __future__ import annotations

from tools.dashboards import look, overrides, panels
from tools.dashboards.board import Board, Row, datasource
from tools.dashboards.panels import About, Panel, Query
from tools.dashboards.promql import FILTER, gained, gauge, matching, part, quantile, rate
from tools.dashboards.variables import NEW_PRICES, NEW_VERSION, SCOPE

_EXACT = "Exact to one scrape: differences of running totals over the selected range."
_BUCKETS = "Approximate: within the histogram's buckets, of which each is twice as wide as the one before."
_TRACE = (
    "/explore?schemaVersion=1&orgId=1&panes=%7B%22trace%22:%7B%22datasource%22:%22${tempo}%22,%22queries%22:"
    "%5B%7B%22refId%22:%22A%22,%22datasource%22:%7B%22type%22:%22tempo%22,%22uid%22:%22${tempo}%22%7D,"
    "%22queryType%22:%22traceql%22,%22query%22:%22${__data.fields.trace_id}%22%7D%5D,"
    "%22range%22:%7B%22from%22:%22now-2d%22,%22to%22:%22now%22%7D%7D%7D"
)
"""Explore with the trace of a row, in the chosen Tempo."""
_DURATION, _FIRST = "aicost_call_duration_seconds", "aicost_time_to_first_chunk_seconds"
_WASTE = matching('status=~"error|partial"')


def _now(number: int, title: str, words: str, metric: str, share: float) -> Panel:
    about = About(number, title, f"{words} at the end of the selected range. {_BUCKETS}", look.SECONDS)
    return panels.stat(about, Query(quantile(share, metric, FILTER)))


def _times(number: int, title: str, words: str, metric: str) -> Panel:
    about = About(
        number,
        title,
        f"{words} Half of the calls were faster than p50, 95 of 100 faster than p95. {_BUCKETS} "
        "Where Prometheus keeps exemplars, a dot is a call: it leads to its trace.",
        look.SECONDS,
        width=12,
        height=9,
        overrides=overrides.coloured({"p50": look.OK, "p95": "orange"}),
    )
    return panels.series(
        about,
        Query(quantile(0.5, metric, FILTER), "p50", exemplars=True),
        Query(quantile(0.95, metric, FILTER), "p95"),
        shown="max",
    )


_SPEED = Row(
    100,
    "How long do calls take?",
    (
        _now(101, "Median duration", "Half of the calls take less,", _DURATION, 0.5),
        _now(102, "95th percentile", "95 of 100 calls take less,", _DURATION, 0.95),
        _now(103, "Median to first chunk", "Half of the streams begin sooner,", _FIRST, 0.5),
        _now(104, "95th percentile to first chunk", "95 of 100 streams begin sooner,", _FIRST, 0.95),
        _times(105, "Do calls get slower?", "Duration of calls, from request to the end of the answer.", _DURATION),
        _times(106, "Do streams begin later?", "Time until the first chunk of a streamed answer.", _FIRST),
        panels.series(
            About(
                107,
                "Which models are slow?",
                f"95th percentile of the duration by model. {_BUCKETS}",
                look.SECONDS,
                width=24,
                height=8,
            ),
            Query(quantile(0.95, _DURATION, FILTER, "model"), "{{model}}"),
            shown="max",
        ),
    ),
)
_CALLS = gained("aicost_calls_total", FILTER)
_LOST = gained("aicost_cost_usd_total", _WASTE)
_ENDS = Row(
    200,
    "How do calls end?",
    (
        panels.stat(
            About(201, "Calls", f"Calls of the selected range, however they ended. {_EXACT}", look.COUNT),
            Query(_CALLS),
        ),
        panels.stat(
            About(
                202,
                "Failed calls",
                f"Share of calls that ended with an error. {_EXACT}",
                look.SHARE,
                decimals=2,
                steps=look.RARE,
            ),
            Query(part(gained("aicost_calls_total", matching('status="error"')), _CALLS)),
        ),
        panels.stat(
            About(
                203,
                "Calls cut short",
                "Share of calls whose stream ended early: closed by the application, or broken off (status "
                f"`partial`). {_EXACT}",
                look.SHARE,
                decimals=2,
                steps=look.RARE,
            ),
            Query(part(gained("aicost_calls_total", matching('status="partial"')), _CALLS)),
        ),
        panels.stat(
            About(
                204,
                "Calls not let through",
                f"Share of calls that a budget did not let be sent (status `blocked`). {_EXACT}",
                look.SHARE,
                decimals=2,
            ),
            Query(part(gained("aicost_calls_total", matching('status="blocked"')), _CALLS)),
        ),
        panels.series(
            About(
                205,
                "Calls per minute by how they end",
                "How calls ended over time. Approximate: a rate, for the shape.",
                look.COUNT,
                width=12,
                height=8,
                overrides=overrides.coloured(look.STATUS),
            ),
            Query(f"{rate('aicost_calls_total', FILTER, 'status')} * 60", "{{status}}"),
            stacked=True,
            shown="max",
        ),
        panels.series(
            About(
                206,
                "Which providers fail?",
                "Share of calls that ended with an error, by provider. Approximate: a ratio of rates.",
                look.SHARE,
                decimals=1,
                width=12,
                height=8,
                limits=(0, 1),
            ),
            Query(
                part(
                    rate("aicost_calls_total", matching('status="error"'), "provider"),
                    rate("aicost_calls_total", FILTER, "provider"),
                ),
                "{{provider}}",
            ),
            shown="max",
        ),
    ),
)
_WASTED = Row(
    300,
    "What is paid for and not used?",
    (
        panels.stat(
            About(
                301,
                "Spent on failed and cut calls",
                "Dollars of calls that ended with an error or were cut short. Retries inside an SDK that the provider "
                f"did not bill are not in it; what it did bill is. {_EXACT}",
                look.USD,
                decimals=2,
                height=8,
            ),
            Query(_LOST),
        ),
        panels.stat(
            About(
                302,
                "Share of all spend",
                f"Of the dollars in the selected range, those of failed and cut calls. {_EXACT}",
                look.SHARE,
                decimals=2,
                steps=look.RARE,
                height=8,
            ),
            Query(part(_LOST, gained("aicost_cost_usd_total", FILTER))),
        ),
        panels.series(
            About(
                303,
                "Dollars wasted per hour",
                "What failed and cut calls cost, by how they ended. Approximate: a rate, for the shape.",
                look.USD,
                decimals=2,
                width=12,
                height=8,
                overrides=overrides.coloured(look.STATUS),
            ),
            Query(f"{rate('aicost_cost_usd_total', _WASTE, 'status')} * 3600", "{{status}}"),
            stacked=True,
            drawn="bars",
            shown="max",
        ),
    ),
)
_DEAREST = Row(
    400,
    "Which calls cost the most?",
    (
        panels.table(
            About(
                401,
                "The ten dearest calls of the last 24 hours",
                "Exact, from the ledger, for the chosen services, providers, models and features; whatever the time "
                "range says. A click on the trace opens it in Tempo. `aicost calls --id` with the "
                "call's id shows the whole bill.",
                look.COUNT,
                width=24,
                height=9,
                overrides=(
                    overrides.money("Cost", 4),
                    overrides.of(
                        "trace_id",
                        displayName="Trace",
                        links=[{"title": "Open the trace", "url": _TRACE, "targetBlank": True}],
                    ),
                ),
            ),
            {
                "Value #A": "Cost",
                "model": "Model",
                "provider": "Provider",
                "operation": "Operation",
                "service": "Service",
                "feature": "Feature",
                "user": "User",
                "trace_id": "trace_id",
                "call": "Call",
            },
            Query(
                gauge(
                    "aicost_costliest_call_usd",
                    'service=~"$service",provider=~"$provider",model=~"$model",feature=~"$feature"',
                    "call, trace_id, model, provider, operation, service, feature, user",
                )
            ),
            sort="Cost",
        ),
    ),
)

BOARD = Board(
    uid="aicost-engineering",
    description="How long calls take, how they end, what is wasted, and the traces behind it.",
    rows=(_SPEED, _ENDS, _WASTED, _DEAREST),
    variables=(datasource("tempo", "Traces", "tempo"), *SCOPE),
    annotations=(NEW_PRICES, NEW_VERSION),
    begins="now-6h",
)
