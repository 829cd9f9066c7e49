"""What Perplexity's bodies say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from otel_aicost.providers import endpoint_of, named, poll_of
from otel_aicost.providers.base import Sent

PERPLEXITY = named("perplexity")
RESEARCH = {
    "prompt_tokens": 20,
    "completion_tokens": 500,
    "total_tokens": 520,
    "citation_tokens": 10000,
    "reasoning_tokens": 9000,
    "num_search_queries": 12,
    "search_context_size": "low",
    "cost": {"input_tokens_cost": 0.1, "output_tokens_cost": 0.2, "request_cost": 0.006, "total_cost": 0.306},
}
SKELETON = {"input_tokens_cost": 0.0, "output_tokens_cost": 0.0, "total_cost": 0.0}


def read(body: Any, path: str = "/chat/completions") -> Any:
    return endpoint_of(path, PERPLEXITY).read(PERPLEXITY.adapt(body))


def test_what_was_thought_and_cited_is_generated_too() -> None:
    """Perplexity counts it beside the completion; our totals hold it."""
    reading = read(
        {"id": "1", "model": "sonar-deep-research", "usage": RESEARCH, "choices": [{"finish_reason": "stop"}]}
    )
    assert reading.usage == {
        "input_tokens": 20,
        "output_tokens": 19500,
        "reasoning_tokens": 9000,
        "output_citation_tokens": 10000,
        "web_searches": 12,
    }
    assert (reading.cost, reading.final) == (Decimal("0.306"), True)


def test_the_cost_of_a_stream_that_goes_on_is_not_known() -> None:
    """It states zeros until its end."""
    usage = {"prompt_tokens": 20, "completion_tokens": 3, "total_tokens": 23, "cost": SKELETON}
    reading = read({"usage": usage, "choices": [{"finish_reason": None}]})
    assert (reading.cost, reading.final, reading.usage["output_tokens"]) == (None, False, 3)


def test_the_agent_api_states_a_cost_of_everything() -> None:
    """Its cache stands in words of its own."""
    usage = {
        "input_tokens": 100,
        "output_tokens": 10,
        "total_tokens": 110,
        "input_tokens_details": {"cache_read_input_tokens": 60, "cache_creation_input_tokens": 30},
        "tool_calls_details": {"search_web": {"invocation": 3}, "fetch_url": {"invocation": 1}},
        "cost": {
            "currency": "USD",
            "input_cost": 0.01,
            "output_cost": 0.02,
            "tool_calls_cost": 0.015,
            "total_cost": 0.045,
        },
    }
    reading = read(
        {"id": "resp_1", "model": "x/y", "status": "completed", "usage": usage, "output": []}, "/v1/responses"
    )
    assert reading.usage == {
        "input_tokens": 100,
        "output_tokens": 10,
        "cache_read_tokens": 60,
        "cache_write_tokens": 30,
        "web_searches": 3,
    }
    assert reading.cost == Decimal("0.045")


def test_an_answer_that_is_fetched_later_is_billed_once() -> None:
    """When it is complete; what asks for it tells the model inside its request."""
    poll = poll_of("/async/chat/completions/job_1", PERPLEXITY)
    assert poll is not None
    answer = {"usage": RESEARCH, "choices": [{"finish_reason": "stop"}], "model": "sonar-deep-research"}
    job = {"id": "job_1", "status": "COMPLETED", "completed_at": 1767225600, "response": answer}
    reading = poll.read(job)
    assert (reading.once, reading.at_ns, reading.cost) == ("async/job_1", 1767225600 * 10**9, Decimal("0.306"))
    assert poll.read({"id": "job_1", "status": "IN_PROGRESS"}).pending
    later = endpoint_of("/async/chat/completions", PERPLEXITY)
    assert later.describe(Sent({"request": {"model": "sonar"}})).model == "sonar"


def test_a_search_is_a_request() -> None:
    """Whatever it finds."""
    told = endpoint_of("/search", PERPLEXITY).describe(Sent({"query": ["one", "two"]}))
    assert (told.model, told.usage) == ("search", {"requests": 1})


@pytest.mark.parametrize("usage", [{"prompt_tokens": -5}, {"prompt_tokens": 5, "reasoning_tokens": "x"}])
def test_an_absurd_usage_is_set_aside(usage: Any) -> None:
    """And no cost is believed with it."""
    reading = read({"usage": usage})
    assert reading.invalid
    assert (reading.usage, reading.cost) == (None, None)


def test_a_body_without_usage_has_none() -> None:
    """Nothing is made up."""
    assert read({"id": "x", "choices": []}).usage is None
