"""The span of a call: somebody else's that stands for it, or else one of ours, with the cost on it."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from capture.scenarios import CHAT_ASKED, CHAT_STREAM, CHAT_USAGE, CLAUDE_ASKED, CLAUDE_STREAM, CLAUDE_USAGE
from capture.world import CLAUDE, GPT, KEY, TRUST, Counting, async_client, settings, sync_client
from otel_aicost import faults
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.testing import Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from otel_aicost.testing import FakeProvider

EXACT = Usage(input_tokens=1500, output_tokens=2000)
NATIVE = hasattr(anthropic.Anthropic, "open_telemetry")
"""The newest Anthropic SDK makes spans of its own."""
COST = "gen_ai.usage.cost.amount"


def ours(spans: InMemorySpanExporter) -> list[ReadableSpan]:
    return [
        span
        for span in spans.get_finished_spans()
        if span.instrumentation_scope and span.instrumentation_scope.name == "otel_aicost"
    ]


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


def said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_has_a_span_with_its_usage_and_cost(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, gpt: Any, stream: bool
) -> None:
    """Under the names of the semantic conventions."""
    provider.always(Reply(usage=CHAT_USAGE, model="gpt-4o-2024-08-06"))
    answer = gpt.chat.completions.create(**(CHAT_STREAM if stream else CHAT_ASKED), temperature=0.5)
    list(answer)
    span, record = only(spans), traced.only
    assert (span.name, span.kind) == ("chat gpt-4o", SpanKind.CLIENT)
    assert record.cost is not None
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": record.response_id,
        "gen_ai.usage.input_tokens": 1500,
        "gen_ai.usage.output_tokens": 200,
        "gen_ai.usage.cache_read.input_tokens": 1000,
        "gen_ai.usage.reasoning.output_tokens": 50,
        COST: float(record.cost.total),
        "gen_ai.usage.cost.currency": "USD",
        "gen_ai.usage.cost.source": "local",
        "server.address": "127.0.0.1",
        "server.port": provider.port,
        "aicost.record.id": record.id,
        "aicost.status": "ok",
    }
    found = said(span)
    assert {name: found.get(name) for name in expected} == expected
    assert span.status.status_code is StatusCode.UNSET
    assert (record.trace_id, record.span_id) == (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}")
    assert span.end_time - span.start_time == record.duration_ns


def test_a_span_lasts_as_long_as_its_stream(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, gpt: Any
) -> None:
    """It is not there before the stream is read, and is not the current one while it is."""
    stream = gpt.chat.completions.create(**CHAT_STREAM)
    assert spans.get_finished_spans() == ()
    assert trace.get_current_span() is trace.INVALID_SPAN
    next(stream)
    assert trace.get_current_span() is trace.INVALID_SPAN
    list(stream)
    assert COST in said(only(spans))


@pytest.mark.parametrize("status", [401, 500])
def test_the_span_of_a_failed_call_is_an_error(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, gpt: Any, status: int
) -> None:
    """With the name of the exception, and without a cost."""
    provider.fail(status)
    with pytest.raises(openai.APIStatusError) as caught:
        gpt.chat.completions.create(**CHAT_ASKED)
    span = only(spans)
    assert span.status.status_code is StatusCode.ERROR
    assert said(span)["error.type"] == type(caught.value).__name__
    assert COST not in said(span)


def test_a_stream_broken_off_has_a_span(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, gpt: Any
) -> None:
    """Closed, and forgotten."""
    provider.always(Reply(text="word " * 50, drop_after=20))
    gpt.chat.completions.create(**CHAT_ASKED, stream=True).close()
    stream = gpt.chat.completions.create(**CHAT_ASKED, stream=True)
    del stream
    gc.collect()
    assert len(traced.records) == 2
    assert [said(span)["aicost.status"] for span in spans.get_finished_spans()] == ["partial"] * 2
    assert all(said(span)["aicost.estimated"] for span in spans.get_finished_spans())


@pytest.mark.parametrize("stream", [False, True])
async def test_the_span_of_another_instrumentation_gets_the_cost(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, stream: bool
) -> None:
    """One span a call: theirs, if it stands for the call."""
    tracer = trace.get_tracer("another.instrumentation")
    asked = CHAT_STREAM if stream else CHAT_ASKED
    provider.always(Reply(usage=EXACT))
    with sync_client("openai", provider) as client:
        for kind in ({"gen_ai.operation.name": "chat"}, {"llm.request.type": "chat"}):
            with tracer.start_as_current_span("theirs", attributes=kind):
                list(client.chat.completions.create(**asked))
    async with async_client("openai", provider) as client:
        with tracer.start_as_current_span("theirs", attributes={"gen_ai.operation.name": "chat"}):
            answer = await client.chat.completions.create(**asked)
            if stream:
                async for _ in answer:
                    pass
    assert [span.name for span in spans.get_finished_spans()] == ["theirs"] * 3
    assert [said(span)[COST] for span in spans.get_finished_spans()] == [0.02375] * 3
    assert [record.span_id for record in traced.records] == [
        f"{span.context.span_id:016x}" for span in spans.get_finished_spans()
    ]


@pytest.mark.parametrize(
    "held",
    [{"gen_ai.operation.name": "invoke_agent"}, {"gen_ai.operation.name": "execute_tool"},
     {"gen_ai.operation.name": "invoke_workflow"}, {"http.method": "GET"}, {}],
    ids=str,
)  # fmt: skip
def test_a_span_that_only_contains_calls_is_the_parent(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, gpt: Any, held: dict[str, str]
) -> None:
    """An agent, a tool, a request of the application: it gets no cost, several calls may follow in it."""
    with trace.get_tracer("agents").start_as_current_span("outer", attributes=held) as outer:
        gpt.chat.completions.create(**CHAT_ASKED)
        gpt.chat.completions.create(**CHAT_ASKED)
    first, second, parent = spans.get_finished_spans()
    assert COST not in said(parent)
    assert [span.parent.span_id for span in (first, second)] == [outer.get_span_context().span_id] * 2
    assert all(COST in said(span) for span in (first, second))


def test_a_second_call_in_one_foreign_span_has_a_span_of_its_own(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, gpt: Any
) -> None:
    """The cost of one call is not written over by the next."""
    with trace.get_tracer("theirs").start_as_current_span("theirs", attributes={"gen_ai.operation.name": "chat"}):
        gpt.chat.completions.create(**CHAT_ASKED)
        gpt.chat.completions.create(**CHAT_ASKED)
    own, theirs = spans.get_finished_spans()
    assert {said(own)["aicost.record.id"], said(theirs)["aicost.record.id"]} == {record.id for record in traced.records}


@pytest.mark.parametrize("stream", [False, True])
async def test_the_spans_of_anthropics_sdk_get_the_cost(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, stream: bool
) -> None:
    """Where the SDK makes its own there is no second one; where it makes none, ours is there."""
    provider.always(Reply(usage=CLAUDE_USAGE))
    traced.pipeline.settings = settings(provider, "anthropic")
    asked = CLAUDE_STREAM if stream else CLAUDE_ASKED
    with sync_client("anthropic", provider) as client:
        list(client.messages.create(**asked))
        with client.messages.with_streaming_response.create(**CLAUDE_STREAM) as response:
            assert list(response.iter_lines())
    async with async_client("anthropic", provider) as client:
        answer = await client.messages.create(**asked)
        if stream:
            async for _ in answer:
                pass
    finished = spans.get_finished_spans()
    assert len(finished) == len(traced.records) == 3
    assert len(ours(spans)) == (0 if NATIVE else 3)
    assert all(COST in said(span) for span in finished)
    assert {said(span)["aicost.record.id"] for span in finished} == {record.id for record in traced.records}


@pytest.mark.parametrize("leave", ["close", "response"])
def test_a_stream_of_anthropics_sdk_that_is_closed_is_in_the_trace_of_its_span(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, leave: str
) -> None:
    """The SDK may end its span before we know the cost; then a child of it has the record, and only that."""
    provider.always(Reply(text="word " * 50, usage=CLAUDE_USAGE, drop_after=20))
    with sync_client("anthropic", provider) as client:
        stream = client.messages.create(**CLAUDE_STREAM)
        next(stream)
        (stream if leave == "close" else stream.response).close()
    record = traced.only
    assert record.status == "partial"
    finished = spans.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in finished} == {record.trace_id}
    told = [said(span).get("aicost.record.id") for span in finished]
    assert [identity for identity in told if identity] == [record.id]


def test_a_failed_call_of_anthropics_sdk_has_one_span(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, claude: Any
) -> None:
    """The SDK's own, or else ours."""
    provider.fail(400)
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.create(**CLAUDE_ASKED)
    assert only(spans).status.status_code is StatusCode.ERROR
    assert traced.only.status == "error"


@pytest.mark.parametrize("options", [{"open_telemetry": False}] if NATIVE else [{}])
def test_a_client_without_spans_of_its_own_gets_ours(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, options: Any
) -> None:
    """As when the SDK's tracing is turned off."""
    with sync_client("anthropic", provider, **options) as client:
        client.messages.create(**CLAUDE_ASKED)
    assert only(spans).name == f"chat {CLAUDE}"
    assert ours(spans)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_request_is_made_inside_our_span(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, stream: bool
) -> None:
    """What an HTTP instrumentation opens meanwhile is a child of it."""
    during: list[Any] = []
    asked = CHAT_STREAM if stream else CHAT_ASKED

    def look(_: Any) -> None:
        during.append(trace.get_current_span())

    async def look_async(_: Any) -> None:
        look(_)

    transport = openai.DefaultHttpxClient(verify=TRUST, event_hooks={"request": [look]})
    with openai.OpenAI(base_url=provider.openai_url, api_key=KEY, http_client=transport) as client:
        list(client.chat.completions.create(**asked))
    assert trace.get_current_span() is trace.INVALID_SPAN
    hooked = openai.DefaultAsyncHttpxClient(verify=TRUST, event_hooks={"request": [look_async]})
    async with openai.AsyncOpenAI(base_url=provider.openai_url, api_key=KEY, http_client=hooked) as client:
        answer = await client.chat.completions.create(**asked)
        assert trace.get_current_span() is trace.INVALID_SPAN
        if stream:
            async for _ in answer:
                assert trace.get_current_span() is trace.INVALID_SPAN
    assert [span.get_span_context().span_id for span in during] == [
        span.context.span_id for span in spans.get_finished_spans()
    ]
    assert len(during) == 2


@pytest.fixture
def sampled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(sampler=ALWAYS_OFF))


@pytest.fixture
def no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)


@pytest.mark.parametrize("world", ["sampled_out", "no_provider"])
def test_a_call_without_a_recording_span_is_counted(
    provider: FakeProvider, request: pytest.FixtureRequest, world: str
) -> None:
    """Money is not sampled."""
    request.getfixturevalue(world)
    provider.always(Reply(usage=EXACT))
    with (
        Counting(settings(provider), SpanObserver()) as counting,
        sync_client("openai", provider) as gpt,
        sync_client("anthropic", provider) as claude,
    ):
        gpt.chat.completions.create(**CHAT_ASKED)
        list(gpt.chat.completions.create(**CHAT_STREAM))
        claude.messages.create(**CLAUDE_ASKED)
        list(claude.messages.create(**CLAUDE_STREAM))
        assert len(counting.records) == 4
    assert faults.counts() == {}


def test_an_unknown_endpoint_has_a_span_only_if_it_was_a_call(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter, gpt: Any
) -> None:
    """An upload leaves none behind."""
    provider.next(Reply(json={"id": "x"}), Reply(json={"id": "x", "usage": {"input_tokens": 3}}))
    gpt.post("/tomorrow", body={"model": GPT}, cast_to=object)
    assert spans.get_finished_spans() == ()
    gpt.post("/tomorrow", body={"model": GPT}, cast_to=object)
    assert said(only(spans))["gen_ai.usage.input_tokens"] == 3


async def test_a_call_closed_in_another_context_leaves_no_complaint(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter
) -> None:
    """A coroutine that is begun in one context and closed in another, as at the end of an event loop."""
    import contextvars

    provider.always(Reply(delay=30))
    async with async_client("openai", provider) as client:
        call = client.chat.completions.create(**CHAT_ASKED)
        waiting = contextvars.copy_context().run(call.send, None)
        call.close()
        del waiting
        await asyncio.sleep(0)
    assert traced.only.error_type == "GeneratorExit"
    assert only(spans).status.status_code is StatusCode.ERROR


async def test_calls_at_once_have_each_their_span(
    provider: FakeProvider, traced: Counting, spans: InMemorySpanExporter
) -> None:
    """Tasks do not take one another's spans for their own."""
    async with async_client("openai", provider) as client:
        await asyncio.gather(*(client.chat.completions.create(**CHAT_ASKED) for _ in range(10)))
    finished = spans.get_finished_spans()
    assert len(finished) == 10
    assert all(span.parent is None for span in finished)
    assert {f"{span.context.span_id:016x}" for span in finished} == {record.span_id for record in traced.records}


@pytest.fixture(autouse=True)
def _current_span_is_left_as_it_was() -> Iterator[None]:
    before = trace.get_current_span()
    yield
    assert trace.get_current_span() is before
