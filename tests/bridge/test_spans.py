"""Spans of other instrumentations become records: once, from the innermost, with each emitter's own token sums."""

from __future__ import annotations

from decimal import Decimal

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from capture.world import Counting
from otel_aicost import faults, tags
from otel_aicost.bridge.counting import Bridge
from otel_aicost.bridge.emitters import CONVENTIONS, emitter_of
from otel_aicost.bridge.processor import CostSpanExporter, CostSpanProcessor
from otel_aicost.config import Settings
from otel_aicost.model import Call, Outcome, Reading

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
}
SONNET = {**CHAT, "gen_ai.request.model": "claude-sonnet-4-5", "gen_ai.response.model": "claude-sonnet-4-5"}


@pytest.fixture
def counting():
    with Counting(Settings(ledger=None)) as counted:
        yield counted
    assert faults.counts() == {}


@pytest.fixture
def bridge(counting):
    return Bridge(counting.pipeline)


@pytest.fixture
def provider(bridge):
    made = TracerProvider()
    made.add_span_processor(CostSpanProcessor(bridge))
    yield made
    made.shutdown()


def emit(provider, attributes, scope="pydantic-ai", version="2.0", **options):
    span = provider.get_tracer(scope, version).start_span("x", attributes=attributes, **options)
    span.end()
    return span


def test_a_span_of_a_call_is_a_record(counting, provider):
    """Provider, models, tokens, price, place in the trace, and whose it was."""
    with tags(team="search"):
        span = emit(provider, CHAT)

    record = counting.only
    assert (record.provider, record.operation, record.response_model) == ("openai", "chat", "gpt-4o-2024-08-06")
    assert record.usage == {"input_tokens": 1000, "output_tokens": 100}
    assert record.cost.total == Decimal("0.0035")
    assert record.trace_id == trace.format_trace_id(span.context.trace_id)
    assert record.span_id == trace.format_span_id(span.context.span_id)
    assert record.started_ns == span.start_time
    assert record.duration_ns == span.end_time - span.start_time
    assert record.tags == {"team": "search"}
    assert record.sdk == "pydantic-ai"


@pytest.mark.parametrize(
    ("scope", "version", "provider_name", "usage", "expected"),
    [
        # who, of which version, for whom; what it says; what that means: input, output
        ("opentelemetry.instrumentation.genai.anthropic", "1.0", "anthropic", (1000, 800, 100, 50, 0), (1000, 50)),
        ("opentelemetry.instrumentation.anthropic", "0.62.4", "anthropic", (1000, 800, 100, 50, 0), (1000, 50)),
        ("openinference.instrumentation.anthropic", "0.1", "anthropic", (1000, 800, 100, 50, 0), (1000, 50)),
        ("openlit.otel.tracing", "1.45.0", "anthropic", (100, 800, 100, 50, 0), (1000, 50)),
        ("genai_otel.instrumentors", "1", "anthropic", (100, 800, 100, 50, 0), (1000, 50)),
        ("opentelemetry.instrumentation.bedrock", "0.62.4", "AWS", (100, 800, 100, 50, 0), (1000, 50)),
        ("openinference.instrumentation.bedrock", "0.1", "aws", (100, 800, 100, 50, 0), (1000, 50)),
        ("opentelemetry.instrumentation.botocore.bedrock-runtime", "0.6", "aws.bedrock", (100, 0, 0, 50, 0), (100, 50)),
        ("opentelemetry.instrumentation.google_genai", "1.1b0", "gcp.gemini", (1000, 0, 0, 90, 40), (1000, 90)),
        ("opentelemetry.instrumentation.google_genai", "1.0b0", "gcp.gemini", (1000, 0, 0, 50, 40), (1000, 90)),
        ("openinference.instrumentation.google_genai", "0.1.4", "google", (1000, 0, 0, 90, 40), (1000, 90)),
        ("openinference.instrumentation.google_genai", "0.1.3", "google", (1000, 0, 0, 50, 40), (1000, 90)),
        ("openlit.otel.tracing", "1.45.0", "gemini", (1000, 0, 0, 50, 40), (1000, 90)),
        ("opentelemetry.instrumentation.google_generativeai", "0.62", "Google", (1000, 0, 0, 50, 40), (1000, 90)),
        ("somebody.else", None, "openai", (1000, 800, 0, 90, 40), (1000, 90)),
    ],
)
def test_each_emitter_is_taken_at_its_own_word(counting, provider, scope, version, provider_name, usage, expected):
    """The same call told in different sums is the same usage."""
    told = dict(
        zip(
            (
                "gen_ai.usage.input_tokens",
                "gen_ai.usage.cache_read.input_tokens",
                "gen_ai.usage.cache_creation.input_tokens",
                "gen_ai.usage.output_tokens",
                "gen_ai.usage.reasoning.output_tokens",
            ),
            usage,
            strict=True,
        )
    )
    emit(provider, {**CHAT, "gen_ai.provider.name": provider_name, **told}, scope, version)

    record = counting.only
    assert (record.usage["input_tokens"], record.usage["output_tokens"]) == expected


def test_the_words_of_openinference_are_known(counting, provider):
    """`llm.token_count.*`, kinds in capitals."""
    emit(
        provider,
        {
            "openinference.span.kind": "LLM",
            "llm.provider": "openai",
            "llm.model_name": "gpt-4o",
            "llm.token_count.prompt": 1000,
            "llm.token_count.prompt_details.cache_read": 400,
            "llm.token_count.completion": 100,
            "llm.token_count.completion_details.reasoning": 60,
        },
        "openinference.instrumentation.openai",
    )

    assert counting.only.usage == {
        "input_tokens": 1000,
        "cache_read_tokens": 400,
        "output_tokens": 100,
        "reasoning_tokens": 60,
    }
    assert counting.only.cost.total == Decimal("0.003")


def test_the_older_words_of_openllmetry_are_known(counting, provider):
    """`gen_ai.system` in its own spelling, `llm.request.type`, prompt and completion tokens."""
    emit(
        provider,
        {
            "llm.request.type": "chat",
            "gen_ai.system": "OpenAI",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.prompt_tokens": 1000,
            "gen_ai.usage.completion_tokens": 100,
        },
        "opentelemetry.instrumentation.openai",
        "0.30.0",
    )

    assert counting.only.cost.total == Decimal("0.0035")


@pytest.mark.parametrize(
    "attributes",
    [
        {**CHAT, "gen_ai.operation.name": "invoke_agent"},
        {**CHAT, "gen_ai.operation.name": "execute_tool"},
        {"openinference.span.kind": "CHAIN", "llm.token_count.prompt": 5},
        {"openinference.span.kind": "AGENT", "llm.token_count.prompt": 5},
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"},
        {"http.request.method": "POST"},
    ],
)
def test_a_span_that_stands_for_no_call_is_none(counting, provider, attributes):
    """Agents, chains and tools contain calls; a span without usage tells nothing to price."""
    emit(provider, attributes)

    assert counting.records == []


def test_of_spans_within_each_other_the_innermost_is_the_call(counting, provider):
    """However many instrumentations tell of it, and whatever lies between them."""
    outer, between, inner = (provider.get_tracer(name) for name in ("langsmith", "my.app", "openinference.openai"))
    with (
        outer.start_as_current_span("agent", attributes={**CHAT, "gen_ai.operation.name": "invoke_agent"}),
        outer.start_as_current_span("chain", attributes=CHAT),
        between.start_as_current_span("retry"),
    ):
        for _ in range(2):
            with inner.start_as_current_span("llm", attributes=CHAT):
                pass

    assert [record.sdk for record in counting.records] == ["openinference.openai"] * 2


def test_a_child_that_ends_after_its_parent_is_not_counted_again(counting, provider):
    """A stream may outlive the span of the call that asked for it."""
    tracer = provider.get_tracer("pydantic-ai")
    parent = tracer.start_span("chat", attributes=CHAT)
    child = tracer.start_span("chat", attributes=CHAT, context=trace.set_span_in_context(parent))
    parent.end()
    child.end()

    assert len(counting.records) == 1


def test_a_call_that_our_capture_begins_is_not_counted_by_its_spans(counting, provider, bridge):
    """Neither by the span it happens in, nor by those around that one."""
    tracer = provider.get_tracer("openlit")
    with (
        tracer.start_as_current_span("outer", attributes=CHAT),
        tracer.start_as_current_span("inner", attributes=CHAT),
    ):
        counting.pipeline.begin(Call("openai", "chat", "gpt-4o", 1, 1)).abandon()

    assert counting.records == []


def test_a_response_that_our_capture_has_seen_is_not_counted(counting, provider, bridge):
    """By its id, where the span was not the current one."""
    call, seen = Call("openai", "chat", "gpt-4o", 1, 1), Reading(response_id="chatcmpl-1")
    bridge.captured(call, Outcome("ok", "reported", {"input_tokens": 1}, reading=seen))
    emit(provider, CHAT)
    emit(provider, {**CHAT, "gen_ai.response.id": "chatcmpl-2"})

    assert [record.response_id for record in counting.records] == ["chatcmpl-2"]


def test_spans_without_a_parent_are_the_same_call_if_all_agrees(counting, provider):
    """Callbacks make traces of their own: model, tokens and time tell."""
    outer = provider.get_tracer("langsmith").start_span("chain", attributes={**CHAT, "gen_ai.response.id": "run-1"})
    emit(provider, CHAT, "openinference.instrumentation.openai")
    outer.end()
    emit(provider, CHAT, "openinference.instrumentation.openai")
    emit(provider, {**CHAT, "gen_ai.usage.input_tokens": 7}, "langsmith")
    emit(provider, {**CHAT, "gen_ai.request.model": "gpt-4", "gen_ai.response.model": "gpt-4"}, "langsmith")

    assert [record.sdk for record in counting.records] == [
        "openinference.instrumentation.openai",
        "openinference.instrumentation.openai",
        "langsmith",
        "langsmith",
    ]


def test_an_exporter_counts_a_span_once_however_often_it_comes(counting, bridge):
    """A batch that is sent again has the same ids; and a parent may come in a later batch than its child."""
    memory = InMemorySpanExporter()
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(memory))
    tracer = traces.get_tracer("langsmith")
    with tracer.start_as_current_span("chain", attributes=CHAT), tracer.start_as_current_span("llm", attributes=CHAT):
        pass
    inner, outer = memory.get_finished_spans()
    exporter = CostSpanExporter(lambda: bridge)

    for batch in ([inner], [inner, outer], [outer]):
        exporter.export(batch)

    (record,) = counting.records
    assert record.span_id == trace.format_span_id(inner.context.span_id)


def test_a_span_that_failed_is_partial(counting, provider):
    """What it used is billed all the same."""
    span = provider.get_tracer("pydantic-ai").start_span("x", attributes={**CHAT, "error.type": "TimeoutError"})
    span.set_status(trace.StatusCode.ERROR)
    span.end()

    assert (counting.only.status, counting.only.error_type) == ("partial", "TimeoutError")


@pytest.mark.parametrize("absurd", [-5, 1.5e300, "many", True])
def test_absurd_counts_are_invalid(counting, provider, absurd):
    """And cost nothing."""
    emit(provider, {**CHAT, "gen_ai.usage.input_tokens": absurd})

    assert (counting.only.usage_state, counting.only.cost) == ("invalid", None)


def test_an_unknown_model_is_unpriced(counting, provider):
    """A span is no reason to guess."""
    emit(provider, {**CHAT, "gen_ai.request.model": "nobody-1", "gen_ai.response.model": "nobody-1"})

    assert counting.only.unpriced.reason == "unknown_model"


def test_versions_are_compared_as_numbers():
    """1.1b0 is past 1.1, 1.10 is past 1.9; without a version the newest is meant."""
    scope = "opentelemetry.instrumentation.google_genai"
    assert [
        bool(emitter_of(scope, version).output_without_reasoning) for version in ("1.0b0", "1.1b0", "1.10", None)
    ] == [
        True,
        False,
        False,
        False,
    ]
    assert emitter_of("anybody", "1") is CONVENTIONS
