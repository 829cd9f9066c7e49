"""OpenAI's WebSockets: seen at `recv_bytes`, `send` and `close` of its connections, and at what makes them.

Whatever reads from a connection passes `recv_bytes`: `recv()`, iteration, handlers. The classes are many and alike, so
they are found by that method. A connection that was made before us, or by other means, is known by its own URI.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from otel_aicost.capture.boundary import around, around_async, attempt
from otel_aicost.capture.conversations import ONE_TOKEN, Connecting, Conversation, is_closed, peer_at, uri_of
from otel_aicost.capture.routes import DEFAULT_PORTS
from otel_aicost.providers import openai_realtime, paths
from otel_aicost.providers.base import Description, text
from otel_aicost.providers.sockets import Talk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_aicost.capture import Sink
    from otel_aicost.capture.boundary import Pending, Watch, Wrapper
    from otel_aicost.capture.sdks import Sdk
    from otel_aicost.providers.base import Json


_known: weakref.WeakKeyDictionary[Any, Conversation] = weakref.WeakKeyDictionary()
"""Connections of all the modules: a lane sends on one that was made elsewhere."""


class _Connections:
    """The connections of one SDK."""

    def __init__(self, watch: Watch, sdk: Sdk) -> None:
        self._watch = watch
        self._sdk = sdk.name

    def connecting(self, manager: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        """A manager makes its connection; what is not told yet (the model of Live) no budget can ask for."""
        sink = self._watch.on()
        if sink is None:
            return None
        client = _private(manager, "client")
        url = urlsplit(str(client.websocket_base_url or client.base_url))
        planned = self._conversation(sink, (url.hostname or "", url.port), url.path, "")
        call = planned.call(Description(text(_private(manager, "model")), ONE_TOKEN))
        return Connecting(sink, call, self._of), args, kwargs

    def sending(self, connection: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        """An event is sent on a connection, or on a lane of one."""
        conversation = self._of(getattr(getattr(connection, "_session", None), "connection", connection))
        if conversation is None:
            return None
        pending = conversation.ask(_event(args[0] if args else kwargs["event"]))
        return None if pending is None else (pending, args, kwargs)

    def received(self, wrapped: Callable[..., Any], connection: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Wraps `recv_bytes`."""
        try:
            message = wrapped(*args, **kwargs)
        except Exception as error:
            attempt(self._lost, connection, error)
            raise
        attempt(self._look, connection, message)
        return message

    async def received_async(self, wrapped: Callable[..., Any], connection: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """As `received`."""
        try:
            message = await wrapped(*args, **kwargs)
        except Exception as error:
            attempt(self._lost, connection, error)
            raise
        attempt(self._look, connection, message)
        return message

    def closed(self, wrapped: Callable[..., Any], connection: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Wraps `close`: no message can come after it was called, so a coroutine need not be awaited first."""
        attempt(self._end, connection)
        return wrapped(*args, **kwargs)

    def _look(self, connection: Any, message: bytes | str) -> None:  # noqa: ANN401
        conversation = self._of(connection)
        if conversation is not None:
            conversation.look(message)

    def _lost(self, connection: Any, error: Exception) -> None:  # noqa: ANN401
        if is_closed(error):
            self._end(connection, error)

    def _end(self, connection: Any, error: Exception | None = None) -> None:  # noqa: ANN401
        conversation = _known.get(connection)
        if conversation is not None and self._watch.on() is not None:
            conversation.end(error)

    def _of(self, connection: Any) -> Conversation | None:  # noqa: ANN401
        sink = self._watch.on()
        if sink is None:
            return None
        known = _known.get(connection)
        if known is None or known.sink is not sink:
            uri = uri_of(connection._connection)  # noqa: SLF001 - it has no public name
            known = _known[connection] = self._conversation(sink, (uri.host, uri.port), uri.path, uri.query)
            weakref.finalize(connection, known.drop).atexit = False
        return known

    def _conversation(self, sink: Sink, there: tuple[str, int | None], path: str, query: str) -> Conversation:
        host, port = there[0], there[1] or DEFAULT_PORTS["wss"]
        asked = {key: values[0] for key, values in parse_qs(query).items()}
        talk = Talk(path=path, model=asked.get("model") or asked.get("deployment"))
        socket = paths.find(openai_realtime.SOCKETS, path) or openai_realtime.REALTIME
        return Conversation(sink, peer_at(sink, (host, port), self._sdk), socket, talk)


def wrappers(watch: Watch, sdk: Sdk, module: Any) -> Mapping[str, Mapping[str, Wrapper]]:  # noqa: ANN401 - the SDK's module
    """What to wrap: class -> method -> wrapper."""
    connections = _Connections(watch, sdk)
    found: dict[str, Mapping[str, Wrapper]] = {}
    for name, owner in vars(module).items():
        if isinstance(owner, type) and owner.__module__ == module.__name__:
            methods = _methods(connections, name, vars(owner))
            if methods:
                found[name] = methods
    return found


def _methods(connections: _Connections, name: str, owned: Mapping[str, Any]) -> Mapping[str, Wrapper]:
    """What to wrap of a class that is a connection, a manager or a lane."""
    wrap = around_async if name.startswith("Async") else around
    if "recv_bytes" in owned:
        received = connections.received_async if wrap is around_async else connections.received
        return {"recv_bytes": received, "send": wrap(connections.sending), "close": connections.closed}
    if "enter" in owned:
        made = wrap(connections.connecting)
        return {"__aenter__" if wrap is around_async else "__enter__": made, "enter": made}
    return {"send": wrap(connections.sending)} if name.endswith("Lane") else {}


def _private(manager: Any, name: str) -> Any:  # noqa: ANN401
    """What a manager keeps under a name of its class's own."""
    return next((value for key, value in vars(manager).items() if key.endswith(f"__{name}")), None)


def _event(event: Any) -> Json:  # noqa: ANN401
    """An event to be sent: a dict, or a model."""
    found: Json = event if isinstance(event, dict) else event.to_dict()
    return found
