"""OpenAI's videos: billed by seconds and size, when they are done, and once."""

from __future__ import annotations

from dataclasses import replace

from otel_aicost.model import Quantity, Reading
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Json,
    Sent,
    made,
    mapping,
    poll,
    quantities,
    seconds,
    text,
)


def describe_video(sent: Sent) -> Description:
    """Model, size and seconds, by which a video is billed; the ones taken where the request says nothing."""
    size = text(sent.body.get("size")) or "720x1280"
    return Description(
        text(sent.body.get("model")) or "sora-2",
        usage=_clip({"seconds": sent.body.get("seconds", 4)}),
        conditions={"size": size},
    )


def describe_changed_video(sent: Sent) -> Description:
    """A video made of another one: as long as that, or by as many seconds longer."""
    return Description(text(sent.body.get("model")), usage=_clip(sent.body))


def _clip(body: Json) -> dict[str, Quantity]:
    try:
        return quantities({"seconds": seconds(body.get("seconds"))}, (("output_video_seconds", ("seconds",)),))
    except AbsurdUsageError:
        return {}


def read_video(body: Json) -> Reading:
    """A video is billed when it is done, and not when it failed."""
    model, video, size = text(body.get("model")), text(body.get("id")), text(body.get("size"))
    status = body.get("status")
    found = Reading(model, video, conditions={"size": size} if size else {})
    if status == "failed":
        return replace(found, error=text(mapping(body.get("error")).get("code")) or "failed")
    if status != "completed" or video is None:
        return replace(found, pending=True)
    found = replace(found, once=f"video:{video}", at_ns=made(body))
    counted = _clip(body)
    return replace(found, usage=counted) if counted else replace(found, invalid=f"seconds is {body.get('seconds')!r}")


def read_extension(body: Json) -> Reading:
    """A video made longer. Afterwards only its whole length is told: it is billed by what was asked for, at once."""
    if body.get("status") == "failed":
        return read_video(body)
    return replace(read_video({**body, "status": "completed", "seconds": body.get("added")}), at_ns=None)


def _added(asked: Json) -> Json:
    return {"added": asked.get("seconds")}


VIDEO = Endpoint("video_generation", read_video, describe_video)
CHANGED = Endpoint("video_generation", read_video, describe_changed_video)

ENDPOINTS = {
    "/videos": VIDEO,
    "/videos/edits": CHANGED,
    "/videos/*/remix": CHANGED,
    "/videos/extensions": Endpoint("video_generation", read_extension, describe_changed_video, asked=_added),
}

POLLS = {"/videos/*": poll("video_generation", read_video)}
