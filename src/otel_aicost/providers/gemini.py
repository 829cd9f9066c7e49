"""Google's Gemini API, also called the Gemini Developer API."""

from __future__ import annotations

from otel_aicost.providers import google_content, google_interactions, google_media, google_stored
from otel_aicost.providers.base import Provider

PROVIDER = Provider(
    "gcp.gemini",
    hosts=("generativelanguage.googleapis.com", "generativelanguage.mtls.googleapis.com"),
    endpoints={
        **google_content.ENDPOINTS,
        **google_media.ENDPOINTS,
        **google_stored.ENDPOINTS,
        **google_interactions.ENDPOINTS,
    },
    polls={**google_media.POLLS, **google_stored.POLLS, **google_interactions.POLLS},
)
