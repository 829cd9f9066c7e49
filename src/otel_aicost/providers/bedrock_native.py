"""Amazon Bedrock's InvokeModel: the body is the vendor's own, and so is the place of its usage.

Told apart by their shape, not by the model's name: a name may be a profile or a deployment of the user's. What a body
does not tell, the headers do (`x-amzn-bedrock-*-token-count`), or the metrics in the last chunk of a stream.
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from otel_aicost.model import NO_USAGE, Conditions, Quantity, Reading, Usage
from otel_aicost.providers import anthropic, openai
from otel_aicost.providers import bedrock_guardrails as guardrails
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Fields,
    Json,
    Sent,
    items,
    mapping,
    parameters,
    quantities,
    quantity,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

METRICS = "amazon-bedrock-invocationMetrics"
HEADERS = "amazon-bedrock-headers"
"""Our own key: the usage that the headers tell."""
_COUNTS: Fields = tuple(
    (meter, (f"{key}{ending}",))
    for meter, key in (
        ("input_tokens", "inputToken"),
        ("output_tokens", "outputToken"),
        ("cache_read_tokens", "cacheReadInputToken"),
        ("cache_write_tokens", "cacheWriteInputToken"),
    )
    for ending in ("s", "Count")
)
_FLAT: Fields = (
    ("input_tokens", ("prompt_token_count",)),
    ("output_tokens", ("generation_token_count",)),
    ("input_tokens", ("inputTextTokenCount",)),
    ("output_tokens", ("totalOutputTextTokenCount",)),
    ("input_tokens", ("usage", "billed_units", "input_tokens")),
    ("output_tokens", ("usage", "billed_units", "output_tokens")),
)
_SEARCHES: Fields = (("rerank_searches", ("meta", "billed_units", "search_units")),)
_LIFETIMES = {"5m": "cache_write_5m_tokens", "1h": "cache_write_1h_tokens"}
_TIERS = frozenset({"priority", "flex", "reserved"})
_HEADER_COUNT = {
    "x-amzn-bedrock-input-token-count": "inputTokens",
    "x-amzn-bedrock-output-token-count": "outputTokens",
    "x-amzn-bedrock-cache-read-input-token-count": "cacheReadInputTokens",
    "x-amzn-bedrock-cache-write-input-token-count": "cacheWriteInputTokens",
}
_ARN = re.compile(r"arn:[^:]+:bedrock:[^:]*:[^:]*:(?:foundation-model|inference-profile)/(.+)")
_DOCUMENTS_OF_A_SEARCH = 100

PARAMETERS = {
    **anthropic.PARAMETERS,
    "max_gen_len": "gen_ai.request.max_tokens",
    "max_tokens_to_sample": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_new_tokens": "gen_ai.request.max_tokens",
    "maxTokenCount": "gen_ai.request.max_tokens",
    "maxTokens": "gen_ai.request.max_tokens",
    "topP": "gen_ai.request.top_p",
    "p": "gen_ai.request.top_p",
}


def model_id(value: object) -> str | None:
    """The id in an ARN of a model or of a region profile; other ARNs stand for something of the user's own."""
    name = text(value)
    found = None if name is None else _ARN.fullmatch(name)
    return name if found is None else found[1]


def converse_usage(usage: Json) -> dict[str, Quantity] | None:
    """A usage in Converse's words, or Nova's own: `inputTokens` leaves the cache out, ours hold it."""
    found = quantities(usage, _COUNTS)
    if not found:
        return None
    for written in items(usage.get("cacheDetails")):
        meter = _LIFETIMES.get(str(written.get("ttl")))
        if meter is not None and written.get("inputTokens") is not None:
            found[meter] = found.get(meter, 0) + quantity(written["inputTokens"], "inputTokens")
    writes = max(found.get("cache_write_tokens", 0), sum(found.get(meter, 0) for meter in _LIFETIMES.values()))
    found["cache_write_tokens"] = writes
    found["input_tokens"] = found.get("input_tokens", 0) + found.get("cache_read_tokens", 0) + writes
    return {meter: amount for meter, amount in found.items() if amount or meter in {"input_tokens", "output_tokens"}}


def conditions(body: Json) -> Conditions:
    """Tier and speed the answer really had, where they are not the standard ones."""
    found: dict[str, str] = {}
    tier = text(mapping(body.get("serviceTier")).get("type"))
    if tier in _TIERS:
        found["service_tier"] = tier
    if mapping(body.get("performanceConfig")).get("latency") == "optimized":
        found["speed"] = "optimized"
    return found


def headers(told: Mapping[str, str]) -> Json:
    """What the headers tell, in Converse's words."""
    counts = {key: int(told[name]) for name, key in _HEADER_COUNT.items() if told.get(name, "").isdecimal()}
    return {
        "requestId": told.get("x-amzn-requestid"),
        "serviceTier": {"type": told.get("x-amzn-bedrock-service-tier")},
        "performanceConfig": {"latency": told.get("x-amzn-bedrock-performanceconfig-latency")},
        HEADERS: counts,
    }


def rerank_searches(documents: object, queries: int = 1) -> Usage:
    """A query holds up to a hundred documents."""
    if not isinstance(documents, list) or not documents:
        return NO_USAGE
    return {"rerank_searches": queries * -(-len(documents) // _DOCUMENTS_OF_A_SEARCH)}


def describe(sent: Sent) -> Description:
    """The model is in the path, and the parameters are where the vendor has them."""
    body = sent.body
    model = model_id(body.get("modelId") or unquote(sent.path.rpartition("/model/")[2].partition("/")[0]))
    asked = dict(body)
    for part in ("inferenceConfig", "textGenerationConfig"):
        asked.update(mapping(body.get(part)))
    image = mapping(body.get("imageGenerationConfig"))
    found = {"quality": text(image.get("quality"))}
    if type(image.get("width")) is int and type(image.get("height")) is int:
        found["size"] = f"{image['width']}x{image['height']}"
    return Description(
        model,
        parameters(asked, PARAMETERS),
        usage=rerank_searches(body.get("documents")) if body.get("query") else NO_USAGE,
        conditions={key: value for key, value in found.items() if value},
    )


def read(body: Json) -> Reading:
    """An answer of any vendor."""
    model, response_id = text(body.get("model")), text(body.get("id")) or text(body.get("requestId"))
    reason = _reason(body)
    try:
        usage = _usage(body)
        checked = guardrails.of(mapping(body.get("amazon-bedrock-trace")).get("guardrail"))
    except AbsurdUsageError as error:
        return Reading(model, response_id, invalid=str(error))
    return Reading(
        model,
        response_id,
        usage,
        conditions(body),
        finish_reasons=(reason,) if reason else (),
        final=reason is not None or METRICS in body,
        others=checked,
        operation=_operation(body),
    )


def _usage(body: Json) -> dict[str, Quantity] | None:
    images = body.get("images") or body.get("artifacts")
    if isinstance(images, list):
        return {"output_images": len(images)}
    if _operation(body) == "rerank":
        return quantities(body, _SEARCHES) or None
    vendor, metered = _of_vendor(mapping(body.get("usage"))), converse_usage(mapping(body.get(METRICS)))
    if metered is not None:
        return _both(vendor or {}, metered)
    return vendor or converse_usage(mapping(body.get(HEADERS))) or _flat(body) or None


def _both(vendor: dict[str, Quantity], metered: dict[str, Quantity]) -> dict[str, Quantity]:
    """What Amazon metered is what it bills; the vendor tells more of what was written to a cache, and of reasoning."""
    cached = ("cache_read_tokens", "cache_write_tokens")
    if any(meter in vendor for meter in cached) and not any(meter in metered for meter in cached):
        return vendor  # metered in a way that leaves the cache out
    more = {meter: vendor[meter] for meter in (*_LIFETIMES.values(), "web_searches") if meter in vendor}
    if vendor.get("reasoning_tokens", 0) <= metered.get("output_tokens", 0) and "reasoning_tokens" in vendor:
        more["reasoning_tokens"] = vendor["reasoning_tokens"]
    return {**more, **metered}


def _of_vendor(usage: Json) -> dict[str, Quantity] | None:
    if "input_tokens" in usage and "input_tokens_details" not in usage:
        return anthropic.inclusive(usage)
    return converse_usage(usage) or quantities(usage, openai.USAGE)


def _flat(body: Json) -> dict[str, Quantity]:
    found = quantities(body, _FLAT)
    results = [one["tokenCount"] for one in items(body.get("results")) if one.get("tokenCount") is not None]
    if results and "output_tokens" not in found:
        found["output_tokens"] = sum(quantity(count, "tokenCount") for count in results)
    return found


def _reason(body: Json) -> str | None:
    """Why it stopped: in the body, or in the first of its answers."""
    first: Any = next((body[key] for key in ("results", "outputs", "generations", "choices") if body.get(key)), ())
    for holder in (body, *items(first)[:1]):
        for key in ("stop_reason", "stopReason", "finish_reason", "completionReason"):
            if (reason := text(holder.get(key))) is not None:
                return reason
    return None


def _operation(body: Json) -> str | None:
    if "embedding" in body or "embeddings" in body or "embeddingsByType" in body:
        return "embeddings"
    if "images" in body or "artifacts" in body:
        return "image_generation"
    first = next(iter(items(body.get("results"))), {})
    return "rerank" if "relevance_score" in first else None


_KEPT = (
    "id", "model", "usage", METRICS, "stop_reason", "stopReason", "finish_reason", "completionReason",
    "prompt_token_count", "generation_token_count", "inputTextTokenCount", "totalOutputTextTokenCount",
    "amazon-bedrock-trace",
)  # fmt: skip


def fragment(event: Json) -> Json:
    """What a chunk tells of usage and end: never its text."""
    kept = {key: event[key] for key in _KEPT if key in event}
    first = next(iter(items(event.get("choices") or event.get("outputs"))), {})
    return {
        **({"stop_reason": reason} if (reason := _reason(first)) else {}),
        **mapping(event.get("messageStop")),
        **mapping(event.get("metadata")),
        **kept,
        **anthropic.fragment(event),
    }


INVOKE = Endpoint("chat", read, describe, headers=headers)
INVOKE_STREAM = Endpoint(
    "chat",
    read,
    describe,
    fragment=fragment,
    marks=(b'"usage"', b'"amazon-bedrock-invocationMetrics"', b'_token_count"', b'TokenCount"'),
    ends=(b'"amazon-bedrock-invocationMetrics"',),
    text=("text", "thinking", "partial_json", "outputText", "generation", "completion", "content"),
    headers=headers,
)
