"""One request with the reply meant for it, and the answer an endpoint makes of both."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from otel_aicost.testing.reply import FROM_REQUEST, Reply, ToolCall, Usage
from otel_aicost.testing.sample import sample_text, sample_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_aicost.testing.request import Request

SENTENCE = "The fake provider has read your prompt and answers with this one fixed sentence."
"""The default answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes over the wire: a whole body in one chunk, or the chunks of a stream."""

    chunks: Sequence[bytes]
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    streamed: bool = False
    failure: bytes = b""
    """The event that tells of an error in the middle of this stream."""


def nothing_stored(_: str) -> Exchange | None:
    """What a provider remembers that was never asked for anything."""
    return None


def not_served(_: Request, __: Reply) -> Answer:
    """What a provider answers that has no endpoints."""
    return Answer([b"{}"], status=404)


@dataclass(frozen=True)
class Exchange:
    """A request and the reply meant for it. What it gives depends on these and on nothing else."""

    request: Request
    reply: Reply
    key: str
    """Stands for the request in everything that has to look random: ids, audio, images."""
    created: int
    """The time of the answer, in seconds since the epoch."""
    route: Mapping[str, str]
    """What the path itself says: `deployment`, `model`, `id`."""
    recall: Callable[[str], Exchange | None] = nothing_stored
    """The exchange that made what has this id."""
    serve: Callable[[Request, Reply], Answer] = not_served
    """The answer to a request within this one: a line of a batch."""

    def id(self, prefix: str) -> str:
        """An id that is the same for the same request, e.g. `chatcmpl-3f...`."""
        return prefix + hashlib.sha256(f"{prefix}{self.key}".encode()).hexdigest()[:24]

    @property
    def payload(self) -> dict[str, Any]:
        """The JSON object or form fields of the request."""
        return self.request.payload

    @property
    def model(self) -> str:
        """The model the answer names."""
        if self.reply.model is not None:
            return self.reply.model
        return self.route.get("model") or self.request.model or self.route.get("deployment") or "fake-model"

    @cached_property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The scripted tool calls; or one with sample arguments, where the request insists on a tool."""
        if self.reply.tool_calls or not _insists(self.payload.get("tool_choice")):
            return self.reply.tool_calls
        name, schema = _tool(self.payload)
        return (ToolCall(name, sample_value(schema)),) if name else ()

    @cached_property
    def text(self) -> str:
        """The words of the answer; none by default where a tool is called."""
        if self.reply.text is not None:
            return self.reply.text
        if self.tool_calls:
            return ""
        return sample_text(self.payload) or SENTENCE

    @property
    def pieces(self) -> list[str]:
        """The text in the pieces a stream sends: a word with the space after it."""
        return pieces(self.text)

    @cached_property
    def counted(self) -> Usage:
        """The scripted usage, or one token for each word of the prompt and of the answer."""
        if isinstance(self.reply.usage, Usage):
            return self.reply.usage
        said = " ".join([self.reply.thinking or "", self.text, *(arguments(call) for call in self.tool_calls)])
        thought = len((self.reply.thinking or "").split())
        choices = int(self.payload.get("n") or 1)
        return Usage(
            input_tokens=len(self.request.prompt),
            output_tokens=len(said.split()) * choices,
            reasoning_tokens=thought * choices,
        )

    def usage(self, dialect: Callable[[Usage], dict[str, Any]]) -> object:
        """The usage as the answer states it."""
        if self.reply.usage is FROM_REQUEST or isinstance(self.reply.usage, Usage):
            return {**dialect(self.counted), **self.reply.usage_extra}
        return self.reply.usage

    def finish(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The answer with the scripted keys added and left out."""
        merged = {**answer, **self.reply.extra}
        return {key: value for key, value in merged.items() if key not in self.reply.omit}

    def encode(self, value: object) -> bytes:
        """A value as JSON."""
        separators = (", ", ": ") if self.reply.spaced else (",", ":")
        return json.dumps(value, ensure_ascii=False, separators=separators).encode()

    def whole(self, value: Mapping[str, Any]) -> Answer:
        """A JSON answer in one piece."""
        return Answer([self.encode(self.finish(value))])

    def event(self, value: object, name: str | None = None) -> bytes:
        """One server-sent event."""
        head = f"event: {name}\n".encode() if name else b""
        return head + b"data: " + self.encode(value) + b"\n\n"


def unknown(exchange: Exchange) -> Answer:
    """The answer to a path or an id that nobody knows."""
    what = f"Invalid URL ({exchange.request.method} {exchange.request.path})"
    error = {"message": what, "type": "invalid_request_error", "param": None, "code": None}
    return Answer([exchange.encode({"error": error})], status=404)


def pieces(text: str) -> list[str]:
    """The text cut after each space; together they are the text again."""
    words = text.split(" ")
    return [f"{word} " for word in words[:-1]] + words[-1:] if text else []


def arguments(call: ToolCall) -> str:
    """The arguments of a tool call as the JSON text that OpenAI sends."""
    return json.dumps(dict(call.arguments), ensure_ascii=False)


def _insists(choice: object) -> bool:
    if isinstance(choice, dict):
        return choice.get("type") in {"function", "tool", "any"}
    return choice in {"required", "any"}


def _tool(payload: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Name and argument schema of the tool that is asked for, else of the first one."""
    choice = payload.get("tool_choice")
    wanted = choice.get("name") or (choice.get("function") or {}).get("name") if isinstance(choice, dict) else None
    for tool in payload.get("tools") or []:
        described = tool.get("function", tool)
        if wanted in {None, described.get("name")}:
            return described.get("name") or "", described.get("parameters") or described.get("input_schema") or {}
    return "", {}
