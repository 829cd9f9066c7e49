"""The OpenAI Responses API, whole, streamed, in the background and fetched again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.testing import dialects
from otel_aicost.testing.exchange import Answer, Exchange, arguments, pieces, unknown
from otel_aicost.testing.failures import responses_event
from otel_aicost.testing.openai_chat import SSE, service_tier

if TYPE_CHECKING:
    from collections.abc import Iterator

Event = dict[str, Any]


def responses(exchange: Exchange) -> Answer:
    """POST /responses."""
    if exchange.request.stream:
        return streamed(exchange, response(exchange))
    if exchange.payload.get("background"):
        waiting: Event = {"status": "queued", "output": [], "usage": None, "completed_at": None}
        return exchange.whole({**response(exchange), **waiting})
    return exchange.whole(response(exchange))


def fetch(exchange: Exchange) -> Answer:
    """GET /responses/{id}, and its cancelling: a response created earlier, finished by now."""
    stored = exchange.recall(exchange.route["id"])
    if stored is None:
        return unknown(exchange)
    if exchange.request.query.get("stream") == "true":
        return streamed(stored, response(stored))
    return stored.whole(response(stored))


def input_tokens(exchange: Exchange) -> Answer:
    """POST /responses/input_tokens, which is free."""
    return exchange.whole({"object": "response.input_tokens", "input_tokens": exchange.counted.input_tokens})


def response(exchange: Exchange) -> dict[str, Any]:
    """The finished response object."""
    payload = exchange.payload
    status = exchange.reply.finish_reason or "completed"
    failed = {"code": "server_error", "message": "The model failed to generate a response."}
    body: dict[str, Any] = {
        "id": exchange.id("resp_"),
        "object": "response",
        "created_at": exchange.created,
        "status": status,
        "background": bool(payload.get("background")),
        "completed_at": exchange.created if status == "completed" else None,
        "error": failed if status == "failed" else None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": payload.get("instructions"),
        "max_output_tokens": payload.get("max_output_tokens"),
        "model": exchange.model,
        "output": _output(exchange),
        "parallel_tool_calls": True,
        "previous_response_id": payload.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": service_tier(exchange),
        "store": payload.get("store", True),
        "temperature": 1.0,
        "text": payload.get("text") or {"format": {"type": "text"}},
        "tool_choice": payload.get("tool_choice") or "auto",
        "tools": payload.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": exchange.usage(dialects.responses),
        "user": None,
        "metadata": payload.get("metadata") or {},
    }
    if exchange.counted.web_searches:
        body["tool_usage"] = {"web_search": {"num_requests": exchange.counted.web_searches}}
    return body


def _output(exchange: Exchange) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if exchange.reply.thinking:
        summary = [{"type": "summary_text", "text": exchange.reply.thinking}]
        items.append({"id": exchange.id("rs_"), "type": "reasoning", "summary": summary})
    for index in range(exchange.counted.web_searches):
        action = {"type": "search", "query": "fake"}
        head = {"id": exchange.id(f"ws_{index}"), "type": "web_search_call"}
        items.append({**head, "status": "completed", "action": action})
    if exchange.text:
        content = [{"type": "output_text", "annotations": [], "logprobs": [], "text": exchange.text}]
        head = {"id": exchange.id("msg_"), "type": "message", "role": "assistant"}
        items.append({**head, "status": "completed", "content": content})
    for index, call in enumerate(exchange.tool_calls):
        head = {
            "id": exchange.id(f"fc_{index}"),
            "type": "function_call",
            "call_id": exchange.id(f"call_{index}"),
        }
        items.append({**head, "status": "completed", "name": call.name, "arguments": arguments(call)})
    return items


def streamed(exchange: Exchange, finished: dict[str, Any]) -> Answer:
    """The events that lead to a finished response."""
    begun: Event = {"status": "in_progress", "output": [], "usage": None, "completed_at": None, "error": None}
    started = exchange.finish({**finished, **begun})
    events: list[Event] = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
    ]
    for index, item in enumerate(finished["output"]):
        events += _item_events(index, item)
    events.append({"type": f"response.{finished['status']}", "response": exchange.finish(finished)})
    chunks = [
        exchange.event({**event, "sequence_number": number}, event["type"]) for number, event in enumerate(events)
    ]
    return Answer(chunks, SSE, streamed=True, failure=responses_event(exchange))


def _item_events(index: int, item: dict[str, Any]) -> Iterator[Event]:
    place = {"output_index": index, "item_id": item["id"]}
    begin, between = _ITEMS[item["type"]]
    status = {"status": "in_progress"} if "status" in item else {}
    opened = {**item, **status, **begin}
    yield {"type": "response.output_item.added", "output_index": index, "item": opened}
    yield from between(item, place)
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _message_events(item: dict[str, Any], place: dict[str, Any]) -> Iterator[Event]:
    part = item["content"][0]
    place = {**place, "content_index": 0}
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
    for piece in pieces(part["text"]):
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}


def _call_events(item: dict[str, Any], place: dict[str, Any]) -> Iterator[Event]:
    for piece in pieces(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
    done = {"arguments": item["arguments"], "name": item["name"]}
    yield {"type": "response.function_call_arguments.done", **place, **done}


def _reasoning_events(item: dict[str, Any], place: dict[str, Any]) -> Iterator[Event]:
    part = item["summary"][0]
    place = {**place, "summary_index": 0}
    yield {"type": "response.reasoning_summary_part.added", **place, "part": {**part, "text": ""}}
    for piece in pieces(part["text"]):
        yield {"type": "response.reasoning_summary_text.delta", **place, "delta": piece}
    yield {"type": "response.reasoning_summary_text.done", **place, "text": part["text"]}
    yield {"type": "response.reasoning_summary_part.done", **place, "part": part}


def _search_events(_item: dict[str, Any], place: dict[str, Any]) -> Iterator[Event]:
    for stage in ("in_progress", "searching", "completed"):
        yield {"type": f"response.web_search_call.{stage}", **place}


_ITEMS: dict[str, tuple[dict[str, Any], Any]] = {
    "message": ({"content": []}, _message_events),
    "function_call": ({"arguments": ""}, _call_events),
    "reasoning": ({"summary": []}, _reasoning_events),
    "web_search_call": ({}, _search_events),
}
"""Item type -> what it holds less of when it opens, and the events between its opening and its end."""
