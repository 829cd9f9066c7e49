"""OpenLLMetry, OpenInference and LangChain tell of the same call as our capture; the ledger has it once."""

from __future__ import annotations

from decimal import Decimal

import openai
import pytest
from langchain_openai import ChatOpenAI
from openinference.instrumentation.langchain import LangChainInstrumentor as OpenInferenceLangChain
from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInferenceOpenAI
from opentelemetry import trace
from opentelemetry.instrumentation.langchain import LangchainInstrumentor
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from capture.conftest import _running, provider
from capture.world import KEY, settings
from otel_aicost import faults, instrumentor
from otel_aicost.bridge.processor import CostSpanProcessor
from otel_aicost.capture.installing import Capture
from otel_aicost.ledger.opening import looking
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.testing import Reply, Usage

__all__ = ["_running", "provider"]

OTHERS = (OpenAIInstrumentor, OpenInferenceOpenAI, LangchainInstrumentor, OpenInferenceLangChain)


class World:
    """A running pipeline with a ledger, a tracer provider, and all the others' instrumentations."""

    def __init__(self, fake, ledger, *, captured):
        self.ledger = ledger
        self.captured = captured
        self.spans = InMemorySpanExporter()
        asked = settings(fake)
        self.pipeline = instrumentor.start(type(asked)(ledger=ledger, provider_hosts=asked.provider_hosts))
        self.pipeline._spans = SpanObserver()
        self.capture = Capture(self.pipeline) if captured else None

    def rows(self):
        assert self.pipeline.flush(10)
        with looking(self.ledger, 5) as connection:
            return connection.execute(
                "SELECT provider, sdk, input_tokens, output_tokens, cost_nano FROM calls", ()
            ).fetchall()


class Switch(SpanProcessor):
    """Hands spans to the processors of the test that runs: the others keep the tracer they were given first."""

    def __init__(self):
        self.now = []

    def on_start(self, span, parent_context=None):
        for processor in self.now:
            processor.on_start(span, parent_context)

    def on_end(self, span):
        for processor in self.now:
            processor.on_end(span)


@pytest.fixture(scope="module")
def switch():
    """All the others' instrumentations, in place before ours."""
    switch = Switch()
    traces = TracerProvider()
    traces.add_span_processor(switch)
    for other in OTHERS:
        other().instrument(tracer_provider=traces)
    switch.traces = traces
    yield switch
    for other in OTHERS:
        other().uninstrument()


@pytest.fixture(params=[True, False], ids=["captured", "spans alone"])
def world(request, switch, provider, tmp_path, monkeypatch):
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", switch.traces)
    made = World(provider, tmp_path / "ledger.db", captured=request.param)
    switch.now = [SimpleSpanProcessor(made.spans), CostSpanProcessor(instrumentor.bridge_of(made.pipeline))]
    if made.capture is not None:
        made.capture.install()
    yield made
    if made.capture is not None:
        made.capture.remove()
    switch.now = []
    instrumentor.stop()
    assert faults.counts() == {}


def check(world, tellers):
    genai = [
        span
        for span in world.spans.get_finished_spans()
        if "gen_ai.usage.input_tokens" in span.attributes or "llm.token_count.prompt" in span.attributes
    ]
    assert len({span.instrumentation_scope.name for span in genai}) >= tellers, "the others told of the call, too"
    ((paid, sdk, read, written, nano),) = world.rows()
    assert (paid, read, written, nano) == ("openai", 1000, 100, 3_500_000)
    assert (sdk == "openai") is world.captured


def test_a_call_of_the_sdk_is_one_row(world, provider):
    """Two instrumentations of the SDK around it, and our capture or not."""
    provider.next(Reply(usage=Usage(input_tokens=1000, output_tokens=100)))
    with openai.OpenAI(base_url=provider.openai_url, api_key=KEY, max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

    check(world, 2)


def test_a_call_of_langchain_is_one_row(world, provider):
    """Four instrumentations: two of LangChain, two of the SDK under it."""
    provider.next(Reply(usage=Usage(input_tokens=1000, output_tokens=100)))
    model = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key=KEY, max_retries=0)

    assert model.invoke("hi").content

    check(world, 3)


async def test_a_streamed_call_of_langchain_is_one_row(world, provider):
    """Asynchronous, and the usage comes last."""
    provider.next(Reply(usage=Usage(input_tokens=1000, output_tokens=100)))
    model = ChatOpenAI(model="gpt-4o", base_url=provider.openai_url, api_key=KEY, max_retries=0, stream_usage=True)

    assert [chunk async for chunk in model.astream("hi")]

    check(world, 2)


def test_the_price_is_the_same_either_way(world, provider):
    """A call that is told by spans costs what a captured one does."""
    provider.next(Reply(usage=Usage(input_tokens=1000, output_tokens=100)))
    with openai.OpenAI(base_url=provider.openai_url, api_key=KEY, max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

    assert sum(row[4] for row in world.rows()) == Decimal("0.0035") * 10**9
