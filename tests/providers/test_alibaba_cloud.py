"""What DashScope's bodies say."""

from __future__ import annotations

from typing import Any

import pytest

from otel_aicost.providers import endpoint_of, provider_of
from otel_aicost.providers.base import Sent

ALIBABA = provider_of("dashscope-intl.aliyuncs.com", 443, {})
CHAT = "/api/v1/services/aigc/text-generation/generation"
DONE: dict[str, Any] = {
    "output": {"choices": [{"message": {"role": "assistant", "content": "OK"}, "finish_reason": "stop"}]},
    "usage": {
        "input_tokens": 1000,
        "output_tokens": 120,
        "total_tokens": 1120,
        "prompt_tokens_details": {"cached_tokens": 600, "cache_creation_input_tokens": 200},
        "output_tokens_details": {"reasoning_tokens": 90},
    },
    "request_id": "r-1",
}


def test_it_is_found_by_its_hosts() -> None:
    """Of the mainland and of elsewhere; OpenAI's dialect is at its other paths."""
    assert ALIBABA.name == provider_of("dashscope.aliyuncs.com", 443, {}).name == "alibaba_cloud"
    assert endpoint_of("/compatible-mode/v1/chat/completions", ALIBABA).operation == "chat"


@pytest.mark.parametrize("path", [CHAT, CHAT.replace("text", "multimodal", 1)])
def test_every_field_is_counted(path: str) -> None:
    """What the cache gave and took is inside the input, what was thought inside the output."""
    reading = endpoint_of(path, ALIBABA).read(DONE)
    assert reading.usage == {
        "input_tokens": 1000, "cache_read_tokens": 600, "cache_write_tokens": 200,
        "output_tokens": 120, "reasoning_tokens": 90,
    }  # fmt: skip
    assert (reading.response_id, reading.finish_reasons, reading.final) == ("r-1", ("stop",), True)


def test_an_answer_without_messages_ends_as_well() -> None:
    """The older form, with a text."""
    reading = endpoint_of(CHAT, ALIBABA).read({**DONE, "output": {"text": "OK", "finish_reason": "length"}})
    assert (reading.finish_reasons, reading.final) == (("length",), True)


def test_the_middle_of_a_stream_is_not_final() -> None:
    """Each event has a usage; only the last one has a reason."""
    reading = endpoint_of(CHAT, ALIBABA).read({**DONE, "output": {"choices": [{"finish_reason": "null"}]}})
    assert (reading.finish_reasons, reading.final) == ((), False)


@pytest.mark.parametrize(
    ("told", "error"),
    [({"code": "Throttling", "status_code": 429}, "Throttling"), ({"code": "", "status_code": 502}, "502")],
)
def test_an_error_that_the_sdk_has_parsed_is_one(told: dict[str, Any], error: str) -> None:
    """It has a status and maybe a code; an answer has neither, or 200 and none."""
    endpoint = endpoint_of(CHAT, ALIBABA)
    assert endpoint.read({**DONE, **told}).error == error
    assert endpoint.read({**DONE, "code": "", "status_code": 200}).usage


def test_pictures_and_vectors() -> None:
    """A picture is one, whatever else is told; of vectors and scores the total is the input."""
    drawn = endpoint_of(CHAT.replace("text", "multimodal", 1), ALIBABA)
    assert drawn.read({"usage": {"image_count": 2, "width": 1328, "height": 1328}}).usage == {"output_images": 2}
    for path in ("/services/embeddings/text-embedding/text-embedding", "/services/rerank/text-rerank/text-rerank"):
        assert endpoint_of(path, ALIBABA).read({"usage": {"total_tokens": 7}}).usage == {"input_tokens": 7}


def test_the_parameters_are_known_by_the_names_that_all_have() -> None:
    """They stand in an object of their own."""
    told = endpoint_of(CHAT, ALIBABA).describe(Sent({"model": "qwen-max", "parameters": {"max_tokens": 9, "seed": 3}}))
    assert told.model == "qwen-max"
    assert dict(told.parameters) == {"gen_ai.request.max_tokens": 9, "gen_ai.request.seed": 3}


@pytest.mark.parametrize("count", [-1, "many", True, 1e99])
def test_an_absurd_usage_is_set_aside(count: Any) -> None:
    """It is not taken for zero."""
    reading = endpoint_of(CHAT, ALIBABA).read({**DONE, "usage": {"input_tokens": count}})
    assert reading.invalid
    assert reading.usage is None
