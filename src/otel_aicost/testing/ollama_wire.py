"""Ollama's own endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.testing.exchange import Answer

if TYPE_CHECKING:
    from otel_aicost.testing.exchange import Exchange
    from otel_aicost.testing.reply import Usage

MADE = "2026-01-01T00:00:00Z"


def chat(exchange: Exchange) -> Answer:
    """POST /api/chat."""
    return _said(exchange, lambda piece: {"message": {"role": "assistant", "content": piece}})


def generate(exchange: Exchange) -> Answer:
    """POST /api/generate."""
    return _said(exchange, lambda piece: {"response": piece})


def embed(exchange: Exchange) -> Answer:
    """POST /api/embed."""
    used = exchange.usage(_counts)
    told = {"prompt_eval_count": used.get("prompt_eval_count")} if isinstance(used, dict) else {}
    return exchange.whole({"model": exchange.model, "embeddings": [[0.0, 1.0]], "total_duration": 1000, **told})


def search(exchange: Exchange) -> Answer:
    """POST /api/web_search."""
    return exchange.whole({"results": [{"title": "a page", "url": "https://page.invalid/", "content": exchange.text}]})


def _said(exchange: Exchange, part: Any) -> Answer:  # noqa: ANN401
    head = {"model": exchange.model, "created_at": MADE}
    used = exchange.usage(_counts)
    end = {"done": True, "done_reason": "stop", "total_duration": 1000, **(used if isinstance(used, dict) else {})}
    if exchange.payload.get("stream") is False:
        return exchange.whole({**head, **part(exchange.text), **end})
    events = [*({**head, **part(piece), "done": False} for piece in exchange.pieces), {**head, **part(""), **end}]
    chunks = [exchange.encode(event) + b"\n" for event in events]
    return Answer(chunks, "application/x-ndjson", streamed=True, failure=b'{"error":"an error was encountered"}\n')


def _counts(usage: Usage) -> dict[str, Any]:
    return {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}
