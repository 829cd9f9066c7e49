"""Groq: OpenAI's dialect; the end of a stream stands in `x_groq`, and compound systems are billed by what they used."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from otel_aicost.providers import openai
from otel_aicost.providers.base import AbsurdUsageError, Json, Provider, items, mapping, quantities, text

if TYPE_CHECKING:
    from otel_aicost.model import Quantity, Reading

TOOLS = {
    "search": "web_searches",
    "web_search": "web_searches",
    "python": "code_executions",
    "code_interpreter": "code_executions",
}
"""What a compound system ran for an answer -> its meter; each has a fee of its own."""


def adapt(body: Json) -> Json:
    """Move what the end of a stream tells to where a whole answer has it; `on_demand` is the standard tier."""
    told = mapping(body.get("x_groq"))
    moved = {key: told[key] for key in ("usage", "usage_breakdown") if told.get(key) and not body.get(key)}
    if body.get("service_tier") == "on_demand":
        moved["service_tier"] = "default"
    return {**body, **moved} if moved else body


def read(body: Json) -> Reading:
    """A chat. A compound system is billed for each model it asked, at that model's rates, and for its tools."""
    whole = openai.read(body)
    try:
        models = _by_model(body)
    except AbsurdUsageError as error:
        return replace(whole, usage=None, invalid=str(error))
    tools = Counter(meter for tool in _executed(body) if (meter := TOOLS.get(str(tool.get("type")))))
    if not models:
        return replace(whole, usage={**whole.usage, **tools}) if whole.usage and tools else whole
    (model, usage), *others = models.items()
    apart = tuple(replace(whole, model=name, usage=used) for name, used in others)
    return replace(whole, model=model, usage={**usage, **tools}, others=apart)


def _by_model(body: Json) -> dict[str, dict[str, Quantity]]:
    found: dict[str, dict[str, Quantity]] = {}
    for part in items(mapping(body.get("usage_breakdown")).get("models")):
        model, counted = text(part.get("model")), quantities(mapping(part.get("usage")), openai.USAGE)
        if model is not None and counted:
            totals = found.setdefault(model, {})
            for meter, amount in counted.items():
                totals[meter] = totals.get(meter, 0) + amount
    return found


def _executed(body: Json) -> list[Json]:
    """The tools that ran: in the messages of a whole answer, or folded out of a stream."""
    whole = [tool for choice in items(body.get("choices")) for tool in items(_said(choice).get("executed_tools"))]
    return [*whole, *(tool for tool in mapping(body.get("executed")).values() if isinstance(tool, dict))]


def _said(choice: Json) -> Json:
    return mapping(choice.get("message"))


def fragment(event: Json) -> Json:
    """The tools of a stream come one by one, each under an index, and maybe twice: when it begins and when it ends."""
    tools = [
        tool
        for choice in items(event.get("choices"))
        for tool in items(mapping(choice.get("delta")).get("executed_tools"))
    ]
    return {**event, "executed": {str(tool.get("index")): tool for tool in tools}} if tools else event


CHAT = replace(openai.CHAT, read=read, fragment=fragment, marks=(b'"usage"', b'"executed_tools"'))

PROVIDER = Provider("groq", hosts=("api.groq.com",), adapt=adapt, endpoints={"/chat/completions": CHAT})
