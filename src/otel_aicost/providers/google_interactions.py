"""Google's Interactions API, and the Decisions that count the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.model import NO_CONDITIONS, Reading
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Json,
    Sent,
    items,
    mapping,
    parameters,
    quantity,
    text,
)
from otel_aicost.providers.google_content import Words, grounding, name_of, tokens
from otel_aicost.providers.google_stored import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

WORDS = Words(
    totals=(
        ("prompt", ("total_input_tokens",)),
        ("tools", ("total_tool_use_tokens",)),
        ("cached", ("total_cached_tokens",)),
        ("answer", ("total_output_tokens",)),
        ("thoughts", ("total_thought_tokens",)),
    ),
    sent=("input_tokens_by_modality", "tool_use_tokens_by_modality"),
    cached="cached_tokens_by_modality",
    answered=("output_tokens_by_modality",),
    amount="tokens",
)
PARAMETERS = {
    "max_output_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "seed": "gen_ai.request.seed",
}
_RUNNING = frozenset({"in_progress", "queued"})


def describe(sent: Sent) -> Description:
    """Model or agent, parameters, and the tier asked for."""
    tier = text(sent.body.get("service_tier"))
    return Description(
        name_of(sent.body.get("model")) or text(sent.body.get("agent")),
        parameters(mapping(sent.body.get("generation_config")), PARAMETERS),
        conditions={"service_tier": tier} if tier else NO_CONDITIONS,
    )


def asked(body: Json) -> Json:
    """Whether it was to run in the background."""
    return {"background": body.get("background") is True}


def fragment(event: Json) -> Json:
    """The events of its life hold the interaction; the last one has its usage."""
    return mapping(event.get("interaction"))


def read(body: Json) -> Reading:
    """An interaction. It can be fetched again, and counts once; in the background it counts when it is done."""
    usage, status = mapping(body.get("usage")), text(body.get("status"))
    model, identifier = name_of(body.get("model")) or text(body.get("agent")), text(body.get("id"))
    tier = text(body.get("service_tier"))
    facts: dict[str, Any] = {
        "model": model,
        "response_id": identifier,
        "conditions": {"service_tier": tier} if tier else NO_CONDITIONS,
        "finish_reasons": (status,) if status and status not in _RUNNING else (),
        "final": status is not None and status not in _RUNNING,
        "error": "failed" if status == "failed" else None,
    }
    if not usage:
        return Reading(**facts, pending=body.get("background") is True and status in _RUNNING)
    try:
        counted = tokens(usage, WORDS)
        tools = {str(tool.get("type")): quantity(tool.get("count") or 0, "count") for tool in _tools(usage)}
    except AbsurdUsageError as error:
        return Reading(**facts, invalid=str(error))
    counted |= grounding(model, int(tools.get("google_search", 0)), int(tools.get("google_maps", 0)))
    once = f"interaction:{identifier}" if identifier and facts["final"] else None
    return Reading(**facts, usage=counted or None, once=once)


def _tools(usage: Json) -> list[Json]:
    return items(usage.get("grounding_tool_count"))


def read_again(body: Json) -> Reading:
    """A stored interaction: billed when it was made."""
    reading = read(body)
    at_ns = moment(body.get("updated")) or moment(body.get("created"))
    if not reading.final:
        return Reading(pending=True)
    return Reading(
        reading.model,
        reading.response_id,
        reading.usage,
        reading.conditions,
        finish_reasons=reading.finish_reasons,
        error=reading.error,
        invalid=reading.invalid,
        once=reading.once,
        at_ns=at_ns,
    )


_KIND: dict[str, Any] = {"fragment": fragment, "ends": (b'"interaction.complete', b"[DONE]"), "text": ("text",)}
ENDPOINTS: Mapping[str, Endpoint] = {
    "/interactions": Endpoint("generate_content", read, describe, asked=asked, **_KIND),
    "/decisions": Endpoint("generate_content", read, describe),
}
POLLS: Mapping[str, Endpoint] = {
    "/interactions/*": Endpoint("generate_content", read_again, past=True, only_with_usage=True, **_KIND),
}
