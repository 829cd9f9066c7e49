"""Streams whose events an SDK has parsed already: seen as they are handed on, and nothing about them changed."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from otel_aicost import faults
from otel_aicost.capture.merging import merge
from otel_aicost.text_tokens import size_under, tokens_of_size

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from otel_aicost.capture.body import End, Observation
    from otel_aicost.providers.base import Endpoint, Json


class EventReader:
    """Folds parsed events into the shape of a body, by the endpoint's `fragment`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.complete = False
        self.error: str | None = None
        self._endpoint = endpoint
        self._body: dict[str, Any] = {}
        self._size = 0

    def feed(self, event: Json) -> None:
        """Take in the next event."""
        merge(self._body, self._endpoint.fragment(event))
        if self._endpoint.text:
            self._size += size_under(event, self._endpoint.text)

    def body(self, *, whole: bool) -> Json | None:  # noqa: ARG002 - a part of a stream is worth reading too
        return self._body or None

    def seen_tokens(self) -> int:
        return tokens_of_size(self._size)


class Events:
    """The iterator of a stream. Not a generator: nothing runs when the application lets go of it."""

    __slots__ = ("__weakref__", "_events", "_finalizer", "_observation")

    def __init__(self, events: Iterator[Any], observation: Observation) -> None:
        self._events = events
        self._observation = observation
        self._finalizer = weakref.finalize(self, observation.drop)
        self._finalizer.atexit = False

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - the SDK's own event
        try:
            event = next(self._events)
        except StopIteration:
            ended(self._observation, "read", None)
            raise
        except BaseException as error:
            ended(self._observation, "failed", error)
            raise
        looked(self._observation, event)
        return event

    def close(self) -> None:
        """The application has enough."""
        ended(self._observation, "closed", None)
        close = getattr(self._events, "close", None)
        if close is not None:
            close()


class AsyncEvents:
    """As `Events`, for `async for`."""

    __slots__ = ("__weakref__", "_events", "_finalizer", "_observation")

    def __init__(self, events: AsyncIterator[Any], observation: Observation) -> None:
        self._events = events
        self._observation = observation
        self._finalizer = weakref.finalize(self, observation.drop)
        self._finalizer.atexit = False

    def __aiter__(self) -> AsyncEvents:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - as above
        try:
            event = await self._events.__anext__()
        except StopAsyncIteration:
            ended(self._observation, "read", None)
            raise
        except BaseException as error:
            ended(self._observation, "failed", error)
            raise
        looked(self._observation, event)
        return event

    async def aclose(self) -> None:
        """As `Events.close`."""
        ended(self._observation, "closed", None)
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()


def looked(observation: Observation, event: Any) -> None:  # noqa: ANN401
    """Look at an event on its way to the application; if that fails, the rest goes by unseen."""
    try:
        observation.look(event)
    except Exception as error:  # noqa: BLE001 - reading a response is one of the guarded places
        observation.give_up(error)


def ended(observation: Observation, how: End, error: BaseException | None) -> None:
    """The stream ended; only the first time counts."""
    try:
        observation.end(how, error)
    except Exception as failure:  # noqa: BLE001 - as above
        faults.report("capture.body", failure)
