"""Pricing the spans of other instrumentations: a span processor and a span exporter, ready to be added."""

from __future__ import annotations

from otel_aicost import instrumentor, manual
from otel_aicost.bridge import processor


class CostSpanProcessor(processor.CostSpanProcessor):
    """Counts the calls that spans of OpenLLMetry, OpenInference, OpenLIT, Pydantic AI and others stand for.

    For a program that makes its own tracer provider: `provider.add_span_processor(CostSpanProcessor())`. Under
    `opentelemetry-instrument`, `OTEL_AICOST_PRICE_SPANS=true` does it. A call that is captured by otel-aicost itself
    is not counted again, and of spans within each other the innermost alone is. Spans are not changed.
    """

    def __init__(self) -> None:
        super().__init__(instrumentor.bridge_of(manual.pipeline()))


class CostSpanExporter(processor.CostSpanExporter):
    """The same as an exporter, which `OTEL_TRACES_EXPORTER=otlp,aicost` names."""

    def __init__(self) -> None:
        super().__init__(lambda: instrumentor.bridge_of(manual.pipeline()))
