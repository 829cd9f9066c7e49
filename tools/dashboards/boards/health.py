"""Health: whether the other dashboards can be believed."""

from __future__ import annotations

from tools.dashboards import look, panels
from tools.dashboards.board import Board, Row
from tools.dashboards.panels import About, Panel, Query
from tools.dashboards.promql import gained, gauge, rate, total
from tools.dashboards.variables import NEW_PRICES, NEW_VERSION, SERVICE

_NOW = "As of the last scrape."
_CHOSEN = 'service=~"$service"'
_UP = {
    "type": "value",
    "options": {
        "0": {"color": look.BAD, "index": 0, "text": "No"},
        "1": {"color": look.OK, "index": 1, "text": "Yes"},
    },
}


def _never(number: int, title: str, words: str, metric: str) -> Panel:
    about = About(
        number,
        title,
        f"{words} In the selected range, exact to one scrape. Ought to be 0.",
        look.COUNT,
        decimals=0,
        steps=look.NONE_WANTED,
        width=4,
    )
    return panels.stat(about, Query(gained(f"{metric}_total", _CHOSEN)))


def _age(number: int, title: str, words: str, expr: str, steps: look.Steps) -> Panel:
    return panels.stat(
        About(number, title, f"{words} {_NOW}", look.SECONDS, decimals=0, steps=steps, width=4), Query(expr)
    )


_LYING = Row(
    100,
    "Is this dashboard lying?",
    (
        panels.stat(
            About(
                101,
                "Ledger readable",
                "Whether the exporter could read the ledger. If not, every other number stands still "
                f"or is absent. {_NOW}",
                look.COUNT,
                steps=((None, look.BAD), (1, look.OK)),
                width=4,
                mappings=(_UP,),
                empty="No exporter",
            ),
            Query(gauge("aicost_ledger_up")),
        ),
        _age(
            102,
            "Since the last scrape",
            "How old the numbers are.",
            "time() - max(timestamp(aicost_ledger_up))",
            look.ages(120, 600),
        ),
        _age(
            103,
            "Since the last call",
            "How long ago the newest call in the ledger began.",
            f"time() - {gauge('aicost_ledger_last_call_timestamp_seconds')}",
            look.ages(3600, 86400),
        ),
        _never(
            104,
            "Lost calls",
            "Calls that could be written nowhere: their money is missing.",
            "aicost_writer_lost_calls",
        ),
        _never(
            105, "Write errors", "Tries to write to the ledger that failed; they are repeated.", "aicost_writer_errors"
        ),
        _never(
            106, "Internal errors", "Errors of otel-aicost itself, as of reading an answer.", "aicost_internal_errors"
        ),
    ),
)
_WAITING = Row(
    200,
    "What is not in the numbers yet?",
    (
        panels.series(
            About(
                201,
                "How many calls wait in memory?",
                "Calls that processes have not written yet, by service, as their heartbeats say. More than a few for "
                "long means that the ledger is slow or away.",
                look.COUNT,
                width=8,
                height=8,
            ),
            Query(total("aicost_writer_queued_calls", _CHOSEN, "service"), "{{service}}"),
            shown="max",
        ),
        panels.series(
            About(
                202,
                "How many calls wait on their hosts?",
                "Calls in the outbox of each host, on their way to the ledger's server; none where "
                "the ledger is a file.",
                look.COUNT,
                width=8,
                height=8,
                empty="No host has an outbox",
            ),
            Query(total("aicost_outbox_calls", by="host"), "{{host}}"),
            shown="max",
        ),
        panels.series(
            About(
                203,
                "How far behind are the hosts?",
                "Since when the oldest call in the outbox of a host has been waiting.",
                look.SECONDS,
                width=8,
                height=8,
                steps=look.ages(300, 3600),
                empty="No host has calls waiting",
            ),
            Query(f"time() - {gauge('aicost_outbox_oldest_timestamp_seconds', by='host')}", "{{host}}"),
            shown="max",
        ),
    ),
)
_UNKNOWN = Row(
    300,
    "Which money is unknown?",
    (
        panels.series(
            About(
                301,
                "Calls without a price per minute",
                "Why and when the cost of calls is not known. Approximate: a rate, for the shape.",
                look.COUNT,
                width=8,
                height=8,
                empty="Every call has a price",
            ),
            Query(f"{rate('aicost_unpriced_calls_total', _CHOSEN, 'reason')} * 60", "{{reason}}"),
            stacked=True,
            drawn="bars",
            shown="max",
        ),
        panels.table(
            About(
                302,
                "Calls without a price by model",
                "How many calls of the selected range have no known cost, and why. Exact to one scrape.",
                look.COUNT,
                decimals=0,
                width=8,
                height=8,
            ),
            {"model": "Model", "provider": "Provider", "reason": "Why", "Value #A": "Calls"},
            Query(f"{gained('aicost_unpriced_calls_total', _CHOSEN, 'provider, model, reason')} > 0"),
            sort="Calls",
        ),
        panels.bars(
            About(
                303,
                "How old is the price data?",
                f"Age of each layer of prices; `aicost prices` says how to renew them. {_NOW}",
                look.SECONDS,
                decimals=0,
                steps=look.ages(30 * 86400, 90 * 86400),
                width=8,
                height=8,
            ),
            Query(f"sort_desc(time() - {gauge('aicost_price_table_timestamp_seconds', by='source')})", "{{source}}"),
        ),
        panels.table(
            About(
                304,
                "Repriced calls",
                "Calls that `aicost reprice` gave another cost in the selected range, by the reason why they had none "
                "before, empty where they had one. Exact to one scrape.",
                look.COUNT,
                decimals=0,
                width=12,
                height=7,
                empty="No call was repriced",
            ),
            {"model": "Model", "provider": "Provider", "reason": "Had no price because", "Value #A": "Calls"},
            Query(f"{gained('aicost_repriced_calls_total', _CHOSEN, 'provider, model, reason')} > 0"),
            sort="Calls",
        ),
        panels.table(
            About(
                305,
                "Found to cost less",
                "What `aicost reprice` took off the cost of calls in the selected range; the running total of cost "
                "still has it. Exact to one scrape.",
                look.USD,
                width=12,
                height=7,
                empty="No cost was lowered",
            ),
            {"model": "Model", "provider": "Provider", "Value #A": "Less"},
            Query(f"{gained('aicost_repriced_down_usd_total', _CHOSEN, 'provider, model')} > 0"),
            sort="Less",
        ),
    ),
)
_WHO = Row(
    400,
    "Who writes, and with which version?",
    (
        panels.table(
            About(
                401,
                "Processes by version",
                "Instrumented processes seen of late: service, version of otel-aicost, SDKs. A version that is missing "
                f"here writes nothing. {_NOW}",
                look.COUNT,
                decimals=0,
                width=16,
                height=8,
            ),
            {"service": "Service", "version": "Version", "sdks": "SDKs", "Value #A": "Processes"},
            Query(total("aicost_writers", _CHOSEN, "service, version, sdks")),
            sort="Processes",
        ),
        panels.stat(
            About(
                402,
                "Exporters by version",
                "How many exporters serve this ledger, and their version. More than one is fine: all serve the same.",
                look.COUNT,
                decimals=0,
                width=8,
                height=8,
            ),
            Query("count by (version) (aicost_build_info)", "{{version}}"),
            text="value_and_name",
        ),
    ),
)
_SIZE = Row(
    500,
    "Is it getting too large?",
    (
        panels.series(
            About(
                501,
                "How long does a scrape take?",
                "How long the exporter read the ledger for it; Prometheus gives up at its scrape "
                "timeout, 10 s by default.",
                look.SECONDS,
                width=8,
                height=8,
                steps=look.ages(0.5, 5),
            ),
            Query(gauge("aicost_collect_seconds"), "reading the ledger"),
            shown="max",
        ),
        panels.series(
            About(
                502,
                "How many label sets are there?",
                f"Label sets of the running totals; each is about 40 series in Prometheus. {_NOW}",
                look.COUNT,
                width=8,
                height=8,
            ),
            Query(gauge("aicost_series"), "label sets"),
            shown="max",
        ),
        panels.stat(
            About(
                503,
                "Values shown as other",
                "Values of a label past its cap: their money is in the sums, under `other`. "
                f"OTEL_AICOST_METRIC_TAGS says which tags are labels. {_NOW}",
                look.COUNT,
                decimals=0,
                steps=((None, look.OK), (1, look.WARN)),
                width=8,
                height=4,
            ),
            Query(gauge("aicost_label_overflow", by="label"), "{{label}}"),
            text="value_and_name",
        ),
        panels.stat(
            About(
                504,
                "Calls in the ledger",
                f"All calls there are, those folded into daily totals included. {_NOW}",
                look.COUNT,
                decimals=1,
                width=4,
            ),
            Query(gauge("aicost_ledger_calls")),
        ),
        panels.stat(
            About(
                505,
                "Size of the ledger",
                f"Its file, or its tables on the server. {_NOW}",
                look.BYTES,
                decimals=1,
                width=4,
            ),
            Query(gauge("aicost_ledger_size_bytes")),
        ),
    ),
)

BOARD = Board(
    uid="aicost-health",
    description="Whether the other dashboards can be believed: what is missing, late, lost or unknown.",
    rows=(_LYING, _WAITING, _UNKNOWN, _WHO, _SIZE),
    variables=(SERVICE,),
    annotations=(NEW_PRICES, NEW_VERSION),
    begins="now-6h",
)
