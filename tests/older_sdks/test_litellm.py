"""LiteLLM: each call once, whether it goes through the openai SDK or through its own HTTP.

LiteLLM holds the openai SDK back at its second version: these tests run in the environment of older SDKs.
"""

from __future__ import annotations

import gc
import time
from decimal import Decimal

import litellm
import pytest

from capture.conftest import _running, provider, spans
from capture.world import KEY, Counting, left_alone, settings
from otel_aicost import faults
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.testing import Reply, Usage

__all__ = ["_running", "provider", "spans"]

ASKED = [{"role": "user", "content": "hi"}]
MADE = {
    "openai": {"model": "openai/gpt-4o"},
    "anthropic": {"model": "anthropic/claude-haiku-4-5", "max_tokens": 100},
}
PRICES = {"openai": ("2.50", "10"), "anthropic": ("1", "5")}


def _call(kind, provider, **more):
    base = provider.openai_url if kind == "openai" else provider.anthropic_url
    return {**MADE[kind], "messages": ASKED, "api_base": base, "api_key": KEY, "num_retries": 0, **more}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setattr(litellm, "suppress_debug_info", True)


@pytest.fixture
def counted(provider, spans):
    """Counts what goes to the fake provider in the name of another."""
    made = []

    def start(paid):
        counting = Counting(settings(provider, paid), SpanObserver())
        made.append(counting)
        return counting.__enter__()

    yield start
    for counting in made:
        counting.__exit__()
    assert faults.counts() == {}


def _check(record, kind, statuses=("ok",)):
    assert (record.provider, record.usage_state) == (kind, "reported")
    assert record.status in statuses
    assert record.usage["input_tokens"] == 1000
    assert record.usage["output_tokens"] == 100
    first, second = (Decimal(price) for price in PRICES[kind])
    assert record.cost.total == (first * 1000 + second * 100) / 1_000_000


def _ended(kind, stream):
    """LiteLLM does not read the event that says that a stream of Anthropic's is over, but all of its usage."""
    return ("ok", "partial") if stream and kind == "anthropic" else ("ok",)


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_is_counted_once(kind, stream, counted, provider, spans):
    """One record and one span a call, with the provider's own tokens."""
    counting = counted(kind)
    provider.next(Reply(usage=Usage(input_tokens=1000, output_tokens=100)))
    options = {"stream_options": {"include_usage": True}} if stream and kind == "openai" else {}

    result = litellm.completion(**_call(kind, provider, stream=stream, **options))
    if stream:
        assert list(result)
    del result  # of Anthropic's streams LiteLLM leaves the last event unread
    for _ in range(500):
        if counting.records:
            break
        gc.collect()
        time.sleep(0.01)

    _check(counting.only, kind, _ended(kind, stream))
    assert counting.only.sdk == {"openai": "openai", "anthropic": "litellm"}[kind]
    assert len(spans.get_finished_spans()) == 1


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_asynchronous_call_is_counted_once(kind, stream, counted, provider):
    """As above."""
    counting = counted(kind)
    provider.next(Reply(usage=Usage(input_tokens=1000, output_tokens=100)))
    options = {"stream_options": {"include_usage": True}} if stream and kind == "openai" else {}

    result = await litellm.acompletion(**_call(kind, provider, stream=stream, **options))
    if stream:
        assert [chunk async for chunk in result]

    del result
    await left_alone(counting)

    _check(counting.only, kind, _ended(kind, stream))


@pytest.mark.parametrize("kind", MADE)
def test_an_error_is_litellms_own(kind, counted, provider):
    """And is on record without a cost."""
    counting = counted(kind)
    provider.next(Reply(status=429))

    with pytest.raises(litellm.RateLimitError):
        litellm.completion(**_call(kind, provider))
    assert (counting.only.status, counting.only.cost) == ("error", None)


def test_an_answer_is_the_same_as_without_us(counted, provider):
    """The same text, and a request of the same bytes."""
    without = litellm.completion(**_call("anthropic", provider))
    sent = provider.requests[-1].body
    counted("anthropic")
    provider.reset()

    answer = litellm.completion(**_call("anthropic", provider))

    assert type(answer) is type(without)
    assert answer.choices[0].message.content == without.choices[0].message.content
    assert provider.requests[-1].body == sent
