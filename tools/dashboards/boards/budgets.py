"""Budgets: how much of each is gone, whether it lasts, and what the limits did."""

from __future__ import annotations

from tools.dashboards import look, overrides, panels
from tools.dashboards.board import Board, Row, choice
from tools.dashboards.panels import About, Panel, Query
from tools.dashboards.promql import gained, gauge, rate, total
from tools.dashboards.variables import EXCEEDED, REACHED

_CHOSEN = 'budget=~"$budget"'
_KEY = "budget, key, period"
_NOW = "Exact: the ledger's own numbers at the scrape."
_RATIO = gauge("aicost_budget_used_ratio", _CHOSEN, f"{_KEY}, unit")
_START = gauge("aicost_budget_start_timestamp_seconds", _CHOSEN, _KEY)
_END = gauge("aicost_budget_end_timestamp_seconds", _CHOSEN, _KEY)
_GONE = f"(time() - {_START}) / ({_END} - {_START})"
_NAME = "{{budget}} {{key}}"


def _of(what: str, unit: str = "usd") -> str:
    return gauge(f"aicost_budget_{what}_{unit}", _CHOSEN, _KEY)


def _how_many(number: int, title: str, at_least: float, colour: str) -> Panel:
    about = About(
        number,
        title,
        f"How many budgets and keys have spent {at_least:.0%} of a limit or more in their current window. {_NOW}",
        look.COUNT,
        decimals=0,
        steps=((None, look.OK), (1, colour)),
        empty="No budget",
        width=4,
        height=6,
    )
    return panels.stat(about, Query(f"sum({_RATIO} >= bool {at_least})"))


_FULL = Row(
    100,
    "How much of each budget is gone?",
    (
        panels.bars(
            About(
                101,
                "Spent of each budget",
                "Share of the limit that is spent in the current window, for each budget, key and unit; green below 80 "
                f"%, yellow from there, red at the limit. The 20 fullest. {_NOW}",
                look.SHARE,
                decimals=0,
                steps=look.BUDGET,
                width=16,
                height=12,
                limits=(0, 1),
                empty="No budget is defined",
            ),
            Query(f"sort_desc(topk(20, {_RATIO}))", _NAME + " ({{unit}})"),
        ),
        _how_many(102, "Exceeded", 1, look.BAD),
        _how_many(103, "Over 80 %", 0.8, look.WARN),
        panels.stat(
            About(
                104,
                "Reserved now",
                "Dollars that budgets hold back for calls on their way. A call that counts against two budgets is held "
                f"back in both. {_NOW}",
                look.USD,
                decimals=2,
                width=4,
                height=6,
            ),
            Query(f"sum({_of('reserved')})"),
        ),
        panels.stat(
            About(
                105,
                "Windows that count",
                "Budgets times the values of their `per`, shown here or not: of budgets per user only the fullest are "
                f"exported. {_NOW}",
                look.COUNT,
                decimals=0,
                width=4,
                height=6,
            ),
            Query(total("aicost_budget_windows", _CHOSEN)),
        ),
    ),
)
_STAND = Row(
    200,
    "Where does each budget stand, and will it last?",
    (
        panels.table(
            About(
                201,
                "Budgets in dollars",
                "Spent, reserved and left of the limit that holds for the next call; how much of the window's time is "
                "gone; what will be spent at its end if it goes on as so far (approximate, and none for windows "
                f"without an end); when it begins anew. {_NOW}",
                look.COUNT,
                width=24,
                height=9,
                overrides=(
                    *(overrides.money(name) for name in ("Spent", "Reserved", "Limit", "Left", "Projected end")),
                    overrides.gauge("Used", look.BUDGET),
                    overrides.gauge("Window gone", look.ALWAYS),
                    overrides.moment("Next reset"),
                ),
            ),
            {
                "budget": "Budget",
                "key": "Key",
                "period": "Period",
                "Value #A": "Spent",
                "Value #B": "Reserved",
                "Value #C": "Limit",
                "Value #D": "Left",
                "Value #E": "Used",
                "Value #F": "Window gone",
                "Value #G": "Projected end",
                "Value #H": "Next reset",
            },
            Query(_of("spend")),
            Query(_of("reserved")),
            Query(_of("limit")),
            Query(f"clamp_min({_of('limit')} - {_of('spend')} - {_of('reserved')}, 0)"),
            Query(f"{_of('spend')} / ({_of('limit')} > 0)"),
            Query(f"{_GONE} and {_of('limit')}"),
            Query(f"{_of('spend')} / ({_GONE} > 0)"),
            Query(f"{_END} * 1000 and {_of('limit')}"),
            sort="Used",
        ),
        panels.bars(
            About(
                202,
                "Which budgets will not last?",
                "Share spent divided by share of the window gone: at 1 the budget lasts exactly to its reset, at 2 it "
                "is gone by half-time. Approximate early in a window.",
                look.RATIO,
                decimals=2,
                steps=((None, look.OK), (1, look.WARN), (1.5, look.BAD)),
                width=12,
                height=8,
                limits=(0, 2),
                empty="No budget with a window that ends",
            ),
            Query(f"sort_desc(topk(12, {_RATIO} / on ({_KEY}) group_left () ({_GONE} > 0)))", _NAME + " ({{unit}})"),
        ),
        panels.table(
            About(
                203,
                "Budgets in tokens and calls",
                f"Spent, held back for calls on their way, and limit, of budgets that count tokens or calls. {_NOW}",
                look.COUNT,
                width=12,
                height=8,
                decimals=0,
            ),
            {
                "budget": "Budget",
                "key": "Key",
                "period": "Period",
                "Value #A": "Tokens",
                "Value #B": "Tokens held",
                "Value #C": "Token limit",
                "Value #D": "Calls",
                "Value #E": "Calls held",
                "Value #F": "Call limit",
            },
            *(
                Query(f"{_of(what, unit)} and {_of('limit', unit)}")
                for unit in ("tokens", "calls")
                for what in ("spend", "reserved", "limit")
            ),
            sort="Budget",
        ),
    ),
)
_DID = Row(
    300,
    "What did the limits do?",
    (
        panels.stat(
            About(
                301,
                "Calls not let through",
                "Calls that a budget did not let be sent in the selected range. Exact to one scrape.",
                look.COUNT,
                decimals=0,
                height=8,
                empty="No call was blocked",
            ),
            Query(gained("aicost_budget_blocked_calls_total", _CHOSEN)),
        ),
        panels.stat(
            About(
                302,
                "Dollars avoided",
                "What those calls were expected to cost: an estimate by its nature, from the same prices as the calls.",
                look.USD,
                decimals=2,
                height=8,
                empty="No call was blocked",
            ),
            Query(gained("aicost_budget_avoided_usd_total", _CHOSEN)),
        ),
        panels.series(
            About(
                303,
                "Calls blocked per minute",
                "When each budget did not let calls through. Approximate: a rate, for the shape.",
                look.COUNT,
                width=12,
                height=8,
                empty="No call was blocked",
            ),
            Query(f"{rate('aicost_budget_blocked_calls_total', _CHOSEN, 'budget')} * 60", "{{budget}}"),
            stacked=True,
            drawn="bars",
            shown="max",
        ),
    ),
)
_HISTORY = Row(
    400,
    "How did we get here?",
    (
        panels.series(
            About(
                401,
                "How full were the budgets?",
                f"Share of the limit that was spent, over time; it falls to 0 when a window begins anew. {_NOW} "
                "Marks show thresholds reached and limits exceeded.",
                look.SHARE,
                decimals=0,
                steps=look.BUDGET,
                width=12,
                height=9,
            ),
            Query(f"topk(12, {_RATIO})", _NAME + " ({{unit}})"),
            shown="max",
        ),
        panels.series(
            About(
                402,
                "How much was spent of each?",
                f"Dollars in the window of each budget over time. {_NOW}",
                look.USD,
                decimals=2,
                width=12,
                height=9,
            ),
            Query(f"topk(12, {_of('spend')})", _NAME),
            shown="max",
        ),
        panels.table(
            About(
                403,
                "What is defined?",
                "The budgets of `aicost.yaml` as the exporter reads them: period, what each is per, its team, what "
                "happens at the limit, and in which time zone its windows begin.",
                look.COUNT,
                width=24,
                height=7,
            ),
            {
                "budget": "Budget",
                "period": "Period",
                "per": "Per",
                "team": "Team",
                "on_exceed": "At the limit",
                "timezone": "Time zone",
            },
            Query(gauge("aicost_budget_info", _CHOSEN, "budget, period, per, team, on_exceed, timezone")),
            sort="Budget",
        ),
    ),
)

BOARD = Board(
    uid="aicost-budgets",
    description="How much of each budget is gone, whether it will last, and what the limits did.",
    rows=(_FULL, _STAND, _DID, _HISTORY),
    variables=(choice("Budget", "aicost_budget_info"),),
    annotations=(EXCEEDED, REACHED),
)
