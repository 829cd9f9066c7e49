"""Voyage: embeddings of texts, documents and pictures, and reranking."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_aicost.testing.exchange import Answer, Exchange
    from otel_aicost.testing.reply import Usage

PIXELS_OF_A_TOKEN = 560
_VECTOR = (0.5, -0.5, 0.5, -0.5)


def embeddings(exchange: Exchange) -> Answer:
    """POST /v1/embeddings, as floats or in base64."""
    texts = exchange.payload.get("input")
    return _embedded(exchange, len(texts) if isinstance(texts, list) else 1, _tokens)


def multimodal(exchange: Exchange) -> Answer:
    """POST /v1/multimodalembeddings."""
    return _embedded(exchange, len(exchange.payload.get("inputs") or []), _seen)


def contextualized(exchange: Exchange) -> Answer:
    """POST /v1/contextualizedembeddings: a list of vectors for each document."""
    documents = [
        {"object": "list", "index": index, "data": [_vector(exchange, part) for part in range(len(document))]}
        for index, document in enumerate(exchange.payload.get("inputs") or [])
    ]
    return _answer(exchange, documents, _tokens)


def rerank(exchange: Exchange) -> Answer:
    """POST /v1/rerank."""
    count = len(exchange.payload.get("documents") or [])
    return _answer(
        exchange, [{"index": index, "relevance_score": 0.9 - index / 100} for index in range(count)], _tokens
    )


def _embedded(exchange: Exchange, count: int, dialect: Any) -> Answer:  # noqa: ANN401 - a function of a Usage
    return _answer(exchange, [_vector(exchange, index) for index in range(count)], dialect)


def _answer(exchange: Exchange, data: list[dict[str, Any]], dialect: Any) -> Answer:  # noqa: ANN401
    usage = exchange.usage(dialect)
    return exchange.whole({"object": "list", "data": data, "model": exchange.model, "usage": usage})


def _vector(exchange: Exchange, index: int) -> dict[str, Any]:
    packed = base64.b64encode(struct.pack("<4f", *_VECTOR)).decode()
    asked = exchange.payload.get("encoding_format")
    return {"object": "embedding", "index": index, "embedding": packed if asked == "base64" else list(_VECTOR)}


def _tokens(usage: Usage) -> dict[str, Any]:
    return {"total_tokens": usage.input_tokens}


def _seen(usage: Usage) -> dict[str, Any]:
    return {
        "text_tokens": usage.input_tokens - usage.input_image_tokens,
        "image_pixels": usage.input_image_tokens * PIXELS_OF_A_TOKEN,
        "video_pixels": 0,
        "total_tokens": usage.input_tokens,
    }
