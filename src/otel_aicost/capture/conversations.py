"""One WebSocket connection in the making of its calls, whatever SDK it belongs to.

Messages go by as they are. One that may tell of a response is parsed once more, here; what it means is the provider's
`Socket`. A response is one call: begun when it is asked for (then a budget may stop it) or when it begins by itself.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_aicost.capture.boundary import Pending, attempt
from otel_aicost.capture.readers import parse_json
from otel_aicost.model import NO_USAGE, Call, Outcome
from otel_aicost.providers import COMPATIBLE, named, provider_of
from otel_aicost.providers.base import Description
from otel_aicost.tags import current

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.capture import OpenCall, Sink
    from otel_aicost.model import Status, UsageState
    from otel_aicost.providers.base import Json, Provider
    from otel_aicost.providers.sockets import Billed, Socket, Talk

HEAD = 160
"""Bytes at the beginning of a message within which its type is looked for."""
ONE_TOKEN = {"gen_ai.request.max_tokens": 1}
"""A connection is refused by a budget that has nothing left: what its responses may take is not known yet."""


class Peer(NamedTuple):
    """Who is at the other end, and whose SDK connects to it."""

    provider: Provider
    host: str
    port: int | None
    sdk: str


def uri_of(transport: Any) -> Any:  # noqa: ANN401
    """The URI that a connection of `websockets` was made with; its oldest kind does not keep it."""
    protocol = getattr(transport, "protocol", None)
    return getattr(protocol, "uri", None) or getattr(protocol, "wsuri", None)  # `wsuri` before version 15


def is_closed(error: BaseException) -> bool:
    """Whether the connection is gone: a time-out ends nothing, and neither does a task that is cancelled."""
    return any(kind.__name__ == "ConnectionClosed" for kind in type(error).__mro__)


def peer_at(sink: Sink, place: tuple[str, int], sdk: str, home: str | None = None) -> Peer:
    """Who is at a host and port; at one that nobody knows it is `home`."""
    provider = provider_of(*place, sink.settings.provider_hosts)
    if provider is COMPATIBLE and home is not None:
        provider = named(home) or COMPATIBLE
    return Peer(provider, *place, sdk)


class Conversation:
    """One connection: what was asked on it, which responses go on, and what ends them."""

    def __init__(self, sink: Sink, peer: Peer, socket: Socket, talk: Talk) -> None:
        self.sink = sink
        self.socket = socket
        self._peer = peer
        self._talk = talk
        self._tags = current()
        self._asked: deque[OpenCall] = deque()
        self._running: dict[str, OpenCall] = {}

    def call(self, told: Description | None = None, operation: str | None = None) -> Call:
        """A call that begins here and now, tagged as this place of the code is, and as the connection was."""
        told = told or Description()
        provider, host, port, sdk = self._peer
        return Call(
            provider=provider.name,
            operation=operation or self.socket.operation,
            request_model=told.model or self._talk.model,
            started_ns=time.time_ns(),
            started_ticks=time.perf_counter_ns(),
            tags={**self._tags, **current()},
            host=host,
            port=port,
            stream=True,
            parameters=told.parameters,
            priced_by_request=provider.priced_by_request,
            sdk=sdk,
        )

    def ask(self, event: Json) -> Pending | None:
        """A message is about to be sent: the call it makes, if it asks for a response."""
        audio = self.socket.sends_audio(event)
        if audio is not None:
            self._talk.sent += len(audio)
            return None
        told = self.socket.asks(event)
        return None if told is None else Asking(self, self.call(told), event)

    def asked(self, opened: OpenCall) -> None:
        """What asks for a response is being sent."""
        self._asked.append(opened)

    def withdraw(self, opened: OpenCall) -> bool:
        """It was not sent after all; `False` if it was answered all the same."""
        try:
            self._asked.remove(opened)
        except ValueError:
            return False
        return True

    def look(self, message: bytes | str) -> None:
        """Look at a message on its way to the application."""
        data = message.encode() if isinstance(message, str) else message
        socket = self.socket
        if socket.audio and socket.audio in data[:HEAD]:
            start = data.find(b'"', data.find(socket.audio_key) + len(socket.audio_key)) + 1
            self._talk.received += max(0, data.find(b'"', start) - start)
            return
        for mark in socket.marks:
            if mark in data:
                self.hear(parse_json(data) or {})
                return

    def hear(self, event: Json) -> None:
        """Take in what a message tells."""
        heard = self.socket.hear(self._talk, event)
        if heard.refused is not None and self._asked:
            self._finish(self._asked.popleft(), "error", "none", heard.refused)
        for billed in heard.billed:
            self._bill(billed)
        if heard.begun is not None:
            self._running[heard.begun] = self._next()

    def end(self, error: BaseException | None = None) -> None:
        """The connection is gone: what went on has ended with it."""
        if type(error).__name__ == "ConnectionClosedOK":
            error = None
        for billed in self.socket.ended(self._talk):
            self._bill(billed)
        running, asked = list(self._running.values()), list(self._asked)
        self._running.clear()
        self._asked.clear()
        why = None if error is None else type(error).__qualname__
        for opened in running:
            self._finish(opened, "partial", "missing", why)
        for opened in asked:  # not known to have begun
            if error is None:
                opened.abandon()
            else:
                self._finish(opened, "error", "none", why)

    def drop(self) -> None:
        """The application let go of the connection: inside the garbage collector, no locks, no spans here."""
        attempt(self.sink.later, lambda: attempt(self.end))

    def _next(self) -> OpenCall:
        """The call of a response that begins: one that was asked for, or one that the provider began by itself."""
        return self._asked.popleft() if self._asked else self.sink.begin(self.call(), {})

    def _bill(self, billed: Billed) -> None:
        reading = billed.reading
        if billed.apart:
            call = self.call(operation=reading.operation)
            opened = self.sink.begin(replace(call, request_model=reading.model), {})
        else:
            key = reading.response_id or ""
            opened = self._running.pop(key) if key in self._running else self._next()
        state: UsageState = "reported" if reading.usage else "none" if reading.error else "missing"
        outcome = Outcome(
            status="error" if reading.error else billed.status,
            usage_state="invalid" if reading.invalid else state,
            usage=reading.usage or NO_USAGE,
            estimated=billed.estimated,
            reading=reading,
            error_type=reading.error,
            ended_ticks=time.perf_counter_ns(),
        )
        opened.finish(outcome)

    @staticmethod
    def _finish(opened: OpenCall, status: Status, state: UsageState, error: str | None) -> None:
        opened.finish(Outcome(status, state, error_type=error, ended_ticks=time.perf_counter_ns()))


class Asking(Pending):
    """A message that asks for a response. Its call ends with that, not with the sending."""

    __slots__ = ("_conversation",)

    def __init__(self, conversation: Conversation, call: Call, event: Json) -> None:
        super().__init__(conversation.sink, call, None, event)
        self._conversation = conversation

    def awaits_budget(self) -> bool:
        if self.opened.awaits_budget:
            return True
        self._conversation.asked(self.opened)  # before it is sent: the response may be heard in another thread
        return False

    def as_admitted(self, args: Any, kwargs: Any) -> tuple[Any, Any]:  # noqa: ANN401
        self._conversation.asked(self.opened)
        return args, kwargs

    def took(self, result: Any) -> Any:  # noqa: ANN401
        return result

    def fail(self, error: BaseException) -> None:
        if self._conversation.withdraw(self.opened):
            super().fail(error)


class Connecting(Pending):
    """A connection that is being made. It costs nothing; a budget that is spent refuses it."""

    __slots__ = ("_made",)

    def __init__(self, sink: Sink, call: Call, made: Callable[[Any], object]) -> None:
        super().__init__(sink, replace(call, sdk_span=True), None, {})  # a span for each response, none for this
        self._made = made

    def took(self, result: Any) -> Any:  # noqa: ANN401
        self.returned()
        self._made(result)
        return result
