"""Ollama: models on machines of one's own, which have no list price, and its cloud, which is paid by the month."""

from __future__ import annotations

from dataclasses import replace

from otel_aicost.model import Reading
from otel_aicost.providers import openai
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Fields,
    Json,
    Provider,
    Sent,
    mapping,
    parameters,
    quantities,
    text,
)

USAGE: Fields = (("input_tokens", ("prompt_eval_count",)), ("output_tokens", ("eval_count",)))
PARAMETERS = {**openai.PARAMETERS, "num_predict": "gen_ai.request.max_tokens", "top_k": "gen_ai.request.top_k"}


def describe(sent: Sent) -> Description:
    """Model and parameters of a request."""
    return Description(text(sent.body.get("model")), parameters(mapping(sent.body.get("options")), PARAMETERS))


def read(body: Json) -> Reading:
    """An answer, or the last line of a stream."""
    model, reason = text(body.get("model")), text(body.get("done_reason"))
    try:
        counted = quantities(body, USAGE)
    except AbsurdUsageError as error:
        return Reading(model, invalid=str(error))
    return Reading(model, usage=counted or None, finish_reasons=() if reason is None else (reason,))


def describe_search(_: Sent) -> Description:
    """A search has no model, so it is called by its name."""
    return Description("web_search", usage={"web_searches": 1})


def describe_fetch(_: Sent) -> Description:
    """As a search."""
    return Description("web_fetch", usage={"requests": 1})


CHAT = Endpoint(
    "chat",
    read,
    describe,
    marks=(b'"prompt_eval_count"', b'"eval_count"'),
    ends=(b'"done":true',),
    text=("content", "thinking", "response"),
)
ENDPOINTS = {
    "/api/chat": CHAT,
    "/api/generate": replace(CHAT, operation="text_completion"),
    "/api/embed": Endpoint("embeddings", read, describe),
    "/api/web_search": Endpoint("search", read, describe_search, body=False),
    "/api/web_fetch": Endpoint("fetch", read, describe_fetch, body=False),
}

PROVIDER = Provider("ollama", ports=(11434,), endpoints=ENDPOINTS)
CLOUD = Provider("ollama_cloud", hosts=("ollama.com", "*.ollama.com"), endpoints=ENDPOINTS)
"""Not free, and without a price for each call: what it serves is unpriced until the user gives it a price."""
