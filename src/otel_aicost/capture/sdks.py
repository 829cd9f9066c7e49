"""The SDKs whose calls are seen: which module to wait for, and which file of this room knows its functions."""

from __future__ import annotations

from typing import NamedTuple


class Sdk(NamedTuple):
    """An SDK, or a part of one that is imported by itself."""

    name: str
    """The package, as it is imported: `OTEL_AICOST_DISABLED` and the records call it so."""
    family: str
    """The module of `capture` that has its `wrappers`; imported when the SDK is."""
    module: str
    """What is wrapped when this module is imported."""
    home: str | None = None
    """Who is paid where the host says nothing: no one else speaks this SDK's dialect."""


SDKS: tuple[Sdk, ...] = (
    Sdk("openai", "stainless", "openai._base_client"),
    *(
        Sdk("openai", "websocket", f"openai.{module}")
        for module in (
            "resources.realtime.realtime",
            "resources.realtime.translations.translations",
            "resources.responses.responses",
            "resources.beta.realtime.realtime",
            "resources.beta.responses.responses",
            "resources.live.live",
            "resources.live.sideband",
            "resources.live.forks",
            "lib.responses_websocket._session",
        )
    ),
    Sdk("anthropic", "stainless", "anthropic._base_client"),
    Sdk("botocore", "botocore", "botocore.client", "aws.bedrock"),
    Sdk("aiobotocore", "botocore", "aiobotocore.client", "aws.bedrock"),
    Sdk("aiobotocore", "botocore", "aiobotocore.response", "aws.bedrock"),
    Sdk("groq", "stainless", "groq._base_client", home="groq"),
    Sdk("together", "stainless", "together._base_client", home="together"),
    Sdk("perplexity", "stainless", "perplexity._base_client", home="perplexity"),
    Sdk("mistralai", "speakeasy", "mistralai.client.basesdk", home="mistral_ai"),
    Sdk("mistralai", "speakeasy", "mistralai.azure.client.basesdk", home="azure.ai.inference"),
    Sdk("mistralai", "speakeasy", "mistralai.gcp.client.basesdk", home="gcp.vertex_ai"),
    Sdk("mistralai", "speakeasy", "mistralai.basesdk", home="mistral_ai"),  # before 2.0
    Sdk("openrouter", "speakeasy", "openrouter.basesdk", home="openrouter"),
    Sdk("cohere", "fern", "cohere.core.http_client", home="cohere"),
    Sdk("ollama", "ollama", "ollama._client", home="ollama"),
    Sdk("google.genai", "google_genai", "google.genai._api_client", home="gcp.gemini"),
    Sdk("google.genai", "speakeasy", "google.genai._gaos.basesdk", home="gcp.gemini"),
    Sdk("google.genai", "google_live", "google.genai.live", home="gcp.gemini"),
    Sdk("google.genai", "stainless", "google.genai._interactions._base_client", home="gcp.gemini"),  # until 2
    Sdk("googlemaps", "google_maps", "googlemaps.client", "google.maps"),
    Sdk("google.maps.places", "google_maps", "google.maps.places_v1.services.places.client", "google.maps"),
    Sdk("google.maps.places", "google_maps", "google.maps.places_v1.services.places.async_client", "google.maps"),
    Sdk("dashscope", "dashscope", "dashscope.api_entities.http_request", "alibaba_cloud"),
    Sdk("voyageai", "voyageai", "voyageai.api_resources.api_requestor", "voyage_ai"),
    Sdk("litellm", "litellm", "litellm.llms.custom_httpx.http_handler"),
)
HTTP: tuple[Sdk, ...] = (
    Sdk("httpx", "http_clients", "httpx._client"),
    Sdk("httpx2", "http_clients", "httpx2._client"),
    Sdk("requests", "http_clients", "requests.sessions"),
)
"""Wrapped only where the user declares an API that is called with them."""
NAMES: tuple[str, ...] = tuple(dict.fromkeys(sdk.name for sdk in SDKS))
