"""Bodies of Amazon's SDKs that are still to be read: seen as the application reads them, and of the same type.

A `StreamingBody` can be read once, and in many ways (whole, in parts, by lines, as a file), all of which end in a few
functions of what it reads from; those are shadowed until the body ends. Bytes and their order stay as they are.
"""

from __future__ import annotations

import inspect
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from otel_aicost.capture.boundary import attempt
from otel_aicost.capture.events import ended, looked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from otel_aicost.capture.body import End, Observation
    from otel_aicost.capture.boundary import Wrapper

_TEE = "_otel_aicost"
"""Under this name an asynchronous body has its tee, until it ends."""


def watch_body(body: Any, observation: Observation) -> None:  # noqa: ANN401 - as above
    """Let `observation` see the bytes of a `StreamingBody`, however they are read."""
    tee = _Tee(body, observation)
    if inspect.iscoroutinefunction(type(body).read):
        response = getattr(body, "__wrapped__", body)
        response.__dict__[_TEE] = tee
        tee.watch(response, (_TEE,))
        if response is not body:  # a proxy in earlier releases; `async with body as response` gives this
            response.__dict__["read"] = tee.read_whole(type(response).read, weakref.ref(response))
            tee.watch(response, ("read",), to_its_end=False)
        return
    raw = body._raw_stream  # noqa: SLF001 - what `with body as raw` gives, and where every way of reading ends
    source = raw if hasattr(raw, "__dict__") else body
    body.close = closing(body, raw, partial(tee.end, "closed", None))
    functions = {"read": tee.read, "read1": tee.read, "read_chunked": tee.read_chunked}
    known = {name: getattr(type(source), name, None) for name in functions}
    alive = weakref.ref(source)
    source.__dict__.update({name: functions[name](it, alive) for name, it in known.items() if it is not None})
    tee.watch(source, tuple(known))
    tee.watch(body, ("close",), to_its_end=False)


def closing(owner: Any, raw: Any, tell: Callable[[], None]) -> Callable[[], Any]:  # noqa: ANN401
    """What stands over `close` of `owner`, without holding it: in `answer()["body"].close()` it is gone by then."""
    kind, alive = type(owner), weakref.ref(owner)

    def close() -> Any:  # noqa: ANN401
        attempt(tell)
        here = alive()
        return raw.close() if here is None else kind.close(here)

    return close


def tees_of(module: Any) -> Mapping[str, Mapping[str, Wrapper]]:  # noqa: ANN401 - `aiobotocore.response`
    """What to wrap of the classes of asynchronous bodies: a function on one instance would have to hold it."""
    over = {"read": _read_async, "readinto": _readinto_async, "close": _close_async}
    names = (
        "StreamingBody",
        "AioStreamingBody",
        "AioHttpxStreamingBody",
    )  # the first is another name of the second, or
    kinds = {
        getattr(module, name): name for name in names if hasattr(module, name)
    }  # all there was in earlier releases
    return {
        name: {method: wrapper for method, wrapper in over.items() if hasattr(kind, method)}
        for kind, name in kinds.items()
    }


def is_body(value: Any) -> bool:  # noqa: ANN401
    """Whether it is a body that is still to be read; in earlier releases of aiobotocore a proxy of a response."""
    return hasattr(value, "read") and (hasattr(value, "_raw_stream") or inspect.iscoroutinefunction(type(value).read))


async def _read_async(wrapped: Callable[..., Any], body: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
    tee = vars(body).get(_TEE)
    if tee is None:
        return await wrapped(*args, **kwargs)
    try:
        data = await wrapped(*args, **kwargs)
    except BaseException as error:
        attempt(tee.end, "failed", error)
        raise
    attempt(tee.given, data, args, kwargs)
    return data


async def _readinto_async(wrapped: Callable[..., Any], body: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
    tee = vars(body).get(_TEE)
    if tee is None:
        return await wrapped(*args, **kwargs)
    try:
        size = await wrapped(*args, **kwargs)
    except BaseException as error:
        attempt(tee.end, "failed", error)
        raise
    attempt(tee.filled, size, *args, **kwargs)
    return size


def _close_async(wrapped: Callable[..., Any], body: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
    tee = vars(body).get(_TEE)
    if tee is not None:
        attempt(tee.end, "closed", None)
    return wrapped(*args, **kwargs)  # of some transports it is a coroutine


class _Tee:
    """Passes reads on to the class of the instance, and shows `observation` what they gave."""

    __slots__ = ("_busy", "_length", "_observation", "_seen", "_shadowed")

    def __init__(self, body: Any, observation: Observation) -> None:  # noqa: ANN401
        length = getattr(body, "_content_length", getattr(body, "_self_content_length", None))
        self._length = int(length) if length is not None else None
        self._observation = observation
        self._seen = 0
        self._busy = False
        self._shadowed: list[tuple[weakref.ref[Any], str]] = []

    def watch(self, target: Any, names: tuple[str, ...], *, to_its_end: bool = True) -> None:  # noqa: ANN401
        """`names` were put on `target`, until the body ends; `to_its_end`: with that object the body is gone."""
        alive = weakref.ref(target)
        self._shadowed += [(alive, name) for name in names]
        if to_its_end:
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
                attempt(self.end, "failed", error)
                raise
            finally:
                self._busy = False
            attempt(self.given, data, args, kwargs)
            return data

        return read

    def read_whole(self, original: Callable[..., Any], alive: weakref.ref[Any]) -> Callable[..., Any]:
        """Over `read()` of a transport's asynchronous response, which gives all there is."""

        async def read() -> Any:  # noqa: ANN401
            try:
                data = await original(alive())
            except BaseException as error:
                attempt(self.end, "failed", error)
                raise
            attempt(self.took, data, None)
            return data

        return read

    def read_chunked(self, original: Callable[..., Any], alive: weakref.ref[Any]) -> Callable[..., Any]:
        """Over urllib3's iterator of a chunked body."""

        def read_chunked(*args: Any, **kwargs: Any) -> Iterator[bytes]:  # noqa: ANN401
            chunks = original(alive(), *args, **kwargs)
            return chunks if self._busy else _Chunks(chunks, self)

        return read_chunked

    def given(self, data: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ANN401
        """Look at what `read` gave for its arguments."""
        amount = args[0] if args else kwargs.get("amt")
        self.took(data, amount if isinstance(amount, int) and amount >= 0 else None)

    def filled(self, size: int, b: Any) -> None:  # noqa: ANN401 - `b` is what `readinto` calls it
        """Look at what was read into a buffer."""
        self.took(bytes(b[:size]), len(b))

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
            attempt(self._tee.end, "read", None)
            raise
        except BaseException as error:
            attempt(self._tee.end, "failed", error)
            raise
        attempt(self._tee.took, chunk, len(chunk))
        return chunk
