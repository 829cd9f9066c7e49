"""Voyage's SDK: seen where its resources ask for something, `APIRequestor.request` and `arequest`.

Both send one request and give its parsed answer, whatever carries it (requests or aiohttp). A retry is a request of its
own: `max_retries` of the client, which is 0 unless it is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.capture.boundary import Pending, around, around_async
from otel_aicost.capture.routes import Routes, body_of, call_of
from otel_aicost.providers.base import Sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.capture.boundary import Watch, Wrapper
    from otel_aicost.capture.sdks import Sdk

_ORDER = ("method", "url", "params")


class _Request(Pending):
    """A request whose result holds the parsed answer."""

    __slots__ = ()

    def took(self, result: Any) -> Any:  # noqa: ANN401
        self.exchange().parsed(body_of(result.data))
        return result


def wrappers(watch: Watch, sdk: Sdk, _: Any) -> Mapping[str, Mapping[str, Wrapper]]:  # noqa: ANN401 - the SDK's module
    """What to wrap: class -> method -> wrapper."""
    routes = Routes(sdk.home)

    def begin(client: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        sink = watch.on()
        given = _given(args, kwargs)
        if sink is None or given["method"].lower() != "post":
            return None
        base = getattr(client, "base_url", None) or client.api_base  # as it was called at first
        route = routes.find(f"{base}{given['url']}", sink.settings.provider_hosts)
        body = body_of(given.get("params"))
        call = call_of(route, Sent(body, path=route.path), sdk.name, replaceable=False)
        return _Request(sink, call, route, body), args, kwargs

    return {"APIRequestor": {"request": around(begin), "arequest": around_async(begin)}}


def _given(args: Any, kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
    return {**dict(zip(_ORDER, args, strict=False)), **kwargs}
