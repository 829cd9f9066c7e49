"""OpenAI endpoints that write no text: embeddings, moderations, the list of models."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import TYPE_CHECKING, Any

from otel_aicost.testing import dialects

if TYPE_CHECKING:
    from otel_aicost.testing.exchange import Answer, Exchange

DIMENSIONS = 1536
"""Length of an embedding when the request does not say."""
MODELS = ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small", "whisper-1", "tts-1-hd")
_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def embeddings(exchange: Exchange) -> Answer:
    """POST /embeddings, as floats or in base64."""
    dimensions = int(exchange.payload.get("dimensions") or DIMENSIONS)
    packed = exchange.payload.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _embedding(text, dimensions, packed=packed)}
        for index, text in enumerate(_inputs(exchange.payload.get("input")))
    ]
    usage = exchange.usage(dialects.embeddings)
    return exchange.whole({"object": "list", "data": data, "model": exchange.model, "usage": usage})


def moderations(exchange: Exchange) -> Answer:
    """POST /moderations, which is free. Nothing is ever flagged."""
    verdict = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.0),
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
    results = [verdict for _ in _inputs(exchange.payload.get("input"))]
    return exchange.whole({"id": exchange.id("modr-"), "model": exchange.model, "results": results})


def models(exchange: Exchange) -> Answer:
    """GET /models."""
    return exchange.whole({"object": "list", "data": [_model(name, exchange.created) for name in MODELS]})


def model(exchange: Exchange) -> Answer:
    """GET /models/{id}."""
    return exchange.whole(_model(exchange.route["id"], exchange.created))


def _model(name: str, created: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": "fake"}


def _inputs(stated: object) -> list[object]:
    """The separate inputs: a list of texts or of token lists is many, a text or one token list is one."""
    many = isinstance(stated, list) and not all(isinstance(item, int) for item in stated)
    return list(stated) if many and isinstance(stated, list) else [stated]


def _embedding(text: object, dimensions: int, *, packed: bool) -> list[float] | str:
    """A vector of length 1 that depends on the text alone."""
    noise = hashlib.shake_256(repr(text).encode()).digest(2 * dimensions)
    raw = struct.unpack(f"<{dimensions}h", noise)
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    vector = [value / length for value in raw]
    if packed:
        return base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
    return vector
