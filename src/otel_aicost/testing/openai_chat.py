"""OpenAI chat completions and the older completions, whole and streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.testing import dialects
from otel_aicost.testing.exchange import Answer, Exchange, arguments, pieces
from otel_aicost.testing.failures import openai_event

if TYPE_CHECKING:
    from collections.abc import Iterator

SSE = "text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"


def chat(exchange: Exchange) -> Answer:
    """POST /chat/completions."""
    if exchange.request.stream:
        return streamed(exchange, list(chat_events(exchange)))
    message: dict[str, Any] = {"role": "assistant", "content": exchange.text or None, "refusal": None}
    if exchange.reply.thinking:
        message["reasoning_content"] = exchange.reply.thinking
    if exchange.tool_calls:
        message["tool_calls"] = _tool_calls(exchange)
    choice = {"message": message, "logprobs": None, "finish_reason": _finish_reason(exchange)}
    answer = {
        "id": exchange.id("chatcmpl-"),
        "object": "chat.completion",
        "created": exchange.created,
        "model": exchange.model,
        "choices": [{"index": index, **choice} for index in range(_choices(exchange))],
        "usage": exchange.usage(dialects.chat),
        "service_tier": service_tier(exchange),
        "system_fingerprint": "fp_fake",
    }
    return exchange.whole(answer)


def completions(exchange: Exchange) -> Answer:
    """POST /completions."""
    head = {
        "id": exchange.id("cmpl-"),
        "object": "text_completion",
        "created": exchange.created,
        "model": exchange.model,
    }
    finish = exchange.reply.finish_reason or "stop"
    if exchange.request.stream:
        said = [*((piece, None) for piece in exchange.pieces), ("", finish)]
        events = [{**head, "choices": [_completion(0, text, reason)]} for text, reason in said]
        return streamed(exchange, _with_usage(exchange, head, events))
    choices = [_completion(index, exchange.text, finish) for index in range(_choices(exchange))]
    return exchange.whole({**head, "choices": choices, "usage": exchange.usage(dialects.chat)})


def service_tier(exchange: Exchange) -> str:
    """The tier that served the call: the scripted one, else the one asked for."""
    asked = exchange.payload.get("service_tier") or "auto"
    return exchange.reply.service_tier or ("default" if asked == "auto" else asked)


def _completion(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


def _choices(exchange: Exchange) -> int:
    return int(exchange.payload.get("n") or 1)


def _finish_reason(exchange: Exchange) -> str:
    return exchange.reply.finish_reason or ("tool_calls" if exchange.tool_calls else "stop")


def _tool_calls(exchange: Exchange) -> list[dict[str, Any]]:
    return [
        {
            "id": exchange.id(f"call_{index}"),
            "type": "function",
            "function": {"name": call.name, "arguments": arguments(call)},
        }
        for index, call in enumerate(exchange.tool_calls)
    ]


def chat_events(exchange: Exchange) -> Iterator[dict[str, Any]]:
    """The events of a stream, the first to the last, without the mark of its end."""
    head = {
        "id": exchange.id("chatcmpl-"),
        "object": "chat.completion.chunk",
        "created": exchange.created,
        "model": exchange.model,
        "service_tier": service_tier(exchange),
        "system_fingerprint": "fp_fake",
    }
    events = [
        {**head, "choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}]}
        for delta, reason in _deltas(exchange)
        for index in range(_choices(exchange))
    ]
    if "deployment" in exchange.route:  # Azure opens with the verdict of its content filter
        verdict = {"prompt_index": 0, "content_filter_results": {}}
        events.insert(0, {**head, "choices": [], "prompt_filter_results": [verdict]})
    yield from _with_usage(exchange, head, events)


def _deltas(exchange: Exchange) -> Iterator[tuple[dict[str, Any], str | None]]:
    yield {"role": "assistant", "content": "" if exchange.text else None, "refusal": None}, None
    for piece in pieces(exchange.reply.thinking or ""):
        yield {"reasoning_content": piece}, None
    for piece in exchange.pieces:
        yield {"content": piece}, None
    for index, call in enumerate(_tool_calls(exchange)):
        function = call["function"]
        yield {"tool_calls": [{"index": index, **call, "function": {**function, "arguments": ""}}]}, None
        for piece in pieces(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, None
    yield {}, _finish_reason(exchange)


def _with_usage(exchange: Exchange, head: dict[str, Any], events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """If the request asks for it: `usage: null` on each event, and the usage in an extra one at the end."""
    if not (exchange.payload.get("stream_options") or {}).get("include_usage"):
        return events
    last = {**head, "choices": [], "usage": exchange.usage(dialects.chat)}
    return [*({**event, "usage": None} for event in events), last]


def streamed(exchange: Exchange, events: list[dict[str, Any]]) -> Answer:
    """Events as a stream, with the mark of its end."""
    chunks = [exchange.event(exchange.finish(event)) for event in events]
    return Answer([*chunks, DONE], SSE, streamed=True, failure=openai_event(exchange))
