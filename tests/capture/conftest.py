"""A fake provider, the SDKs' clients, a pipeline that collects, and what must never be heard."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from capture.world import Counting, async_client, settings, sync_client
from otel_aicost import faults
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.testing import FakeProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="session")
def _running() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest.fixture
def provider(_running: FakeProvider) -> FakeProvider:
    _running.reset()
    return _running


@pytest.fixture
def counting(provider: FakeProvider) -> Iterator[Counting]:
    """Calls are counted; none of our own functions fails meanwhile."""
    with Counting(settings(provider)) as counted:
        yield counted
    assert faults.counts() == {}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """A tracer provider of this test's own; what it exported."""
    exporter = InMemorySpanExporter()
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", traces)
    return exporter


@pytest.fixture
def traced(provider: FakeProvider, spans: InMemorySpanExporter) -> Iterator[Counting]:
    """As `counting`, with spans."""
    with Counting(settings(provider), SpanObserver()) as counted:
        yield counted
    assert faults.counts() == {}


@pytest.fixture
def gpt(provider: FakeProvider) -> Iterator[Any]:
    with sync_client("openai", provider) as client:
        yield client


@pytest.fixture
def claude(provider: FakeProvider) -> Iterator[Any]:
    with sync_client("anthropic", provider) as client:
        yield client


@pytest_asyncio.fixture
async def async_gpt(provider: FakeProvider) -> AsyncIterator[Any]:
    async with async_client("openai", provider) as client:
        yield client


@pytest_asyncio.fixture
async def async_claude(provider: FakeProvider) -> AsyncIterator[Any]:
    async with async_client("anthropic", provider) as client:
        yield client


@pytest.fixture(autouse=True)
def _nothing_is_said(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """OpenTelemetry complains of nothing: no attribute of an ended span, no context of another task."""
    yield
    said = [
        entry.getMessage()
        for entry in caplog.get_records("call")
        if entry.name.startswith("opentelemetry") and entry.levelno >= logging.WARNING
    ]
    assert said == []
