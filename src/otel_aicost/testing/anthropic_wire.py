"""Anthropic messages: whole, streamed, and as Amazon Bedrock and Vertex AI carry them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from otel_aicost.testing import dialects, eventstream
from otel_aicost.testing.exchange import Answer, Exchange, pieces
from otel_aicost.testing.failures import anthropic_error, anthropic_event
from otel_aicost.testing.openai_chat import SSE

if TYPE_CHECKING:
    from collections.abc import Iterator

Event = dict[str, Any]


def messages(exchange: Exchange) -> Answer:
    """POST /v1/messages, and Vertex AI's `:rawPredict` and `:streamRawPredict`."""
    if exchange.request.stream:
        chunks = [exchange.event(event, event["type"]) for event in _events(exchange)]
        return Answer(chunks, SSE, streamed=True, failure=anthropic_event(exchange))
    return exchange.whole(message(exchange))


def count_tokens(exchange: Exchange) -> Answer:
    """POST /v1/messages/count_tokens, which is free."""
    return exchange.whole({"input_tokens": exchange.counted.input_tokens})


def bedrock(exchange: Exchange) -> Answer:
    """POST /model/{id}/invoke."""
    used = exchange.counted
    headers = {
        "x-amzn-bedrock-input-token-count": str(dialects.anthropic(used)["input_tokens"]),
        "x-amzn-bedrock-output-token-count": str(used.output_tokens),
        "x-amzn-bedrock-invocation-latency": "5",
    }
    body = exchange.encode(exchange.finish(message(exchange)))
    return Answer([body], headers=headers)


def bedrock_stream(exchange: Exchange) -> Answer:
    """POST /model/{id}/invoke-with-response-stream: the same events in Amazon's binary framing."""
    used = exchange.counted
    metrics = {
        "inputTokenCount": dialects.anthropic(used)["input_tokens"],
        "outputTokenCount": used.output_tokens,
        "invocationLatency": 5,
        "firstByteLatency": 1,
        "cacheReadInputTokenCount": used.cache_read_tokens,
        "cacheWriteInputTokenCount": used.cache_write_tokens,
    }
    events = [event for event in _events(exchange) if event["type"] != "ping"]
    events[-1]["amazon-bedrock-invocationMetrics"] = metrics
    chunks = [eventstream.chunk(exchange.encode(event)) for event in events]
    failure = eventstream.exception("throttlingException", anthropic_error(529)["error"]["message"])
    headers = {"x-amzn-bedrock-content-type": "application/json"}
    return Answer(chunks, eventstream.CONTENT_TYPE, headers=headers, streamed=True, failure=failure)


def message(exchange: Exchange) -> dict[str, Any]:
    """The finished message."""
    stop = "tool_use" if exchange.tool_calls else "end_turn"
    return {
        "id": exchange.id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": _model(exchange),
        "content": _content(exchange),
        "stop_reason": exchange.reply.finish_reason or stop,
        "stop_sequence": None,
        "usage": _usage(exchange),
    }


def _model(exchange: Exchange) -> str:
    """Bedrock and Vertex name the bare model, not the id in the path (`us.anthropic.claude-x-v1:0`)."""
    if exchange.reply.model is not None:
        return exchange.reply.model
    return re.sub(r"^([a-z]+\.)?anthropic\.|-v\d+(:\d+)?$", "", exchange.model).replace("@", "-")


def _usage(exchange: Exchange) -> object:
    stated = exchange.usage(dialects.anthropic)
    if exchange.reply.service_tier and isinstance(stated, dict):
        return {**stated, "service_tier": exchange.reply.service_tier}
    return stated


def _content(exchange: Exchange) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if exchange.reply.thinking:
        blocks.append({"type": "thinking", "thinking": exchange.reply.thinking, "signature": exchange.id("")})
    if exchange.text:
        blocks.append({"type": "text", "text": exchange.text})
    blocks += [
        {
            "type": "tool_use",
            "id": exchange.id(f"toolu_{index}"),
            "name": call.name,
            "input": dict(call.arguments),
        }
        for index, call in enumerate(exchange.tool_calls)
    ]
    return blocks


def _events(exchange: Exchange) -> Iterator[Event]:
    finished = message(exchange)
    usage = finished["usage"]
    begun = {"content": [], "stop_reason": None, "usage": dialects.anthropic_start(usage)}
    yield {"type": "message_start", "message": exchange.finish({**finished, **begun})}
    for index, block in enumerate(finished["content"]):
        yield from _block_events(index, block)
        if index == 0:
            yield {"type": "ping"}
    delta = {"stop_reason": finished["stop_reason"], "stop_sequence": None}
    last = {"type": "message_delta", "delta": delta, "usage": dialects.anthropic_delta(usage)}
    yield {key: value for key, value in last.items() if key not in exchange.reply.omit}
    yield {"type": "message_stop"}


def _block_events(index: int, block: dict[str, Any]) -> Iterator[Event]:
    emptied = {"text": "", "thinking": "", "signature": "", "input": {}}
    opened = {key: emptied.get(key, value) for key, value in block.items()}
    yield {"type": "content_block_start", "index": index, "content_block": opened}
    for delta in _deltas(block):
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _deltas(block: dict[str, Any]) -> Iterator[Event]:
    if block["type"] == "text":
        yield from ({"type": "text_delta", "text": piece} for piece in pieces(block["text"]))
    elif block["type"] == "thinking":
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"]))
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        text = json.dumps(block["input"], ensure_ascii=False)
        yield from ({"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(text)])
