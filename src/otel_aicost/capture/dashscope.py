"""Alibaba's SDK: seen where an HTTP request that is ready is sent, `HttpRequest.call` and `aio_call`.

Both give what is parsed of the response, whatever its status: one answer, or an iterator that sends the request with
its first step. A retry of a lost connection is inside.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from otel_aicost.capture.boundary import Pending, around, around_async
from otel_aicost.capture.events import AsyncEvents, Events
from otel_aicost.capture.routes import Routes, body_of, call_of
from otel_aicost.providers.base import Sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.capture.boundary import Watch, Wrapper
    from otel_aicost.capture.sdks import Sdk


class _Request(Pending):
    """A request; its answer is a `dict` of a class of the SDK's."""

    __slots__ = ("data",)

    data: Any
    """What the SDK makes the body of, when it sends it."""

    def as_admitted(self, args: Any, kwargs: Any) -> tuple[Any, Any]:  # noqa: ANN401
        if self.opened.call.asked_model is not None:
            self.data.model = self.opened.call.request_model
        return args, kwargs

    def took(self, result: Any) -> Any:  # noqa: ANN401
        self.exchange().parsed(body_of(result))
        return result


class _Streamed(_Request):
    """A request whose answer comes in pieces."""

    __slots__ = ()

    def took(self, result: Any) -> Any:  # noqa: ANN401
        return Events(result, self.exchange().watch_events())


class _AsyncStreamed(_Streamed):
    __slots__ = ()

    def took(self, result: Any) -> Any:  # noqa: ANN401
        return AsyncEvents(result, self.exchange().watch_events())


def wrappers(watch: Watch, sdk: Sdk, _: Any) -> Mapping[str, Mapping[str, Wrapper]]:  # noqa: ANN401 - the SDK's module
    """What to wrap: class -> method -> wrapper."""
    routes = Routes(sdk.home)

    def begin(kind: type[_Streamed], request: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        sink, data = watch.on(), getattr(request, "data", None)
        if sink is None or request.method != "POST" or data is None:
            return None
        route = routes.find(request.url, sink.settings.provider_hosts)
        given = data._input  # noqa: SLF001 - `input` is there only once it is sent
        body = {"model": data.model, "parameters": data.parameters, "input": body_of(given)}
        call = call_of(route, Sent(body, stream=bool(request.stream), path=route.path), sdk.name)
        pending = (kind if request.stream else _Request)(sink, call, route, body)
        pending.data = data
        return pending, args, kwargs

    methods = {"call": around(partial(begin, _Streamed)), "aio_call": around_async(partial(begin, _AsyncStreamed))}
    return {"HttpRequest": methods}
