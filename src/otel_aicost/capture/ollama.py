"""The ollama SDK: seen where its client asks its HTTP client.

`_request_raw` returns the response. A stream is a generator that `_request` hands to the application. It stays the
SDK's own, made for a stand-in of the client, whose HTTP client lets us see the response when the generator opens it.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from otel_aicost.capture.boundary import Pending, around, around_async, attempt
from otel_aicost.capture.routes import Routes, body_of, call_of
from otel_aicost.capture.streaming import Opening
from otel_aicost.providers.base import Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_aicost.capture.boundary import Watch, Wrapper
    from otel_aicost.capture.sdks import Sdk


class _Request(Pending):
    """A request; what comes back of it is the response."""

    __slots__ = ()

    def as_admitted(self, args: Any, kwargs: Any) -> tuple[Any, Any]:  # noqa: ANN401
        if self.opened.call.asked_model is None:
            return args, kwargs
        return args, {**kwargs, "json": {**kwargs["json"], "model": self.opened.call.request_model}}

    def took(self, result: Any) -> Any:  # noqa: ANN401
        self.answered(result)
        return result


class _Streamed(_Request):
    """A request that is sent when the application begins to read; maybe never."""

    __slots__ = ()

    def took(self, result: Any) -> Any:  # noqa: ANN401
        finalizer = weakref.finalize(result, self.opened.later, self.returned)
        finalizer.atexit = False
        return result


class _StandIn:
    """A client for the length of one stream."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401
        self._client = _Http(client._client)  # noqa: SLF001 - that is what the generator asks
        self._whole = client

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._whole, name)


class _Http:
    """The HTTP client of a stand-in."""

    def __init__(self, http: Any) -> None:  # noqa: ANN401 - of httpx
        self.http = http
        self.pending: Pending | None = None

    def stream(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """As the HTTP client's own; the generator enters it at once."""
        context = self.http.stream(*args, **kwargs)
        return context if self.pending is None else attempt(Opening, context, self.pending) or context


class _Sender:
    """What sends the requests of the SDK."""

    def __init__(self, watch: Watch, sdk: Sdk) -> None:
        self._watch = watch
        self._sdk = sdk.name
        self._routes = Routes(sdk.home)

    def request(self, client: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        """`_request_raw(method, url, json=...)`."""
        return self._begin(_Request, client._client, args, kwargs)  # noqa: SLF001

    def stream(self, client: _StandIn, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        """`_request(cls, method, url, json=..., stream=True)`."""
        begun = self._begin(_Streamed, client._client.http, args[1:], kwargs)  # noqa: SLF001
        if begun is None:
            return None
        client._client.pending = begun[0]  # noqa: SLF001
        return begun[0], args, kwargs

    def _begin(self, kind: type[_Request], http: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        sink = self._watch.on()
        if sink is None or args[0] != "POST":
            return None
        url = args[1] if "://" in args[1] else f"{str(http.base_url).rstrip('/')}{args[1]}"
        route = self._routes.find(url, sink.settings.provider_hosts)
        body = body_of(kwargs.get("json"))
        sent = Sent(body, stream=kind is _Streamed, path=route.path)
        return kind(sink, call_of(route, sent, self._sdk), route, body), args, kwargs


def wrappers(watch: Watch, sdk: Sdk, _: Any) -> Mapping[str, Mapping[str, Wrapper]]:  # noqa: ANN401 - the SDK's module
    """What to wrap: class -> method -> wrapper."""
    sender = _Sender(watch, sdk)
    return {
        "Client": {"_request_raw": around(sender.request), "_request": _streams(around(sender.stream))},
        "AsyncClient": {
            "_request_raw": around_async(sender.request),
            "_request": _streams(around_async(sender.stream)),
        },
    }


def _streams(send: Wrapper) -> Wrapper:
    """Only streams are of interest here: the rest comes by `_request_raw`."""

    def request(wrapped: Callable[..., Any], client: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        made = attempt(_stand_in, wrapped, client) if kwargs.get("stream") else None
        if made is None:
            return wrapped(*args, **kwargs)
        return send(made[0], made[1], args, kwargs)

    return request


def _stand_in(wrapped: Any, client: Any) -> tuple[Callable[..., Any], _StandIn]:  # noqa: ANN401
    """The SDK's function, bound to a stand-in."""
    standing = _StandIn(client)
    return partial(wrapped.__func__, standing), standing
