"""Anthropic's messages, on its own hosts and, in the same dialect, on Bedrock and Vertex AI."""

from __future__ import annotations

from dataclasses import replace

from otel_aicost.model import NO_CONDITIONS, Conditions, Quantity, Reading
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Fields,
    Json,
    Provider,
    Sent,
    items,
    mapping,
    parameters,
    quantities,
    text,
)

PROVIDER = Provider("anthropic", hosts=("api.anthropic.com", "*.anthropic.com"))

USAGE: Fields = (
    ("input_tokens", ("input_tokens",)),
    ("output_tokens", ("output_tokens",)),
    ("cache_read_tokens", ("cache_read_input_tokens",)),
    ("cache_write_tokens", ("cache_creation_input_tokens",)),
    ("cache_write_5m_tokens", ("cache_creation", "ephemeral_5m_input_tokens")),
    ("cache_write_1h_tokens", ("cache_creation", "ephemeral_1h_input_tokens")),
    ("reasoning_tokens", ("output_tokens_details", "thinking_tokens")),
    ("web_searches", ("server_tool_use", "web_search_requests")),
)

PARAMETERS = {
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
}


def describe(sent: Sent) -> Description:
    """Model and parameters of a request."""
    return Description(text(sent.body.get("model")), parameters(sent.body, PARAMETERS))


def read(body: Json) -> Reading:
    """A message: its raw `input_tokens` leave the cache out, ours hold it."""
    usage = mapping(body.get("usage"))
    reason = text(body.get("stop_reason"))
    model, response_id = text(body.get("model")), text(body.get("id"))
    facts = Reading(model, response_id, conditions=conditions(usage), final=reason is not None)
    own, others = rounds(usage, model)
    try:
        counted = inclusive(usage, own) if usage else None
        parts = tuple(
            replace(facts, model=other, usage=inclusive({}, entries), final=True) for other, entries in others.items()
        )
    except AbsurdUsageError as error:
        return replace(facts, conditions=NO_CONDITIONS, final=True, invalid=str(error))
    return replace(
        facts,
        usage=counted,
        finish_reasons=(reason,) if reason else (),
        others=(*parts, *_container(mapping(body.get("container")), usage, facts)),
    )


def rounds(usage: Json, model: str | None) -> tuple[list[Json], dict[str, list[Json]]]:
    """The entries of `iterations` of the message's own model, and those of each other one (an advisor, a fallback).

    The totals of a usage leave some of them out: where there are entries, they are what is billed.
    """
    entries = items(usage.get("iterations"))
    named = [name for entry in entries if entry.get("type") != "advisor_message" and (name := text(entry.get("model")))]
    own = model if model in named or not named else named[-1]
    others: dict[str, list[Json]] = {}
    for entry in entries:
        name = text(entry.get("model"))
        if name is not None and name != own:
            others.setdefault(name, []).append(entry)
    return [entry for entry in entries if text(entry.get("model")) in {None, own}], others


def inclusive(usage: Json, entries: list[Json] | None = None) -> dict[str, Quantity] | None:
    """The meters of a usage: of these of its `iterations` (all of them) in place of its totals, where there are any.

    Raises `AbsurdUsageError`.
    """
    chosen = items(usage.get("iterations")) if entries is None else entries
    counted = [quantities(entry, USAGE) for entry in chosen]
    totals = quantities(usage, USAGE)
    if counted:
        for meter in _ADDED:
            totals[meter] = sum(entry.get(meter, 0) for entry in counted)
        thought = min(totals.get("reasoning_tokens", 0), totals["output_tokens"])
        totals["reasoning_tokens"] = thought  # of all rounds together: there is no other count
    if not totals:
        return None
    writes = max(
        totals.get("cache_write_tokens", 0),
        totals.get("cache_write_5m_tokens", 0) + totals.get("cache_write_1h_tokens", 0),
    )
    totals["input_tokens"] = totals.get("input_tokens", 0) + totals.get("cache_read_tokens", 0) + writes
    totals["cache_write_tokens"] = writes
    return {meter: amount for meter, amount in totals.items() if amount or meter in _ALWAYS}


def _container(container: Json, usage: Json, facts: Reading) -> tuple[Reading, ...]:
    """Code execution is billed by the hour of a container, which no response tells: once each, without a price.

    With web search or fetch it costs nothing.
    """
    name, tools = text(container.get("id")), mapping(usage.get("server_tool_use"))
    if name is None or tools.get("web_search_requests") or tools.get("web_fetch_requests"):
        return ()
    return (replace(facts, usage={"code_executions": 1}, conditions=NO_CONDITIONS, once=f"container:{name}"),)


_ADDED = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
)
_ALWAYS = frozenset({"input_tokens", "output_tokens"})
_TIERS = {"batch": {"processing": "batch"}, "priority": {"service_tier": "priority"}}


def conditions(usage: Json) -> Conditions:
    """Tier, speed and place the message really ran in, where they are not the standard ones."""
    found = dict(_TIERS.get(str(usage.get("service_tier")), {}))
    if usage.get("speed") == "fast":
        found["speed"] = "fast"
    place = text(usage.get("inference_geo"))
    if place and place not in {"global", "not_available"}:
        found["inference_geo"] = place
    return found


def fragment(event: Json) -> Json:
    """`message_start` holds a message; `message_delta` what has become of its usage, as running totals."""
    kind = event.get("type")
    if kind == "message_start":
        return mapping(event.get("message"))
    if kind == "message_delta":
        return {**mapping(event.get("delta")), "usage": mapping(event.get("usage"))}
    return {}


MESSAGES = Endpoint(
    "chat",
    read,
    describe,
    fragment=fragment,
    ends=(b'"message_stop"',),
    text=("text", "thinking", "partial_json"),
)

ENDPOINTS = {
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": Endpoint("count_tokens", read, describe, free=True),
}
