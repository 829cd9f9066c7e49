"""Google Vertex AI; here for the models of Anthropic and Mistral that their own SDKs call on it."""

from __future__ import annotations

from otel_aicost.providers import mistral_ai
from otel_aicost.providers.base import Provider

PROVIDER = Provider(
    "gcp.vertex_ai",
    hosts=("aiplatform.googleapis.com", "*-aiplatform.googleapis.com", "aiplatform.*.rep.googleapis.com"),
    priced_by_request=True,
    endpoints={
        "/rawPredict": mistral_ai.CHAT,
        "/streamRawPredict": mistral_ai.CHAT,
    },  # the mistralai SDK fills in the rest of the path later
)
