"""Bodies of Amazon's SDKs that are still to be read: seen as the application reads them, and of the same type.

A stream of events keeps an iterator of raw messages, which is looked at in passing. A `StreamingBody` can be read once
and in many ways (whole, in parts, by lines, as a file), all of which end in a few functions of one instance; those
are shadowed until the body ends. Bytes and their order stay as they are.
"""

from __future__ import annotations

import inspect
import weakref
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from otel_aicost.capture.boundary import attempt
from otel_aicost.capture.events import AsyncEvents, EventReader, Events, ended, looked
from otel_aicost.capture.readers import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_aicost.capture.body import End, Observation


class MessageReader(EventReader):
    """Folds the raw messages of Amazon's event stream; a chunk of a model's own answer comes encoded in one."""

    def feed(self, message: Any) -> None:  # noqa: ANN401 - botocore's
        """Take in the next message; one that is an exception is the last."""
        if message.headers.get(":message-type") != "event":
            self.error = str(message.headers.get(":exception-type") or message.headers.get(":error-code") or "error")
            return
        event = parse_json(message.payload) or {}
        kind = message.headers.get(":event-type")
        if kind != "chunk":
            event = {str(kind): event}
        elif isinstance(event.get("bytes"), str):
            event = parse_json(b64decode(event["bytes"])) or {}
        super().feed(event)
        self.complete = self.complete or any(b'"%b"' % key.encode() in self._endpoint.ends for key in event)


class _Messages(Events):
    __slots__ = ()

    def __next__(self) -> Any:  # noqa: ANN401
        message = super().__next__()
        attempt(_end_if_failed, self._observation)
        return message


class _AsyncMessages(AsyncEvents):
    __slots__ = ()

    async def __anext__(self) -> Any:  # noqa: ANN401
        message = await super().__anext__()
        attempt(_end_if_failed, self._observation)
        return message


def _end_if_failed(observation: Observation) -> None:
    """The SDK raises what the message says; nothing comes after it."""
    if getattr(observation.reader, "error", None) is not None:
        ended(observation, "failed", None)


def watch_events(stream: Any, observation: Observation) -> None:  # noqa: ANN401 - botocore's or aiobotocore's
    """Let `observation` see the messages of an `EventStream`, and that it is closed."""
    messages = stream._event_generator  # noqa: SLF001
    kind, alive = type(stream), weakref.ref(stream)
    wrapped = _AsyncMessages if hasattr(messages, "__anext__") else _Messages

    def close() -> Any:  # noqa: ANN401
        ended(observation, "closed", None)
        return kind.close(alive())

    stream._event_generator = wrapped(messages, observation)  # noqa: SLF001
    stream.close = close


def watch_body(body: Any, observation: Observation) -> None:  # noqa: ANN401 - as above
    """Let `observation` see the bytes of a `StreamingBody`, however they are read."""
    tee = _Tee(body, observation)
    if inspect.iscoroutinefunction(type(body).read):
        tee.shadow(body, {"read": tee.read_async, "readinto": tee.readinto_async, "close": tee.close})
        return
    raw = body._raw_stream  # noqa: SLF001 - what `with body as raw` gives, and where every way of reading ends
    tee.shadow(body, {"close": tee.close})
    if hasattr(raw, "__dict__"):
        tee.shadow(raw, {"read": tee.read, "read1": tee.read, "read_chunked": tee.read_chunked})
    else:
        tee.shadow(body, {"read": tee.read})


class _Tee:
    """Passes reads on to the class of the instance, and shows `observation` what they gave."""

    __slots__ = ("_busy", "_length", "_observation", "_seen", "_shadowed")

    def __init__(self, body: Any, observation: Observation) -> None:  # noqa: ANN401
        length = getattr(body, "_content_length", None)
        self._length = int(length) if length is not None else None
        self._observation = observation
        self._seen = 0
        self._busy = False
        self._shadowed: list[tuple[weakref.ref[Any], str]] = []

    def shadow(self, target: Any, functions: dict[str, Callable[..., Callable[..., Any]]]) -> None:  # noqa: ANN401
        """Put `functions` over those of `target` that it has; without a strong reference to it."""
        alive = weakref.ref(target)
        for name, over in functions.items():
            original = getattr(type(target), name, None)
            if original is not None:
                target.__dict__[name] = over(original, alive)
                self._shadowed.append((alive, name))
        if "read" in functions:
            finalizer = weakref.finalize(target, self._observation.drop)
            finalizer.atexit = False

    def read(self, original: Callable[..., Any], alive: weakref.ref[Any]) -> Callable[..., Any]:
        """Over `read(amount)` of a body, or of what it reads from: that one calls itself at times."""

        def read(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if self._busy:
                return original(alive(), *args, **kwargs)
            self._busy = True
            try:
                data = original(alive(), *args, **kwargs)
            except BaseException as error:
                self.end("failed", error)
                raise
            finally:
                self._busy = False
            self.took(data, _amount(args, kwargs))
            return data

        return read

    def read_async(self, original: Callable[..., Any], alive: weakref.ref[Any]) -> Callable[..., Any]:
        """As `read`."""

        async def read(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            try:
                data = await original(alive(), *args, **kwargs)
            except BaseException as error:
                self.end("failed", error)
                raise
            self.took(data, _amount(args, kwargs))
            return data

        return read

    def readinto_async(self, original: Callable[..., Any], alive: weakref.ref[Any]) -> Callable[..., Any]:
        """Over `readinto(buffer)`, which does not go through `read`."""

        async def readinto(buffer: Any) -> Any:  # noqa: ANN401
            try:
                size = await original(alive(), buffer)
            except BaseException as error:
                self.end("failed", error)
                raise
            self.took(bytes(buffer[:size]), len(buffer))
            return size

        return readinto

    def read_chunked(self, original: Callable[..., Any], alive: weakref.ref[Any]) -> Callable[..., Any]:
        """Over urllib3's iterator of a chunked body."""

        def read_chunked(*args: Any, **kwargs: Any) -> Iterator[bytes]:
            chunks = original(alive(), *args, **kwargs)
            return chunks if self._busy else _Chunks(chunks, self)

        return read_chunked

    def close(self, original: Callable[..., Any], alive: weakref.ref[Any]) -> Callable[..., Any]:
        """Over `close`, which is a coroutine function with some transports."""

        def close() -> Any:  # noqa: ANN401
            self.end("closed", None)
            return original(alive())

        return close

    def took(self, data: Any, amount: int | None) -> None:  # noqa: ANN401
        """Look at what was read; `amount` is how much was asked for, `None` for all."""
        looked(self._observation, data)
        self._seen += len(data)
        over = amount is None or (not data and amount > 0)
        if self._length is not None and self._seen >= self._length:
            self.end("read", None)
        elif over:
            self.end("read" if self._length is None else "failed", None)

    def end(self, how: End, error: BaseException | None) -> None:
        """The body ended: tell it, and take the shadows off."""
        ended(self._observation, how, error)
        for alive, name in self._shadowed:
            target = alive()
            if target is not None:
                target.__dict__.pop(name, None)
        self._shadowed.clear()


class _Chunks:
    """The iterator of a chunked body. Not a generator: nothing runs when the application lets go of it."""

    __slots__ = ("_chunks", "_tee")

    def __init__(self, chunks: Iterator[bytes], tee: _Tee) -> None:
        self._chunks = chunks
        self._tee = tee

    def __iter__(self) -> _Chunks:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._chunks)
        except StopIteration:
            self._tee.end("read", None)
            raise
        except BaseException as error:
            self._tee.end("failed", error)
            raise
        self._tee.took(chunk, len(chunk))
        return chunk


def _amount(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
    amount = args[0] if args else kwargs.get("amt")
    return amount if isinstance(amount, int) and amount >= 0 else None
