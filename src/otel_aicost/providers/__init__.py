"""The registry: who is paid, by host, and what a request means, by path."""

from __future__ import annotations

import ipaddress
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING

from otel_aicost.model import Reading
from otel_aicost.providers import (
    anthropic,
    anthropic_stored,
    azure,
    openai,
    openai_batches,
    openai_jobs,
    openai_video,
    paths,
)
from otel_aicost.providers.base import Endpoint, Provider

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FIRST: tuple[Provider, ...] = (openai.PROVIDER, anthropic.PROVIDER, azure.OPENAI)
"""Those whose dialects many speak. The files of the `others` are read when a host or a name is none of these."""

COMPATIBLE = Provider("openai_compatible")
"""A host that nobody told us about: recorded, and unpriced rather than guessed."""

ENDPOINTS: Mapping[str, Endpoint] = {
    **openai.ENDPOINTS,
    **openai_batches.ENDPOINTS,
    **openai_jobs.ENDPOINTS,
    **openai_video.ENDPOINTS,
    **anthropic.ENDPOINTS,
    **anthropic_stored.ENDPOINTS,
}
"""What many providers speak."""

POLLS: Mapping[str, Endpoint] = {
    **openai_batches.POLLS,
    **openai_jobs.POLLS,
    **openai_video.POLLS,
    **anthropic_stored.POLLS,
}

STORED = Endpoint("stored", lambda _: Reading(), only_with_usage=True)
"""A POST that is no call: it changes something stored, and returns it with the usage of its making. Never recorded."""

UNKNOWN = Endpoint("unknown", openai.read, openai.describe, only_with_usage=True)
"""A POST that no table names: recorded when its response holds a usage."""


def every() -> Iterator[Provider]:
    """All providers, in the order in which hosts are tried."""
    yield from FIRST
    from otel_aicost.providers import others  # noqa: PLC0415 - most programs ask OpenAI or Anthropic

    yield from others.PROVIDERS


def named(name: str) -> Provider | None:
    """The provider of a name."""
    return next((provider for provider in FIRST if provider.name == name), None) or _by_name().get(name)


@cache
def _by_name() -> Mapping[str, Provider]:
    return {provider.name: provider for provider in every()}


def provider_of(host: str, port: int | None, mapped: Mapping[str, str]) -> Provider:
    """Who is paid at `host`: the user's map first, then the hosts of the providers, then local ports."""
    host = host.lower().rstrip(".")
    name = mapped.get(f"{host}:{port}") or mapped.get(host)
    if name is not None:
        return named(name) or Provider(name)
    for provider in every():
        if any(fnmatchcase(host, pattern) for pattern in provider.hosts):
            return provider
    if _is_local(host):
        for provider in every():
            if port in provider.ports:
                return provider
    return COMPATIBLE


def names_priced(provider: str, response_model: str | None, request_model: str | None) -> tuple[str, ...]:
    """The names that a recorded call was looked up by, in their order."""
    models = [response_model, request_model]
    paid = named(provider)
    if paid is not None and paid.priced_by_request:
        models.reverse()
    return tuple(model for model in dict.fromkeys(models) if model)


def endpoint_of(path: str, provider: Provider = COMPATIBLE) -> Endpoint:
    """What a POST to `path` means; prefixes such as `/v1` or a deployment do not matter."""
    path = "/" + path.partition("?")[0].strip("/")
    found = paths.find(provider.endpoints, path)
    if found is not None or provider.closed:
        return found or STORED
    found = paths.find(ENDPOINTS, path)
    if found is not None:
        return found
    return STORED if path.rpartition("/")[0].endswith(openai.STORED_UNDER) else UNKNOWN


def poll_of(path: str, provider: Provider = COMPATIBLE) -> Endpoint | None:
    """What a GET of `path` means, if it fetches what was spent before."""
    path = "/" + path.partition("?")[0].strip("/")
    return paths.find(provider.polls, path) or (None if provider.closed else paths.find(POLLS, path))


def names_model(path: str) -> bool:
    """Whether a path says which model is asked, so that the body has no say in it."""
    return azure.IN_PATH in path


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith((".local", ".internal", ".lan")):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return "." not in host  # a bare name: a container or a machine of this network
    return address.is_private or address.is_loopback or address.is_unspecified
