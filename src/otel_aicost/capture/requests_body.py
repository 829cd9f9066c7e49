"""The body of a response of `requests`: read with the call, or seen as the application reads it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from otel_aicost.capture.events import ended, looked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_aicost.capture.body import Observation
    from otel_aicost.capture.exchange import Exchange


def respond(exchange: Exchange, response: Any) -> None:  # noqa: ANN401 - a `requests.Response`
    """A successful response is here."""
    content = response._content  # noqa: SLF001 - `content` would read a body that is to be streamed
    if content is not False:
        exchange.whole(content or b"", response.headers)
        return
    observation = exchange.watch(response.headers)
    kind, alive = type(response), weakref.ref(response)

    def iter_content(chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:  # noqa: FBT001, FBT002
        return _Chunks(kind.iter_content(alive(), chunk_size, decode_unicode), observation)

    def close() -> None:
        ended(observation, "closed", None)
        here = alive()
        if here is not None:
            kind.close(here)

    response.__dict__.update(iter_content=iter_content, close=close)
    weakref.finalize(response, observation.drop).atexit = False


class _Chunks:
    """The iterator of a body."""

    __slots__ = ("_chunks", "_observation")

    def __init__(self, chunks: Iterator[Any], observation: Observation) -> None:
        self._chunks = chunks
        self._observation = observation

    def __iter__(self) -> _Chunks:
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - bytes, or text where the application asks for it
        try:
            chunk = next(self._chunks)
        except StopIteration:
            ended(self._observation, "read", None)
            raise
        except BaseException as error:
            ended(self._observation, "failed", error)
            raise
        looked(self._observation, chunk if isinstance(chunk, bytes) else chunk.encode("utf-8", "replace"))
        return chunk

    def close(self) -> None:
        self._chunks.close()  # type: ignore[attr-defined]  # requests gives a generator
