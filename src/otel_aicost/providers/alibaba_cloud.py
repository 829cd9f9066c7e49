"""Alibaba Cloud's Model Studio: OpenAI's dialect at some of its paths, DashScope's own at the others."""

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
    items,
    mapping,
    parameters,
    quantities,
    text,
)

USAGE: Fields = (
    ("input_tokens", ("input_tokens",)),
    ("cache_read_tokens", ("prompt_tokens_details", "cached_tokens")),
    ("cache_write_tokens", ("prompt_tokens_details", "cache_creation_input_tokens")),
    ("output_tokens", ("output_tokens",)),
    ("reasoning_tokens", ("output_tokens_details", "reasoning_tokens")),
    ("output_images", ("image_count",)),
)
VECTOR_USAGE: Fields = (("input_tokens", ("input_tokens",)), ("input_tokens", ("total_tokens",)))
"""Of what gives no text back."""
OK = (None, 200)
"""The SDK writes the status of a response into what it parsed of it, and raises nothing."""
NOT_YET = "null"
"""What a stream gives for the reason of an end that is still to come."""


def describe(sent: Sent) -> Description:
    """Model and parameters of a request."""
    return Description(
        text(sent.body.get("model")), parameters(mapping(sent.body.get("parameters")), openai.PARAMETERS)
    )


def read(body: Json) -> Reading:
    """An answer, or the last event of a stream, each of which tells all that was used so far."""
    return _read(body, USAGE)


def read_vectors(body: Json) -> Reading:
    """Embeddings and scores."""
    return _read(body, VECTOR_USAGE)


def _read(body: Json, fields: Fields) -> Reading:
    identifier, code, status = text(body.get("request_id")), text(body.get("code")), body.get("status_code")
    if code is not None or status not in OK:
        return Reading(response_id=identifier, error=code or str(status))
    output = mapping(body.get("output"))
    told = [text(choice.get("finish_reason")) for choice in (*items(output.get("choices")), output)]
    reasons = tuple(reason for reason in told if reason is not None and reason != NOT_YET)
    try:
        usage = quantities(mapping(body.get("usage")), fields)
    except AbsurdUsageError as error:
        return Reading(response_id=identifier, invalid=str(error))
    return Reading(response_id=identifier, usage=usage or None, finish_reasons=reasons, final=bool(reasons))


CHAT = Endpoint("chat", read, describe)
VECTORS = replace(CHAT, operation="embeddings", read=read_vectors)

PROVIDER = Provider(
    "alibaba_cloud",
    hosts=("dashscope*.aliyuncs.com",),
    endpoints={
        "/text-generation/generation": CHAT,
        "/multimodal-generation/generation": CHAT,
        "/text-embedding/text-embedding": VECTORS,
        "/multimodal-embedding/multimodal-embedding": VECTORS,
        "/text-rerank/text-rerank": replace(VECTORS, operation="rerank"),
    },
)
