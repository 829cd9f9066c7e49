"""Gemini's dialect, as the Gemini API and Vertex AI both speak it: generated content, embeddings, and their tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_aicost.model import NO_CONDITIONS, Conditions, Quantity, Reading
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

MODALITIES = {"audio": "audio", "image": "image", "video": "video", "2": "image", "3": "video", "4": "audio"}
"""Kinds of tokens, by the names of the enum or by its numbers (`$alt=json;enum-encoding=int`)."""

PARAMETERS = {
    "maxOutputTokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "topP": "gen_ai.request.top_p",
    "topK": "gen_ai.request.top_k",
    "seed": "gen_ai.request.seed",
    "candidateCount": "gen_ai.request.choice.count",
    "frequencyPenalty": "gen_ai.request.frequency_penalty",
    "presencePenalty": "gen_ai.request.presence_penalty",
}
TRAFFIC = {
    "on_demand_priority": "priority",
    "on_demand_flex": "flex",
    "on_demand_offpeak": "off_peak",
    "provisioned_throughput": "provisioned_throughput",
    "2": "provisioned_throughput",
}
"""Vertex AI's traffic types that are not the standard tier."""

_MODEL = re.compile(r"([^/:]+)(?=:[a-zA-Z]+$)|models/([^/:]+)")
_BY_PROMPT = re.compile(r"gemini-(1|2|flash-1|pro-1)\b")
"""Models whose grounding is billed by the prompt; those since Gemini 3 pay for each search."""


@dataclass(frozen=True, slots=True)
class Words:
    """How an API names what it counted: of each side the total, and its tokens by modality."""

    totals: Fields
    """For `prompt`, `tools`, `cached`, `answer`, `thoughts`."""
    sent: tuple[str, ...]
    cached: str
    answered: tuple[str, ...]
    amount: str


WORDS = Words(
    totals=(
        ("prompt", ("promptTokenCount",)),
        ("tools", ("toolUsePromptTokenCount",)),
        ("cached", ("cachedContentTokenCount",)),
        ("answer", ("candidatesTokenCount",)),
        ("answer", ("responseTokenCount",)),
        ("thoughts", ("thoughtsTokenCount",)),
    ),
    sent=("promptTokensDetails", "promptTokenDetails", "toolUsePromptTokensDetails"),
    cached="cacheTokensDetails",
    answered=("candidatesTokensDetails", "responseTokensDetails"),
    amount="tokenCount",
)


def tokens(usage: Json, words: Words = WORDS) -> dict[str, Quantity]:
    """The meters of a usage: thoughts are output, what tools brought back is input. Raises `AbsurdUsageError`."""
    told = quantities(usage, words.totals)
    found: dict[str, Quantity] = {}
    for meter, parts in (("input_tokens", ("prompt", "tools")), ("output_tokens", ("answer", "thoughts"))):
        if any(part in told for part in parts):
            found[meter] = sum(told.get(part, 0) for part in parts)
    for meter, part in (("cache_read_tokens", "cached"), ("reasoning_tokens", "thoughts")):
        if told.get(part):
            found[meter] = told[part]
    for key in words.sent:
        _add(found, usage.get(key), "input_{}_tokens", words.amount)
    for key in words.answered:
        _add(found, usage.get(key), "output_{}_tokens", words.amount)
    _add(found, usage.get(words.cached), "cache_{}_read_tokens", words.amount)
    if usage.get(words.cached):  # told by modality: those that are not named are none
        for kind in ("audio", "image", "video"):
            if f"input_{kind}_tokens" in found:
                found.setdefault(f"cache_{kind}_read_tokens", 0)
    return found


def _add(found: dict[str, Quantity], details: object, meter: str, amount: str) -> None:
    for detail in items(details):
        kind = MODALITIES.get(str(detail.get("modality")).lower())
        count = quantity(detail.get(amount) or 0, amount)
        if kind and count:
            found[meter.format(kind)] = found.get(meter.format(kind), 0) + count


def model_of(path: object) -> str | None:
    """The model in a path or a resource name: `publishers/google/models/gemini-2.5-pro:generateContent`."""
    found = _MODEL.search(path.partition("?")[0]) if isinstance(path, str) else None
    return None if found is None else found[1] or found[2]


def name_of(model: object) -> str | None:
    """A model's own name without `models/` or `projects/.../models/` before it."""
    return text(model.rpartition("/")[2]) if isinstance(model, str) else None


def describe(sent: Sent) -> Description:
    """Model, parameters and the tier asked for."""
    tier = str(sent.body.get("serviceTier")).lower()
    return Description(
        model_of(sent.path),
        parameters(mapping(sent.body.get("generationConfig")), PARAMETERS),
        conditions={"service_tier": tier} if tier in {"flex", "priority"} else NO_CONDITIONS,
    )


def fragment(event: Json) -> Json:
    """What an answer, or an event of a stream, tells: usages are running totals, searches add up."""
    candidates = items(event.get("candidates"))
    grounded = [mapping(candidate.get("groundingMetadata")) for candidate in candidates]
    lists = [found.get(key) for found in grounded for key in ("webSearchQueries", "imageSearchQueries")]
    searches = [query for queries in lists if isinstance(queries, list) for query in queries]
    mapped = any(chunk.get("maps") for found in grounded for chunk in items(found.get("groundingChunks")))
    reasons = {str(candidate.get("index", 0)): text(candidate.get("finishReason")) for candidate in candidates}
    blocked = text(mapping(event.get("promptFeedback")).get("blockReason"))
    return {
        "modelVersion": event.get("modelVersion"),
        "responseId": event.get("responseId"),
        "usageMetadata": mapping(event.get("usageMetadata")),
        "finished": {index: reason for index, reason in reasons.items() if reason} | ({"": blocked} if blocked else {}),
        "searched": {query: True for query in searches if isinstance(query, str) and query.strip()},
        "mapped": {"once": True} if mapped else {},
    }


def read(body: Json) -> Reading:
    """A whole answer, or the merged fragments of a stream."""
    told = body if "finished" in body else fragment(body)
    usage = mapping(told.get("usageMetadata"))
    model, finished = name_of(told.get("modelVersion")), mapping(told.get("finished"))
    facts: dict[str, Any] = {
        "model": model,
        "response_id": text(told.get("responseId")),
        "conditions": conditions(usage),
        "finish_reasons": tuple(str(reason) for reason in finished.values()),
        "final": bool(finished),
    }
    try:
        counted = tokens(usage)
    except AbsurdUsageError as error:
        return Reading(**facts, invalid=str(error))
    if counted:
        counted |= grounding(model, len(mapping(told.get("searched"))), len(mapping(told.get("mapped"))))
    return Reading(**facts, usage=counted or None)


def grounding(model: str | None, searches: int, maps: int) -> dict[str, Quantity]:
    """What is billed of the searches a model made."""
    if _BY_PROMPT.match(model or ""):
        searches, maps = min(searches, 1), min(maps, 1)
    return {meter: count for meter, count in (("web_searches", searches), ("maps_groundings", maps)) if count}


def conditions(usage: Json) -> Conditions:
    """The tier a call really ran on; stated by name, or by Vertex AI as a type of traffic."""
    tier = text(usage.get("serviceTier"))
    if tier is not None:
        return NO_CONDITIONS if tier.lower() == "unspecified" else {"service_tier": tier.lower()}
    tier = TRAFFIC.get(str(usage.get("trafficType")).lower())
    return {"service_tier": tier} if tier else NO_CONDITIONS


CONTENT = Endpoint(
    "generate_content",
    read,
    describe,
    fragment=fragment,
    marks=(b'"usageMetadata"', b'"groundingMetadata"'),
    ends=(b'"finishReason"',),
    text=("text",),
)
ENDPOINTS: Mapping[str, Endpoint] = {
    ":generateContent": CONTENT,
    ":streamGenerateContent": CONTENT,
    ":batchEmbedContents": Endpoint("embeddings", read, describe),
    ":embedContent": Endpoint("embeddings", read, describe),
    ":countTokens": Endpoint("count_tokens", read, describe, free=True),
    ":computeTokens": Endpoint("count_tokens", read, describe, free=True),
}
