"""OpenAI images: generated, edited and varied, whole and streamed."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import replace
from typing import Any

from otel_aicost.testing import dialects
from otel_aicost.testing.exchange import Answer, Exchange
from otel_aicost.testing.failures import openai_event
from otel_aicost.testing.openai_chat import SSE
from otel_aicost.testing.reply import FROM_REQUEST, Usage

TOKENS_AN_IMAGE = 1000
"""Output tokens of an unscripted image of a model that is billed by the token."""


def generations(exchange: Exchange) -> Answer:
    """POST /images/generations."""
    return _drawn(exchange, "image_generation")


def edits(exchange: Exchange) -> Answer:
    """POST /images/edits."""
    return _drawn(exchange, "image_edit")


def variations(exchange: Exchange) -> Answer:
    """POST /images/variations, which has no usage."""
    return exchange.whole({"created": exchange.created, "data": _data(exchange)})


def _drawn(exchange: Exchange, kind: str) -> Answer:
    """DALL-E is billed by the image and states nothing; the others state usage, size and quality."""
    if exchange.request.stream:
        return _streamed(exchange, kind)
    answer = {"created": exchange.created, "data": _data(exchange)}
    if not exchange.model.startswith("dall-e"):
        answer |= {
            **_look(exchange),
            "usage": exchange.usage(lambda usage: dialects.images(_painted(exchange, usage))),
        }
    elif exchange.reply.usage is not FROM_REQUEST:
        answer |= {"usage": exchange.usage(dialects.images)}
    return exchange.whole(answer)


def _streamed(exchange: Exchange, kind: str) -> Answer:
    image = {"b64_json": _png(exchange, 0), "created_at": exchange.created, **_look(exchange)}
    partials = int(exchange.payload.get("partial_images") or 0)
    events: list[dict[str, Any]] = [
        {"type": f"{kind}.partial_image", "partial_image_index": index, **image} for index in range(partials)
    ]
    usage = exchange.usage(lambda usage: dialects.images(_painted(exchange, usage)))
    events.append({"type": f"{kind}.completed", **image, "usage": usage})
    chunks = [exchange.event(exchange.finish(event), event["type"]) for event in events]
    return Answer(chunks, SSE, streamed=True, failure=openai_event(exchange))


def _look(exchange: Exchange) -> dict[str, Any]:
    """Size and quality: the ones asked for, the model's choice where that was left to it."""
    asked = {key: exchange.payload.get(key) for key in ("size", "quality")}
    chosen = {"size": "1024x1024", "quality": "high"}
    settled = {key: value if value not in {None, "auto"} else chosen[key] for key, value in asked.items()}
    return {"background": "opaque", "output_format": "png", **settled}


def _painted(exchange: Exchange, usage: Usage) -> Usage:
    if exchange.reply.usage is not FROM_REQUEST:
        return usage
    tokens = TOKENS_AN_IMAGE * _count(exchange)
    return replace(usage, output_tokens=tokens, output_image_tokens=tokens)


def _count(exchange: Exchange) -> int:
    return int(exchange.payload.get("n") or 1)


def _data(exchange: Exchange) -> list[dict[str, Any]]:
    by_url = exchange.model.startswith("dall-e") and exchange.payload.get("response_format") != "b64_json"
    if by_url:
        return [{"url": f"https://images.invalid/{exchange.id(str(n))}.png"} for n in range(_count(exchange))]
    return [{"b64_json": _png(exchange, number)} for number in range(_count(exchange))]


def _png(exchange: Exchange, number: int) -> str:
    """A real picture of one pixel, its colour taken from the request, in base64."""
    colour = bytes.fromhex(exchange.id(str(number))[1:7])
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" + colour)),
        (b"IEND", b""),
    )
    framed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(framed)).decode()
