"""Bedrock's guardrails: billed by the text unit and by what it was held against, beside the model.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_GuardrailUsage.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_aicost.model import Quantity, Reading
from otel_aicost.providers.base import AbsurdUsageError, Json, mapping, quantity, text

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "amazon.guardrails"
"""No model has this name: what guardrails cost is listed under it."""

_DEEPEST = 8
_UNITS = {
    "contentPolicyUnits": "guardrail_content_units",
    "contentFilterChecks": "guardrail_content_units",
    "promptAttackChecks": "guardrail_attack_units",
    "topicPolicyUnits": "guardrail_topic_units",
    "sensitiveInformationPolicyUnits": "guardrail_personal_data_units",
    "sensitiveInformationChecks": "guardrail_personal_data_units",
    "contextualGroundingPolicyUnits": "guardrail_grounding_units",
    "automatedReasoningPolicyUnits": "guardrail_reasoning_units",
    "contentPolicyImageUnits": "guardrail_images",
    "wordPolicyUnits": "guardrail_free_units",
    "sensitiveInformationPolicyFreeUnits": "guardrail_free_units",
}


def units(stated: Json) -> dict[str, Quantity]:
    """The text units and images of a guardrail by what they were held against. Raises `AbsurdUsageError`."""
    found: dict[str, Quantity] = {}
    for key, meter in _UNITS.items():
        if stated.get(key) is not None:
            found[meter] = found.get(meter, 0) + quantity(stated[key], key)
    return found


def of(trace: object) -> tuple[Reading, ...]:
    """The guardrails of an answer, which are billed apart; they are told where the trace was asked for."""
    total: dict[str, Quantity] = {}
    for stated in _assessments(trace):
        for meter, amount in units(stated).items():
            total[meter] = total.get(meter, 0) + amount
    used = {meter: amount for meter, amount in total.items() if amount}
    return (Reading(MODEL, usage=used, operation="apply_guardrail"),) if used else ()


def _assessments(node: object, depth: int = 0) -> Iterator[Json]:
    """The usages in a trace: one for each guardrail, input and output."""
    if depth > _DEEPEST:
        return
    if isinstance(node, dict) and "invocationMetrics" in node:
        yield mapping(mapping(node["invocationMetrics"]).get("usage"))
    elif isinstance(node, (dict, list)):
        for part in node.values() if isinstance(node, dict) else node:
            yield from _assessments(part, depth + 1)


def read(body: Json) -> Reading:
    """What a guardrail was applied to, in text units; each policy is billed apart."""
    stated = mapping(body.get("usage"))
    flat = {f"{check}Checks": mapping(told).get("textUnits") for check, told in stated.items()}
    try:
        return Reading(response_id=text(body.get("requestId")), usage=units({**stated, **flat}) if stated else None)
    except AbsurdUsageError as error:
        return Reading(invalid=str(error))
