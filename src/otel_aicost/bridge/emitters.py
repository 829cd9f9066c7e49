"""Who emits GenAI spans, and what their token counts mean: the same attribute holds different sums in different hands.

Each line was read in the emitter's own source: which versions, see docs/spans.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Attributes: TypeAlias = Mapping[str, Any]

BEDROCK: Final = frozenset({"aws.bedrock"})
ANTHROPIC: Final = frozenset({"anthropic", "aws.bedrock"})
GEMINI: Final = frozenset({"gcp.gemini", "gcp.vertex_ai", "gcp.gen_ai"})
NOBODY: Final = frozenset[str]()


@dataclass(frozen=True, slots=True)
class Emitter:
    """An instrumentation, by the name of its scope."""

    name: str
    scopes: tuple[str, ...]
    """Beginnings of `InstrumentationScope.name`."""
    input_without_cache: frozenset[str] = NOBODY
    """Providers of whose calls its input tokens leave out those read from and written to a cache."""
    output_without_reasoning: frozenset[str] = NOBODY
    """Providers of whose calls its output tokens leave out those the model thought with."""
    since: tuple[int, ...] = ()
    """The first version that this line is true of; an older one is asked of the next line of that name."""


EMITTERS: Final = (
    Emitter("OpenInference", ("openinference.instrumentation.google_genai",), since=(0, 1, 4)),
    Emitter("OpenInference", ("openinference.instrumentation.google_genai",), output_without_reasoning=GEMINI),
    Emitter("OpenInference", ("openinference.",), input_without_cache=BEDROCK),
    Emitter("OpenLIT", ("openlit",), input_without_cache=ANTHROPIC, output_without_reasoning=GEMINI),
    Emitter("TraceVerde", ("genai_otel",), input_without_cache=ANTHROPIC),
    Emitter("OpenTelemetry contrib", ("opentelemetry.instrumentation.google_genai",), since=(1, 1)),
    Emitter(
        "OpenTelemetry contrib",
        ("opentelemetry.instrumentation.google_genai",),
        output_without_reasoning=GEMINI,
    ),
    Emitter("OpenTelemetry contrib", ("opentelemetry.instrumentation.botocore",), input_without_cache=BEDROCK),
    Emitter(
        "OpenTelemetry contrib", ("opentelemetry.instrumentation.genai", "opentelemetry.instrumentation.openai_v2")
    ),
    Emitter(
        "OpenLLMetry",
        ("opentelemetry.instrumentation.",),
        input_without_cache=BEDROCK,
        output_without_reasoning=GEMINI,
    ),
    Emitter("Logfire / Pydantic AI", ("pydantic-ai", "logfire")),
    Emitter("Anthropic SDK", ("com.anthropic.sdk",)),
    Emitter("Mistral SDK", ("mistralai",)),
    Emitter("LangChain / LangSmith", ("langsmith", "langchain")),
    Emitter("LiteLLM", ("litellm",)),
)
"""The first that fits; anybody else is taken by the words of the semantic conventions: totals hold their parts."""

CONVENTIONS: Final = Emitter("by the semantic conventions", ())

PROVIDERS: Final = {
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "aws": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "gemini": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "google-gla": "gcp.gemini",
    "gcp.gen_ai": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "mistralai": "mistral_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
    "together_ai": "together",
    "togetherai": "together",
}
"""What emitters call a provider -> its name in the semantic conventions."""


def emitter_of(scope: str, version: str | None) -> Emitter:
    """Who made a span."""
    for emitter in EMITTERS:
        if scope.startswith(emitter.scopes) and _numbers(version) >= emitter.since:
            return emitter
    return CONVENTIONS


def provider_named(told: object) -> str | None:
    """A provider by the name of the semantic conventions."""
    if not isinstance(told, str) or not told:
        return None
    name = told.strip().lower().replace(" ", "_")
    return PROVIDERS.get(name, name)


def _numbers(version: str | None) -> tuple[int, ...]:
    """`1.1b0` -> (1, 1). Without a version, the newest is taken for granted."""
    if not version:
        return (10**6,)
    numbers = []
    for part in version.split("."):
        digits = ""
        for character in part:
            if not character.isdigit():
                break
            digits += character
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)
