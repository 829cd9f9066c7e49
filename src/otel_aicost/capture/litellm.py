"""LiteLLM where it sends requests itself; those it makes through the openai SDK are seen there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from otel_aicost.capture.boundary import Pending, around, around_async
from otel_aicost.capture.routes import Routes, body_of, call_of
from otel_aicost.providers.base import Sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.capture.boundary import Watch, Wrapper
    from otel_aicost.capture.sdks import Sdk


class _Request(Pending):
    """A request of one of the handlers; its result is the response, and a refusal is raised."""

    __slots__ = ()

    def took(self, result: Any) -> Any:  # noqa: ANN401
        self.respond(result)
        self.returned()
        return result


def wrappers(watch: Watch, sdk: Sdk, _: Any) -> Mapping[str, Mapping[str, Wrapper]]:  # noqa: ANN401 - the SDK's module
    """What to wrap: class -> method -> wrapper."""
    routes = Routes(sdk.home)

    def begin(_: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        sink = watch.on()
        if sink is None:
            return None
        route = routes.find(kwargs.get("url") or args[0], sink.settings.provider_hosts)
        body = _body(kwargs)
        stream = bool(kwargs.get("stream") or body.get("stream"))
        call = call_of(route, Sent(body, stream=stream, path=route.path), sdk.name, replaceable=False)
        return _Request(sink, call, route, body), args, kwargs

    return {
        "HTTPHandler": {"post": around(begin, outermost=True)},
        "AsyncHTTPHandler": {"post": around_async(begin, outermost=True)},
    }


def _body(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON of a request: as it is, or written out already, for a signature."""
    for key in ("json", "data", "content"):
        given = kwargs.get(key)
        if isinstance(given, (str, bytes)):
            return body_of(json.loads(given)) if given[:1] in {"{", b"{"} else {}
        if isinstance(given, dict):
            return given
    return {}
