"""What Groq's bodies say: in its words where OpenAI's end."""

from __future__ import annotations

from typing import Any

import pytest

from otel_aicost.providers import endpoint_of, named

GROQ = named("groq")
CHAT = endpoint_of("/openai/v1/chat/completions", GROQ)
USAGE = {
    "queue_time": 0.01,
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "total_time": 0.2,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 20},
}
COUNTED = {"input_tokens": 100, "output_tokens": 50, "cache_read_tokens": 40, "reasoning_tokens": 20}


def read(body: Any) -> Any:
    return CHAT.read(GROQ.adapt(body))


def test_every_field_is_counted() -> None:
    """The on-demand tier is the standard one."""
    reading = read({"id": "chatcmpl-1", "model": "openai/gpt-oss-20b", "service_tier": "on_demand", "usage": USAGE})
    assert (reading.model, reading.usage, dict(reading.conditions)) == ("openai/gpt-oss-20b", COUNTED, {})
    assert dict(read({"service_tier": "flex", "usage": USAGE}).conditions) == {"service_tier": "flex"}


def test_a_stream_tells_it_in_x_groq() -> None:
    """A whole answer has the cache of its chips there, and is counted by its own usage."""
    assert read({"x_groq": {"id": "req_1", "usage": USAGE}}).usage == COUNTED
    assert read({"x_groq": {"usage": {"sram_cached_tokens": 9}}, "usage": USAGE}).usage == COUNTED


def test_a_compound_system_is_billed_by_what_it_used() -> None:
    """Each model at its own rates, however often it was asked, and its tools with the first of them."""
    body = {
        "model": "groq/compound",
        "usage": {"prompt_tokens": 330, "completion_tokens": 33},
        "usage_breakdown": {
            "models": [
                {"model": "openai/gpt-oss-120b", "usage": {"prompt_tokens": 100, "completion_tokens": 10}},
                {"model": "llama-3.3-70b-versatile", "usage": {"prompt_tokens": 30, "completion_tokens": 3}},
                {"model": "openai/gpt-oss-120b", "usage": {"prompt_tokens": 200, "completion_tokens": 20}},
            ]
        },
        "choices": [{"message": {"executed_tools": [{"type": "search"}, {"type": "search"}, {"type": "python"}]}}],
    }
    reading = read(body)
    assert (reading.model, reading.usage) == (
        "openai/gpt-oss-120b",
        {"input_tokens": 300, "output_tokens": 30, "web_searches": 2, "code_executions": 1},
    )
    (other,) = reading.others
    assert (other.model, other.usage) == ("llama-3.3-70b-versatile", {"input_tokens": 30, "output_tokens": 3})


def test_the_tools_of_a_stream_are_counted_once() -> None:
    """They come when they begin, and again when they end."""
    begun = {"choices": [{"delta": {"executed_tools": [{"index": 0, "type": "search"}]}}]}
    ended = {"choices": [{"delta": {"executed_tools": [{"index": 0, "type": "search", "output": "x"}]}}]}
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": USAGE}}
    body: dict[str, Any] = {}
    for event in (begun, ended, last):
        body |= CHAT.fragment(event)
    assert read(body).usage == {**COUNTED, "web_searches": 1}


@pytest.mark.parametrize(
    "body",
    [
        {"usage": {"prompt_tokens": -1}},
        {"usage": USAGE, "usage_breakdown": {"models": [{"model": "x", "usage": {"prompt_tokens": "many"}}]}},
    ],
)
def test_an_absurd_usage_is_set_aside(body: Any) -> None:
    """Of the whole, or of one of its models."""
    assert read(body).usage is None
    assert read(body).invalid


def test_a_body_without_usage_has_none() -> None:
    """Nothing is made up."""
    assert read({"id": "x", "choices": []}).usage is None
