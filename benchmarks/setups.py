"""The set-ups that are compared, each with a switch: off, the SDK's classes are as they were imported."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic._base_client
import openai._base_client
import wrapt
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import otel_aicost
from benchmarks.floors import Floor, no_op
from otel_aicost.config import Settings
from otel_aicost.instrumentor import AICostInstrumentor, running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Flushes = list[Callable[[], object]]

CLASSES = tuple(
    getattr(module, name)
    for module in (openai._base_client, anthropic._base_client)
    for name in ("SyncAPIClient", "AsyncAPIClient")
)
FUNCTIONS = ("request", "_process_response")


class _DropSpans(SpanExporter):
    def export(self, spans: Sequence[Any]) -> SpanExportResult:  # noqa: ARG002 - the base class's
        return SpanExportResult.SUCCESS


class _DropMetrics(MetricExporter):
    def export(self, *_: Any, **__: Any) -> MetricExportResult:
        return MetricExportResult.SUCCESS

    def force_flush(self, *_: Any) -> bool:
        return True

    def shutdown(self, *_: Any, **__: Any) -> None:
        """Nothing is open."""


def set_up_otel() -> Flushes:
    """Spans in batches, metrics once a minute, into exporters that drop them; returns what flushes the spans."""
    spans = TracerProvider()
    spans.add_span_processor(BatchSpanProcessor(_DropSpans()))
    trace.set_tracer_provider(spans)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(_DropMetrics())]))
    return [spans.force_flush]


def set_up_ours(*, ledger: bool, otel: bool) -> Flushes:
    """Instrument this process, with a ledger of its own; returns what flushes it."""
    flushes = set_up_otel() if otel else []
    path = Path(tempfile.mkdtemp(prefix="aicost-benchmarks-")) / "ledger.db" if ledger else None
    AICostInstrumentor().instrument(settings=Settings(ledger=path))
    pipeline = running()
    assert pipeline is not None, "the benchmark could not instrument its own process"
    pipeline.warm()
    return [otel_aicost.flush, *flushes]


def _set_up_no_op() -> Flushes:
    for owner in CLASSES:
        wrapt.wrap_function_wrapper(owner, "request", no_op)
    return []


def _set_up_floor() -> Flushes:
    flushes, floor = set_up_otel(), Floor()
    for owner in CLASSES:
        wrapper = floor.request_async if owner.__name__.startswith("Async") else floor.request
        wrapt.wrap_function_wrapper(owner, "request", wrapper)
    return flushes


SETUPS: dict[str, tuple[str, Callable[[], Flushes]]] = {
    "no-op": ("wrapper", _set_up_no_op),
    "floor": ("**floor**", _set_up_floor),
    "alone": ("ours, alone", lambda: set_up_ours(ledger=False, otel=False)),
    "ledger": ("ours, ledger", lambda: set_up_ours(ledger=True, otel=False)),
    "full": ("**ours, all**", lambda: set_up_ours(ledger=True, otel=True)),
}


class Setup:
    """One set-up in this process, switched on and off by exchanging the functions of the SDKs' classes."""

    def __init__(self, name: str) -> None:
        self._bare = _functions()
        self._flushes = SETUPS[name][1]()
        self._set_up = _functions()

    def switch(self, *, on: bool) -> None:
        for (owner, name), function in (self._set_up if on else self._bare).items():
            setattr(owner, name, function)

    def flush(self) -> None:
        for flush in self._flushes:
            flush()


def _functions() -> dict[tuple[type, str], Any]:
    return {(owner, name): vars(owner)[name] for owner in CLASSES for name in FUNCTIONS}
