"""What Groq, Together and Perplexity add to OpenAI's dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.testing import dialects, openai_chat

if TYPE_CHECKING:
    from otel_aicost.testing.exchange import Answer, Exchange

SKELETON = {"input_tokens_cost": 0.0, "output_tokens_cost": 0.0, "total_cost": 0.0}
"""The cost that Perplexity states in a stream until the end is there."""


def groq_chat(exchange: Exchange) -> Answer:
    """POST /openai/v1/chat/completions of Groq: a stream tells its usage in `x_groq`, asked or not."""
    if not exchange.request.stream:
        return openai_chat.chat(exchange)
    events = list(openai_chat.chat_events(exchange))
    events[0]["x_groq"] = {"id": exchange.id("req_")}
    events[-1]["x_groq"] = {"id": exchange.id("req_"), "usage": exchange.usage(dialects.chat)}
    return openai_chat.streamed(exchange, events)


def together_chat(exchange: Exchange) -> Answer:
    """POST /chat/completions of Together: the last chunk of a stream has the usage, asked or not."""
    if not exchange.request.stream:
        return openai_chat.chat(exchange)
    events: list[dict[str, Any]] = [{**event, "usage": None} for event in openai_chat.chat_events(exchange)]
    events[-1]["usage"] = exchange.usage(dialects.chat)
    return openai_chat.streamed(exchange, events)


def perplexity_chat(exchange: Exchange) -> Answer:
    """POST /chat/completions of Perplexity: every chunk of a stream has a usage, the last one the cost as well."""
    if not exchange.request.stream:
        return openai_chat.chat(exchange)
    events = list(openai_chat.chat_events(exchange))
    so_far = {"prompt_tokens": exchange.counted.input_tokens, "completion_tokens": 1, "cost": SKELETON}
    events = [{**event, "usage": {**so_far, "total_tokens": exchange.counted.input_tokens + 1}} for event in events]
    events[-1]["usage"] = exchange.usage(dialects.chat)
    return openai_chat.streamed(exchange, events)


def perplexity_later(exchange: Exchange) -> Answer:
    """POST /async/chat/completions: a chat whose answer is fetched later."""
    job = {"id": exchange.id("job_"), "model": "sonar", "status": "CREATED", "created_at": exchange.created}
    return exchange.whole({**job, "response": None})


def search(exchange: Exchange) -> Answer:
    """POST /search of Perplexity."""
    found = {"title": "a page", "url": "https://page.invalid/", "snippet": exchange.text}
    return exchange.whole({"id": exchange.id("search_"), "results": [found]})


def rerank(exchange: Exchange) -> Answer:
    """POST /rerank of Together."""
    documents = exchange.payload.get("documents") or []
    results = [{"index": at, "relevance_score": 1 / (at + 1), "document": {}} for at in range(len(documents))]
    answer = {"id": exchange.id("rr-"), "object": "rerank", "model": exchange.model, "results": results}
    return exchange.whole({**answer, "usage": exchange.usage(dialects.chat)})


def images(exchange: Exchange) -> Answer:
    """POST /images/generations of Together, which states no usage."""
    count = int(exchange.payload.get("n") or 1)
    data = [{"type": "url", "index": at, "url": f"https://images.invalid/{at}.png"} for at in range(count)]
    return exchange.whole({"id": exchange.id("img-"), "model": exchange.model, "object": "list", "data": data})


def video(exchange: Exchange) -> Answer:
    """POST /videos of Together: the job, whose result is fetched later."""
    job = {"id": exchange.id("video_"), "object": "video", "model": exchange.model, "status": "in_progress"}
    return exchange.whole({**job, "created_at": exchange.created, "size": "1366x768", "seconds": "5"})
