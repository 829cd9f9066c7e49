"""What a body says of its usage, in every dialect, and that no body at all can make reading it fail."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_aicost.model import METERS
from otel_aicost.providers import ENDPOINTS, UNKNOWN, anthropic, every, named, openai
from otel_aicost.providers.base import LARGEST, AbsurdUsageError, Sent, dollars, quantities, quantity

if TYPE_CHECKING:
    from otel_aicost.providers.base import Endpoint

CHAT = {
    "id": "chatcmpl-1",
    "model": "gpt-4o",
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 10, "cache_write_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 0, "accepted_prediction_tokens": 9},
    },
}


def test_chat_counts_parts_inside_of_totals() -> None:
    """Zeros of parts are left out, unknown parts too."""
    assert openai.read(CHAT).usage == {
        "input_tokens": 100,
        "output_tokens": 50,
        "cache_read_tokens": 40,
        "cache_write_tokens": 5,
        "input_audio_tokens": 10,
        "reasoning_tokens": 20,
    }


@pytest.mark.parametrize("details", ["input_tokens_details", "input_token_details"])
def test_the_other_spelling_counts_the_same(details: str) -> None:
    """Responses, images and transcriptions say input and output."""
    usage = {"input_tokens": 100, "output_tokens": 50, details: {"cached_tokens": 40, "image_tokens": 30}}
    assert openai.read({"usage": usage}).usage == {
        "input_tokens": 100,
        "output_tokens": 50,
        "cache_read_tokens": 40,
        "input_image_tokens": 30,
    }


def test_the_tools_of_a_response_are_counted() -> None:
    """Each has a fee of its own: searches by the provider's count, or one for each search made."""
    output = [
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "web_search_call", "action": {"type": "open_page"}},
        {"type": "web_search_call"},
        {"type": "file_search_call"},
        {"type": "code_interpreter_call", "container_id": "c1"},
        {"type": "code_interpreter_call", "container_id": "c1"},
        {"type": "message"},
    ]
    usage = {"input_tokens": 1, "output_tokens": 1}
    reading = openai.read({"usage": usage, "output": output})
    found = reading.usage or {}
    assert (found["web_searches"], found["file_searches"]) == (2, 1)
    (container,) = reading.others  # the tokens have a price without it
    assert (container.usage, container.once) == ({"code_executions": 1}, "container:c1")
    stated = (
        openai.read({"usage": usage, "output": output, "tool_usage": {"web_search": {"num_requests": 5}}}).usage or {}
    )
    assert stated["web_searches"] == 5


@pytest.mark.parametrize(
    ("tier", "conditions"),
    [("flex", {"service_tier": "flex"}), ("priority", {"service_tier": "priority"}), ("default", {}), ("auto", {}),
     (None, {}), (7, {})],
)  # fmt: skip
def test_the_tier_a_call_ran_on_is_a_condition(tier: Any, conditions: dict[str, str]) -> None:
    """The standard one is none."""
    assert dict(openai.read({**CHAT, "service_tier": tier}).conditions) == conditions


@pytest.mark.parametrize(
    ("error", "code"), [({"code": "server_error"}, "server_error"), ({}, "failed"), (None, "failed")]
)
def test_a_response_that_failed_says_so(error: Any, code: str) -> None:
    """With a successful HTTP status, and a usage."""
    reading = openai.read({"status": "failed", "error": error, "usage": {"input_tokens": 5, "output_tokens": 0}})
    assert (reading.error, reading.usage) == (code, {"input_tokens": 5, "output_tokens": 0})


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"usage": {"type": "duration", "seconds": 330}}, {"input_audio_seconds": 330}),
        ({"usage": {"type": "duration", "seconds": 5.5}}, {"input_audio_seconds": Decimal("5.5")}),
        ({"duration": 5.5}, {"input_audio_seconds": Decimal("5.5")}),
        ({"duration": "330.0"}, {"input_audio_seconds": 330}),
        ({"duration": 9, "usage": {"seconds": 10}}, {"input_audio_seconds": 10}),
        ({"text": "x"}, None),
    ],
)
def test_a_transcription_counts_seconds_or_tokens(body: Any, usage: Any) -> None:
    """Older bodies state the duration beside the text."""
    assert openai.read_transcription(body).usage == usage


def test_a_duration_that_is_no_number_is_invalid() -> None:
    """It is not taken for zero."""
    assert openai.read_transcription({"duration": "long"}).invalid


def test_images_count_tokens_or_pieces() -> None:
    """Tokens where they are stated."""
    assert openai.read_images({"data": [{}, {}]}).usage == {"output_images": 2}
    assert openai.read_images({"data": [{}], "usage": {"input_tokens": 1, "output_tokens": 2}}).usage == {
        "input_tokens": 1,
        "output_tokens": 2,
    }
    assert openai.read_images({"data": [{}], "usage": {"input_tokens": -1}}).invalid


def test_deepseek_and_groq_count_as_openai_does() -> None:
    """Their own places for cache hits and for the usage of a stream."""
    deepseek = {"usage": {"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 6}}
    assert openai.read(named("deepseek").adapt(deepseek)).usage == {
        "input_tokens": 10,
        "output_tokens": 1,
        "cache_read_tokens": 6,
    }
    groq = {"x_groq": {"usage": {"prompt_tokens": 10, "completion_tokens": 1}}}
    assert openai.read(named("groq").adapt(groq)).usage == {"input_tokens": 10, "output_tokens": 1}


def test_anthropics_input_holds_the_cache() -> None:
    """Its own `input_tokens` do not."""
    usage = {
        "input_tokens": 100,
        "output_tokens": 60,
        "cache_read_input_tokens": 2000,
        "cache_creation_input_tokens": 1000,
        "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400},
        "server_tool_use": {"web_search_requests": 2},
        "output_tokens_details": {"thinking_tokens": 9},
    }
    assert anthropic.read({"usage": usage, "stop_reason": "end_turn"}).usage == {
        "input_tokens": 3100,
        "output_tokens": 60,
        "cache_read_tokens": 2000,
        "cache_write_tokens": 1000,
        "cache_write_5m_tokens": 600,
        "cache_write_1h_tokens": 400,
        "web_searches": 2,
        "reasoning_tokens": 9,
    }


def test_the_rounds_of_a_message_are_added_up() -> None:
    """The totals leave some of them out, and are not added to them."""
    rounds = [
        {"type": "compaction", "input_tokens": 500, "output_tokens": 50},
        {
            "type": "message",
            "model": "claude-x",
            "input_tokens": 100,
            "output_tokens": 10,
            "cache_read_input_tokens": 7,
        },
    ]
    reading = anthropic.read({"usage": {"input_tokens": 100, "output_tokens": 10, "iterations": rounds}})
    assert reading.usage == {"input_tokens": 607, "output_tokens": 60, "cache_read_tokens": 7}


@pytest.mark.parametrize(
    ("usage", "conditions"),
    [
        ({"service_tier": "standard", "inference_geo": "not_available", "speed": "standard"}, {}),
        ({"service_tier": "batch"}, {"processing": "batch"}),
        ({"service_tier": "priority"}, {"service_tier": "priority"}),
        ({"speed": "fast"}, {"speed": "fast"}),
        ({"inference_geo": "us"}, {"inference_geo": "us"}),
        ({"inference_geo": "global"}, {}),
        ({"service_tier": [], "inference_geo": 5}, {}),
    ],
)
def test_where_and_how_a_message_ran_is_a_condition(usage: Any, conditions: dict[str, str]) -> None:
    """The usual way is none."""
    assert dict(anthropic.conditions(usage)) == conditions


def test_a_message_without_a_reason_to_stop_is_not_the_last_word() -> None:
    """The usage at the beginning of a stream has a placeholder for the output."""
    assert not anthropic.read({"usage": {"input_tokens": 1, "output_tokens": 1}}).final
    assert anthropic.read({"usage": {"input_tokens": 1, "output_tokens": 1}, "stop_reason": "end_turn"}).final


@pytest.mark.parametrize("value", [0, 1, LARGEST, 0.5, float(LARGEST), Decimal("0.1")])
def test_a_quantity_that_can_be_is_taken(value: Any) -> None:
    """Up to the largest."""
    assert quantity(value, "n") == Decimal(repr(value) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    "value",
    [-1, LARGEST + 1, -0.001, LARGEST + 0.5, float("nan"), float("inf"), True, False, "1", [], {}, Decimal("NaN")],
)
def test_a_quantity_that_cannot_be_is_absurd(value: Any) -> None:
    """Told by its key."""
    with pytest.raises(AbsurdUsageError, match="n is "):
        quantity(value, "n")


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "free", [], None, "-2", LARGEST + 1])
def test_dollars_that_cannot_be_are_none(value: Any) -> None:
    """A stated cost is used or not, it is never an error."""
    assert dollars(value) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
KEYS = [
    "usage", "model", "id", "choices", "output", "error", "status", "service_tier", "tool_usage", "data", "duration",
    "x_groq", "type", "message", "response", "delta", "stop_reason", "stream_options", "input", "size",
]  # fmt: skip
USAGE_KEYS = [
    *{key for fields in (openai.USAGE, anthropic.USAGE) for _, path in fields for key in path},
    "iterations", "cost", "cost_in_usd_ticks", "service_tier", "speed", "inference_geo", "prompt_cache_hit_tokens",
]  # fmt: skip
ITEMS = st.lists(
    st.dictionaries(st.sampled_from(["type", "model", "action", "container_id", "finish_reason", "input_tokens"]),
                    JSON | st.sampled_from(["web_search_call", "code_interpreter_call"])),
    max_size=3,
)  # fmt: skip
USAGES = st.dictionaries(
    st.sampled_from(sorted(USAGE_KEYS)), JSON | ITEMS | st.dictionaries(st.sampled_from(sorted(USAGE_KEYS)), JSON)
)
BODIES = st.fixed_dictionaries(
    {}, optional={key: {"usage": USAGES, "output": ITEMS, "choices": ITEMS}.get(key, JSON) | JSON for key in KEYS}
)


@given(
    body=BODIES,
    endpoint=st.sampled_from([UNKNOWN, *ENDPOINTS.values()]),
    provider=st.sampled_from(sorted(provider.name for provider in every())),
)
def test_no_body_makes_reading_it_fail(body: Any, endpoint: Endpoint, provider: str) -> None:
    """Every quantity that comes of it is finite and not negative; without one there is no usage."""
    reading = endpoint.read(named(provider).adapt(body))
    endpoint.read(endpoint.fragment(body))
    endpoint.describe(Sent(body))
    if endpoint.usage_request is not None:
        endpoint.usage_request.ask(body)
    assert reading.usage is None or reading.usage
    for meter, amount in (reading.usage or {}).items():
        assert meter in METERS or meter in {"image_tool_tokens", "training_jobs"}
        assert amount >= 0
        assert Decimal(amount).is_finite()
    assert reading.cost is None or (reading.cost.is_finite() and reading.cost >= 0)


def test_names_that_are_no_names_are_counted_all_the_same() -> None:
    """A container or a model that is a list or an object."""
    output = [{"type": "code_interpreter_call", "container_id": ["c"]}, {"type": "code_interpreter_call"}]
    assert len(openai.read({"usage": {"input_tokens": 1}, "output": output}).others) == 1
    rounds = [{"input_tokens": 1, "model": {}}, {"input_tokens": 2, "model": []}]
    assert (anthropic.read({"usage": {"iterations": rounds}}).usage or {})["input_tokens"] == 3
    assert openai.read_response({"id": [], "background": True}).once is None


def test_the_first_spelling_wins() -> None:
    """A host that states both is not counted twice."""
    usage = {"prompt_tokens": 5, "input_tokens": 7, "completion_tokens": 0, "output_tokens": 3}
    assert quantities(usage, openai.USAGE) == {"input_tokens": 5, "output_tokens": 0}
