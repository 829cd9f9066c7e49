"""The registry: who is paid, by host, and what a request means, by path."""

from __future__ import annotations

import ipaddress
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from otel_aicost.model import Reading
from otel_aicost.providers import (
    anthropic,
    anthropic_stored,
    azure,
    bedrock,
    cohere,
    compatible,
    deepseek,
    gemini,
    google_maps,
    groq,
    mistral_ai,
    ollama,
    openai,
    openai_batches,
    openai_jobs,
    openai_video,
    openrouter,
    paths,
    perplexity,
    self_hosted,
    together,
    vertex_ai,
    voyage_ai,
)
from otel_aicost.providers.base import Endpoint, Provider

if TYPE_CHECKING:
    from collections.abc import Mapping

PROVIDERS: tuple[Provider, ...] = (
    openai.PROVIDER,
    anthropic.PROVIDER,
    azure.OPENAI,
    azure.INFERENCE,
    bedrock.PROVIDER,
    vertex_ai.PROVIDER,
    gemini.PROVIDER,
    groq.PROVIDER,
    together.PROVIDER,
    perplexity.PROVIDER,
    mistral_ai.PROVIDER,
    openrouter.PROVIDER,
    cohere.PROVIDER,
    *cohere.ELSEWHERE,
    ollama.PROVIDER,
    ollama.CLOUD,
    deepseek.PROVIDER,
    voyage_ai.PROVIDER,
    google_maps.PROVIDER,
    *compatible.PROVIDERS,
    *self_hosted.PROVIDERS,
)
BY_NAME: Mapping[str, Provider] = {provider.name: provider for provider in PROVIDERS}

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


def provider_of(host: str, port: int | None, mapped: Mapping[str, str]) -> Provider:
    """Who is paid at `host`: the user's map first, then the hosts of the providers, then local ports."""
    host = host.lower().rstrip(".")
    name = mapped.get(f"{host}:{port}") or mapped.get(host)
    if name is not None:
        return BY_NAME.get(name) or Provider(name)
    for provider in PROVIDERS:
        if any(fnmatchcase(host, pattern) for pattern in provider.hosts):
            return provider
    if _is_local(host):
        for provider in PROVIDERS:
            if port in provider.ports:
                return provider
    return COMPATIBLE


def names_priced(provider: str, response_model: str | None, request_model: str | None) -> tuple[str, ...]:
    """The names that a recorded call was looked up by, in their order."""
    models = [response_model, request_model]
    if provider in BY_NAME and BY_NAME[provider].priced_by_request:
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
