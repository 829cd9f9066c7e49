"""Where a request goes, and what it means there: found by its URL, and remembered."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from otel_aicost.model import NO_CONDITIONS, Call
from otel_aicost.providers import COMPATIBLE, endpoint_of, named, names_model, poll_of, provider_of
from otel_aicost.tags import current

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from otel_aicost.providers.base import Endpoint, Provider, Sent

DEFAULT_PORTS = {"https": 443, "http": 80, "wss": 443, "ws": 80}
_KEPT = 1024


class Route(NamedTuple):
    """Where a request goes and what it means there."""

    provider: Provider
    endpoint: Endpoint
    host: str
    port: int | None
    path: str
    names_model: bool
    """Its path says which model is asked."""


class Routes:
    """The routes of one SDK, or of a few that share a dialect."""

    def __init__(self, home: str | None = None) -> None:
        """`home` is who is paid at a host that nobody knows."""
        self._home = None if home is None else named(home)
        self._kept: dict[Hashable, Route] = {}

    def known(self, key: Hashable) -> Route | None:
        """What was kept under a key of the caller's own, cheaper to make than a URL."""
        return self._kept.get(key)

    def find(self, url: str, mapped: Mapping[str, str], key: Hashable = None) -> Route:
        """Where a POST to `url` goes; `mapped` is what the user says of hosts."""
        key = url if key is None else key
        route = self._kept.get(key)
        if route is None:
            provider, host, port, path = self._place(url, mapped)
            route = Route(provider, endpoint_of(path, provider), host, port, path, names_model(path))
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[key] = route
        return route

    def poll(self, url: str, mapped: Mapping[str, str]) -> Route | None:
        """Where a GET of `url` goes, if it fetches what was spent before. Never kept: each has an id in it."""
        provider, host, port, path = self._place(url, mapped)
        endpoint = poll_of(path, provider)
        return None if endpoint is None else Route(provider, endpoint, host, port, path, names_model=False)

    def _place(self, url: str, mapped: Mapping[str, str]) -> tuple[Provider, str, int | None, str]:
        there = urlsplit(url)
        host, port = there.hostname or "", there.port or DEFAULT_PORTS.get(there.scheme)
        provider = provider_of(host, port, mapped)
        if self._home is not None:
            if provider is COMPATIBLE:
                provider = self._home
            elif named(provider.name) is None:  # a gateway of the user's that speaks the dialect of this SDK
                provider = replace(self._home, name=provider.name)
        return provider, host, port, there.path


def call_of(route: Route, sent: Sent, sdk: str, *, sdk_span: bool = False, replaceable: bool = True) -> Call:
    """The call that a request makes, as far as it is known before it is sent.

    `replaceable`: the family can put another model in the place of the one that the request names.
    """
    provider, endpoint, host, port, _, fixed = route
    told = endpoint.describe(sent)
    names_it = told.model is not None and sent.body.get("model") == told.model
    return Call(
        provider=provider.name,
        operation=endpoint.operation,
        request_model=told.model,
        started_ns=time.time_ns(),
        started_ticks=time.perf_counter_ns(),
        tags=current(),
        host=host,
        port=port,
        stream=sent.stream,
        parameters=told.parameters,
        usage=told.usage,
        conditions={**_region(provider, host), **told.conditions} if provider.regional else told.conditions,
        free=endpoint.free,
        only_with_usage=endpoint.only_with_usage,
        past=endpoint.past,
        priced_by_request=provider.priced_by_request,
        replaceable=replaceable and names_it and not fixed,
        sdk=sdk,
        sdk_span=sdk_span,
    )


def _region(provider: Provider, host: str) -> Mapping[str, str]:
    """The region of a host that keeps data there, as a condition of the price."""
    region, _, rest = host.lower().partition(".")
    return {"region": region} if rest == provider.regional else NO_CONDITIONS


def body_of(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - what the application gave the SDK
    """A request's JSON body, if it has one."""
    return value if isinstance(value, dict) else {}
