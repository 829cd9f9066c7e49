"""Live sessions of `google.genai`: seen at `_receive`, which every message passes, parsed by the SDK already."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otel_aicost.capture.boundary import around, around_async, attempt
from otel_aicost.capture.conversations import ONE_TOKEN, Connecting, Conversation, is_closed, peer_at, uri_of
from otel_aicost.capture.routes import DEFAULT_PORTS
from otel_aicost.providers import google_content, google_live
from otel_aicost.providers.base import Description
from otel_aicost.providers.sockets import Talk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_aicost.capture import Sink
    from otel_aicost.capture.boundary import Pending, Watch, Wrapper
    from otel_aicost.capture.sdks import Sdk
    from otel_aicost.providers.base import Json

_model: ContextVar[str | None] = ContextVar("otel_aicost_live_model", default=None)
"""What the latest `connect` of this context asked for: the session that it gives does not know."""


class _Sessions:
    """The sessions of the SDK."""

    def __init__(self, watch: Watch, sdk: Sdk) -> None:
        self._watch = watch
        self._sdk = sdk
        self._known: weakref.WeakKeyDictionary[Any, Conversation] = weakref.WeakKeyDictionary()

    def connecting(self, live: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        """`connect` makes what makes the connection, and is not awaited: budgets are asked here all the same."""
        sink = self._watch.on()
        if sink is None:
            return None
        client, model = live._api_client, google_content.name_of(kwargs.get("model"))  # noqa: SLF001
        options = client._http_options  # noqa: SLF001 - it has no public name
        there = urlsplit(str(options.get("base_url") if isinstance(options, dict) else options.base_url))
        place = (there.hostname or "", there.port or DEFAULT_PORTS["wss"])
        planned = self._conversation(sink, client, place, model)
        call = planned.call(Description(model, ONE_TOKEN))
        return Connecting(sink, call, lambda _: _model.set(model)), args, kwargs

    def opened(self, wrapped: Callable[..., Any], session: Any, args: Any, kwargs: Any) -> None:  # noqa: ANN401
        """Wraps the constructor of a session."""
        wrapped(*args, **kwargs)
        attempt(self._of, session, _model.get())

    async def received(self, wrapped: Callable[..., Any], session: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Wraps `_receive`."""
        try:
            message = await wrapped(*args, **kwargs)
        except Exception as error:
            attempt(self._lost, session, error)
            raise
        attempt(self._look, session, message)
        return message

    def sending(self, session: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        """Content is sent; unless it is told otherwise, it completes the user's turn."""
        return self._ask(session, args, kwargs, complete=kwargs.get("turn_complete", True))

    def sending_any(self, session: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        """The older method, which has to be told that the turn is complete."""
        return self._ask(session, args, kwargs, complete=kwargs.get("end_of_turn"))

    def _ask(self, session: Any, args: Any, kwargs: Any, *, complete: object) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        conversation = self._of(session)
        pending = None if conversation is None else conversation.ask({"clientContent": {"turnComplete": complete}})
        return None if pending is None else (pending, args, kwargs)

    def _look(self, session: Any, message: Any) -> None:  # noqa: ANN401
        if message.usage_metadata is None and message.server_content is None and message.tool_call is None:
            return
        conversation = self._of(session)
        if conversation is not None:
            conversation.hear(_json(message))

    def _lost(self, session: Any, error: Exception) -> None:  # noqa: ANN401
        """Newer versions raise an error of their own where the connection is closed."""
        conversation = self._known.get(session)
        code = None if is_closed(error) else getattr(error, "code", None)
        if conversation is not None and self._watch.on() is not None and (code is not None or is_closed(error)):
            conversation.end(None if code == NORMAL else error)

    def _of(self, session: Any, model: str | None = None) -> Conversation | None:  # noqa: ANN401
        sink = self._watch.on()
        if sink is None:
            return None
        known = self._known.get(session)
        if known is None or known.sink is not sink:
            uri = uri_of(session._ws)  # noqa: SLF001 - as above
            place = ("", DEFAULT_PORTS["wss"]) if uri is None else (uri.host, uri.port)
            known = self._known[session] = self._conversation(sink, session._api_client, place, model)  # noqa: SLF001
            weakref.finalize(session, known.drop).atexit = False
        return known

    def _conversation(self, sink: Sink, client: Any, place: tuple[str, int], model: str | None) -> Conversation:  # noqa: ANN401
        home = "gcp.vertex_ai" if client.vertexai else self._sdk.home
        peer = peer_at(sink, place, self._sdk.name, home)
        return Conversation(sink, peer, google_live.SOCKET, Talk(model=model))


NORMAL = 1000
"""The code of a connection that was closed in good order."""


def wrappers(watch: Watch, sdk: Sdk, module: Any) -> Mapping[str, Mapping[str, Wrapper]]:  # noqa: ANN401 - the SDK's module
    """What to wrap: class -> method -> wrapper."""
    sessions = _Sessions(watch, sdk)
    methods: dict[str, Wrapper] = {"_receive": sessions.received, "__init__": sessions.opened}
    for name, begin in (("send_client_content", sessions.sending), ("send", sessions.sending_any)):
        if hasattr(module.AsyncSession, name):
            methods[name] = around_async(begin)
    return {
        "AsyncSession": methods,
        "AsyncLive": {"connect": around(sessions.connecting)},
    }


def _json(message: Any) -> Json:  # noqa: ANN401
    """What of a message tells of a turn, in the words of the wire; what was said is left out."""
    usage, content = message.usage_metadata, message.server_content
    grounded = getattr(content, "grounding_metadata", None)
    return {
        "usageMetadata": None if usage is None else _dump(usage),
        "toolCall": message.tool_call is not None,
        "serverContent": {
            "modelTurn": getattr(content, "model_turn", None) is not None,
            "outputTranscription": getattr(content, "output_transcription", None) is not None,
            "interrupted": getattr(content, "interrupted", None),
            "turnComplete": getattr(content, "turn_complete", None),
            "groundingMetadata": None if grounded is None else _dump(grounded),
        },
    }


def _dump(model: Any) -> Json:  # noqa: ANN401
    found: Json = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return found
