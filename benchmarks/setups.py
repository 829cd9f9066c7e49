"""The set-ups that are compared, each with a switch: off, the SDK's classes are as they were imported."""

from __future__ import annotations

import tempfile
import time
from decimal import Decimal
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
from otel_aicost.config import Settings
from otel_aicost.instrumentor import AICostInstrumentor, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLASSES = tuple(
    getattr(module, name)
    for module in (openai._base_client, anthropic._base_client)
    for name in ("SyncAPIClient", "AsyncAPIClient")
)
FUNCTIONS = ("request", "_process_response")
_RATES = {"gpt": (Decimal("2.50"), Decimal("10.00")), "cla": (Decimal(3), Decimal(15)), "tex": (Decimal("0.02"), 0)}


class _DropSpans(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class _DropMetrics(MetricExporter):
    def export(self, metrics_data: Any, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        pass


def set_up_otel() -> Callable[[], object]:
    """Spans in batches and metrics every minute, into exporters that drop them; returns what flushes the spans."""
    spans = TracerProvider()
    spans.add_span_processor(BatchSpanProcessor(_DropSpans()))
    trace.set_tracer_provider(spans)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(_DropMetrics())]))
    return spans.force_flush


class Setup:
    """One set-up in this process, switched on and off by exchanging the functions of the SDK's classes."""

    def __init__(self, name: str) -> None:
        self._bare = _functions()
        self._flushes = SETUPS[name]()
        self._set_up = _functions()

    def switch(self, *, on: bool) -> None:
        for (owner, name), function in (self._set_up if on else self._bare).items():
            setattr(owner, name, function)

    def flush(self) -> None:
        for flush in self._flushes:
            flush()


def _functions() -> dict[tuple[type, str], Any]:
    return {(owner, name): vars(owner)[name] for owner in CLASSES for name in FUNCTIONS}


def _wrap(sync: Any, asynchronous: Any) -> None:
    for owner in CLASSES:
        wrapper = asynchronous if owner.__name__.startswith("Async") else sync
        wrapt.wrap_function_wrapper(owner, "request", wrapper)


def _no_op() -> list[Callable[[], object]]:
    def request(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    _wrap(request, request)
    return []


def _floor() -> list[Callable[[], object]]:
    flush = set_up_otel()
    floor = Floor()
    _wrap(floor.request, floor.request_async)
    return [flush]


class Floor:
    """The least that tells of a call: a span of ten attributes, two histograms, two counters, a price by hand.

    It does not hold: it knows no raw or streaming response, no parts of a price, no tier, no end but the normal one.
    """

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("floor")
        meter = metrics.get_meter("floor")
        self._duration = meter.create_histogram("floor.duration")
        self._tokens = meter.create_histogram("floor.tokens")
        self._calls, self._dollars = meter.create_counter("floor.calls"), meter.create_counter("floor.dollars")

    def request(self, wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        begun = self._begin(args)
        result = wrapped(*args, **kwargs)
        if kwargs.get("stream"):
            return _watched(result, self, begun)
        self._end(begun, result.model, result.usage, getattr(result, "id", None))
        return result

    async def request_async(self, wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        begun = self._begin(args)
        result = await wrapped(*args, **kwargs)
        if kwargs.get("stream"):
            return _WatchedAsync(result, self, begun)
        self._end(begun, result.model, result.usage, getattr(result, "id", None))
        return result

    def _begin(self, args: Any) -> tuple[Any, Any, float]:
        body = args[1].json_data
        span = self._tracer.start_span(
            "chat",
            kind=trace.SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": body["model"],
                "gen_ai.request.temperature": body.get("temperature", 1.0),
                "server.address": "api.openai.com",
            },
        )
        return span, body, time.perf_counter()

    def _end(self, begun: tuple[Any, Any, float], model: str, usage: Any, response_id: str | None) -> None:
        span, body, started = begun
        sent = getattr(usage, "prompt_tokens", None) or getattr(usage, "input_tokens", 0)
        made = getattr(usage, "completion_tokens", None) or getattr(usage, "output_tokens", 0)
        rates = _RATES[model[:3]]
        dollars = float((sent * rates[0] + made * rates[1]) / 1_000_000)
        span.set_attributes(
            {
                "gen_ai.response.model": model,
                "gen_ai.response.id": response_id or "",
                "gen_ai.usage.input_tokens": sent,
                "gen_ai.usage.output_tokens": made,
                "gen_ai.usage.cost.amount": dollars,
            }
        )
        known = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": body["model"],
            "gen_ai.response.model": model,
        }
        self._duration.record(time.perf_counter() - started, known)
        self._tokens.record(sent + made, known)
        self._calls.add(1, known)
        self._dollars.add(dollars, known)
        span.end()


def _watched(stream: Any, floor: Floor, begun: Any) -> Iterator[Any]:
    model, usage, event_id = "", None, None
    for event in stream:
        told = getattr(event, "usage", None)
        if told is not None:
            usage = told
        if not model:
            first = getattr(event, "message", event)
            model, event_id = first.model, first.id
        yield event
    floor._end(begun, model, usage, event_id)


class _WatchedAsync:
    def __init__(self, stream: Any, floor: Floor, begun: Any) -> None:
        self._about = (stream, floor, begun)

    async def __aiter__(self) -> Any:
        stream, floor, begun = self._about
        model, usage, event_id = "", None, None
        async for event in stream:
            if event.usage is not None:
                usage = event.usage
            if not model:
                model, event_id = event.model, event.id
            yield event
        floor._end(begun, model, usage, event_id)


def ours(*, ledger: bool, otel: bool) -> list[Callable[[], object]]:
    """Instrument this process; returns what flushes it."""
    flushes = [set_up_otel()] if otel else []
    path = Path(tempfile.mkdtemp(prefix="aicost-bench-")) / "ledger.db" if ledger else None
    AICostInstrumentor().instrument(settings=Settings(ledger=path), skip_dep_check=True)
    pipeline = running()
    assert pipeline is not None, "the benchmark could not instrument its own process"
    pipeline.warm()
    return [otel_aicost.flush, *flushes]


SETUPS: dict[str, Callable[[], list[Callable[[], object]]]] = {
    "no-op": _no_op,
    "floor-full": _floor,
    "alone": lambda: ours(ledger=False, otel=False),
    "ledger": lambda: ours(ledger=True, otel=False),
    "full": lambda: ours(ledger=True, otel=True),
}
TITLES = {
    "no-op": "a wrapt wrapper that does nothing",
    "floor-full": "floor-full: span, 10 attributes, 2 histograms, 2 counters",
    "alone": "otel-aicost, no ledger, no OTel SDK",
    "ledger": "otel-aicost, ledger, no OTel SDK",
    "full": "otel-aicost, everything: span, metrics, price, ledger",
}
