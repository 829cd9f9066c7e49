"""`google.genai`: seen at the four functions of its client that send requests, whatever carries them.

`BaseApiClient.request` and its kin get a path and a body and give the body of one HTTP response; retries are inside.
A public method may send several requests (automatic function calling), and each is billed. Interactions take another
road, which Speakeasy generated.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from otel_aicost.capture.boundary import Pending, around, around_async, attempt
from otel_aicost.capture.events import AsyncEvents, Events
from otel_aicost.capture.readers import parse_json
from otel_aicost.capture.routes import Route, Routes, body_of, call_of
from otel_aicost.providers.base import Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from otel_aicost.capture.body import Observation, Takes
    from otel_aicost.capture.boundary import Watch, Wrapper
    from otel_aicost.capture.sdks import Sdk

_STREAM = {"content-type": "text/event-stream"}
_FILE = {"content-type": "application/jsonl"}
_END = object()


class _Request(Pending):
    """A request whose result has the body of the response."""

    __slots__ = ()

    def as_admitted(self, args: Any, kwargs: Any) -> tuple[Any, Any]:  # noqa: ANN401
        call = self.opened.call
        if call.asked_model is None:
            return args, kwargs
        path = _given(args, kwargs, "path", 1).replace(f"/{call.asked_model}:", f"/{call.request_model}:", 1)
        return (args, {**kwargs, "path": path}) if "path" in kwargs else ((args[0], path, *args[2:]), kwargs)

    def took(self, result: Any) -> Any:  # noqa: ANN401
        headers = {str(name).lower(): value for name, value in (result.headers or {}).items()}
        self.exchange().parsed(parse_json((result.body or "").encode()), headers)
        return result


class _Stream(_Request):
    """A request whose result gives the events of the response one by one. What it gives the SDK keeps for itself."""

    __slots__ = ()

    def observation(self) -> Observation:
        """What the events go by."""
        found = self.exchange().watch(_STREAM)
        if found.reader is not None:
            found.reader = _Lines(found.reader)
        return found

    def took(self, result: Any) -> Any:  # noqa: ANN401
        return Events(result, self.observation())


class _AsyncStream(_Stream):
    __slots__ = ()

    def took(self, result: Any) -> Any:  # noqa: ANN401
        return AsyncEvents(result, self.observation())


class _Download(Pending):
    """A file: results of a batch are JSON Lines, and nothing else is looked into."""

    __slots__ = ()

    def took(self, result: Any) -> Any:  # noqa: ANN401
        if isinstance(result, bytes) and result[:1] == b"{":
            self.exchange().whole(result, _FILE)
        else:
            self.returned()
        return result


class _Lines:
    """Turns the events of the SDK into the lines they came in. None of Gemini's events says that it is the last."""

    complete = False

    def __init__(self, reader: Takes) -> None:
        self._reader = reader

    def feed(self, event: Any) -> None:  # noqa: ANN401
        self._reader.feed(b"data: " + (event.body or "").encode() + b"\n")


class _Begun:
    """The events of a stream whose first one is there: the SDK sends the request when it is asked for that."""

    __slots__ = ("_events", "_first")

    def __init__(self, send: Callable[..., Iterator[Any]], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        self._events = send(*args, **kwargs)
        self._first = next(self._events, _END)

    def __iter__(self) -> _Begun:
        return self

    def __next__(self) -> Any:  # noqa: ANN401
        first, self._first = self._first, None
        if first is None:
            return next(self._events)
        if first is _END:
            raise StopIteration
        return first

    def close(self) -> None:
        close = getattr(self._events, "close", None)
        if close is not None:
            close()


class _Client:
    """The clients of the SDK, of the Gemini API and of Vertex AI."""

    def __init__(self, watch: Watch, sdk: Sdk) -> None:
        self._watch = watch
        self._sdk = sdk.name
        self._routes = {False: Routes(sdk.home), True: Routes("gcp.vertex_ai")}

    def begin(self, kind: type[Pending], client: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        """What a request asks for; a GET returns what is stored."""
        sink = self._watch.on()
        if sink is None:
            return None
        method = str(_given(args, kwargs, "http_method", 0)).lower()
        path, hosts = _given(args, kwargs, "path", 1), sink.settings.provider_hosts
        base, routes = _base(client, _given(args, kwargs, "http_options", 3)), self._routes[bool(client.vertexai)]
        route: Route | None = None
        if method == "post":
            route = routes.known((base, path)) or routes.find(f"{base}/{path}", hosts, (base, path))
        elif method == "get":
            route = routes.poll(f"{base}/{path}", hosts)
        if route is None:
            return None
        body = body_of(_given(args, kwargs, "request_dict", 2))
        call = call_of(route, Sent(body, stream=issubclass(kind, _Stream), path=route.path), self._sdk)
        # The path alone names the model: another one can be put there.
        named = call.operation == "generate_content" and f"models/{call.request_model}:" in route.path
        return kind(sink, replace(call, replaceable=named), route, body), args, kwargs

    def download(self, client: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        """Files that are fetched."""
        sink = self._watch.on()
        if sink is None:
            return None
        url = f"{_base(client, kwargs.get('http_options'))}/{_given(args, kwargs, 'path', 0)}"
        route = self._routes[bool(client.vertexai)].poll(url, sink.settings.provider_hosts)
        if route is None:
            return None
        return _Download(sink, call_of(route, Sent({}, path=route.path), self._sdk), route, {}), args, kwargs

    def stream(self) -> Wrapper:
        """What wraps `request_streamed`, a generator that sends the request with its first step."""
        send = around(partial(self.begin, _Stream))

        def begun(wrapped: Callable[..., Any], client: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
            if attempt(self._watch.on) is None:
                return wrapped(*args, **kwargs)
            return send(partial(_Begun, wrapped), client, args, kwargs)

        return begun


def wrappers(watch: Watch, sdk: Sdk, module: Any) -> Mapping[str, Mapping[str, Wrapper]]:  # noqa: ANN401 - the SDK's module
    """What to wrap: class -> method -> wrapper."""
    client = _Client(watch, sdk)
    methods = {
        "request": around(partial(client.begin, _Request)),
        "request_streamed": client.stream(),
        "async_request": around_async(partial(client.begin, _Request)),
        "async_request_streamed": around_async(partial(client.begin, _AsyncStream)),
    }
    for name, wrap in (("download_file", around), ("async_download_file", around_async)):
        if hasattr(module.BaseApiClient, name):
            methods[name] = wrap(client.download)
    return {"BaseApiClient": methods}


def _given(args: Any, kwargs: Any, name: str, position: int) -> Any:  # noqa: ANN401
    """An argument, however it was given."""
    return kwargs.get(name, args[position] if len(args) > position else None)


def _base(client: Any, options: Any) -> str:  # noqa: ANN401
    """The base URL of a request: its own, else the client's."""
    for found in (options, client._http_options):  # noqa: SLF001 - it has no public name
        base = found.get("base_url") if isinstance(found, dict) else getattr(found, "base_url", None)
        if base:
            return str(base).rstrip("/")
    return ""
