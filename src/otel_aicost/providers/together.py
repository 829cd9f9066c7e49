"""Together AI: OpenAI's dialect, and endpoints of its own for reranking, images and video."""

from __future__ import annotations

from otel_aicost.model import Reading
from otel_aicost.providers import openai
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Json,
    Provider,
    Sent,
    moment,
    quantities,
    seconds,
    text,
)


def describe_images(sent: Sent) -> Description:
    """Images are priced by their size, which is asked for as a width and a height."""
    base = openai.describe(sent)
    width, height = sent.body.get("width"), sent.body.get("height")
    known = isinstance(width, int) and isinstance(height, int)
    return Description(base.model, base.parameters, conditions={"size": f"{width}x{height}"} if known else {})


def read_video(body: Json) -> Reading:
    """A video is billed when it is there; the unit of its stated cost is documented nowhere, so that is left alone."""
    if body.get("status") != "completed":
        return Reading(pending=True)
    model, video, size = text(body.get("model")), text(body.get("id")), text(body.get("size"))
    once = None if video is None else f"videos/{video}"
    at_ns = moment(body.get("completed_at"))
    try:
        used = quantities({"seconds": seconds(body.get("seconds"))}, (("output_video_seconds", ("seconds",)),))
    except AbsurdUsageError as error:
        return Reading(model, video, invalid=str(error), once=once, at_ns=at_ns)
    return Reading(model, video, used or None, {"size": size} if size else {}, once=once, at_ns=at_ns)


VIDEO = Endpoint("video_generation", read_video, openai.describe)

PROVIDER = Provider(
    "together",
    hosts=("api.together.ai", "api.together.xyz", "api-inference.together.ai"),
    endpoints={
        "/images/generations": Endpoint("image_generation", openai.read_images, describe_images),
        "/rerank": Endpoint("rerank", openai.read, openai.describe),
        "/videos": VIDEO,
    },
    polls={"/videos/*": Endpoint("video_generation", read_video, past=True, only_with_usage=True)},
)
