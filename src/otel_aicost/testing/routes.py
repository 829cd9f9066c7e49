"""Which path is answered by which endpoint, in whose manner."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from otel_aicost.testing import (
    anthropic_wire,
    google_wire,
    maps_wire,
    openai_audio,
    openai_chat,
    openai_images,
    openai_responses,
)
from otel_aicost.testing import openai_vectors as vectors
from otel_aicost.testing.exchange import Answer, Exchange

Endpoint = Callable[[Exchange], Answer]

AZURE_MODEL = "gpt-4o-2024-11-20"
"""What an Azure deployment, whatever its name, turns out to be; `Reply(model=...)` says otherwise."""


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint found for a path."""

    endpoint: Endpoint | None
    """`None`: a GET of something stored, or a path nobody knows."""
    family: str
    """Whose error format applies: openai, anthropic, amazon or google."""
    names: Mapping[str, str]
    """What the path says: deployment, model, id."""


_TABLE: tuple[tuple[str, str, str, Endpoint | None], ...] = (
    ("POST", r"/publishers/anthropic/models/count-tokens:rawPredict", "google", anthropic_wire.count_tokens),
    (
        "POST",
        r"/publishers/anthropic/models/(?P<model>[^/:]+):(stream)?[rR]awPredict",
        "google",
        anthropic_wire.messages,
    ),
    ("POST", r"/model/(?P<model>[^/]+)/invoke", "amazon", anthropic_wire.bedrock),
    ("POST", r"/model/(?P<model>[^/]+)/invoke-with-response-stream", "amazon", anthropic_wire.bedrock_stream),
    ("POST", r"/messages/count_tokens", "anthropic", anthropic_wire.count_tokens),
    ("POST", r"/messages", "anthropic", anthropic_wire.messages),
    ("POST", r"/chat/completions", "openai", openai_chat.chat),
    ("POST", r"/completions", "openai", openai_chat.completions),
    ("POST", r"/responses/input_tokens", "openai", openai_responses.input_tokens),
    ("POST", r"/responses", "openai", openai_responses.responses),
    ("POST", r"/responses/(?P<id>resp_[^/]+)/cancel", "openai", None),
    ("GET", r"/responses/(?P<id>[^/]+)", "openai", None),
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
_COMPILED = tuple((verb, re.compile(path + "$"), family, endpoint) for verb, path, family, endpoint in _TABLE)
_DEPLOYMENT = re.compile(r"/deployments/(?P<deployment>[^/]+)/")


def find(method: str, path: str) -> Route:
    """The route of an undecoded path, whatever stands before the endpoint's own part (`/v1`, `/api/v1`)."""
    deployment = _DEPLOYMENT.search(path)
    names = {"deployment": deployment["deployment"], "model": AZURE_MODEL} if deployment else {}
    for verb, pattern, family, endpoint in _COMPILED:
        if verb == method and (found := pattern.search(path)):
            return Route(endpoint, family, {**names, **_unquoted(found)})
    return Route(None, "anthropic" if "/messages" in path else "openai", names)


def _unquoted(found: re.Match[str]) -> dict[str, str]:
    return {name: unquote(value) for name, value in found.groupdict().items() if value}
