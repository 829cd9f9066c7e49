"""The two doors through which spans come in: a processor in the process that makes them, an exporter anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_aicost import faults
from otel_aicost.model import NO_TAGS
from otel_aicost.tags import current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.context import Context

    from otel_aicost.bridge.counting import Bridge


class CostSpanProcessor(SpanProcessor):
    """Counts the calls that spans of other instrumentations stand for, as they end. Changes no span."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._tags: dict[int, Mapping[str, str]] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - of the protocol
        """The tags in force where a span begins are those of its call; only few have any."""
        tags = current()
        if tags:
            self._tags[span.get_span_context().span_id] = tags

    def on_end(self, span: ReadableSpan) -> None:
        try:
            context = span.context
            tags = NO_TAGS if context is None else self._tags.pop(context.span_id, NO_TAGS)
            self._bridge.ended(span, tags)
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the application
            faults.report("bridge", error)


class CostSpanExporter(SpanExporter):
    """The same for spans that come in batches: `OTEL_TRACES_EXPORTER=otlp,aicost`, or a collector written in Python."""

    def __init__(self, bridge: Callable[[], Bridge]) -> None:
        self._bridge = bridge

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Count the calls among `spans`, those that ended first at first."""
        try:
            bridge = self._bridge()
            for span in sorted(spans, key=lambda span: span.end_time or 0):
                bridge.ended(span)
        except Exception as error:  # noqa: BLE001 - as above
            faults.report("bridge", error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS
