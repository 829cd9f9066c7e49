"""Google Vertex AI: Gemini in Google's dialect, and the models of others in theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from otel_aicost.providers import (
    anthropic,
    google_content,
    google_interactions,
    google_media,
    google_stored,
    mistral_ai,
    openai,
)
from otel_aicost.providers.base import Description, Provider

if TYPE_CHECKING:
    from otel_aicost.providers.base import Sent


def describe_claude(sent: Sent) -> Description:
    """The model stands in the path; the rest is a message of Anthropic's."""
    return replace(anthropic.describe(sent), model=google_content.model_of(sent.path))


def describe_other(sent: Sent) -> Description:
    """As `describe_claude`, in OpenAI's words, which the other publishers use."""
    return replace(openai.describe(sent), model=google_content.model_of(sent.path))


CLAUDE = replace(anthropic.MESSAGES, describe=describe_claude)
OTHER = replace(openai.CHAT, describe=describe_other, usage_request=None, only_with_usage=True)

PROVIDER = Provider(
    "gcp.vertex_ai",
    hosts=(
        "aiplatform.googleapis.com",
        "*-aiplatform.googleapis.com",
        "aiplatform.*.rep.googleapis.com",
        "aiplatform.mtls.googleapis.com",
        "*-aiplatform.mtls.googleapis.com",
    ),
    priced_by_request=True,
    endpoints={
        **google_content.ENDPOINTS,
        **google_media.ENDPOINTS,
        **google_stored.ENDPOINTS,
        **google_stored.VERTEX_ENDPOINTS,
        **google_interactions.ENDPOINTS,
        "/publishers/anthropic/models/count-tokens:rawPredict": anthropic.ENDPOINTS["/v1/messages/count_tokens"],
        "/publishers/anthropic/models/*:rawPredict": CLAUDE,
        "/publishers/anthropic/models/*:streamRawPredict": CLAUDE,
        ":rawPredict": OTHER,
        ":streamRawPredict": OTHER,
        "/rawPredict": mistral_ai.CHAT,  # the mistralai SDK fills in the rest of the path later
        "/streamRawPredict": mistral_ai.CHAT,
    },
    polls={
        **google_media.POLLS,
        **google_stored.POLLS,
        **google_stored.VERTEX_POLLS,
        **google_interactions.POLLS,
    },
)
