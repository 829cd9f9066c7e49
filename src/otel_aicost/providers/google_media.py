"""Google's `:predict` and its long-running twin: images, videos, and the embeddings of Vertex AI."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING

from otel_aicost.model import NO_CONDITIONS, Conditions, Quantity, Reading
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Json,
    Sent,
    items,
    mapping,
    quantities,
    quantity,
    text,
)
from otel_aicost.providers.google_content import model_of

if TYPE_CHECKING:
    from collections.abc import Mapping

VIDEO_SECONDS = 8
"""How long a video is where the request does not say."""
REMEMBERED = 4096
"""Videos on their way of which the process remembers how long they are to be."""

_videos: OrderedDict[str, tuple[Quantity, Conditions]] = OrderedDict()
"""Operation -> the seconds of each of its videos, and the conditions of their price: only the request has them."""


def describe_images(sent: Sent) -> Description:
    """The size asked for, which decides the price of some."""
    size = text(mapping(sent.body.get("parameters")).get("sampleImageSize"))
    return Description(model_of(sent.path), conditions={"size": size} if size else NO_CONDITIONS)


def read_predictions(body: Json) -> Reading:
    """Images are billed one by one, those that were filtered out are not; embeddings by tokens or characters."""
    predictions = items(body.get("predictions"))
    try:
        counted = _embedded(body, predictions)
    except AbsurdUsageError as error:
        return Reading(operation="embeddings", invalid=str(error))
    if counted:
        return Reading(usage=counted, operation="embeddings")
    kinds = [str(made.get("mimeType")) for made in predictions if made.get("bytesBase64Encoded") or made.get("gcsUri")]
    images = sum(kind.startswith("image/") for kind in kinds)
    return Reading(usage={"output_images": images} if images else None)


def read_images(body: Json) -> Reading:
    """As `read_predictions`, of a model that makes nothing but images."""
    reading = read_predictions(body)
    return reading if reading.usage or reading.invalid else Reading(usage={"output_images": 0})


def _embedded(body: Json, predictions: list[Json]) -> dict[str, Quantity]:
    counts = [
        quantity(statistics["token_count"], "token_count")
        for made in predictions
        if (statistics := mapping(mapping(made.get("embeddings")).get("statistics"))).get("token_count") is not None
    ]
    fields = (("input_characters", ("billableCharacterCount",)),)
    found = quantities(mapping(body.get("metadata")), fields)
    return found | ({"input_tokens": quantity(sum(counts), "token_count")} if counts else {})


def asked_of_video(asked: Json) -> Json:
    """What the request alone tells of a video."""
    wanted = mapping(asked.get("parameters"))
    resolution = text(wanted.get("resolution"))
    return {
        "asked": {
            "seconds": wanted.get("durationSeconds") or VIDEO_SECONDS,
            "conditions": ({"resolution": resolution.lower()} if resolution else {})
            | ({"sound": "none"} if wanted.get("generateAudio") is False else {}),
        }
    }


def describe_video(sent: Sent) -> Description:
    """The seconds asked for, in all of the videos."""
    asked, wanted = mapping(asked_of_video(sent.body)["asked"]), mapping(sent.body.get("parameters"))
    try:
        seconds = quantity(asked["seconds"], "durationSeconds") * quantity(
            wanted.get("sampleCount") or 1, "sampleCount"
        )
    except AbsurdUsageError:
        return Description(model_of(sent.path))
    return Description(model_of(sent.path), usage={"output_video_seconds": seconds}, conditions=asked["conditions"])


def read_video_begun(body: Json) -> Reading:
    """Nothing is billed before the operation is done; what it will bill is remembered by its name."""
    name, asked = text(body.get("name")), mapping(body.get("asked"))
    with suppress(AbsurdUsageError):
        if name is not None:
            _videos[name] = quantity(asked.get("seconds"), "durationSeconds"), mapping(asked.get("conditions"))
    while len(_videos) > REMEMBERED:
        _videos.popitem(last=False)
    return Reading(pending=True)


def read_operation(body: Json) -> Reading:
    """The videos of an operation that is done. Begun elsewhere, their length is not known, and so not their price."""
    done, name = mapping(body.get("response")), text(body.get("name"))
    answer = mapping(done.get("generateVideoResponse")) or done
    videos = len(items(answer.get("generatedSamples")) or items(answer.get("videos")))
    if name is None or not videos:
        return Reading(pending=True)
    seconds, told = _videos.get(name, (None, NO_CONDITIONS))
    usage: dict[str, Quantity] = {"output_videos": videos}
    if seconds is not None:
        usage = {"output_video_seconds": videos * seconds}
    return Reading(model_of(name), usage=usage, conditions=told, once=f"operation:{name}")


def describe_operation(sent: Sent) -> Description:
    """A poll tells the model in its path."""
    return Description(model_of(sent.path))


IMAGES = Endpoint("image_generation", read_images, describe_images)
OPERATION = Endpoint("video_generation", read_operation, describe_operation, past=True, only_with_usage=True)
ENDPOINTS: Mapping[str, Endpoint] = {
    "/models/imagen*:predict": IMAGES,
    "/models/imagegeneration*:predict": IMAGES,
    "/models/*embedding*:predict": Endpoint("embeddings", read_predictions, describe_images),
    ":predict": Endpoint("predict", read_predictions, describe_images, only_with_usage=True),
    ":predictLongRunning": Endpoint("video_generation", read_video_begun, describe_video, asked=asked_of_video),
    ":fetchPredictOperation": OPERATION,
}
POLLS: Mapping[str, Endpoint] = {"/models/*/operations/*": OPERATION}
