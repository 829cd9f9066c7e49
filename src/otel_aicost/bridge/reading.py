"""What a span of another instrumentation says of a call: provider, model, usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_aicost.bridge.emitters import Attributes, Emitter, provider_named
from otel_aicost.providers.base import AbsurdUsageError, quantity

if TYPE_CHECKING:
    from otel_aicost.model import Quantity, Usage

OPERATIONS: Final = {
    "chat": "chat",
    "completion": "text_completion",
    "text_completion": "text_completion",
    "generate_content": "generate_content",
    "embedding": "embeddings",
    "embeddings": "embeddings",
    "llm": "chat",
}
"""What emitters call one call to a model -> our name. Agents, chains, tools and workflows only contain calls."""

_KINDS: Final = ("gen_ai.operation.name", "llm.request.type", "openinference.span.kind")
_PROVIDERS: Final = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
_REQUESTED: Final = ("gen_ai.request.model", "llm.request.model_name", "llm.model_name", "embedding.model_name")
_ANSWERED: Final = ("gen_ai.response.model", "llm.response.model_name")
_IDS: Final = ("gen_ai.response.id", "llm.response.id")
_TIERS: Final = (
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "anthropic.response.service_tier",
)
_STANDARD: Final = frozenset({"default", "auto", "standard"})

METERS: Final = {
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"),
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.prompt_tokens_details.cache_creation_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    "input_audio_tokens": ("llm.token_count.prompt_details.audio", "gen_ai.usage.details.input_audio_tokens"),
    "output_audio_tokens": ("llm.token_count.completion_details.audio", "gen_ai.usage.details.output_audio_tokens"),
}
"""Meter -> the attributes that have held it, the current name first."""


class Told(NamedTuple):
    """A call, as a span tells it."""

    provider: str
    operation: str
    request_model: str | None
    response_model: str | None
    response_id: str | None
    usage: Usage
    conditions: dict[str, str]
    invalid: str | None = None


def told_of(attributes: Attributes, emitter: Emitter) -> Told | None:
    """What a span says of a call; `None` for one that stands for no call, or tells no usage."""
    operation = _operation(attributes)
    if operation is None:
        return None
    provider = provider_named(_first(attributes, _PROVIDERS)) or "unknown"
    requested, answered = _first(attributes, _REQUESTED), _first(attributes, _ANSWERED)
    tier = _first(attributes, _TIERS)
    invalid: str | None = None
    usage: Usage = {}
    try:
        usage = _usage(attributes, emitter, provider)
    except AbsurdUsageError as error:
        invalid = str(error)
    if not usage and invalid is None:
        return None
    conditions = {"service_tier": tier} if tier and tier not in _STANDARD else {}
    return Told(provider, operation, requested, answered, _first(attributes, _IDS), usage, conditions, invalid)


def _operation(attributes: Attributes) -> str | None:
    kind = _first(attributes, _KINDS)
    return None if kind is None else OPERATIONS.get(kind.lower())


def _usage(attributes: Attributes, emitter: Emitter, provider: str) -> Usage:
    found: dict[str, Quantity] = {}
    for meter, keys in METERS.items():
        value = _first_of(attributes, keys)
        if value is not None:
            found[meter] = quantity(value, meter)
    if provider in emitter.input_without_cache and "input_tokens" in found:
        found["input_tokens"] += found.get("cache_read_tokens", 0) + found.get("cache_write_tokens", 0)
    if provider in emitter.output_without_reasoning and "output_tokens" in found:
        found["output_tokens"] += found.get("reasoning_tokens", 0)
    return {meter: amount for meter, amount in found.items() if amount or meter in {"input_tokens", "output_tokens"}}


def _first(attributes: Attributes, keys: tuple[str, ...]) -> str | None:
    value = _first_of(attributes, keys)
    return value if isinstance(value, str) and value else None


def _first_of(attributes: Attributes, keys: tuple[str, ...]) -> Any:  # noqa: ANN401 - an attribute's value
    return next((attributes[key] for key in keys if attributes.get(key) is not None), None)
