"""Anthropic's messages, on its own hosts and, in the same dialect, on Bedrock and Vertex AI."""

from __future__ import annotations

from otel_aicost.model import Conditions, Quantity, Reading
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
    try:
        counted = inclusive(usage) if usage else None
    except AbsurdUsageError as error:
        return Reading(model, response_id, invalid=str(error))
    return Reading(
        model,
        response_id,
        counted,
        conditions(usage),
        finish_reasons=(reason,) if reason else (),
        final=reason is not None,
    )


def inclusive(usage: Json) -> dict[str, Quantity] | None:
    """The meters of a usage; with `iterations`, which the totals leave out in part, the sum of those."""
    rounds = [quantities(entry, USAGE) for entry in items(usage.get("iterations"))]
    totals = quantities(usage, USAGE)
    if rounds:
        for meter in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
            totals[meter] = sum(entry.get(meter, 0) for entry in rounds)
    if not totals:
        return None
    writes = max(
        totals.get("cache_write_tokens", 0),
        totals.get("cache_write_5m_tokens", 0) + totals.get("cache_write_1h_tokens", 0),
    )
    totals["input_tokens"] = totals.get("input_tokens", 0) + totals.get("cache_read_tokens", 0) + writes
    totals["cache_write_tokens"] = writes
    others = {text(entry.get("model")) for entry in items(usage.get("iterations"))} - {None}
    if len(others) > 1:  # each at the rates of a model of its own: no single price fits
        totals["other_model_tokens"] = totals["input_tokens"] + totals.get("output_tokens", 0)
    return {meter: amount for meter, amount in totals.items() if amount or meter in _ALWAYS}


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

POLLS: dict[str, Endpoint] = {}
