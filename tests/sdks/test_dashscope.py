"""What is particular about dashscope: it raises nothing, and its streams tell all that was used in each event."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import dashscope
import pytest

from capture.holding import starting
from capture.world import KEY, Counting
from otel_aicost import faults
from otel_aicost.config import Settings
from otel_aicost.testing import Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from otel_aicost.testing import FakeProvider

USED = Usage(input_tokens=1000, output_tokens=100)
PRICES = """
schema: 1
models:
  - provider: alibaba_cloud
    model: {prefix: qwen-}
    periods:
      - from: 2024-01-01
        rates:
          - {meter: input_tokens, price: "2", per: 1_000_000}
          - {meter: output_tokens, price: "10", per: 1_000_000}
"""


@pytest.fixture
def counting(provider: FakeProvider) -> Iterator[Counting]:
    provider.always(Reply(usage=USED))
    with Counting(Settings(ledger=None)) as made:
        yield made
    assert faults.counts() == {}


@pytest.fixture
def held(provider: FakeProvider, tmp_path: Path) -> Iterator[Callable[..., Counting]]:
    yield from starting(provider, tmp_path / "ledger.db")


def there(provider: FakeProvider) -> dict[str, Any]:
    return {"api_key": KEY, "base_address": f"{provider.url}/api/v1"}


def test_embeddings_and_scores(provider: FakeProvider, counting: Counting) -> None:
    """They tell a total, all of which was sent."""
    dashscope.TextEmbedding.call(model="text-embedding-v3", input="one", **there(provider))
    dashscope.TextReRank.call(model="gte-rerank-v2", query="one", documents=["one"], **there(provider))
    assert [(record.operation, dict(record.usage)) for record in counting.records] == [
        ("embeddings", {"input_tokens": 1000}),
        ("rerank", {"input_tokens": 1000}),
    ]
    assert {record.provider for record in counting.records} == {"alibaba_cloud"}


def test_an_error_in_a_stream_is_its_end(provider: FakeProvider, counting: Counting) -> None:
    """The SDK hands the error on as an answer."""
    provider.always(Reply(usage=USED, error_after=2))
    said = [*dashscope.Generation.call(model="qwen-max", prompt="one", stream=True, **there(provider))]
    assert said[-1].code == "InternalError"
    assert (counting.only.status, counting.only.error_type, counting.only.cost) == ("error", "InternalError", None)


def test_a_refusal_has_its_code(provider: FakeProvider, counting: Counting) -> None:
    """Whether the body tells one or not."""
    told = Reply(status=400, body=b'{"code": "InvalidParameter", "message": "no"}')
    provider.next(told, Reply(status=502, body=b"no", content_type="text/plain"))
    for _ in range(2):
        assert dashscope.Generation.call(model="qwen-max", prompt="one", **there(provider)).output is None
    assert [(record.status, record.error_type) for record in counting.records] == [
        ("error", "InvalidParameter"),
        ("error", "Unknown"),  # what the SDK makes of a body that is no JSON
    ]


def test_a_task_that_is_fetched_later_is_no_call_yet(provider: FakeProvider, counting: Counting) -> None:
    """Neither its beginning nor what tells that it goes on."""
    provider.always(Reply(body=b'{"output": {"task_id": "t", "task_status": "PENDING"}, "request_id": "r"}'))
    begun = dashscope.ImageSynthesis.async_call(model="wan2.5-t2i-preview", prompt="a cat", **there(provider))
    assert begun.output.task_id == "t"
    assert counting.records == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_budget_falls_back_to_another_model(
    provider: FakeProvider, held: Callable[..., Counting], tmp_path: Path, stream: bool
) -> None:
    """Where the user gives prices; the rest of the request is as it was."""
    (tmp_path / "prices.yaml").write_text(PRICES)
    provider.always(Reply(usage=USED))

    def ask() -> Any:
        got = dashscope.Generation.call(model="qwen-max", prompt="one", stream=stream, **there(provider))
        return [*got] if stream else got

    ask()
    counting = held(
        "{name: b, limit: 0, period: day, on_exceed: {fallback: qwen-turbo}}",
        paid="alibaba_cloud",
        prices=tmp_path / "prices.yaml",
    )
    ask()
    bare, request = provider.requests
    assert json.loads(request.body) == {**json.loads(bare.body), "model": "qwen-turbo"}
    assert (counting.only.asked_model, counting.only.request_model) == ("qwen-max", "qwen-turbo")
    assert counting.only.cost.total == Decimal("0.003")
