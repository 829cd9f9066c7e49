"""OpenAI's batches and background responses: billed when their results are fetched, and once (`Reading.once`).

A batch is counted by the lines of its output file, and by nothing else. `GET /batches/{id}` states a usage too, of
all lines together; whoever counted both would count twice, and the lines know the model, the cached tokens and the
endpoint of each.
"""

from __future__ import annotations

from dataclasses import replace

from otel_aicost.model import Reading
from otel_aicost.providers import openai, openai_video
from otel_aicost.providers.base import Description, Endpoint, Json, Sent, dated, items, made, mapping, poll, text

BATCH = {"processing": "batch"}
OPERATIONS = {
    "chat.completion": "chat",
    "response": "chat",
    "text_completion": "text_completion",
    "list": "embeddings",
    "video": "video_generation",
}
"""The `object` of a line's body -> what was done."""
_SUCCESS = range(200, 300)


def describe_batch(sent: Sent) -> Description:  # noqa: ARG001 - the requests are in a file
    """A batch names no model."""
    return Description(conditions=BATCH)


def read_begun(body: Json) -> Reading:
    """Work that was accepted, and is billed when its results are fetched."""
    return Reading(text(body.get("model")), text(body.get("id")), pending=True)


def read_batch_output(body: Json) -> Reading:
    """The lines of an output file: those that succeeded, each with the body of a response."""
    return Reading(others=tuple(found for line in items(body.get("lines")) if (found := _result(line)) is not None))


def _result(line: Json) -> Reading | None:
    response = mapping(line.get("response"))
    body = mapping(response.get("body"))
    if not body or response.get("status_code", 200) not in _SUCCESS:
        return None
    names = (line.get("id"), response.get("request_id"), body.get("id"), line.get("custom_id"))
    key = ":".join(("batch", *(text(name) or "" for name in names)))
    found, at_ns = _read(body), made(body)
    return replace(
        found,
        conditions={**found.conditions, **BATCH},
        operation=OPERATIONS.get(str(body.get("object"))) or found.operation,
        at_ns=at_ns,
        once=key,
        pending=False,
        others=tuple(
            replace(part, conditions=BATCH, at_ns=at_ns, once=f"{key}:{number}")
            for number, part in enumerate(found.others)
        ),
    )


def _read(body: Json) -> Reading:
    if body.get("object") == "video":
        return openai_video.read_video(body)
    if isinstance(body.get("data"), list) and body.get("object") != "list":
        return replace(openai.read_images(body), operation="image_generation")
    return openai.read(body)


def read_stored_response(body: Json) -> Reading:
    """A response fetched again: news only if it was made in the background; any other was counted when it was made."""
    if body.get("background") is not True:
        return Reading()
    return dated(openai.read_response(body), made(body))


STORED_RESPONSE = poll("chat", read_stored_response, fragment=openai.read_response_event, ends=openai.RESPONSES.ends)

ENDPOINTS = {
    "/batches": Endpoint("batch", read_begun, describe_batch),
    "/batches/*/cancel": poll("batch", read_begun),
    "/responses/*/cancel": STORED_RESPONSE,
}

POLLS = {
    "/files/*/content": poll("batch", read_batch_output, lines=True, marks=(b'"custom_id"',)),
    "/responses/*": STORED_RESPONSE,
}
