"""What OpenAI's own tools do for a response: fees beside its tokens, and images at the rates of another model."""

from __future__ import annotations

from otel_aicost.model import Quantity, Reading
from otel_aicost.providers.base import AbsurdUsageError, Fields, Json, items, mapping, quantities, quantity, text

IMAGES: Fields = (
    ("input_tokens", ("input_tokens",)),
    ("output_tokens", ("output_tokens",)),
    ("input_image_tokens", ("input_tokens_details", "image_tokens")),
    ("output_image_tokens", ("output_tokens_details", "image_tokens")),
    ("cache_read_tokens", ("cached_tokens",)),
)
DRAWING: Fields = (
    ("input_tokens", ("input_tokens",)),
    ("output_tokens", ("output_tokens",)),
    ("reasoning_tokens", ("reasoning_tokens",)),
)
_RAN_CODE = "code_interpreter_call"


def fees(body: Json) -> dict[str, Quantity]:
    """What has a fee of its own, the tokens aside. Raises `AbsurdUsageError`."""
    output = items(body.get("output"))
    if not output:
        return {}
    used = mapping(body.get("tool_usage"))
    searches = mapping(used.get("web_search")).get("num_requests")
    if searches is None:
        searches = sum(
            item.get("type") == "web_search_call" and mapping(item.get("action")).get("type", "search") == "search"
            for item in output
        )
    counts: Json = {
        "web_searches": searches,
        "file_searches": sum(item.get("type") == "file_search_call" for item in output),
        # Images are billed at the rates of their own model; where nobody names it, they have no price.
        "image_tool_tokens": None if image_model(body) else mapping(used.get("image_gen")).get("total_tokens"),
    }
    found = quantities(counts, tuple((meter, (meter,)) for meter in counts))
    return {meter: amount for meter, amount in found.items() if amount}


def parts(body: Json) -> tuple[Reading, ...]:
    """Containers, images and who drew them: billed apart from the tokens of the response."""
    output = items(body.get("output"))
    if not output:
        return ()
    return (*_containers(output, text(body.get("model"))), *_images(body, output))


def _containers(output: list[Json], model: str | None) -> tuple[Reading, ...]:
    """Each container once, for all the responses that ran code in it."""
    names = dict.fromkeys(text(item.get("container_id")) for item in output if item.get("type") == _RAN_CODE)
    return tuple(
        Reading(model, usage={"code_executions": 1}, once=f"container:{name}" if name else None) for name in names
    )


def _images(body: Json, output: list[Json]) -> tuple[Reading, ...]:
    drawings = [part for item in output for part in drawn(mapping(item.get("svg_usage")))]
    model = image_model(body)
    used = mapping(mapping(body.get("tool_usage")).get("image_gen"))
    if model is None or not used:
        return tuple(drawings)
    try:
        painted = _painted(used)
    except AbsurdUsageError as error:
        return (Reading(model, invalid=str(error), operation="image_generation"), *drawings)
    return (Reading(model, usage=painted, operation="image_generation"), *drawings) if painted else tuple(drawings)


def image_model(body: Json) -> str | None:
    """The one model that a response's image tool was to use, if its tools name one."""
    tools = (tool for tool in items(body.get("tools")) if tool.get("type") == "image_generation")
    named = {text(tool.get("model")) for tool in tools}
    return named.pop() if len(named) == 1 else None


def drawn(usage: Json) -> tuple[Reading, ...]:
    """A vector graphic is written by a language model, beside what the image itself takes."""
    if not usage:
        return ()
    model = text(usage.get("model"))
    try:
        counted = quantities(usage, DRAWING)
    except AbsurdUsageError as error:
        return (Reading(model, invalid=str(error), operation="chat"),)
    return (Reading(model, usage=counted, operation="chat"),) if any(counted.values()) else ()


def _painted(used: Json) -> dict[str, Quantity]:
    counted = quantities(used, IMAGES)
    if not any(counted.values()):
        return {}
    cached = mapping(used.get("cached_tokens_details")).get("cached_image_tokens")
    if counted.get("cache_read_tokens") and cached is not None:  # a 0 too: which of them are images has to be known
        counted["cache_image_read_tokens"] = quantity(cached, "cached_image_tokens")
    return counted
