"""What Mistral's bodies say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from otel_aicost.providers import endpoint_of, named, poll_of

MISTRAL = named("mistral_ai")
CHAT = {
    "id": "cmpl-1",
    "model": "mistral-large-2512",
    "created": 1767225600,
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_audio_seconds": 12,
        "prompt_tokens_details": {"cached_tokens": 40},
        "service_tier": "priority",
    },
    "choices": [{"index": 0, "finish_reason": "stop"}],
}
TALK = {
    "conversation_id": "conv_1",
    "outputs": [
        {"type": "tool.execution", "name": "web_search"},
        {"type": "message.output", "model": "mistral-medium-2505", "content": "x"},
    ],
    "usage": {
        "prompt_tokens": 188,
        "completion_tokens": 55,
        "total_tokens": 7355,
        "connector_tokens": 7112,
        "connectors": {"web_search": 2, "code_interpreter": 1, "image_generation": 1, "document_library": 3},
    },
}


def read(path: str, body: Any) -> Any:
    return endpoint_of(path, MISTRAL).read(MISTRAL.adapt(body))


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/agents/completions", "/v1/fim/completions"])
def test_every_field_of_a_chat_is_counted(path: str) -> None:
    """Audio that is sent to a chat is billed beside its tokens."""
    reading = read(path, CHAT)
    assert reading.usage == {
        "input_tokens": 100,
        "output_tokens": 50,
        "cache_read_tokens": 40,
        "input_audio_seconds": 12,
    }
    assert dict(reading.conditions) == {"service_tier": "priority"}


def test_the_standard_tier_is_no_condition() -> None:
    """Nor are seconds of no audio a quantity."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "prompt_audio_seconds": 0, "service_tier": "standard"}
    reading = read("/v1/chat/completions", {"usage": usage})
    assert (reading.usage, dict(reading.conditions)) == ({"input_tokens": 1, "output_tokens": 1}, {})


def test_a_conversation_counts_its_connectors() -> None:
    """What they read is input beside the prompt; the model is the one that wrote, whoever was asked."""
    reading = read("/v1/conversations/conv_1", TALK)
    assert (reading.model, reading.response_id) == ("mistral-medium-2505", "conv_1")
    assert reading.usage == {
        "input_tokens": 7300,
        "output_tokens": 55,
        "web_searches": 2,
        "code_executions": 1,
        "output_images": 1,
        "file_searches": 3,
    }


def test_the_events_of_a_conversation_are_its_body() -> None:
    """An error in the middle of it is one of the call."""
    endpoint = endpoint_of("/v1/conversations", MISTRAL)
    events = [
        {"type": "conversation.response.started", "conversation_id": "conv_1"},
        {"type": "message.output.delta", "model": "mistral-medium-2505", "content": "x"},
        {"type": "conversation.response.done", "usage": TALK["usage"]},
    ]
    body: dict[str, Any] = {}
    for event in events:
        body |= endpoint.fragment(event)
    assert endpoint.read(body).usage == read("/v1/conversations", TALK).usage
    assert endpoint.read(body).model == "mistral-medium-2505"
    assert endpoint.read({**endpoint.fragment({"type": "conversation.response.error", "code": 3000})}).error == "3000"


def test_a_transcription_is_billed_by_its_seconds() -> None:
    """The tokens stated beside them are not billed again."""
    usage = {"prompt_tokens": 4, "completion_tokens": 635, "total_tokens": 3264, "prompt_audio_seconds": 203}
    assert read("/v1/audio/transcriptions", {"model": "m", "usage": usage}).usage == {"input_audio_seconds": 203}
    tokens = {"prompt_tokens": 4, "completion_tokens": 635}
    assert read("/v1/audio/transcriptions", {"usage": tokens}).usage == {"input_tokens": 4, "output_tokens": 635}


@pytest.mark.parametrize(
    ("more", "annotated"),
    [
        ({}, {}),
        ({"document_annotation": "{}"}, {"input_annotated_document_pages": 3}),
        ({"pages": [{"images": [{"image_annotation": "{}"}]}]}, {"input_annotated_document_pages": 3}),
    ],
)
def test_pages_are_counted_and_annotated_ones_apart(more: Any, annotated: Any) -> None:
    """They cost more."""
    body = {"model": "mistral-ocr-2512", "usage_info": {"pages_processed": 3, "doc_size_bytes": 9}, **more}
    assert read("/v1/ocr", body).usage == {"document_pages": 3, **annotated}


@pytest.mark.parametrize(("path", "key"), [("/v1/files/f1/content", "lines"), ("/v1/batch/jobs/j1", "outputs")])
def test_the_results_of_a_batch_are_billed_once_each(path: str, key: str) -> None:
    """In its file or in its job, at the batch price, each at its own time."""
    scanned = {"model": "mistral-ocr-2512", "usage_info": {"pages_processed": 2}}
    lines = [
        {"id": "batch-1-0", "custom_id": "0", "response": {"status_code": 200, "body": CHAT}, "error": None},
        {"id": "batch-1-1", "custom_id": "1", "response": {"status_code": 200, "body": scanned}},
        {"id": "batch-1-2", "custom_id": "2", "response": None, "error": {"message": "x"}},
        {"text": "a line of another file"},
    ]
    poll = poll_of(path, MISTRAL)
    assert poll is not None
    chat, ocr = poll.read({key: lines}).others
    assert (chat.operation, chat.at_ns, dict(chat.conditions)) == (
        "chat",
        1767225600 * 10**9,
        {"service_tier": "priority", "processing": "batch"},
    )
    assert (ocr.operation, ocr.usage) == ("ocr", {"document_pages": 2})
    assert chat.once != ocr.once
    other = poll_of("/v1/files/f2/content", MISTRAL)
    assert other is not None
    assert other.read({"lines": lines}).others[0].once == chat.once


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"usage": {"prompt_tokens": -1}}),
        ("/v1/chat/completions", {"usage": {"prompt_tokens": 1, "prompt_audio_seconds": "long"}}),
        ("/v1/conversations", {"usage": {"connectors": {"web_search": 1e99}}}),
        ("/v1/ocr", {"usage_info": {"pages_processed": True}}),
    ],
)
def test_an_absurd_usage_is_set_aside(path: str, body: Any) -> None:
    """It is not taken for zero."""
    reading = read(path, body)
    assert reading.invalid
    assert reading.usage is None


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/conversations", "/v1/ocr", "/v1/audio/transcriptions"])
def test_a_body_without_usage_has_none(path: str) -> None:
    """Nothing is made up."""
    assert read(path, {"id": "x"}).usage is None


def test_openrouter_states_what_it_cost() -> None:
    """Reranking in search units or tokens, video in money alone; a video is billed when it is there."""
    router = named("openrouter")
    rerank = endpoint_of("/api/v1/rerank", router).read(
        {"usage": {"search_units": 2, "total_tokens": 0, "cost": 0.004}}
    )
    assert (rerank.usage, rerank.cost) == ({"rerank_searches": 2}, Decimal("0.004"))
    assert endpoint_of("/api/v1/rerank", router).read({"usage": {"search_units": -2}}).invalid
    poll = poll_of("/api/v1/videos/job_1", router)
    assert poll is not None
    done = poll.read({"id": "job_1", "status": "completed", "usage": {"cost": 0.4}})
    assert (done.cost, done.once) == (Decimal("0.4"), "videos/job_1")
    assert poll.read({"id": "job_1", "status": "in_progress"}).pending
    images = endpoint_of("/api/v1/images", router)
    assert images.read({"data": [{}], "usage": {"cost": 0.04}}).cost == Decimal("0.04")
