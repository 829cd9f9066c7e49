"""Cohere's endpoints, of both versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.testing import openai_chat
from otel_aicost.testing.exchange import Answer
from otel_aicost.testing.failures import openai_event

if TYPE_CHECKING:
    from otel_aicost.testing.exchange import Exchange
    from otel_aicost.testing.reply import Usage


def chat(exchange: Exchange) -> Answer:
    """POST /v2/chat."""
    usage = exchange.usage(_units)
    if not exchange.request.stream:
        message = {"role": "assistant", "content": [{"type": "text", "text": exchange.text}]}
        answer = {"id": exchange.id("c-"), "finish_reason": "COMPLETE", "message": message}
        return exchange.whole({**answer, "usage": usage})
    events: list[dict[str, Any]] = [
        {"type": "message-start", "id": exchange.id("c-"), "delta": {"message": {"role": "assistant"}}},
        *(
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}}
            for piece in exchange.pieces
        ),
        {"type": "message-end", "id": exchange.id("c-"), "delta": {"finish_reason": "COMPLETE", "usage": usage}},
    ]
    chunks = [exchange.event(event, event["type"]) for event in events]
    return Answer([*chunks, openai_chat.DONE], openai_chat.SSE, streamed=True, failure=openai_event(exchange))


def chat_1(exchange: Exchange) -> Answer:
    """POST /v1/chat: its stream is one of JSON lines."""
    meta = {"api_version": {"version": "1"}, **_stated(exchange)}
    answer = {"generation_id": exchange.id("g-"), "response_id": exchange.id("r-"), "text": exchange.text, "meta": meta}
    if not exchange.request.stream:
        return exchange.whole(answer)
    events: list[dict[str, Any]] = [
        {"event_type": "stream-start", "is_finished": False, "generation_id": exchange.id("g-")},
        *({"event_type": "text-generation", "is_finished": False, "text": piece} for piece in exchange.pieces),
        {"event_type": "stream-end", "is_finished": True, "finish_reason": "COMPLETE", "response": answer},
    ]
    chunks = [exchange.encode(event) + b"\n" for event in events]
    return Answer(chunks, "application/stream+json", streamed=True, failure=b'{"message":"broken"}\n')


def embed(exchange: Exchange) -> Answer:
    """POST /v1/embed and /v2/embed."""
    texts = exchange.payload.get("texts") or []
    vectors = {"float": [[0.0, 1.0]] * len(texts)}
    answer = {"id": exchange.id("e-"), "response_type": "embeddings_by_type", "embeddings": vectors, "texts": texts}
    return exchange.whole({**answer, "meta": {"api_version": {"version": "2"}, **_stated(exchange)}})


def rerank(exchange: Exchange) -> Answer:
    """POST /v1/rerank and /v2/rerank."""
    results = [
        {"index": at, "relevance_score": 1 / (at + 1)} for at in range(len(exchange.payload.get("documents") or []))
    ]
    return exchange.whole({"id": exchange.id("rr-"), "results": results, "meta": _stated(exchange)})


def _units(usage: Usage) -> dict[str, Any]:
    """What is billed, and the tokens, which are more."""
    billed = {"input_tokens": float(usage.input_tokens), "output_tokens": float(usage.output_tokens)}
    tokens = {"input_tokens": usage.input_tokens + 60.0, "output_tokens": usage.output_tokens + 2.0}
    return {"billed_units": billed, "tokens": tokens}


def _stated(exchange: Exchange) -> dict[str, Any]:
    stated = exchange.usage(_units)
    return stated if isinstance(stated, dict) else {}
