"""A call with a cheaper model in place of its own: what `on_exceed: fallback` does before it blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from otel_aicost import names
from otel_aicost.model import UNPRICED_MODEL, UNPRICED_PROVIDER, Unpriced

if TYPE_CHECKING:
    from otel_aicost.budgets.budget import Line
    from otel_aicost.model import Call
    from otel_aicost.observers.estimates import Pricing


def fallen_back(call: Call, line: Line, price: Pricing) -> Call | str:
    """The call with the model that the budget of `line` falls back to; or why that cannot take its place.

    A budget that does not say which provider it is about may meet calls of many: the model has to be one that the
    price list knows of this provider. Otherwise the provider would be asked for a model it has never heard of.
    """
    budget = line.budget
    if not call.replaceable:
        return "the body of the request does not name the model"
    if call.operation not in budget.replaced_operations:
        return f"the call is no {budget.replaced_operations[0]}, but {call.operation}"
    told = {names.AICOST_BUDGET: budget.name, names.AICOST_BUDGET_KEY: line.key or None}
    changed = replace(
        call,
        request_model=budget.fallback,
        asked_model=call.asked_model or call.request_model,
        parameters={**call.parameters, **{name: value for name, value in told.items() if value is not None}},
    )
    if budget.match.provider is None and not _known(changed, price):
        return f"{call.provider} has no such model at a known price, and the budget does not match a provider"
    return changed


def _known(call: Call, price: Pricing) -> bool:
    found = price(call, {"input_tokens": 1, "output_tokens": 1})
    return not (isinstance(found, Unpriced) and found.reason in {UNPRICED_MODEL, UNPRICED_PROVIDER})
