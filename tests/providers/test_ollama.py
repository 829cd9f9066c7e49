"""What Ollama's bodies say."""

from __future__ import annotations

from typing import Any

import pytest

from otel_aicost.providers import endpoint_of, named, provider_of
from otel_aicost.providers.base import Sent

OLLAMA = named("ollama")
DONE = {
    "model": "llama3.2",
    "created_at": "2026-01-01T00:00:00Z",
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "stop",
    "total_duration": 4883583458,
    "prompt_eval_count": 26,
    "eval_count": 282,
}


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed"])
def test_every_field_is_counted(path: str) -> None:
    """Durations are none of them."""
    reading = endpoint_of(path, OLLAMA).read(DONE)
    assert (reading.model, reading.usage) == ("llama3.2", {"input_tokens": 26, "output_tokens": 282})
    assert reading.finish_reasons == ("stop",)


def test_its_options_are_the_parameters() -> None:
    """By the names that all have."""
    told = endpoint_of("/api/chat", OLLAMA).describe(Sent({"model": "m", "options": {"num_predict": 9, "top_k": 3}}))
    assert dict(told.parameters) == {"gen_ai.request.max_tokens": 9, "gen_ai.request.top_k": 3}


def test_its_cloud_is_not_a_machine_of_ones_own() -> None:
    """It is paid; a search there is one whatever it finds."""
    cloud = provider_of("ollama.com", 443, {})
    assert cloud.name == "ollama_cloud"
    assert endpoint_of("/api/web_search", cloud).describe(Sent({"query": "x"})).usage == {"web_searches": 1}
    assert endpoint_of("/api/web_fetch", cloud).describe(Sent({"url": "x"})).usage == {"requests": 1}


@pytest.mark.parametrize("count", [-1, "many", True, 1e99])
def test_an_absurd_usage_is_set_aside(count: Any) -> None:
    """It is not taken for zero."""
    reading = endpoint_of("/api/chat", OLLAMA).read({**DONE, "eval_count": count})
    assert reading.invalid
    assert reading.usage is None


def test_a_body_without_usage_has_none() -> None:
    """Nothing is made up."""
    assert endpoint_of("/api/chat", OLLAMA).read({"done": False}).usage is None
