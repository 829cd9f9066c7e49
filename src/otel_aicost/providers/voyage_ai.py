"""Voyage AI: embeddings and reranking, billed by the token; what is seen in images and videos, by the pixel."""

from __future__ import annotations

from otel_aicost.model import Reading
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Fields,
    Json,
    Provider,
    Sent,
    mapping,
    quantities,
    text,
)

USAGE: Fields = (
    ("input_tokens", ("total_tokens",)),
    ("input_text_tokens", ("text_tokens",)),
)
"""https://docs.voyageai.com/reference/multimodal-embeddings-api; texts alone have but a total."""
PIXELS: Fields = (("images", ("image_pixels",)), ("videos", ("video_pixels",)))


def describe(sent: Sent) -> Description:
    """The model."""
    return Description(text(sent.body.get("model")))


def read(body: Json) -> Reading:
    """The answer of any endpoint."""
    model = text(body.get("model"))
    usage = mapping(body.get("usage"))
    try:
        counted, pixels = quantities(usage, USAGE), sum(quantities(usage, PIXELS).values())
    except AbsurdUsageError as error:
        return Reading(model, invalid=str(error))
    return Reading(model, usage={**counted, "input_pixels": pixels} if pixels else counted or None)


def read_multimodal(body: Json) -> Reading:
    """Pixels are billed, and no tokens but those of text: the total alone does not tell what to pay."""
    reading = read(body)
    whole = reading.usage is not None and all(meter in mapping(body["usage"]) for meter in _PARTS)
    return reading if whole or reading.invalid else Reading(reading.model)


_PARTS = ("text_tokens", "image_pixels")
EMBEDDINGS = Endpoint("embeddings", read, describe)
PROVIDER = Provider(
    "voyage_ai",
    hosts=("api.voyageai.com", "ai.mongodb.com"),
    endpoints={
        "/embeddings": EMBEDDINGS,
        "/contextualizedembeddings": EMBEDDINGS,
        "/multimodalembeddings": Endpoint("embeddings", read_multimodal, describe),
        "/rerank": Endpoint("rerank", read, describe),
    },
)
