"""Streams of events of Amazon's SDKs: seen as the application takes them, and of the same type.

A stream keeps an iterator of raw messages of its own; those are looked at in passing.
"""

from __future__ import annotations

from base64 import b64decode
from functools import partial
from typing import TYPE_CHECKING, Any

from otel_aicost.capture.botocore_bodies import closing
from otel_aicost.capture.boundary import attempt
from otel_aicost.capture.events import AsyncEvents, EventReader, Events, ended
from otel_aicost.capture.readers import parse_json

if TYPE_CHECKING:
    from otel_aicost.capture.body import Observation


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
    messages, raw = stream._event_generator, stream._raw_stream  # noqa: SLF001
    wrapped = _AsyncMessages if hasattr(messages, "__anext__") else _Messages
    stream._event_generator = wrapped(messages, observation)  # noqa: SLF001
    stream.close = closing(stream, raw, partial(ended, observation, "closed", None))
