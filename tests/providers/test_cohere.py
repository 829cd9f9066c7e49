"""What Cohere's bodies say: units are billed, not tokens."""

from __future__ import annotations

from typing import Any

import pytest

from otel_aicost.providers import endpoint_of, named, poll_of, provider_of

COHERE = named("cohere")
USAGE = {
    "billed_units": {"input_tokens": 100.0, "output_tokens": 50.0},
    "tokens": {"input_tokens": 566.0, "output_tokens": 52.0},
    "cached_tokens": 40,
}
COUNTED = {"input_tokens": 100, "output_tokens": 50, "cache_read_tokens": 40}


def read(path: str, body: Any) -> Any:
    return endpoint_of(path, COHERE).read(COHERE.adapt(body))


def test_billed_units_are_counted() -> None:
    """In the `usage` of version 2 and the `meta` of version 1."""
    two = read("/v2/chat", {"id": "c1", "finish_reason": "COMPLETE", "usage": USAGE})
    assert (two.usage, two.response_id, two.finish_reasons) == (COUNTED, "c1", ("COMPLETE",))
    assert read("/v1/chat", {"generation_id": "g1", "meta": USAGE}).usage == COUNTED


def test_cached_tokens_that_were_not_billed_are_left_out() -> None:
    """They would be more than the input they are part of."""
    assert read("/v2/chat", {"usage": {**USAGE, "cached_tokens": 400}}).usage == {
        "input_tokens": 100,
        "output_tokens": 50,
    }


@pytest.mark.parametrize(
    ("path", "units", "counted"),
    [
        ("/v2/rerank", {"search_units": 2}, {"rerank_searches": 2}),
        ("/v1/classify", {"classifications": 3}, {"classifications": 3}),
        ("/v2/parse", {"pages": 4}, {"document_pages": 4}),
        ("/v2/embed", {"input_tokens": 7}, {"input_tokens": 7}),
        (
            "/v2/embed",
            {"images": 1, "image_tokens": 1000, "text_tokens": 7},
            {"input_tokens": 1007, "input_image_tokens": 1000, "input_text_tokens": 7},
        ),
    ],
)
def test_each_endpoint_has_a_unit_of_its_own(path: str, units: Any, counted: Any) -> None:
    """Images of an embedding are input."""
    assert read(path, {"meta": {"billed_units": units}}).usage == counted


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message-end", "id": "c1", "delta": {"finish_reason": "COMPLETE", "usage": USAGE}},
        {"event_type": "stream-end", "is_finished": True, "response": {"generation_id": "c1", "meta": USAGE}},
    ],
)
def test_the_last_event_of_a_stream_has_the_units(event: Any) -> None:
    """Of either version."""
    reading = read("/v2/chat", endpoint_of("/v2/chat", COHERE).fragment(event))
    assert (reading.usage, reading.response_id) == (COUNTED, "c1")


def test_a_job_of_embeddings_is_billed_once() -> None:
    """When it is complete."""
    poll = poll_of("/v1/embed-jobs/j1", COHERE)
    assert poll is not None
    done = {"job_id": "j1", "status": "complete", "model": "embed-v4.0", "meta": {"billed_units": {"input_tokens": 9}}}
    assert (poll.read(done).once, poll.read(done).usage) == ("embed-jobs/j1", {"input_tokens": 9})
    assert poll.read({**done, "status": "processing"}).pending


@pytest.mark.parametrize("units", [{"input_tokens": -1}, {"search_units": "two"}, {"pages": float("inf")}])
def test_an_absurd_usage_is_set_aside(units: Any) -> None:
    """It is not taken for zero."""
    assert read("/v2/chat", {"usage": {"billed_units": units}}).invalid


def test_a_body_without_usage_has_none() -> None:
    """Nothing is made up."""
    assert read("/v2/chat", {"id": "x", "usage": {"tokens": {"input_tokens": 5}}}).usage is None


def test_its_requests_can_be_answered_by_others() -> None:
    """Whose prices are not Cohere's."""
    assert provider_of("runtime.sagemaker.us-east-1.amazonaws.com", 443, {}).name == "aws.sagemaker"
    assert provider_of("inference.generativeai.us-chicago-1.oci.oraclecloud.com", 443, {}).name == "oci"
