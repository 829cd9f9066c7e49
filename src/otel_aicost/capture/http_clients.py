"""Calls made with httpx, httpx2 or requests to hosts that the user declares (`apis:` in `aicost.yaml`); no others."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from otel_aicost.capture import requests_body
from otel_aicost.capture.boundary import Pending, around, around_async
from otel_aicost.capture.routes import DEFAULT_PORTS, Route, call_of
from otel_aicost.providers import endpoint_of, names_model, poll_of, provider_of
from otel_aicost.providers.base import Provider, Sent
from otel_aicost.providers.declared import declared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.apis import Api
    from otel_aicost.capture import Sink
    from otel_aicost.capture.boundary import Watch, Wrapper
    from otel_aicost.capture.sdks import Sdk

LONGEST_BODY = 1024 * 1024
"""Bytes of a request that are read for what they tell of it."""


class _Request(Pending):
    """A request of an HTTP client; its result is the response."""

    __slots__ = ()

    def took(self, result: Any) -> Any:  # noqa: ANN401
        if hasattr(result, "is_success"):
            self.answered(result)
        elif result.ok:
            requests_body.respond(self.exchange(), result)
        else:
            self.refused(result.status_code)
        return result


class _Declared(NamedTuple):
    host: str
    provider: Provider | None


class _Hosts:
    """The hosts that the user declares."""

    def __init__(self, apis: tuple[Api, ...]) -> None:
        self._declared = [_Declared(api.host, declared(api)) for api in apis]

    def route(self, sink: Sink, method: str, url: str) -> Route | None:
        """Where a request goes, if it counts."""
        there = urlsplit(url)
        host = (there.hostname or "").lower()
        entry = next((entry for entry in self._declared if fnmatchcase(host, entry.host)), None)
        if entry is None:
            return None
        port = there.port or DEFAULT_PORTS.get(there.scheme)
        provider = entry.provider or provider_of(host, port, sink.settings.provider_hosts)
        endpoint = endpoint_of(there.path, provider) if method != "GET" else poll_of(there.path, provider)
        if endpoint is None:
            return None
        return Route(provider, endpoint, host, port, there.path, names_model(there.path))


class _Client:
    def __init__(self, watch: Watch, sdk: Sdk) -> None:
        self._watch = watch
        self._sdk = sdk.name
        self._hosts = None if watch.sink is None else _Hosts(watch.sink.settings.apis)

    def begin(self, _: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        """What a request asks for, if its host is declared."""
        sink = self._watch.on()
        if sink is None or self._hosts is None:
            return None
        request = args[0] if args else kwargs["request"]
        url = str(request.url)
        route = self._hosts.route(sink, request.method, url)
        if route is None:
            return None
        body = _body(request, url)
        headers = {name.lower(): value for name, value in request.headers.items()}
        sent = Sent(body, stream=bool(body.get("stream")), path=route.path, headers=headers)
        return _Request(sink, call_of(route, sent, self._sdk, replaceable=False), route, body), args, kwargs


def wrappers(watch: Watch, sdk: Sdk, _: Any) -> Mapping[str, Mapping[str, Wrapper]]:  # noqa: ANN401 - the SDK's module
    """What to wrap: class -> method -> wrapper. Within a request of another SDK they are a part of that."""
    client = _Client(watch, sdk)
    if sdk.name == "requests":
        return {"Session": {"send": around(client.begin, outermost=True)}}
    return {
        "Client": {"send": around(client.begin, outermost=True)},
        "AsyncClient": {"send": around_async(client.begin, outermost=True)},
    }


def _body(request: Any, url: str) -> Mapping[str, Any]:  # noqa: ANN401 - of httpx or of requests
    """What the query and the body of a request tell; a body that is still to be made, or long, tells nothing."""
    told: dict[str, Any] = {
        key: values[0] if len(values) == 1 else values for key, values in parse_qs(urlsplit(url).query).items()
    }
    # httpx has the bytes in `_content` once they are known; `content` raises where they are not.
    content = getattr(request, "_content", None) if hasattr(request, "stream") else request.body
    if not isinstance(content, (bytes, str)) or len(content) > LONGEST_BODY:
        return told
    kind = request.headers.get("content-type", "")
    if "json" in kind:
        found = json.loads(content)
        return {**told, **found} if isinstance(found, dict) else told
    if "x-www-form-urlencoded" in kind:
        text = content.decode() if isinstance(content, bytes) else content
        return {**told, **{key: values[0] if len(values) == 1 else values for key, values in parse_qs(text).items()}}
    return told
