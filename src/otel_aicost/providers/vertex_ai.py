"""Google Vertex AI; here for the Anthropic models that the `anthropic` SDK calls on it."""

from __future__ import annotations

from otel_aicost.providers.base import Provider

PROVIDER = Provider(
    "gcp.vertex_ai",
    hosts=("aiplatform.googleapis.com", "*-aiplatform.googleapis.com", "aiplatform.*.rep.googleapis.com"),
    priced_by_request=True,
)
