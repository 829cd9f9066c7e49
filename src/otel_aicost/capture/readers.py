"""What turns the bytes of a body into a mapping of its shape: JSON, server-sent events, Amazon's event stream.

All they know of a provider is its `Endpoint`.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from otel_aicost.capture.merging import merge
from otel_aicost.text_tokens import tokens_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.providers.base import Endpoint, Json

MAX_HELD = 32 * 1024 * 1024
"""Bytes of one JSON body or one stream event that are kept to be parsed; a longer one is let go unread."""
HELD_LINES = 1024 * 1024
"""Bytes of JSON Lines that are parsed before they are handed on."""
HELD_TEXT = 64 * 1024
"""Bytes of stream kept for an estimate before they are counted and let go."""
NDJSON = ("application/x-ndjson", "application/stream+json")
"""What streams of JSON Lines are called."""
OPENING = 2
"""Events at the beginning of a stream that are kept, to know the model if no usage comes; Azure's first names none."""


class Reader(Protocol):
    """What turns the bytes of a body into a mapping of its shape."""

    complete: bool
    """The event that ends the body has been seen."""
    error: str | None
    """The type of an error that came as an event, once `body` was called."""

    def feed(self, chunk: bytes) -> None: ...

    def body(self, *, whole: bool) -> Json | None:
        """The body so far, or `None` when nothing of it was understood."""

    def seen_tokens(self) -> int:
        """An estimate of the tokens of generated text that went by."""


class JsonReader:
    """A JSON body, parsed at its end."""

    complete: bool = False
    error: str | None = None

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size <= MAX_HELD:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    def body(self, *, whole: bool) -> Json | None:
        return parse_json(b"".join(self._chunks)) if whole and self._chunks else None

    def seen_tokens(self) -> int:
        return 0


class LinesReader:
    """JSON Lines: each is parsed when its end is there, and handed to `take` with a few others; none is kept."""

    error: str | None = None

    def __init__(self, endpoint: Endpoint, take: Callable[[list[Json]], None]) -> None:
        self.complete = False
        self._marks = endpoint.marks
        self._take = take
        self._lines: list[Json] = []
        self._size = 0
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._ours: bool | None = None
        """Whether the first line is one of those that are looked for; `None` before it came."""

    def feed(self, chunk: bytes) -> None:
        if self._ours is False:
            return
        cut = chunk.rfind(b"\n") + 1
        if cut:
            whole = b"".join((*self._rest, chunk[:cut]))
            self._rest, self._rest_size = [], 0
            for line in whole.split(b"\n"):
                self._look(line)
        if cut < len(chunk):
            self._hold_back(chunk[cut:])
        if self._size > HELD_LINES:
            lines, self._lines, self._size = self._lines, [], 0
            self._take(lines)

    def _hold_back(self, part: bytes) -> None:
        if self._ours is None and not self._rest and not part.lstrip().startswith(b"{"):
            self._ours = False  # audio, a picture, a text
            return
        self._rest.append(part)
        self._rest_size += len(part)
        if self._rest_size > MAX_HELD:
            self._rest, self._rest_size = [], 0

    def _look(self, line: bytes) -> None:
        if self._ours is False or not line.strip():
            return
        found = any(mark in line for mark in self._marks)
        if self._ours is None:
            self._ours = found
        parsed = parse_json(line) if found else None
        if parsed is not None:
            self._lines.append(parsed)
            self._size += len(line)

    def body(self, *, whole: bool) -> Json | None:
        """What was not handed on yet. Each line stands for itself: a download that was broken off has no part."""
        if whole and self._rest:
            self._look(b"".join(self._rest))
        self._rest = []
        self.complete = True
        return {"lines": self._lines} if self._lines else None

    def seen_tokens(self) -> int:
        return 0


class SseReader:
    """Server-sent events: laid by as they come, searched many at a time, and parsed if they hold a usage or the end."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.complete = False
        self.error: str | None = None
        self._endpoint = endpoint
        self._ends = endpoint.ends
        self._usage, self._signals = _signals(endpoint.marks, endpoint.ends)
        self._body: dict[str, Any] = {}
        self._understood = False
        self._unseen: list[bytes] = []
        self._unseen_size = 0
        self._opening: list[bytes] = []
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._held: list[bytes] = []
        self._held_size = 0
        self._tokens = 0

    def feed(self, chunk: bytes) -> None:
        size = self._unseen_size + len(chunk)
        if size > HELD_TEXT:
            self._look()
            size = len(chunk)
        self._unseen.append(chunk)
        self._unseen_size = size
        for end in self._ends:
            if end in chunk:
                self._look()
                break

    def _look(self) -> None:
        chunk = b"".join(self._unseen)
        self._unseen.clear()
        self._unseen_size = 0
        cut = chunk.rfind(b"\n") + 1
        if cut == 0:
            self._hold_back(chunk)
            return
        lines = chunk if cut == len(chunk) else chunk[:cut]
        if self._rest:
            lines = b"".join((*self._rest, lines))
            self._rest.clear()
            self._rest_size = 0
        if cut != len(chunk):
            self._hold_back(chunk[cut:])
        self._take(lines)

    def _hold_back(self, part: bytes) -> None:
        self._rest.append(part)
        self._rest_size += len(part)
        if self._rest_size > MAX_HELD:
            self._rest.clear()
            self._rest_size = 0

    def _take(self, lines: bytes) -> None:
        if len(self._opening) < OPENING:
            first = lines.split(b"\n", 8 * OPENING)
            self._opening.extend(line for line in first if line.startswith(b"data:"))
        found = (match.start() for signal in self._signals for match in signal.finditer(lines))
        for start in sorted({lines.rfind(b"\n", 0, at) + 1 for at in found}):
            if lines.startswith(b"data:", start):
                self._look_into(lines[start + 5 :].partition(b"\n")[0])
        if self._held_size + len(lines) > HELD_TEXT:
            self._count_held()
        self._held.append(lines)  # counted only if the stream ends without a usage, or grows long
        self._held_size += len(lines)

    def _look_into(self, data: bytes) -> None:
        """Take the usage out of an event, and see whether it is the last: by its type, a text may say anything."""
        ends = [end for end in self._ends if end in data]
        event = parse_json(data)
        if event is None:
            self.complete = self.complete or data.strip() in ends
            return
        if self._usage.search(data) is not None:
            part = self._endpoint.fragment(event)
            merge(self._body, part)
            self._understood = self._understood or bool(part)
        kind = b'"%b"' % str(event.get("type")).encode()
        self.complete = self.complete or any(kind.endswith(end) for end in ends)

    def _count_held(self) -> None:
        if self._endpoint.text:
            self._tokens += tokens_in(b"".join(self._held), self._endpoint.text)
        self._held.clear()
        self._held_size = 0

    def body(self, *, whole: bool) -> Json | None:  # noqa: ARG002 - a part of a stream is worth reading too
        self._look()
        if self._rest:  # the stream ended without a line end
            lines = b"".join(self._rest)
            self._rest.clear()
            self._take(lines)
        if not self._understood:
            for line in self._opening[:OPENING]:
                merge(self._body, self._endpoint.fragment(parse_json(line[5:]) or {}))
        if not self.complete:
            self.error = _failure_in(b"".join(self._held))
        return self._body or None

    def seen_tokens(self) -> int:
        self._count_held()
        return self._tokens


class NdjsonReader:
    """A stream of JSON Lines: each is an event."""

    error: str | None = None

    def __init__(self, endpoint: Endpoint) -> None:
        self.complete = False
        self._rest = b""
        self._events = SseReader(endpoint)

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_HELD:
            self._rest = b""
        if lines:
            self._events.feed(b"".join(b"data: " + line + b"\n" for line in lines))
            self.complete = self._events.complete

    def body(self, *, whole: bool) -> Json | None:
        self.feed(b"\n")  # the last line may have no end
        body = self._events.body(whole=whole)
        self.error = self._events.error
        return body

    def seen_tokens(self) -> int:
        return self._events.seen_tokens()


class EventStreamReader:
    """Amazon's binary event stream, as SDKs other than Amazon's own read it from Bedrock."""

    def __init__(self, endpoint: Endpoint) -> None:
        from botocore.eventstream import EventStreamBuffer  # the SDK uses it too  # noqa: PLC0415

        self.complete = False
        self.error: str | None = None
        self._buffer = EventStreamBuffer()
        self._events = SseReader(endpoint)

    def feed(self, chunk: bytes) -> None:
        from base64 import b64decode  # noqa: PLC0415

        self._buffer.add_data(chunk)
        for message in self._buffer:
            payload = parse_json(message.payload)
            encoded = payload.get("bytes") if payload else None
            if isinstance(encoded, str):
                self._events.feed(b"data: " + b64decode(encoded) + b"\n")
            elif payload is not None:  # an event of Converse says in its header what it is
                kind = str(message.headers.get(":event-type"))
                self._events.feed(b"data: " + json.dumps({kind: payload}).encode() + b"\n")
        self.complete = self._events.complete

    def body(self, *, whole: bool) -> Json | None:
        body = self._events.body(whole=whole)
        self.error = self._events.error
        return body

    def seen_tokens(self) -> int:
        return self._events.seen_tokens()


def reader_for(content_type: str, endpoint: Endpoint) -> Reader | None:
    """The reader for a content type, or `None` for bodies that are never looked into (audio, images)."""
    if content_type.startswith("text/event-stream"):
        return SseReader(endpoint)
    if content_type.startswith("application/vnd.amazon.eventstream"):
        return EventStreamReader(endpoint)
    if content_type.startswith(NDJSON):
        return NdjsonReader(endpoint)
    if "json" in content_type:
        return JsonReader()
    return None


def parse_json(data: bytes) -> dict[str, Any] | None:
    """A JSON object, or `None` for anything else."""
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _failure_in(lines: bytes) -> str | None:
    """The type of the error that the last event tells of."""
    last = next((line for line in reversed(lines.split(b"\n")) if line.startswith(b"data:")), b"")
    event = parse_json(last[5:]) or {}
    error = event.get("error")
    if isinstance(error, dict):
        return str(error.get("type") or error.get("code") or "error")
    return str(event.get("code") or "error") if event.get("type") == "error" else None


@lru_cache(maxsize=64)
def _signals(marks: tuple[bytes, ...], ends: tuple[bytes, ...]) -> tuple[re.Pattern[bytes], list[re.Pattern[bytes]]]:
    """What tells of a usage that is not null (most chunks say `"usage":null`), and all that a line is parsed for.

    Two patterns and not one: each begins with plain text, which `re` finds ten times as fast as an alternative.
    """
    usage = re.compile(b"(?:" + b"|".join(map(re.escape, marks)) + b")[ :]*+(?!null)")
    return usage, [usage, *([re.compile(b"|".join(map(re.escape, ends)))] if ends else [])]
