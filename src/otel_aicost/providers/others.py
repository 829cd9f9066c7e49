"""All providers but the `FIRST`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_aicost.providers import (
    alibaba_cloud,
    azure_inference,
    bedrock,
    cohere,
    compatible,
    deepseek,
    gemini,
    google_maps,
    groq,
    mistral_ai,
    ollama,
    openrouter,
    perplexity,
    self_hosted,
    together,
    vertex_ai,
    voyage_ai,
)

if TYPE_CHECKING:
    from otel_aicost.providers.base import Provider

PROVIDERS: tuple[Provider, ...] = (
    azure_inference.PROVIDER,
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
    alibaba_cloud.PROVIDER,
    *compatible.PROVIDERS,
    *self_hosted.PROVIDERS,
)
