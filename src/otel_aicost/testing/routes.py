"""Which path is answered by which endpoint, in whose manner."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from otel_aicost.testing import (
    alibaba_wire,
    anthropic_batches,
    anthropic_wire,
    bedrock_wire,
    cohere_wire,
    google_wire,
    kin_wire,
    maps_wire,
    mistral_wire,
    ollama_wire,
    openai_audio,
    openai_batches,
    openai_chat,
    openai_images,
    openai_jobs,
    openai_responses,
    voyage_wire,
)
from otel_aicost.testing import openai_vectors as vectors
from otel_aicost.testing.exchange import Answer, Exchange, unknown

Endpoint = Callable[[Exchange], Answer]

AZURE_MODEL = "gpt-4o-2024-11-20"
"""What an Azure deployment, whatever its name, turns out to be; `Reply(model=...)` says otherwise."""


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint found for a path."""

    endpoint: Endpoint
    family: str
    """Whose error format applies: openai, anthropic, amazon, google or voyage."""
    names: Mapping[str, str]
    """What the path says: deployment, model, id."""


_TABLE: tuple[tuple[str, str, str, Endpoint], ...] = (
    ("POST", r"/publishers/anthropic/models/count-tokens:rawPredict", "google", anthropic_wire.count_tokens),
    (
        "POST",
        r"/publishers/anthropic/models/(?P<model>[^/:]+):(stream)?[rR]awPredict",
        "google",
        anthropic_wire.messages,
    ),
    ("POST", r"/model/(?P<model>[^/]+)/invoke", "amazon", bedrock_wire.invoke),
    ("POST", r"/model/(?P<model>[^/]+)/invoke-with-response-stream", "amazon", bedrock_wire.invoke_stream),
    ("POST", r"/model/(?P<model>[^/]+)/converse", "amazon", bedrock_wire.converse),
    ("POST", r"/model/(?P<model>[^/]+)/converse-stream", "amazon", bedrock_wire.converse_stream),
    ("POST", r"/model/(?P<model>[^/]+)/count-tokens", "amazon", bedrock_wire.count_tokens),
    ("POST", r"/guardrail/[^/]+/version/[^/]+/apply", "amazon", bedrock_wire.apply_guardrail),
    ("POST", r"/async-invoke", "amazon", bedrock_wire.async_invoke),
    ("POST", r"^/rerank", "amazon", bedrock_wire.rerank),
    ("POST", r"/messages/count_tokens", "anthropic", anthropic_wire.count_tokens),
    ("POST", r"/messages", "anthropic", anthropic_wire.messages),
    ("POST", r"/(text|multimodal)-generation/generation", "openai", alibaba_wire.generation),
    ("POST", r"/text-embedding/text-embedding", "openai", alibaba_wire.embeddings),
    ("POST", r"/text-rerank/text-rerank", "openai", alibaba_wire.rerank),
    ("POST", r"/voyage/v1/embeddings", "voyage", voyage_wire.embeddings),
    ("POST", r"/voyage/v1/multimodalembeddings", "voyage", voyage_wire.multimodal),
    ("POST", r"/voyage/v1/contextualizedembeddings", "voyage", voyage_wire.contextualized),
    ("POST", r"/voyage/v1/rerank", "voyage", voyage_wire.rerank),
    ("POST", r"/groq/openai/v1/chat/completions", "openai", kin_wire.groq_chat),
    ("POST", r"/together/v1/chat/completions", "openai", kin_wire.together_chat),
    ("POST", r"/together/v1/images/generations", "openai", kin_wire.images),
    ("POST", r"/together/v1/rerank", "openai", kin_wire.rerank),
    ("POST", r"/together/v1/videos", "openai", kin_wire.video),
    ("POST", r"/cohere/v2/chat", "openai", cohere_wire.chat),
    ("POST", r"/cohere/v1/chat", "openai", cohere_wire.chat_1),
    ("POST", r"/cohere/v[12]/embed", "openai", cohere_wire.embed),
    ("POST", r"/cohere/v[12]/rerank", "openai", cohere_wire.rerank),
    ("POST", r"/api/chat", "openai", ollama_wire.chat),
    ("POST", r"/api/generate", "openai", ollama_wire.generate),
    ("POST", r"/api/embed", "openai", ollama_wire.embed),
    ("POST", r"/api/web_search", "openai", ollama_wire.search),
    ("POST", r"/publishers/mistralai/models/(?P<model>[^/:]+):(stream)?[rR]awPredict", "openai", mistral_wire.chat),
    ("POST", r"/mistral/v1/(models/chat|chat|agents|fim)/completions", "openai", mistral_wire.chat),
    ("POST", r"/mistral/v1/embeddings", "openai", mistral_wire.embeddings),
    ("POST", r"/mistral/v1/ocr", "openai", mistral_wire.ocr),
    ("POST", r"/mistral/v1/audio/transcriptions", "openai", mistral_wire.transcriptions),
    ("POST", r"/mistral/v1/conversations(/[^/]+(/restart)?)?", "openai", mistral_wire.conversations),
    ("POST", r"/mistral/v1/moderations", "openai", mistral_wire.moderations),
    ("POST", r"/openrouter/api/v1/chat/completions", "openai", mistral_wire.chat),
    ("POST", r"/openrouter/api/v1/rerank", "openai", kin_wire.rerank),
    ("POST", r"/openrouter/api/v1/images", "openai", openai_images.generations),
    ("POST", r"/perplexity/async/chat/completions", "openai", kin_wire.perplexity_later),
    ("POST", r"/perplexity/chat/completions", "openai", kin_wire.perplexity_chat),
    ("POST", r"/perplexity/search", "openai", kin_wire.search),
    ("POST", r"/chat/completions", "openai", openai_chat.chat),
    ("POST", r"/completions", "openai", openai_chat.completions),
    ("POST", r"/responses/input_tokens", "openai", openai_responses.input_tokens),
    ("POST", r"/responses", "openai", openai_responses.responses),
    ("POST", r"/responses/(?P<id>resp_[^/]+)/cancel", "openai", openai_responses.fetch),
    ("GET", r"/responses/(?P<id>[^/]+)", "openai", openai_responses.fetch),
    ("POST", r"/embeddings", "openai", vectors.embeddings),
    ("POST", r"/moderations", "openai", vectors.moderations),
    ("GET", r"/models/(?P<id>[^/]+)", "openai", vectors.model),
    ("GET", r"/models", "openai", vectors.models),
    ("POST", r"/audio/speech", "openai", openai_audio.speech),
    ("POST", r"/audio/transcriptions", "openai", openai_audio.transcriptions),
    ("POST", r"/audio/translations", "openai", openai_audio.translations),
    ("POST", r"/images/generations", "openai", openai_images.generations),
    ("POST", r"/images/edits", "openai", openai_images.edits),
    ("POST", r"/images/variations", "openai", openai_images.variations),
    ("POST", r"/messages/batches", "anthropic", anthropic_batches.create),
    ("GET", r"/messages/batches/(?P<id>[^/]+)", "anthropic", anthropic_batches.fetch),
    ("GET", r"/messages/batches/(?P<id>[^/]+)/results", "anthropic", anthropic_batches.results),
    ("POST", r"/files", "openai", openai_batches.upload),
    ("GET", r"/files/(?P<id>[^/]+)/content", "openai", openai_batches.content),
    ("POST", r"/batches", "openai", openai_batches.create),
    ("GET", r"/batches/(?P<id>batch_[^/]+)", "openai", openai_batches.fetch),
    ("POST", r"/threads", "openai", openai_jobs.thread),
    ("POST", r"/threads/runs", "openai", openai_jobs.run),
    ("POST", r"/threads/(?P<thread>[^/]+)/runs", "openai", openai_jobs.run),
    ("GET", r"/threads/(?P<thread>[^/]+)/runs/(?P<id>[^/]+)", "openai", openai_jobs.fetch_run),
    ("POST", r"/videos(/edits|/extensions|/(?P<id>[^/]+)/remix)?", "openai", openai_jobs.video),
    ("GET", r"/videos/(?P<id>[^/]+)", "openai", openai_jobs.fetch_video),
    ("POST", r"/fine_tuning/jobs", "openai", openai_jobs.training),
    ("GET", r"/fine_tuning/jobs/(?P<id>[^/]+)", "openai", openai_jobs.fetch_training),
    ("POST", r"/(?P<model>[^/:]+):generateContent", "google", google_wire.generate),
    ("POST", r"/(?P<model>[^/:]+):streamGenerateContent", "google", google_wire.stream),
    ("POST", r"/(?P<model>[^/:]+):countTokens", "google", google_wire.count_tokens),
    ("POST", r"/(?P<model>[^/:]+):batchEmbedContents", "google", google_wire.embed),
    ("POST", r"/(?P<model>[^/:]+):predict", "google", google_wire.predict),
    ("POST", r"/(?P<model>[^/:]+):predictLongRunning", "google", google_wire.predict_long),
    ("POST", r"/(?P<model>[^/:]+):fetchPredictOperation", "google", google_wire.operation),
    ("GET", r"/models/(?P<model>[^/:]+)/operations/[^/]+", "google", google_wire.operation),
    ("POST", r"/(?P<model>[^/:]+):batchGenerateContent", "google", google_wire.batch),
    ("GET", r"/batches/(?P<id>(?!batch_)[^/]+)", "google", google_wire.batch_done),
    ("POST", r"/cachedContents", "google", google_wire.cached_contents),
    ("POST", r"/interactions", "google", google_wire.interactions),
    ("GET", r"/interactions/(?P<id>[^/]+)", "google", google_wire.interaction),
    ("GET", r"/maps/api/(place/)?(?P<operation>[a-z]+)/json", "google", maps_wire.legacy),
    ("GET", r"/maps/api/place/photo", "google", maps_wire.photo),
    ("GET", r"/v1/(snapToRoads|nearestRoads|speedLimits)", "google", maps_wire.roads),
    ("POST", r"/v1:validateAddress", "google", maps_wire.validation),
    ("POST", r"/geolocation/v1/geolocate", "google", maps_wire.geolocation),
    ("POST", r"/v1/places:search(Text|Nearby)", "google", maps_wire.places),
    ("POST", r"/v1/places:autocomplete", "google", maps_wire.suggestions),
    ("GET", r"/v1/places/[^/]+", "google", maps_wire.place),
)
STORES: Mapping[Endpoint, tuple[str, ...]] = {
    anthropic_batches.create: ("msgbatch_",),
    openai_responses.responses: ("resp_",),
    openai_batches.upload: ("file-",),
    openai_batches.create: ("batch_", openai_batches.OUTPUT),
    openai_jobs.run: ("run_",),
    openai_jobs.video: ("video_",),
    openai_jobs.training: ("ftjob-",),
}
"""What is made by these can be fetched, by ids that begin so."""
_COMPILED = tuple((verb, re.compile(path + "$"), family, endpoint) for verb, path, family, endpoint in _TABLE)
_DEPLOYMENT = re.compile(r"/deployments/(?P<deployment>[^/]+)/")


def find(method: str, path: str) -> Route:
    """The route of an undecoded path, whatever stands before the endpoint's own part (`/v1`, `/api/v1`)."""
    deployment = _DEPLOYMENT.search(path)
    names = {"deployment": deployment["deployment"], "model": AZURE_MODEL} if deployment else {}
    for verb, pattern, family, endpoint in _COMPILED:
        if verb == method and (found := pattern.search(path)):
            return Route(endpoint, family, {**names, **_unquoted(found)})
    return Route(unknown, "anthropic" if "/messages" in path else "openai", names)


def _unquoted(found: re.Match[str]) -> dict[str, str]:
    return {name: unquote(value) for name, value in found.groupdict().items() if value}
