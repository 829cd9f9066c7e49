"""Chargeback: what each team, feature, user and job of a month is to be billed, and what a unit of it costs."""

from __future__ import annotations

from tools.dashboards import look, overrides, panels
from tools.dashboards.board import Board, Row, picks
from tools.dashboards.panels import About, Panel, Query
from tools.dashboards.promql import gauge, top
from tools.dashboards.variables import NEW_PRICES

_UID = "aicost-chargeback"
_MONTH = 'period="month",offset="$month"'
_EXACT = "Exact: the ledger's own sum of the calendar month, in the exporter's time zone; unpriced calls are not in it."
_NOW, _LAST = (top("spend_usd", "team", "month", offset) for offset in ("0", "1"))
_USERS = gauge("aicost_top_names", f'by="user",{_MONTH}')


def _top(what: str, tag: str) -> str:
    return top(what, tag, "month", "$month")


def _all(what: str) -> str:
    return f"sum({_top(what, 'provider')})"


_SPENT = _all("spend_usd")


def _download(number: int) -> Panel:
    return {
        "targetBlank": False,
        "title": "Download as CSV (Data, then Download CSV)",
        "url": f"/d/{_UID}?${{__url_time_range}}&${{__all_variables}}&inspect={number}&inspectTab=data",
    }


def _by(number: int, tag: str, title: str, heading: str, width: int = 12) -> Panel:
    spent, calls, tokens = (_top(what, tag) for what in ("spend_usd", "calls", "tokens"))
    about = About(
        number,
        title,
        f"Dollars, share of the month, calls, and what a call and 1k tokens cost, by the tag `{tag}`. The greatest "
        f"of them; the rest together is `other`, so the sum is the whole month. {_EXACT} For a file: the panel's menu, "
        "Inspect, Data, Download CSV, or the link at the top left of the panel.",
        look.COUNT,
        width=width,
        height=10,
        links=(_download(number),),
        overrides=(
            overrides.money("Cost"),
            overrides.share("Share"),
            overrides.count("Calls"),
            overrides.count("Tokens"),
            overrides.money("Per call", 4),
            overrides.money("Per 1k", 4),
        ),
    )
    columns = {
        "name": heading,
        "Value #A": "Cost",
        "Value #B": "Share",
        "Value #C": "Calls",
        "Value #D": "Tokens",
        "Value #E": "Per call",
        "Value #F": "Per 1k",
    }
    return panels.table(
        about,
        columns,
        Query(spent),
        Query(f"{spent} / on () group_left () ({_SPENT} > 0)"),
        Query(calls),
        Query(tokens),
        Query(f"{spent} / ({calls} > 0)"),
        Query(f"1000 * {spent} / ({tokens} > 0)"),
        sort="Cost",
    )


def _number(number: int, title: str, words: str, shown: look.Shown, expr: str) -> Panel:
    about = About(number, title, f"{words} {_EXACT}", shown[0], decimals=shown[1], width=4)
    return panels.stat(about, Query(expr))


_SUM = Row(
    100,
    "What is there to bill?",
    (
        _number(101, "Spent in the month", "The whole of the chosen month.", look.DOLLARS, _SPENT),
        _number(102, "Calls", "Calls of the chosen month, however they ended.", (look.COUNT, None), _all("calls")),
        _number(103, "Users", "Different values of the tag `user` on the month's calls.", (look.COUNT, 0), _USERS),
        _number(104, "Cost per user", "Spend by number of users.", look.DOLLARS, f"{_SPENT} / ({_USERS} > 0)"),
        _number(105, "Cost per call", "Spend by calls.", look.CENT_PARTS, f"{_SPENT} / ({_all('calls')} > 0)"),
        _number(
            106,
            "Cost per 1k tokens",
            "Spend by input and output tokens.",
            look.CENT_PARTS,
            f"1000 * {_SPENT} / ({_all('tokens')} > 0)",
        ),
    ),
)
_TEAMS = Row(
    200,
    "Which team pays what?",
    (
        _by(201, "team", "Bill by team", "Team", 16),
        panels.pie(
            About(
                202,
                "Shares of the teams",
                f"The month's dollars by the tag `team`. {_EXACT}",
                look.USD,
                decimals=2,
                width=8,
                height=10,
            ),
            Query(f"sort_desc({_top('spend_usd', 'team')})", "{{name}}"),
        ),
    ),
)
_PARTS = Row(
    300,
    "For what, and for whom?",
    (
        _by(301, "feature", "Bill by feature", "Feature"),
        _by(302, "user", "Bill by user", "User"),
        _by(303, "job", "Bill by job", "Job"),
        panels.text(
            About(
                304,
                "How to read this",
                "What the columns mean, and how to take the numbers elsewhere.",
                look.COUNT,
                width=12,
                height=10,
            ),
            "**Who pays** is said by the tags of the calls: `team`, `feature`, `user`, `job` (docs/tags.md). "
            "`other` is all that is not among the greatest; `(no team)` and the like are calls without the tag.\n\n"
            "**Every table adds up to the month.** They are other cuts of the same money: never add two of them.\n\n"
            "**As a file:** menu of a table, *Inspect*, *Data*, *Download CSV*; or, with all names and to the "
            "nano-dollar, `aicost export` and `aicost report --by team`.\n\n"
            "**A month** is one of the calendar in the exporter's time zone, whatever the time range above says. "
            "Last month may still change for an hour or so, while calls wait on their hosts (dashboard Health).",
        ),
    ),
)
_TREND = Row(
    400,
    "How does it change?",
    (
        panels.series(
            About(
                401,
                "How do the teams' bills grow?",
                "This month so far by the tag `team`; each falls to 0 when a month begins. Over the time range above. "
                f"{_EXACT}",
                look.USD,
                decimals=2,
                width=12,
                height=9,
            ),
            Query(_NOW, "{{name}}"),
            stacked=True,
        ),
        panels.table(
            About(
                402,
                "This month against last month",
                "By the tag `team`: this month so far, all of last month, and the difference. Early in a month the "
                f"difference is negative. {_EXACT}",
                look.USD,
                decimals=2,
                width=12,
                height=9,
            ),
            {"name": "Team", "Value #A": "This month", "Value #B": "Last month", "Value #C": "Difference"},
            Query(_NOW),
            Query(_LAST),
            Query(f"{_NOW} - ({_LAST} or {_NOW} * 0)"),
            sort="This month",
        ),
    ),
)

BOARD = Board(
    uid=_UID,
    description="The bill of a month by team, feature, user and job, with the cost of a call, of 1k tokens, of a user.",
    rows=(_SUM, _TEAMS, _PARTS, _TREND),
    variables=(picks("month", "Month", {"This month": "0", "Last month": "1", "Two months ago": "2"}),),
    annotations=(NEW_PRICES,),
    begins="now-7d",
)
