"""Models: what each costs, at which price in truth, what caches and batches save, and why the spend rose."""

from __future__ import annotations

from tools.dashboards import look, overrides, panels
from tools.dashboards.board import Board, Row
from tools.dashboards.boards import why
from tools.dashboards.panels import About, Panel, Query
from tools.dashboards.promql import FILTER, gained, gauge, matching, part, rate
from tools.dashboards.variables import NEW_PRICES, SCOPE

_EXACT = "Exact to one scrape: differences of running totals over the selected range."
_MODEL = "provider, model"
_COST, _TOKENS = gained("aicost_cost_usd_total", FILTER), gained("aicost_tokens_total", FILTER)
_COST_BY, _TOKENS_BY = (gained(f"aicost_{what}_total", FILTER, _MODEL) for what in ("cost_usd", "tokens"))
_PROMPT, _ANSWER = "input|cache_read|cache_write", "output|reasoning"


def _saved(by: str) -> str:
    return gained("aicost_saved_usd_total", matching(f'by="{by}"'))


def _tokens(kinds: str) -> str:
    return gained("aicost_tokens_total", matching(f'type=~"{kinds}"'), _MODEL)


def _list_price(kind: str) -> str:
    return gauge("aicost_list_price_usd_per_million_tokens", f'type="{kind}"', _MODEL)


def _number(number: int, title: str, words: str, shown: look.Shown, expr: str) -> Panel:
    about = About(number, title, f"{words} {_EXACT}", shown[0], decimals=shown[1], width=4)
    return panels.stat(about, Query(expr))


_SUMS = Row(
    100,
    "What did the models cost?",
    (
        _number(101, "Cost", "Dollars of the selected range, for the chosen variables.", look.DOLLARS, _COST),
        _number(102, "Tokens", "Tokens of all types, each counted once.", (look.COUNT, None), _TOKENS),
        _number(
            103, "Paid per 1M tokens", "Cost by tokens of all types.", look.DOLLARS, f"1e6 * {_COST} / ({_TOKENS} > 0)"
        ),
        _number(
            104,
            "Prompts from cache",
            "Share of the prompts' tokens that the providers' caches had.",
            (look.SHARE, 1),
            part(
                gained("aicost_tokens_total", matching('type="cache_read"')),
                gained("aicost_tokens_total", matching(f'type=~"{_PROMPT}"')),
            ),
        ),
        _number(
            105, "Saved by caches", "What cached prompts cost less than they would anew.", look.DOLLARS, _saved("cache")
        ),
        _number(106, "Saved by batches", "What batches cost less than single calls.", look.DOLLARS, _saved("batch")),
    ),
)
_FLOW = Row(
    200,
    "Where do the tokens and the money go?",
    (
        panels.series(
            About(
                201,
                "Tokens per minute by type",
                "Each token is under one type: `input` is prompts that no cache had, `output` is without "
                "reasoning. Approximate: a rate, for the shape.",
                look.COUNT,
                decimals=1,
                width=12,
                height=9,
                overrides=overrides.coloured(look.TOKENS),
            ),
            Query(f"{rate('aicost_tokens_total', FILTER, 'type')} * 60", "{{type}}"),
            stacked=True,
            shown="max",
        ),
        panels.series(
            About(
                202,
                "Dollars per hour by model",
                "How fast each model spends, stacked. Approximate: a rate, for the shape.",
                look.USD,
                decimals=2,
                width=12,
                height=9,
            ),
            Query(f"{rate('aicost_cost_usd_total', FILTER, 'model')} * 3600", "{{model}}"),
            stacked=True,
            shown="max",
        ),
    ),
)
_PROMPTS_BY, _ANSWERS_BY = _tokens(_PROMPT), _tokens(_ANSWER)
_LISTED_PROMPTS = f"{_PROMPTS_BY} * {_list_price('input')} / 1e6"
_LISTED = f"({_LISTED_PROMPTS} + {_ANSWERS_BY} * {_list_price('output')} / 1e6 or {_LISTED_PROMPTS})"
_PRICES = Row(
    300,
    "What do we pay, and what is on the price list?",
    (
        panels.table(
            About(
                301,
                "Paid and listed by model",
                "Cost and tokens of the range; dollars paid per 1M tokens of any type; today's list price of prompts "
                "and answers; and how much less was paid than the list says for the same tokens, with no cache and no "
                f"batch. Negative: dearer than listed today. {_EXACT}",
                look.COUNT,
                decimals=1,
                width=24,
                height=9,
                overrides=(
                    overrides.money("Cost"),
                    *(overrides.money(name, 3) for name in ("Paid per 1M", "List: prompt 1M", "List: answer 1M")),
                    overrides.share("Below list"),
                ),
            ),
            {
                "model": "Model",
                "provider": "Provider",
                "Value #A": "Cost",
                "Value #B": "Prompt tokens",
                "Value #C": "Answer tokens",
                "Value #D": "Paid per 1M",
                "Value #E": "List: prompt 1M",
                "Value #F": "List: answer 1M",
                "Value #G": "Below list",
            },
            Query(_COST_BY),
            Query(_PROMPTS_BY),
            Query(_ANSWERS_BY),
            Query(f"1e6 * {_COST_BY} / ({_TOKENS_BY} > 0)"),
            Query(f"{_list_price('input')} and {_COST_BY}"),
            Query(f"{_list_price('output')} and {_COST_BY}"),
            Query(f"1 - {_COST_BY} / ({_LISTED} > 0)"),
            sort="Cost",
        ),
        panels.series(
            About(
                302,
                "Does a token get dearer?",
                "Dollars paid per 1M tokens by model over time: longer answers, fewer cached prompts and price changes "
                "raise it. Approximate: a ratio of rates; gaps are times without calls.",
                look.USD,
                decimals=2,
                width=12,
                height=9,
            ),
            Query(
                f"1e6 * {rate('aicost_cost_usd_total', FILTER, 'model')}"
                f" / ({rate('aicost_tokens_total', FILTER, 'model')} > 0)",
                "{{model}}",
            ),
        ),
        panels.series(
            About(
                303,
                "Dollars saved per hour",
                "What was not paid, because a provider's cache had the prompt or the call was part of "
                "a batch. Approximate: a rate, for the shape.",
                look.USD,
                decimals=2,
                width=12,
                height=9,
                overrides=overrides.coloured({"cache": "light-blue", "batch": "purple"}),
            ),
            Query(f"{rate('aicost_saved_usd_total', FILTER, 'by')} * 3600", "{{by}}"),
            stacked=True,
            shown="max",
        ),
    ),
)

BOARD = Board(
    uid="aicost-models",
    description="What each model costs, at which price in truth, what is saved, and why the spend rose.",
    rows=(_SUMS, _FLOW, _PRICES, why.ROW),
    variables=SCOPE,
    annotations=(NEW_PRICES,),
)
