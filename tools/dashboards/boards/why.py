"""Why the spend rose or fell: more tokens, other models, or dearer tokens, against the range before.

With C the cost and Q the tokens, 0 for the range before and 1 for this one, and K what this range's tokens of each
model would have cost at that model's earlier price of a token (a model that is new: at the price it has):

    volume = C0 * Q1 / Q0 - C0        mix = K - C0 * Q1 / Q0        price = C1 - K        all = C1 - C0
"""

from __future__ import annotations

from tools.dashboards import look, panels
from tools.dashboards.board import Row
from tools.dashboards.panels import About, Query
from tools.dashboards.promql import FILTER, before, grown, known

_MODEL = "provider, model"
_COST, _TOKENS = grown("aicost_cost_usd_total", FILTER), grown("aicost_tokens_total", FILTER)
_COST_BY, _TOKENS_BY = (grown(f"aicost_{what}_total", FILTER, _MODEL) for what in ("cost_usd", "tokens"))
_COST_0, _TOKENS_0, _COST_BY_0, _TOKENS_BY_0 = (before(each) for each in (_COST, _TOKENS, _COST_BY, _TOKENS_BY))
_AT_OLD_PRICES_BY = f"({_TOKENS_BY} * {_COST_BY_0} / ({_TOKENS_BY_0} > 0) or {_COST_BY})"
_SCALED = f"{_COST_0} * {_TOKENS} / ({_TOKENS_0} > 0)"


def _sure(expression: str) -> str:
    return f"({expression}) and on () {known()} and on () {before(known())}"


ROW = Row(
    400,
    "Why did the spend change?",
    (
        panels.stat(
            About(
                401,
                "What made the difference to the range before?",
                "The change of the cost against the range of the same length before this one, in three parts that add "
                "up to it. **Volume**: more or fewer tokens at the same price. **Mix**: a greater share of dearer or "
                "cheaper models. **Price**: the same models' tokens got dearer: a new price, longer answers, fewer "
                "cached prompts. Exact to one scrape; needs two ranges of history in Prometheus.",
                look.USD,
                decimals=2,
                steps=((None, look.OK), (0, look.WARN)),
                width=8,
                height=9,
                empty="Prometheus does not know the range before this one",
            ),
            Query(_sure(f"{_COST} - {_COST_0}"), "all of it"),
            Query(_sure(f"{_SCALED} - {_COST_0}"), "volume: more or fewer tokens"),
            Query(_sure(f"sum({_AT_OLD_PRICES_BY}) - {_SCALED}"), "mix: other models"),
            Query(_sure(f"{_COST} - sum({_AT_OLD_PRICES_BY})"), "price of a token"),
        ),
        panels.table(
            About(
                402,
                "Which models made it?",
                "Cost in this range and in the one before, and how much of the difference is more or fewer tokens of "
                "that model and how much a dearer or cheaper token. A model that is new has volume "
                "only. Exact to one scrape.",
                look.USD,
                decimals=2,
                width=16,
                height=9,
            ),
            {
                "model": "Model",
                "Value #A": "Now",
                "Value #B": "Before",
                "Value #C": "Change",
                "Value #D": "By tokens",
                "Value #E": "By price",
            },
            Query(_sure(_COST_BY)),
            Query(_sure(f"{_COST_BY_0}")),
            Query(_sure(f"{_COST_BY} - ({_COST_BY_0} or {_COST_BY} * 0)")),
            Query(_sure(f"{_AT_OLD_PRICES_BY} - ({_COST_BY_0} or {_COST_BY} * 0)")),
            Query(_sure(f"{_COST_BY} - {_AT_OLD_PRICES_BY}")),
            sort="Change",
        ),
    ),
)
