"""Google's two packages for its Maps: `googlemaps` (one function sends everything) and `google-maps-places`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.capture.boundary import Begin, Pending, around, around_async
from otel_aicost.capture.routes import Routes, call_of
from otel_aicost.providers.base import Sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.capture.boundary import Watch, Wrapper
    from otel_aicost.capture.sdks import Sdk

_DEFAULT_BASE = "https://maps.googleapis.com"
_PLACES = {
    "search_text": "v1/places:searchText",
    "search_nearby": "v1/places:searchNearby",
    "autocomplete_places": "v1/places:autocomplete",
    "get_place": "v1/{name}",
    "get_photo_media": "v1/{name}",
}


class _Request(Pending):
    """A request whose result is the parsed answer."""

    __slots__ = ()

    def took(self, result: Any) -> Any:  # noqa: ANN401
        self.exchange().parsed(result if isinstance(result, dict) else {})
        return result


def wrappers(watch: Watch, sdk: Sdk, module: Any) -> Mapping[str, Mapping[str, Wrapper]]:  # noqa: ANN401
    """What to wrap: class -> method -> wrapper."""
    routes = Routes(sdk.home)
    if sdk.name == "googlemaps":
        return {"Client": {"_request": around(_maps(watch, sdk, routes), outermost=True)}}
    # No lower function is common to the transports (gRPC and REST), so each method is wrapped.
    name, wrap = ("PlacesAsyncClient", around_async) if "async" in module.__name__ else ("PlacesClient", around)
    return {name: {method: wrap(_places(watch, sdk, routes, path)) for method, path in _PLACES.items()}}


def _maps(watch: Watch, sdk: Sdk, routes: Routes) -> Begin:
    def begin(client: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        sink = watch.on()
        if sink is None:
            return None
        given = dict(zip(("url", "params"), args, strict=False)) | kwargs
        base = given.get("base_url") or getattr(client, "base_url", _DEFAULT_BASE)
        route = routes.find(f"{base}{given['url']}", sink.settings.provider_hosts)
        body = {**dict(given["params"]), **(given.get("post_json") or {})}
        sent = Sent(body, path=route.path)
        return _Request(sink, call_of(route, sent, sdk.name), route, {}), args, kwargs

    return begin


def _places(watch: Watch, sdk: Sdk, routes: Routes, path: str) -> Begin:
    def begin(client: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        sink = watch.on()
        if sink is None:
            return None
        request = args[0] if args else kwargs.get("request")
        there = path.format(name=kwargs.get("name") or _told(request, "name") or "")
        route = routes.find(f"https://{client.api_endpoint}/{there}", sink.settings.provider_hosts, path)
        headers = {str(key).lower(): str(value) for key, value in kwargs.get("metadata") or ()}
        sent = Sent({"sessionToken": _told(request, "session_token")}, path=route.path, headers=headers)
        return _Request(sink, call_of(route, sent, sdk.name), route, {}), args, kwargs

    return begin


def _told(request: Any, key: str) -> Any:  # noqa: ANN401
    """A field of a request, which may be a message or a mapping."""
    return request.get(key) if isinstance(request, dict) else getattr(request, key, None)
