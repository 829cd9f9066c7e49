"""What a provider answers, as bytes that never saw a socket: bodies, streams of events, and the transports of them."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

CHUNKS = 200
"""Events with text in a stream."""
_JSON = {"content-type": "application/json"}
_SSE = {"content-type": "text/event-stream; charset=utf-8"}
_numbers = count(1)

CHAT_USAGE = {
    "prompt_tokens": 1500,
    "completion_tokens": 200,
    "total_tokens": 1700,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
RESPONSES_USAGE = {
    "input_tokens": 1500,
    "input_tokens_details": {"cached_tokens": 1024},
    "output_tokens": 200,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 1700,
}
MESSAGE_USAGE = {
    "input_tokens": 476,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 1024,
    "output_tokens": 200,
    "service_tier": "standard",
}
TEXT = "The invoice of October is paid, the one of November is due on the first of December. " * 8


def _chat() -> dict[str, Any]:
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {
        "object": "chat.completion",
        "created": 1790000000,
        "model": "gpt-4o-2024-08-06",
        "choices": [choice],
        "usage": CHAT_USAGE,
        "service_tier": "default",
    }


def _response() -> dict[str, Any]:
    content = [{"type": "output_text", "text": TEXT, "annotations": []}]
    output = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": content}
    return {
        "object": "response",
        "created_at": 1790000000,
        "model": "gpt-4o-2024-08-06",
        "status": "completed",
        "output": [output],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSES_USAGE,
    }


def _embedding() -> dict[str, Any]:
    return {
        "object": "list",
        "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.0125] * 16}],
        "usage": {"prompt_tokens": 1500, "total_tokens": 1500},
    }


def _message() -> dict[str, Any]:
    return {
        "type": "message",
        "role": "assistant",
        "model": "claude-3-5-sonnet-20241022",
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": MESSAGE_USAGE,
    }


BODIES = {
    "/v1/chat/completions": ("chatcmpl-", _chat()),
    "/v1/responses": ("resp_", _response()),
    "/v1/embeddings": (None, _embedding()),
    "/v1/messages": ("msg_", _message()),
}
_SPLIT = {path: (prefix, json.dumps(body)[1:].encode()) for path, (prefix, body) in BODIES.items()}


def _event(value: dict[str, Any], name: str | None = None) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value)}\n\n".encode()


def _chat_stream(chunks: int) -> list[bytes]:
    shared = {"object": "chat.completion.chunk", "created": 1790000000, "model": "gpt-4o-2024-08-06"}
    base = {"id": "chatcmpl-s", **shared, "usage": None}
    events = []
    for number in range(chunks):
        delta = {"role": "assistant", "content": ""} if number == 0 else {"content": " invoice"}
        events.append(_event({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
    events.append(_event({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
    events.append(_event({**base, "choices": [], "usage": CHAT_USAGE}))
    return [*events, b"data: [DONE]\n\n"]


def _message_stream(chunks: int) -> list[bytes]:
    begun = {**_message(), "id": "msg_s", "content": [], "stop_reason": None}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " invoice"}}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        _event({"type": "message_start", "message": begun}, "message_start"),
        _event(block, "content_block_start"),
        *[_event(delta, "content_block_delta")] * chunks,
        _event({"type": "content_block_stop", "index": 0}, "content_block_stop"),
        _event({"type": "message_delta", "delta": ended, "usage": {"output_tokens": 200}}, "message_delta"),
        _event({"type": "message_stop"}, "message_stop"),
    ]


_STREAMS = {"/v1/chat/completions": _chat_stream, "/v1/messages": _message_stream}


class _Events(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A streamed body, one event a chunk."""

    def __init__(self, events: list[bytes]) -> None:
        self._events = events

    def __iter__(self) -> Iterator[bytes]:
        yield from self._events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self._events:
            yield event

    async def aclose(self) -> None:
        """Nothing to close."""


class Provider(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers every request at once, with an id of its own; a request for the model `broken` with status 400."""

    def __init__(self, chunks: int = CHUNKS) -> None:
        self._streams = {path: make(chunks) for path, make in _STREAMS.items()}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._answer(request)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._answer(request)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        path, sent = request.url.path, request.content
        if b'"broken"' in sent:
            return httpx2.Response(400, headers=_JSON, content=b'{"error": {"message": "no", "type": "bad"}}')
        if b'"stream":true' in sent:
            return httpx2.Response(200, headers=_SSE, stream=_Events(self._streams[path]))
        prefix, rest = _SPLIT[path]
        first = b"{" if prefix is None else f'{{"id": "{prefix}{next(_numbers)}", '.encode()
        return httpx2.Response(200, headers=_JSON, content=first + rest)
