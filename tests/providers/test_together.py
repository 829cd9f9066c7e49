"""What Together's bodies say."""

from __future__ import annotations

from typing import Any

import pytest

from otel_aicost.providers import endpoint_of, named, poll_of
from otel_aicost.providers.base import Sent

TOGETHER = named("together")
DONE = {
    "id": "video_1",
    "model": "minimax/video-01-director",
    "status": "completed",
    "size": "1366x768",
    "seconds": "5",
    "completed_at": 1767225600,
    "outputs": {"cost": 123, "video_url": "https://video.invalid/"},
}


def video(**changed: Any) -> Any:
    poll = poll_of("/v2/videos/video_1", TOGETHER)
    assert poll is not None
    return poll.read({**DONE, **changed})


def test_a_video_is_billed_when_it_is_there() -> None:
    """Once, at its own time, however often it is asked for."""
    reading = video()
    assert (reading.usage, dict(reading.conditions)) == ({"output_video_seconds": 5}, {"size": "1366x768"})
    assert (reading.once, reading.at_ns, reading.cost) == ("videos/video_1", 1767225600 * 10**9, None)


@pytest.mark.parametrize("status", ["in_progress", "failed", None])
def test_a_video_that_is_not_there_is_not_billed(status: Any) -> None:
    """Whoever asked for it gets no record yet."""
    assert video(status=status).pending


@pytest.mark.parametrize("seconds", ["long", -1, "nan", True])
def test_a_duration_that_is_none_is_set_aside(seconds: Any) -> None:
    """It is not taken for zero."""
    assert video(seconds=seconds).invalid
    assert video(seconds=seconds).usage is None


def test_images_are_counted_and_their_size_is_kept() -> None:
    """The size is what was asked for: the answer does not say."""
    images = endpoint_of("/v1/images/generations", TOGETHER)
    assert images.read({"model": "m", "data": [{"url": "x"}, {"url": "y"}]}).usage == {"output_images": 2}
    assert images.describe(Sent({"model": "m", "width": 1024, "height": 768})).conditions == {"size": "1024x768"}
    assert images.describe(Sent({"model": "m", "width": "wide"})).conditions == {}


def test_reranking_is_billed_by_tokens() -> None:
    """In the words of a chat; without a usage there is none."""
    rerank = endpoint_of("/v1/rerank", TOGETHER)
    body = {"model": "m", "usage": {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}}
    assert rerank.read(body).usage == {"input_tokens": 7, "output_tokens": 0}
    assert rerank.read({"model": "m"}).usage is None
