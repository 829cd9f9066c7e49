"""Batches of both providers: each result counts once, at the batch price, however often it is downloaded."""

from __future__ import annotations

import io
import json
import sqlite3
import tracemalloc
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from capture.scenarios import SPOKEN
from capture.test_budgets import holding
from capture.test_every_failure import FUNCTIONS, failing
from capture.world import CLAUDE, GPT, PAID, Counting, settings, sync_client
from otel_aicost import BudgetExceeded
from otel_aicost.testing import Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from otel_aicost.model import Record
    from otel_aicost.testing import FakeProvider

USED = Usage(input_tokens=1000, output_tokens=200)
AT_BATCH_PRICE = Decimal("0.00225")
"""1,000 tokens of gpt-4o at $1.25 a million and 200 at $5: half of what they cost alone."""
JANUARY = 1_767_225_600 * 10**9
"""When the fake provider answered the lines."""
REQUESTS = [
    {"custom_id": name, "params": {"model": CLAUDE, "max_tokens": 100, "messages": SPOKEN}} for name in ("a", "b")
] + [{"custom_id": "c", "params": {"model": CLAUDE, "max_tokens": 100, "messages": []}}]


def finished(gpt: Any, *bodies: dict[str, Any], url: str = "/v1/chat/completions") -> Any:
    """A batch of these requests, done."""
    lines = [
        json.dumps({"custom_id": f"line-{number}", "method": "POST", "url": url, "body": body})
        for number, body in enumerate(bodies)
    ]
    source = gpt.files.create(file=("in.jsonl", io.BytesIO("\n".join(lines).encode())), purpose="batch")
    begun = gpt.batches.create(input_file_id=source.id, endpoint=url, completion_window="24h")
    return gpt.batches.retrieve(begun.id)


CHAT = {"model": GPT, "messages": SPOKEN}


def content(gpt: Any, name: str) -> bytes:
    result: bytes = gpt.files.content(name).content
    return result


def streamed(gpt: Any, name: str) -> bytes:
    with gpt.files.with_streaming_response.content(name) as response:
        return b"".join(response.iter_bytes(7))


def raw(gpt: Any, name: str) -> bytes:
    result: bytes = gpt.files.with_raw_response.content(name).content
    return result


@pytest.mark.parametrize("download", [content, streamed, raw])
def test_each_line_of_an_output_counts_once_however_often_it_is_downloaded(
    provider: FakeProvider, counting: Counting, gpt: Any, download: Callable[[Any, str], bytes]
) -> None:
    """At the batch price, when it was made, and with the bytes as they are; asking for the batch counts nothing."""
    provider.always(Reply(usage=USED))
    batch = finished(gpt, CHAT, {**CHAT, "n": 1})
    assert batch.usage is None or batch.to_dict()["usage"]["input_tokens"] == 2000
    assert counting.records == []
    got = [download(gpt, batch.output_file_id) for _ in range(3)]
    assert got[0] == got[1] == got[2]
    assert [json.loads(line)["custom_id"] for line in got[0].splitlines()] == ["line-0", "line-1"]
    records = counting.records
    assert [record.usage for record in records] == [{"input_tokens": 1000, "output_tokens": 200}] * 2
    for record in records:
        assert record.cost is not None
        assert record.cost.total == AT_BATCH_PRICE
        assert record.cost.batch_saved_nano == 2_250_000
        assert record.conditions == {"processing": "batch"}
        assert (record.operation, record.response_model, record.status) == ("chat", GPT, "ok")
        assert (record.started_ns, record.duration_ns) == (JANUARY, 0)
    assert len({record.id for record in records}) == 2


def test_another_endpoint_and_a_line_that_failed(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """Embeddings are what they are; what was answered with an error is free."""
    provider.always(Reply(usage=USED))
    batch = finished(gpt, {"model": "text-embedding-3-small", "input": "one two"}, url="/v1/embeddings")
    content(gpt, batch.output_file_id)
    record = counting.only
    assert (record.operation, record.usage) == ("embeddings", {"input_tokens": 1000})
    broken = finished(gpt, CHAT, url="/v1/nowhere")
    assert b'"status_code":404' in content(gpt, broken.output_file_id)
    assert counting.records == [record]


def test_a_file_that_is_no_output_is_left_alone(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """What was uploaded, and what is no text at all."""
    for body in (b'{"messages": [], "usage": {"prompt_tokens": 5}}\n', b"\x89PNG" + b"\0" * 100, b"", b"{"):
        stored = gpt.files.create(file=("x", io.BytesIO(body)), purpose="fine-tune")
        assert content(gpt, stored.id) == body
    assert counting.records == []


def test_a_download_that_is_broken_off_counts_the_lines_that_came(provider: FakeProvider, gpt: Any) -> None:
    """And the next one the others."""
    provider.always(Reply(usage=USED))
    batch = finished(gpt, CHAT, CHAT, CHAT)
    size = len(content(gpt, batch.output_file_id).splitlines(keepends=True)[0])
    with Counting(settings(provider)) as counting:
        with gpt.files.with_streaming_response.content(batch.output_file_id) as response:
            next(iter(response.iter_bytes(size + 10)))
        assert counting.only.status == "ok"
        content(gpt, batch.output_file_id)
        assert len(counting.records) == 3


async def test_an_async_client_counts_the_same(
    provider: FakeProvider, counting: Counting, gpt: Any, async_gpt: Any
) -> None:
    """Whole and streamed."""
    provider.always(Reply(usage=USED))
    batch = finished(gpt, CHAT, CHAT)
    await async_gpt.files.content(batch.output_file_id)
    async with async_gpt.files.with_streaming_response.content(batch.output_file_id) as response:
        assert [chunk async for chunk in response.iter_bytes()]
    assert [record.cost.total for record in counting.records if record.cost] == [AT_BATCH_PRICE] * 2


def test_a_large_output_is_read_piece_by_piece(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """It is not held a second time, also where the SDK has read all of it before we see it."""
    answer = {"id": "x", "object": "chat.completion", "model": GPT, "created": 1_767_225_600, "padding": "x" * 60_000}
    answer["usage"] = {"prompt_tokens": 1000, "completion_tokens": 200}
    lines = [
        {
            "id": f"batch_req_{n}",
            "custom_id": str(n),
            "response": {"status_code": 200, "body": {**answer, "id": str(n)}},
        }
        for n in range(500)
    ]
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    provider.always(Reply(body=body, content_type="application/octet-stream"))
    counting.pipeline.flush(5)
    response = gpt.files.content("file-1")
    tracemalloc.start()
    try:
        assert len(counting.records) == 500  # 30 MB
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000
    assert len(response.content) == len(body)
    assert sum(record.cost.total for record in counting.records if record.cost) == 500 * AT_BATCH_PRICE


def test_what_two_processes_download_is_in_the_ledger_once(provider: FakeProvider, gpt: Any, tmp_path: Path) -> None:
    """And held against a budget once: the second does not know of the first."""
    provider.always(Reply(usage=USED))
    batch = finished(gpt, CHAT, CHAT)
    ledger = tmp_path / "ledger.db"
    for _ in range(2):
        held = holding("budgets: [{name: all, limit: 1 USD, period: forever}]", ledger)
        with Counting(settings(provider), budgets=held) as counting:
            content(gpt, batch.output_file_id)
            assert len(counting.records) == 2
    with closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute("SELECT count(*), sum(cost_nano) FROM calls").fetchall() == [(2, 4_500_000)]
        assert connection.execute("SELECT spent_nano, spent_calls FROM budget_windows").fetchall() == [(4_500_000, 2)]


# --- Anthropic -----------------------------------------------------------------------------------------------------


def batches(claude: Any) -> Any:
    """Where the SDK has them: at first only among the beta resources."""
    there = getattr(anthropic.resources.messages, "Batches", None)
    return claude.messages.batches if there is not None else claude.beta.messages.batches


def told(records: list[Record]) -> list[Any]:
    return [(record.usage, record.cost and record.cost.total, dict(record.conditions)) for record in records]


def test_each_result_of_a_message_batch_counts_once(provider: FakeProvider, claude: Any) -> None:
    """At half the price of claude-haiku-4-5, $1 and $5 a million; what errored is free."""
    provider.always(Reply(usage=USED))
    with Counting(settings(provider, "anthropic")) as counting:
        begun = batches(claude).create(requests=REQUESTS)
        seen = [[result.custom_id for result in batches(claude).results(begun.id)] for _ in range(2)]
        assert seen == [["a", "b", "c"]] * 2
        expected = ({"input_tokens": 1000, "output_tokens": 200}, Decimal("0.001"), {"processing": "batch"})
        assert told(counting.records) == [expected] * 2
        assert {record.duration_ns for record in counting.records} == {0}


async def test_async_results_and_those_broken_off_count_the_same(
    provider: FakeProvider, claude: Any, async_claude: Any
) -> None:
    """What was not read is counted when it is."""
    provider.always(Reply(usage=USED))
    with Counting(settings(provider, "anthropic")) as counting:
        begun = batches(claude).create(requests=REQUESTS)
        async for _ in await batches(async_claude).results(begun.id):
            break
        async for _ in await batches(async_claude).results(begun.id):
            pass
        assert len(counting.records) == 2


def test_results_of_two_batches_with_the_same_names_are_two(provider: FakeProvider, claude: Any) -> None:
    """A `custom_id` is unique within its batch alone."""
    with Counting(settings(provider, "anthropic")) as counting:
        for _ in range(2):
            begun = batches(claude).create(requests=REQUESTS[:1])
            list(batches(claude).results(begun.id))
        assert len(counting.records) == 2


@pytest.mark.parametrize(("limit", "admitted"), [("0.0004", False), ("0.001", True)])
def test_a_batch_is_not_begun_when_the_budget_is_used_up(
    provider: FakeProvider, claude: Any, tmp_path: Path, limit: str, admitted: bool
) -> None:
    """It may cost what all of its requests may write together: 200 tokens at $2.50 a million."""
    text = f"budgets: [{{name: all, limit: {limit} USD, period: forever, mode: strict, on_exceed: block}}]"
    held = holding(text, tmp_path / "ledger.db")
    with Counting(settings(provider, "anthropic"), budgets=held):
        if admitted:
            batches(claude).create(requests=REQUESTS[:2])
        else:
            with pytest.raises(BudgetExceeded, match="all"):
                batches(claude).create(requests=REQUESTS[:2])
    assert len(provider.requests) == admitted


@pytest.mark.parametrize(
    "name",
    ["capture.readers.LinesReader.__init__", "capture.readers.LinesReader.feed", "capture.readers.LinesReader.body",
     "capture.exchange.Exchange._whole_lines", "capture.exchange.Exchange._lines", "capture.exchange.Exchange.watch",
     "providers.openai_batches.read_batch_output", "providers.anthropic_stored.read_results",
     "providers.anthropic_stored._batch", "providers.anthropic_stored.describe_batch", "capture.routes.Routes.poll"],
)  # fmt: skip
def test_a_download_is_what_it_is_when_counting_it_fails(
    provider: FakeProvider, gpt: Any, claude: Any, name: str
) -> None:
    """Same bytes, same results."""
    batch = finished(gpt, CHAT, CHAT)
    with failing(FUNCTIONS[name]), Counting(settings(provider)) as counting:
        assert content(gpt, batch.output_file_id) == streamed(gpt, batch.output_file_id)
        begun = batches(claude).create(requests=REQUESTS)
        assert [result.custom_id for result in batches(claude).results(begun.id)] == ["a", "b", "c"]
        counting.pipeline.flush(5)


def test_azure_has_no_batch_price_and_says_so(provider: FakeProvider) -> None:
    """Its lines are counted as OpenAI's are; what they cost is not known."""
    provider.always(Reply(usage=USED))
    with sync_client("azure", provider) as client:
        batch = finished(client, CHAT)
        with Counting(settings(provider, PAID["azure"])) as counting:
            content(client, batch.output_file_id)
            record = counting.only
    assert (record.provider, record.usage) == ("azure.ai.openai", {"input_tokens": 1000, "output_tokens": 200})
    assert record.unpriced is not None
    assert record.unpriced.reason == "unpriced_condition"
