"""Mistral's endpoints: text in OpenAI's dialect, pages, audio, conversations and classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.testing import dialects, openai_chat
from otel_aicost.testing.exchange import Answer
from otel_aicost.testing.failures import openai_event

if TYPE_CHECKING:
    from otel_aicost.testing.exchange import Exchange
    from otel_aicost.testing.reply import Usage

PAGES = 3
"""Of a document, when the reply does not script its usage."""


def chat(exchange: Exchange) -> Answer:
    """POST /chat/completions, /agents/completions, /fim/completions: the last chunk of a stream has the usage."""
    if not exchange.request.stream:
        return openai_chat.chat(exchange)
    events = list(openai_chat.chat_events(exchange))
    events[-1]["usage"] = exchange.usage(dialects.chat)
    return openai_chat.streamed(exchange, events)


def embeddings(exchange: Exchange) -> Answer:
    """POST /embeddings: as OpenAI's, with an id."""
    given = exchange.payload.get("input") or []
    data = [
        {"object": "embedding", "index": at, "embedding": [0.0, 1.0]}
        for at in range(len(given) if isinstance(given, list) else 1)
    ]
    head = {"id": exchange.id("emb_"), "object": "list", "model": exchange.model}
    return exchange.whole({**head, "data": data, "usage": exchange.usage(dialects.chat)})


def ocr(exchange: Exchange) -> Answer:
    """POST /ocr."""
    pages = [
        {"index": at, "markdown": exchange.text, "images": [], "dimensions": {"dpi": 200, "height": 10, "width": 10}}
        for at in range(PAGES)
    ]
    used = exchange.usage(lambda _: {"pages_processed": PAGES, "doc_size_bytes": 1000})
    return exchange.whole({"model": exchange.model, "pages": pages, "usage_info": used})


def transcriptions(exchange: Exchange) -> Answer:
    """POST /audio/transcriptions, whole and streamed."""
    told = {"model": exchange.model, "text": exchange.text, "language": "en", "segments": []}
    usage = exchange.usage(_heard)
    if not exchange.request.stream:
        return exchange.whole({**told, "usage": usage})
    events: list[dict[str, Any]] = [{"type": "transcription.text.delta", "text": piece} for piece in exchange.pieces]
    return _streamed(exchange, [*events, {"type": "transcription.done", **told, "usage": usage}])


def conversations(exchange: Exchange) -> Answer:
    """POST /conversations, to one of them, and to its restart."""
    named = exchange.id("conv_")
    said = {"object": "entry", "type": "message.output", "role": "assistant", "id": exchange.id("msg_")}
    usage = exchange.usage(dialects.chat)
    if not exchange.request.stream:
        output = {**said, "model": exchange.model, "content": exchange.text}
        answer = {"object": "conversation.response", "conversation_id": named, "outputs": [output]}
        return exchange.whole({**answer, "usage": usage})
    deltas: list[dict[str, Any]] = [
        {
            "type": "message.output.delta",
            "id": said["id"],
            "role": "assistant",
            "model": exchange.model,
            "content": piece,
        }
        for piece in exchange.pieces
    ]
    started = {"type": "conversation.response.started", "conversation_id": named}
    return _streamed(exchange, [started, *deltas, {"type": "conversation.response.done", "usage": usage}])


def moderations(exchange: Exchange) -> Answer:
    """POST /moderations."""
    verdict = {"categories": {"sexual": False}, "category_scores": {"sexual": 0.0}}
    head = {"id": exchange.id("mod_"), "model": exchange.model, "results": [verdict]}
    return exchange.whole({**head, "usage": exchange.usage(dialects.chat)})


def _heard(usage: Usage) -> dict[str, Any]:
    return {**dialects.chat(usage), "prompt_audio_seconds": int(usage.input_audio_seconds or 0)}


def _streamed(exchange: Exchange, events: list[dict[str, Any]]) -> Answer:
    chunks = [exchange.event(exchange.finish(event), event["type"]) for event in events]
    return Answer(chunks, openai_chat.SSE, streamed=True, failure=openai_event(exchange))
