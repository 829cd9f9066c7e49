"""The observer of a response body: sees the bytes the application reads, when it reads them, and changes nothing.

`observe` puts a reader onto a response instance by shadowing four of its methods; they are removed again at the end, so
a response that was read pickles and copies as ever.
"""

from __future__ import annotations

import re
import weakref
from typing import TYPE_CHECKING, Any, Literal, Protocol

from otel_aicost import faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


class Takes(Protocol):
    """A reader, of bytes or of events."""

    complete: bool

    def feed(self, chunk: Any, /) -> None: ...  # noqa: ANN401


End = Literal["read", "closed", "failed", "dropped"]
"""How a body ended: read to its end (or past the event that ends it), closed before, broken by an error, or
left to the garbage collector."""

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_SHADOWED = ("iter_bytes", "aiter_bytes", "close", "aclose")


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
        reader: Takes | None,
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

    def look(self, chunk: Any) -> None:  # noqa: ANN401 - bytes, or an event where the reader takes those
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
