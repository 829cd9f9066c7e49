"""How each endpoint writes a usage down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_aicost.testing.reply import Usage

ANTHROPIC_DELTA = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
)
"""What the last usage of an Anthropic stream repeats; the rest is said once, in `message_start`."""


def chat(usage: Usage) -> dict[str, Any]:
    """Chat completions and completions."""
    prompt = {
        "cached_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "audio_tokens": usage.input_audio_tokens,
        "image_tokens": usage.input_image_tokens,
    }
    written_always = {"cached_tokens", "audio_tokens"}
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {key: n for key, n in prompt.items() if n or key in written_always},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def converse(usage: Usage) -> dict[str, Any]:
    """Amazon Bedrock's Converse: the input leaves the cache out."""
    written, read = usage.cache_write_tokens, usage.cache_read_tokens
    lifetimes = {"1h": usage.cache_write_1h_tokens, "5m": written - usage.cache_write_1h_tokens}
    details = [{"ttl": ttl, "inputTokens": n} for ttl, n in lifetimes.items() if n]
    return {
        "inputTokens": usage.input_tokens - read - written,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
        **({"cacheDetails": details} if details else {}),
    }


def embeddings(usage: Usage) -> dict[str, Any]:
    """Embeddings."""
    return {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}


def responses(usage: Usage) -> dict[str, Any]:
    """The Responses API."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def duration(usage: Usage) -> dict[str, Any]:
    """A transcription billed by the second."""
    return {"type": "duration", "seconds": usage.input_audio_seconds or 0}


def transcription(usage: Usage) -> dict[str, Any]:
    """A transcription billed by the token."""
    return {
        "type": "tokens",
        "input_tokens": usage.input_tokens,
        "input_token_details": {
            "audio_tokens": usage.input_audio_tokens,
            "text_tokens": usage.input_tokens - usage.input_audio_tokens,
        },
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def speech(usage: Usage) -> dict[str, Any]:
    """The last event of streamed speech."""
    total = usage.input_tokens + usage.output_tokens
    return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "total_tokens": total}


def images(usage: Usage) -> dict[str, Any]:
    """Images of the models that are billed by the token."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "text_tokens": usage.input_tokens - usage.input_image_tokens,
            "image_tokens": usage.input_image_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {
            "text_tokens": usage.output_tokens - usage.output_image_tokens,
            "image_tokens": usage.output_image_tokens,
        },
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def anthropic(usage: Usage) -> dict[str, Any]:
    """Messages. Its `input_tokens` are the ones that were neither read from nor written to the cache."""
    stated: dict[str, Any] = {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens - usage.cache_write_1h_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.output_tokens,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }
    if usage.reasoning_tokens:
        stated["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.web_searches:
        stated["server_tool_use"] = {"web_search_requests": usage.web_searches, "web_fetch_requests": 0}
    return stated


def anthropic_start(stated: object) -> object:
    """What `message_start` says of a usage: everything, and a placeholder for the output."""
    if not isinstance(stated, Mapping) or "output_tokens" not in stated:
        return stated
    start = {key: value for key, value in stated.items() if key not in {"output_tokens_details", "server_tool_use"}}
    return {**start, "output_tokens": 1}


def anthropic_delta(stated: object) -> object:
    """What the last `message_delta` says of a usage: the final counts."""
    if not isinstance(stated, Mapping):
        return stated
    return {key: stated[key] for key in ANTHROPIC_DELTA if key in stated}


def google(usage: Usage) -> dict[str, Any]:
    """Gemini: thoughts stand beside the answer, not inside of it."""
    sent = {"AUDIO": usage.input_audio_tokens, "IMAGE": usage.input_image_tokens}
    made = {"AUDIO": usage.output_audio_tokens, "IMAGE": usage.output_image_tokens}
    answer = usage.output_tokens - usage.reasoning_tokens
    return {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": answer,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
        "promptTokensDetails": _modalities(usage.input_tokens, sent),
        "candidatesTokensDetails": _modalities(answer, made),
        **({"thoughtsTokenCount": usage.reasoning_tokens} if usage.reasoning_tokens else {}),
        **(
            {
                "cachedContentTokenCount": usage.cache_read_tokens,
                "cacheTokensDetails": _modalities(usage.cache_read_tokens, {}),
            }
            if usage.cache_read_tokens
            else {}
        ),
    }


def _modalities(total: int, others: Mapping[str, int]) -> list[dict[str, Any]]:
    counts = {"TEXT": total - sum(others.values()), **others}
    return [{"modality": kind, "tokenCount": count} for kind, count in counts.items() if count]


def interaction(usage: Usage) -> dict[str, Any]:
    """Google's Interactions."""
    return {
        "total_input_tokens": usage.input_tokens,
        "input_tokens_by_modality": [{"modality": "text", "tokens": usage.input_tokens}],
        "total_cached_tokens": usage.cache_read_tokens,
        "total_output_tokens": usage.output_tokens - usage.reasoning_tokens,
        "total_thought_tokens": usage.reasoning_tokens,
        "total_tool_use_tokens": 0,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        **(
            {"grounding_tool_count": [{"type": "google_search", "count": usage.web_searches}]}
            if usage.web_searches
            else {}
        ),
    }
