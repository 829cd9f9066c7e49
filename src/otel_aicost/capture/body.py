"""The observer of a response body: sees the bytes the application reads, when it reads them, and changes nothing.

Three readers turn bytes into a body-shaped mapping (server-sent events, JSON, Amazon's event stream); all they know
of a provider is its `Endpoint`. `observe` puts one onto a response instance by shadowing four of its methods;
they are removed again at the end, so a response that was read pickles and copies as ever.
"""

from __future__ import annotations

import json
import re
import weakref
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

from otel_aicost import faults
from otel_aicost.text_tokens import tokens_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from otel_aicost.providers.base import Endpoint, Json

End = Literal["read", "closed", "failed", "dropped"]
"""How a body ended: read to its end (or past the event that ends it), closed before, broken by an error, or
left to the garbage collector."""

MAX_HELD = 32 * 1024 * 1024
"""Bytes of one JSON body or one stream event that are kept to be parsed; a longer one is let go unread."""
HELD_TEXT = 64 * 1024
"""Bytes of stream kept for an estimate before they are counted and let go."""
OPENING = 2
"""Events at the beginning of a stream that are kept, to know the model if no usage comes; Azure's first names none."""
_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_SHADOWED = ("iter_bytes", "aiter_bytes", "close", "aclose")


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
            merge(self._body, self._endpoint.fragment(event))
            self._understood = True
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


class EventStreamReader:
    """Amazon's binary event stream, as the Anthropic SDK reads it from Bedrock."""

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


def merge(into: dict[str, Any], fragment: Json) -> None:
    """Lay a later fragment over an earlier one: mappings are merged, a later value wins unless it is null."""
    for key, value in fragment.items():
        old = into.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            merged = dict(old)
            merge(merged, value)
            into[key] = merged
        elif value is not None or key not in into:
            into[key] = value


@lru_cache(maxsize=64)
def _signals(marks: tuple[bytes, ...], ends: tuple[bytes, ...]) -> tuple[re.Pattern[bytes], list[re.Pattern[bytes]]]:
    """What tells of a usage that is not null (most chunks say `"usage":null`), and all that a line is parsed for.

    Two patterns and not one: each begins with plain text, which `re` finds ten times as fast as an alternative.
    """
    usage = re.compile(b"(?:" + b"|".join(map(re.escape, marks)) + b")[ :]*+(?!null)")
    return usage, [usage, *([re.compile(b"|".join(map(re.escape, ends)))] if ends else [])]


class HiddenEvents:
    """Gives a stream back the way it would be if we had not asked for a usage; `undo` does it for one event."""

    def __init__(self, undo: Callable[[bytes], bytes]) -> None:
        self._undo = undo
        self.held = b""
        """The beginning of an event whose end is not there yet."""

    def without(self, chunk: bytes) -> bytes:
        """The whole events up to here; maybe none."""
        data = self.held + chunk
        events, start = [], 0
        for end in _EVENT_END.finditer(data):
            events.append(self._undo(data[start : end.end()]))
            start = end.end()
        self.held = data[start:]
        return b"".join(events)

    def rest(self) -> bytes:
        """What follows the last whole event, at the end of the stream."""
        rest = self._undo(self.held)
        self.held = b""
        return rest


class Observation:
    """One body being read: feeds the reader, and tells `finished` once how it ended."""

    __slots__ = ("__weakref__", "_done", "_finalizer", "_finished", "_first", "hidden", "reader", "reading")

    def __init__(
        self,
        reader: Reader | None,
        finished: Callable[[End, BaseException | None], None],
        first: Callable[[], None],
    ) -> None:
        self.reader = reader
        self.reading = False
        self.hidden: HiddenEvents | None = None
        self._finished = finished
        self._first: Callable[[], None] | None = first
        self._done = False
        self._finalizer: weakref.finalize[..., Any] | None = None

    def look(self, chunk: bytes) -> None:
        """Look at a chunk on its way to the application."""
        if self._first is not None:
            self._first()
            self._first = None
        reader = self.reader
        if reader is not None and not self._done:
            reader.feed(chunk)
            if reader.complete:
                self.end("read", None)

    def give_up(self, error: Exception) -> None:
        """Looking at a chunk failed: the rest of the body goes by unseen."""
        faults.report("capture.body", error)
        self.reader = self._first = None

    def end(self, how: End, error: BaseException | None) -> None:
        """The body ended; only the first time counts."""
        if self._done:
            return
        self._done = True
        if self._finalizer is not None:
            self._finalizer.detach()
        self._finished(how, error)

    def drop(self) -> None:
        """The garbage collector has the response."""
        _guarded_end(self, "dropped", None)


def observe(response: Any, observation: Observation) -> None:  # noqa: ANN401 - httpx and httpx2 share no type
    """Let `observation` see the body of `response` as the application reads it."""
    kind = type(response)
    alive = weakref.ref(response)
    stream = response.stream  # when the garbage collector closes it, the reference above is dead already

    def iter_bytes(chunk_size: int | None = None) -> Iterator[bytes]:
        return _Chunks(kind.iter_bytes(alive(), chunk_size), observation, alive)

    def aiter_bytes(chunk_size: int | None = None) -> AsyncIterator[bytes]:
        return _AsyncChunks(kind.aiter_bytes(alive(), chunk_size), observation, alive)

    def close() -> None:
        ended_before_closing()
        here = alive()
        if here is None:
            stream.close()
        else:
            kind.close(here)

    async def aclose() -> None:
        ended_before_closing()
        here = alive()
        if here is None:
            await stream.aclose()
        else:
            await kind.aclose(here)

    def ended_before_closing() -> None:
        """Closing lets an SDK end the span of the call, and that span is to have the cost."""
        if not observation.reading:
            _end(observation, "closed", None, alive)

    response.__dict__.update(zip(_SHADOWED, (iter_bytes, aiter_bytes, close, aclose), strict=True))
    observation._finalizer = weakref.finalize(response, observation.drop)  # noqa: SLF001


def _end(observation: Observation, how: End, error: BaseException | None, alive: weakref.ref[Any]) -> None:
    _guarded_end(observation, how, error)
    response = alive()
    if response is not None:
        for name in _SHADOWED:
            response.__dict__.pop(name, None)


def _guarded_end(observation: Observation, how: End, error: BaseException | None) -> None:
    try:
        observation.end(how, error)
    except Exception as failure:  # noqa: BLE001 - reading a response is one of the guarded places
        faults.report("capture.body", failure)


def _shown(observation: Observation, chunk: bytes | None) -> bytes:
    """What the application gets of a chunk, or, at the end, of what was held back."""
    hidden = observation.hidden
    if hidden is None:
        return chunk or b""
    try:
        return hidden.rest() if chunk is None else hidden.without(chunk)
    except Exception as failure:  # noqa: BLE001 - as above
        faults.report("capture.body", failure)
        observation.hidden = None
        return hidden.held + (chunk or b"")


class _Chunks:
    """The iterator of a body. Not a generator: nothing runs when the application lets go of it."""

    __slots__ = ("_alive", "_chunks", "_observation")

    def __init__(self, chunks: Iterator[bytes], observation: Observation, alive: weakref.ref[Any]) -> None:
        self._chunks = chunks
        self._observation = observation
        self._alive = alive

    def __iter__(self) -> _Chunks:
        return self

    def __next__(self) -> bytes:
        observation = self._observation
        while True:
            observation.reading = True  # httpx closes the response from inside the last read
            try:
                chunk = next(self._chunks)
            except StopIteration:
                _end(observation, "read", None, self._alive)
                if rest := _shown(observation, None):
                    return rest
                raise
            except BaseException as error:
                _end(observation, "failed", error, self._alive)
                raise
            finally:
                observation.reading = False
            try:
                observation.look(chunk)
            except Exception as error:  # noqa: BLE001 - as above
                observation.give_up(error)
            if observation.hidden is None:
                return chunk
            if shown := _shown(observation, chunk):
                return shown

    def close(self) -> None:
        self._chunks.close()  # type: ignore[attr-defined]  # httpx gives a generator


class _AsyncChunks:
    """As `_Chunks`, for `async for`."""

    __slots__ = ("_alive", "_chunks", "_observation")

    def __init__(self, chunks: AsyncIterator[bytes], observation: Observation, alive: weakref.ref[Any]) -> None:
        self._chunks = chunks
        self._observation = observation
        self._alive = alive

    def __aiter__(self) -> _AsyncChunks:
        return self

    async def __anext__(self) -> bytes:
        observation = self._observation
        while True:
            observation.reading = True
            try:
                chunk = await self._chunks.__anext__()
            except StopAsyncIteration:
                _end(observation, "read", None, self._alive)
                if rest := _shown(observation, None):
                    return rest
                raise
            except BaseException as error:
                _end(observation, "failed", error, self._alive)
                raise
            finally:
                observation.reading = False
            try:
                observation.look(chunk)
            except Exception as error:  # noqa: BLE001 - as above
                observation.give_up(error)
            if observation.hidden is None:
                return chunk
            if shown := _shown(observation, chunk):
                return shown

    async def aclose(self) -> None:
        await self._chunks.aclose()  # type: ignore[attr-defined]  # httpx gives an asynchronous generator
