"""One record for each billable response, with the quantities of its body and the price of those."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai._base_client import DEFAULT_MAX_RETRIES

from capture.scenarios import (
    CHAT_ASKED,
    CHAT_COUNTED,
    CHAT_STREAM,
    CHAT_USAGE,
    CLAUDE_ASKED,
    CLAUDE_COUNTED,
    CLAUDE_STREAM,
    CLAUDE_USAGE,
)
from capture.world import CLAUDE, GPT, KEY, PAID, Counting, async_client, settings, sync_client
from otel_aicost import faults
from otel_aicost.testing import Reply, Usage

if TYPE_CHECKING:
    from otel_aicost.testing import FakeProvider

EXACT = Usage(input_tokens=1500, output_tokens=2000)


def test_gpt_4o_costs_what_its_price_list_says(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """1,500 tokens in at $2.50 a million and 2,000 out at $10."""
    provider.always(Reply(usage=EXACT))
    gpt.chat.completions.create(**CHAT_ASKED)
    record = counting.only
    assert record.cost is not None
    assert record.cost.total == Decimal("0.023750")
    assert record.cost.source == "genai-prices"
    assert sum(part.amount for part in record.cost.parts) == record.cost.total


@pytest.mark.parametrize(
    ("kind", "method", "asked", "more", "usage"),
    [
        ("openai", "chat", CHAT_ASKED, {"stream": True, "stream_options": {"include_usage": True}}, CHAT_USAGE),
        ("azure", "chat", CHAT_ASKED, {"stream": True, "stream_options": {"include_usage": True}}, CHAT_USAGE),
        ("anthropic", "messages", CLAUDE_ASKED, {"stream": True}, CLAUDE_USAGE),
        ("bedrock", "messages", CLAUDE_ASKED, {"stream": True}, CLAUDE_USAGE),
        ("vertex", "messages", CLAUDE_ASKED, {"stream": True}, CLAUDE_USAGE),
    ],
)
def test_a_stream_costs_what_the_whole_body_costs(
    provider: FakeProvider, kind: str, method: str, asked: Any, more: Any, usage: Usage
) -> None:
    """The same usage gives the same record, streamed or not."""
    provider.always(Reply(usage=usage))
    models = {"bedrock": "us.anthropic.claude-haiku-4-5-20251001-v1:0", "vertex": "claude-haiku-4-5@20251001"}
    asked = {**asked, "model": models.get(kind, asked["model"])}
    with sync_client(kind, provider) as client, Counting(settings(provider, PAID[kind])) as counting:
        create = client.chat.completions.create if method == "chat" else client.messages.create
        create(**asked)
        list(create(**asked, **more))
        whole, streamed = counting.records
    assert streamed.usage == whole.usage
    assert whole.cost is not None
    assert streamed.cost is not None
    assert streamed.cost == whole.cost
    assert streamed.cost.total > 0
    assert (streamed.response_model, streamed.provider) == (whole.response_model, whole.provider)
    assert (whole.stream, streamed.stream) == (False, True)
    assert whole.first_chunk_ns is None
    assert streamed.first_chunk_ns is not None
    assert 0 < streamed.first_chunk_ns <= streamed.duration_ns


def test_a_record_knows_the_call(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """Models, ids, parameters and place, and nothing of the content."""
    provider.always(Reply(model="gpt-4o-2024-08-06", finish_reason="length", service_tier="flex"))
    answer = gpt.chat.completions.create(**CHAT_ASKED, temperature=0.5, max_tokens=9, seed=3)
    record = counting.only
    assert (record.request_model, record.response_model) == (GPT, "gpt-4o-2024-08-06")
    assert record.response_id == answer.id
    assert record.finish_reasons == ("length",)
    assert dict(record.conditions) == {"service_tier": "flex"}
    assert dict(record.parameters) == {
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.seed": 3,
    }
    assert (record.host, record.port, record.sdk) == ("127.0.0.1", provider.port, "openai")


@pytest.mark.parametrize("statuses", [(500,), (429,), (500, 429)])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_retries_of_an_sdk_are_one_call(
    provider: FakeProvider, counting: Counting, statuses: tuple[int, ...], stream: bool
) -> None:
    """Refusals cost nothing; the record tells how many there were."""
    with sync_client("openai", provider, max_retries=DEFAULT_MAX_RETRIES) as client:
        provider.next(*(Reply(status=status) for status in statuses), Reply(usage=EXACT))
        answer = client.chat.completions.create(**(CHAT_STREAM if stream else CHAT_ASKED))
        list(answer)
    async with async_client("anthropic", provider, max_retries=DEFAULT_MAX_RETRIES) as client:
        provider.next(*(Reply(status=status) for status in statuses), Reply(usage=EXACT))
        answer = await client.messages.create(**(CLAUDE_STREAM if stream else CLAUDE_ASKED))
        if stream:
            async for _ in answer:
                pass
    for record in counting.records:
        assert (record.usage["input_tokens"], record.usage["output_tokens"]) == (1500, 2000)
        assert record.parameters["http.request.resend_count"] == len(statuses)
        assert record.status == "ok"
    assert len(counting.records) == 2
    assert len(provider.requests) == 2 * (len(statuses) + 1)


def test_a_call_that_was_not_resent_does_not_say_so(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """The other side of the threshold."""
    gpt.chat.completions.create(**CHAT_ASKED)
    assert "http.request.resend_count" not in counting.only.parameters


def test_a_stored_object_is_not_counted(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """A GET returns what was made and paid before, with its usage."""
    body = {"id": "chatcmpl-1", "model": GPT, "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    provider.always(Reply(json=body))
    gpt.get("/chat/completions/chatcmpl-1", cast_to=object)
    gpt.get("/chat/completions", cast_to=object)
    gpt.delete("/chat/completions/chatcmpl-1", cast_to=object)
    gpt.post("/chat/completions/chatcmpl-1", body={"metadata": {}}, cast_to=object)
    assert counting.records == []


@pytest.mark.parametrize(
    ("body", "records"),
    [
        ({"usage": {"input_tokens": 1}}, 1),
        ({"usage": {"prompt_tokens": 0, "completion_tokens": 0}}, 1),
        ({"usage": {}}, 0),
        ({"usage": None}, 0),
        ({"usage": "much"}, 0),
        ({}, 0),
    ],
)
def test_an_unknown_endpoint_counts_if_it_states_a_usage(
    provider: FakeProvider, counting: Counting, gpt: Any, body: Any, records: int
) -> None:
    """Tomorrow's endpoints are caught, uploads and administration are not."""
    provider.always(Reply(json={"id": "x", **body}))
    gpt.post("/tomorrow", body={"model": GPT}, cast_to=object)
    assert len(counting.records) == records


def test_an_unknown_endpoint_that_fails_is_no_call(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """Nobody knows that it would have been billed."""
    provider.always(Reply(status=400))
    with pytest.raises(openai.BadRequestError):
        gpt.post("/tomorrow", body={}, cast_to=object)
    assert counting.records == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_body_nobody_read_is_unread(provider: FakeProvider, counting: Counting, gpt: Any, stream: bool) -> None:
    """With the headers alone nothing is known; a stream gets an estimate of what was asked."""
    with gpt.chat.completions.with_streaming_response.create(**(CHAT_STREAM if stream else CHAT_ASKED)) as response:
        assert response.headers
    record = counting.only
    assert record.status == "partial"
    assert record.usage_state == ("missing" if stream else "unread")
    assert record.estimated is stream
    assert (record.unpriced is None) is stream


def test_a_body_read_in_part_is_unread(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """Half of a JSON document says nothing."""
    provider.always(Reply(text="word " * 20_000))
    with gpt.chat.completions.with_streaming_response.create(**CHAT_ASKED) as response:
        next(response.iter_bytes(10))
    assert (counting.only.status, counting.only.usage_state) == ("partial", "unread")


@pytest.mark.parametrize("how", [{"gzip": True}, {"chunk_bytes": 1}, {"chunk_bytes": 7}, {"crlf": True},
                                 {"comments": True}, {"spaced": True}, {"gzip": True, "chunk_bytes": 3, "crlf": True}],
                         ids=str)  # fmt: skip
async def test_the_way_a_body_travels_does_not_matter(provider: FakeProvider, counting: Counting, how: Any) -> None:
    """Compressed, cut up, with other line ends, with comments between the events."""
    with sync_client("openai", provider) as client:
        provider.always(Reply(usage=CHAT_USAGE, **how))
        assert len(list(client.chat.completions.create(**CHAT_STREAM))) > 14
        client.chat.completions.create(**CHAT_ASKED)
        with client.chat.completions.with_streaming_response.create(**CHAT_ASKED) as response:
            response.read()
    assert [dict(record.usage) for record in counting.records] == [CHAT_COUNTED] * 3
    async with async_client("anthropic", provider) as client:
        provider.always(Reply(usage=CLAUDE_USAGE, **how))
        async for _ in await client.messages.create(**CLAUDE_STREAM):
            pass
    assert dict(counting.records[-1].usage) == CLAUDE_COUNTED
    assert [record.status for record in counting.records] == ["ok"] * 4


ABSURD = [-1, -0.5, 10**10 + 1, 10**30, float("nan"), float("inf"), "7", True, [7], {"n": 7}]


@pytest.mark.parametrize("amount", ABSURD, ids=repr)
@pytest.mark.parametrize("stream", [False, True])
def test_an_absurd_usage_is_set_aside(
    provider: FakeProvider, counting: Counting, gpt: Any, claude: Any, amount: Any, stream: bool
) -> None:
    """Neither counted nor priced nor estimated: the record says that it is invalid."""
    provider.next(Reply(usage={"prompt_tokens": 7, "completion_tokens": amount, "total_tokens": 7}))
    provider.next(Reply(usage={"input_tokens": amount, "output_tokens": 7}))
    for create, asked in (
        (gpt.chat.completions.create, CHAT_STREAM if stream else CHAT_ASKED),
        (claude.messages.create, CLAUDE_STREAM if stream else CLAUDE_ASKED),
    ):
        answer = create(**asked)
        if stream:
            list(answer)
    for record in counting.records:
        assert (record.usage_state, dict(record.usage), record.cost) == ("invalid", {}, None)
        assert record.unpriced is not None
        assert record.unpriced.reason == "invalid_usage"
        assert not record.estimated
    assert len(counting.records) == 2


def test_the_largest_usage_is_believed(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """The other side of the threshold."""
    provider.always(Reply(usage={"prompt_tokens": 10**10, "completion_tokens": 0, "total_tokens": 10**10}))
    gpt.chat.completions.create(**CHAT_ASKED)
    assert counting.only.usage == {"input_tokens": 10**10, "output_tokens": 0}


def test_a_usage_of_zero_stays_zero(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """An explicit zero is a statement, not a gap to be estimated."""
    provider.always(Reply(usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}))
    list(gpt.chat.completions.create(**CHAT_STREAM))
    record = counting.only
    assert (record.usage_state, record.estimated) == ("reported", False)
    assert record.cost is not None
    assert record.cost.total == 0


@pytest.mark.parametrize(
    ("more", "dollars"),
    [
        ({"cost": 0.00125}, "0.00125"),
        ({"cost": 0}, "0"),
        ({"cost": "0.5"}, "0.5"),
        ({"cost": {"total_cost": 0.25, "currency": "USD"}}, "0.25"),
        ({"cost_in_usd_ticks": 12_345_600}, "0.00123456"),
        ({"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}}, "0.021"),
        ({"cost": 0.001, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.02}}, "0.001"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_cost_that_the_provider_states_wins(
    provider: FakeProvider, counting: Counting, gpt: Any, more: Any, dollars: str, stream: bool
) -> None:
    """Over every table, also where the model has a list price."""
    provider.always(Reply(usage=EXACT, usage_extra=more))
    answer = gpt.chat.completions.create(**(CHAT_STREAM if stream else CHAT_ASKED))
    if stream:
        list(answer)
    record = counting.only
    assert record.cost is not None
    assert (record.cost.total, record.cost.source) == (Decimal(dollars), "provider")
    assert record.usage["input_tokens"] == 1500


@pytest.mark.parametrize("cost", [-1, "free", True, None, float("nan"), [1]], ids=repr)
def test_a_cost_that_cannot_be_is_not_taken(provider: FakeProvider, counting: Counting, gpt: Any, cost: Any) -> None:
    """The price list is asked instead."""
    provider.always(Reply(usage=EXACT, usage_extra={"cost": cost}))
    gpt.chat.completions.create(**CHAT_ASKED)
    record = counting.only
    assert record.cost is not None
    assert (record.cost.total, record.cost.source) == (Decimal("0.023750"), "genai-prices")


def test_a_chat_stream_without_usage_is_estimated(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """From the text that was sent and seen, and marked as an estimate."""
    said = "The quick brown fox jumps over the lazy dog, 日本語 as well."
    provider.always(Reply(text=said))
    list(gpt.chat.completions.create(**CHAT_ASKED, stream=True))
    record = counting.only
    assert (record.status, record.usage_state, record.estimated) == ("ok", "missing", True)
    assert record.usage["output_tokens"] >= len(said.encode()) // 4
    assert record.usage["input_tokens"] >= 3
    assert record.cost is not None


def test_a_model_without_a_price_is_unpriced(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """Never a zero."""
    provider.always(Reply(usage=EXACT))
    gpt.chat.completions.create(**{**CHAT_ASKED, "model": "gpt-99-omni"})
    record = counting.only
    assert record.cost is None
    assert record.unpriced is not None
    assert record.unpriced.reason == "unknown_model"
    assert record.usage["output_tokens"] == 2000


def test_calls_before_the_prices_are_loaded_wait_for_them(provider: FakeProvider, gpt: Any) -> None:
    """The first call is not slowed by loading prices, and is priced all the same."""
    provider.always(Reply(usage=EXACT))
    with Counting(settings(provider), warm=False) as counting:
        gpt.chat.completions.create(**CHAT_ASKED)
        list(gpt.chat.completions.create(**CHAT_STREAM))
        assert [record.cost.total for record in counting.records if record.cost] == [Decimal("0.023750")] * 2
    assert faults.counts() == {}


async def test_twenty_calls_at_once_are_twenty_records(provider: FakeProvider, counting: Counting) -> None:
    """Each with its own usage."""
    provider.always(lambda request: Reply(usage=Usage(input_tokens=int(request.prompt[0]), output_tokens=1)))
    async with async_client("openai", provider) as client:

        async def call(number: int) -> None:
            said = [{"role": "user", "content": str(number)}]
            stream = {"stream": True, "stream_options": {"include_usage": True}} if number % 2 else {}
            answer = await client.chat.completions.create(model=GPT, messages=said, **stream)
            if stream:
                async for _ in answer:
                    pass

        await asyncio.gather(*(call(number) for number in range(20)))
    assert sorted(record.usage["input_tokens"] for record in counting.records) == list(range(20))


def test_calls_of_threads_are_counted(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """One client in eight threads."""
    provider.always(lambda request: Reply(usage=Usage(input_tokens=int(request.prompt[0]), output_tokens=1)))
    together = threading.Barrier(8)

    def call(number: int) -> None:
        together.wait(10)
        said = [{"role": "user", "content": str(number)}]
        list(gpt.chat.completions.create(model=GPT, messages=said, stream=True, stream_options={"include_usage": True}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    assert sorted(record.usage["input_tokens"] for record in counting.records) == list(range(8))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_response_that_was_read_copies_and_pickles(
    provider: FakeProvider, counting: Counting, gpt: Any, duplicate: Any, streaming: bool
) -> None:
    """Nothing of ours is left on it."""
    completions = gpt.chat.completions
    if streaming:
        with completions.with_streaming_response.create(**CHAT_ASKED) as answer:
            answer.read()
            response = answer.http_response
    else:
        response = completions.with_raw_response.create(**CHAT_ASKED).http_response
    assert not {"iter_bytes", "aiter_bytes", "close", "aclose"} & set(vars(response))
    twin = duplicate(response)
    assert type(twin) is type(response)
    assert (twin.content, twin.status_code) == (response.content, 200)


def test_a_client_that_overrides_request_is_counted_once(provider: FakeProvider, counting: Counting) -> None:
    """Subclasses call the function they override."""
    seen = []

    class Mine(openai.OpenAI):
        def request(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(kwargs)
            return super().request(*args, **kwargs)

    with Mine(base_url=provider.openai_url, api_key=KEY) as client:
        client.chat.completions.create(**CHAT_ASKED)
        client.with_options(timeout=5).chat.completions.create(**CHAT_ASKED)
    assert len(seen) == len(counting.records) == 2
    assert {record.sdk for record in counting.records} == {"openai"}


def test_a_call_inside_of_a_call_has_its_own_record(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """A client that asks another endpoint while it prepares a request, as one that refreshes a key does."""

    class Asking(openai.OpenAI):
        def _prepare_options(self, options: Any) -> Any:
            gpt.get("/models", cast_to=object)
            gpt.embeddings.create(model="text-embedding-3-small", input="x")
            return super()._prepare_options(options)

    provider.always(Reply(usage=EXACT))
    with Asking(base_url=provider.openai_url, api_key=KEY, max_retries=0) as client:
        client.chat.completions.create(**CHAT_ASKED)
    assert [record.operation for record in counting.records] == ["embeddings", "chat"]


def test_a_body_that_cannot_be_read_is_a_call_all_the_same(
    provider: FakeProvider, gpt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a provider file fails, the call is recorded without its usage and the failure is counted."""
    from otel_aicost.providers import openai as provider_file

    def fail(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(provider_file, "quantities", fail)
    with Counting(settings(provider)) as counting:
        assert gpt.chat.completions.create(**CHAT_ASKED).usage
        assert len(list(gpt.chat.completions.create(**CHAT_STREAM))) > 14
        assert [record.usage_state for record in counting.records] == ["missing", "missing"]
    assert faults.counts() == {"capture.body": 2}


def test_the_tokens_of_a_cache_stand_inside_the_input(provider: FakeProvider, counting: Counting, claude: Any) -> None:
    """Anthropic leaves them out of its `input_tokens`, our total holds them."""
    provider.always(Reply(usage=CLAUDE_USAGE))
    usage = claude.messages.create(**CLAUDE_ASKED).usage
    assert usage.input_tokens == 200
    assert dict(counting.only.usage) == CLAUDE_COUNTED
    assert counting.only.request_model == CLAUDE
