"""Cohere: its own dialects, 1 and 2. It bills units, not the tokens it states beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from otel_aicost.model import Quantity

UNITS: Fields = (
    ("input_tokens", ("billed_units", "input_tokens")),
    ("output_tokens", ("billed_units", "output_tokens")),
    ("input_text_tokens", ("billed_units", "text_tokens")),
    ("input_image_tokens", ("billed_units", "image_tokens")),
    ("rerank_searches", ("billed_units", "search_units")),
    ("classifications", ("billed_units", "classifications")),
    ("document_pages", ("billed_units", "pages")),
    ("cache_read_tokens", ("cached_tokens",)),
)
PARAMETERS = {**openai.PARAMETERS, "p": "gen_ai.request.top_p", "k": "gen_ai.request.top_k"}


def describe(sent: Sent) -> Description:
    """Model and parameters of a request."""
    return Description(text(sent.body.get("model")), parameters(sent.body, PARAMETERS))


def read(body: Json) -> Reading:
    """Any of its bodies: `usage` or `meta` holds what was billed. None of them names the model."""
    reason = text(body.get("finish_reason"))
    facts = Reading(
        response_id=text(body.get("id")) or text(body.get("generation_id")),
        finish_reasons=() if reason is None else (reason,),
    )
    try:
        counted = _billed(mapping(body.get("usage")) or mapping(body.get("meta")))
    except AbsurdUsageError as error:
        return replace(facts, invalid=str(error))
    return replace(facts, usage=counted or None)


def _billed(usage: Json) -> dict[str, Quantity]:
    """Cached tokens are among those billed; images are, or stand beside them, by the version of the answer."""
    found = {meter: amount for meter, amount in quantities(usage, UNITS).items() if amount}
    kinds = found.get("input_text_tokens", 0) + found.get("input_image_tokens", 0)
    if kinds > found.get("input_tokens", 0):
        found["input_tokens"] = kinds
    if found.get("cache_read_tokens", 0) > found.get("input_tokens", 0):
        found.pop("cache_read_tokens")
    return found


def fragment(event: Json) -> Json:
    """The end of a stream: of version 2 `message-end`, of version 1 an event with the whole response."""
    kind = event.get("type") or event.get("event_type")
    if kind == "message-end":
        return {**mapping(event.get("delta")), **({"id": event["id"]} if event.get("id") else {})}
    return mapping(event.get("response"))


def read_job(body: Json) -> Reading:
    """A job of embeddings is billed once, when it is complete."""
    job = text(body.get("job_id"))
    if body.get("status") != "complete" or job is None:
        return Reading(pending=True)
    return replace(read(body), model=text(body.get("model")), once=f"embed-jobs/{job}")


MARKS = (b'"billed_units"',)
CHAT = Endpoint(
    "chat", read, describe, fragment, marks=MARKS, ends=(b'"message-end"', b'"stream-end"'), text=("text", "tool_plan")
)
EMBED = Endpoint("embeddings", read, describe)
RERANK = Endpoint("rerank", read, describe)
FREE = Endpoint("count_tokens", read, describe, free=True)
ENDPOINTS = {
    "/v2/chat": CHAT,
    "/v1/chat": CHAT,
    "/v1/generate": replace(CHAT, operation="text_completion"),
    "/v1/summarize": replace(CHAT, operation="text_completion"),
    "/v2/embed": EMBED,
    "/v1/embed": EMBED,
    "/v2/rerank": RERANK,
    "/v1/rerank": RERANK,
    "/v1/classify": Endpoint("classification", read, describe),
    "/v2/parse": Endpoint("ocr", read, describe),
    "/v1/tokenize": FREE,
    "/v1/detokenize": FREE,
}

PROVIDER = Provider(
    "cohere",
    hosts=("api.cohere.com", "api.cohere.ai"),
    endpoints=ENDPOINTS,
    polls={"/embed-jobs/*": Endpoint("embeddings", read_job, past=True, only_with_usage=True)},
)
ELSEWHERE = (
    Provider("aws.sagemaker", hosts=("runtime.sagemaker.*.amazonaws.com",), endpoints=ENDPOINTS),
    Provider("oci", hosts=("inference.generativeai.*.oci.oraclecloud.com",), endpoints=ENDPOINTS),
)
"""Where its own SDK can send its requests, too: the price is not Cohere's."""
