"""The span of a call: the one another instrumentation has open for it, or else one of ours.

Cost is set while the span records: a span processor comes too late, attributes are frozen by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_aicost import names

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from otel_aicost.model import Call, Record

INFERENCE = frozenset({"chat", "text_completion", "completion", "generate_content", "embeddings", "embedding"})
"""Operations of a span that stands for one call; agents, tools and workflows only contain calls."""
_SDK_SCOPES = ("com.anthropic.sdk",)
_OPENLLMETRY_KIND = "llm.request.type"


class CallSpan:
    """The span of one call, or the promise of one that the SDK makes itself."""

    __slots__ = ("own", "owned", "promised", "span")

    def __init__(self, span: Span | None, *, own: Context | None = None, promised: bool = False) -> None:
        self.span = span
        self.own = own
        """The context in which our own span is the current one."""
        self.owned = own is not None
        self.promised = promised

    @property
    def trace_id(self) -> str | None:
        context = (self.span or trace.get_current_span()).get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    @property
    def span_id(self) -> str | None:
        context = self.span.get_span_context() if self.span is not None else trace.INVALID_SPAN_CONTEXT
        return trace.format_span_id(context.span_id) if context.is_valid else None

    def responding(self) -> None:
        """The SDK's own span is current while the response is taken in."""
        if self.span is None:
            current = trace.get_current_span()
            if stands_for_a_call(current):
                self.span = current

    def abandon(self) -> None:
        """There was no call after all."""
        if self.owned and self.span is not None:
            self.span.end()


class SpanObserver:
    """Puts what a record holds onto the span of its call."""

    def __init__(self) -> None:
        self._tracer = trace.get_tracer(names.SCOPE)

    def before(self, call: Call) -> CallSpan:
        """The span of a call about to be sent; ours unless somebody else's is open for it."""
        current = trace.get_current_span()
        if stands_for_a_call(current):
            return CallSpan(current)
        if call.sdk_span:
            return CallSpan(None, promised=True)
        span = self._tracer.start_span(
            _name(call.operation, call.request_model),
            kind=SpanKind.CLIENT,
            attributes=_opening(call.provider, call.operation, call.request_model),
            start_time=call.started_ns,
        )
        return CallSpan(span, own=trace.set_span_in_context(span))

    def after(self, record: Record, call_span: CallSpan | None) -> None:
        """Write the record onto its span, and end it if it is ours."""
        span = None if call_span is None else call_span.span
        if call_span is not None and not call_span.owned:
            if span is not None and span.is_recording():
                span.set_attributes(attributes(record))
                return
            if record.status == "error" and (span is not None or call_span.promised):
                return  # that span has told of it, and there is no cost to add
        if span is None or call_span is None or not call_span.owned:
            span = self._late(record, span)
        if span.is_recording():
            span.set_attributes(attributes(record))
            if record.asked_model is not None:
                span.update_name(_name(record.operation, record.request_model))
        if record.status in {"error", "blocked"}:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=record.started_ns + record.duration_ns)

    def _late(self, record: Record, ended: Span | None) -> Span:
        """A span for a call that has none, or whose span ended before its cost was known: then its child."""
        return self._tracer.start_span(
            _name(record.operation, record.request_model or record.response_model),
            context=None if ended is None else trace.set_span_in_context(ended),
            kind=SpanKind.CLIENT,
            attributes=_opening(record.provider, record.operation, record.request_model),
            start_time=record.started_ns,
        )


def stands_for_a_call(span: Span) -> bool:
    """Whether a span is another instrumentation's span of one AI call, without a cost so far."""
    if not span.is_recording():
        return False
    held = getattr(span, "attributes", None) or {}
    if names.AICOST_RECORD_ID in held:
        return False
    operation = held.get(names.OPERATION) or held.get(_OPENLLMETRY_KIND)
    if operation is not None:
        return operation in INFERENCE
    scope = getattr(getattr(span, "instrumentation_scope", None), "name", "") or ""
    return scope.startswith(_SDK_SCOPES)


def attributes(record: Record) -> dict[str, str | int | float | bool | tuple[str, ...]]:
    """What a span says of a finished call."""
    said: dict[str, object] = {
        **record.parameters,
        names.AICOST_FALLBACK_FROM: record.asked_model,
        # Said at the opening already, of the model that was replaced.
        names.REQUEST_MODEL: None if record.asked_model is None else record.request_model,
        names.RESPONSE_MODEL: record.response_model,
        names.RESPONSE_ID: record.response_id,
        names.FINISH_REASONS: record.finish_reasons or None,
        names.SERVER_ADDRESS: record.host,
        names.SERVER_PORT: record.port,
        names.ERROR_TYPE: record.error_type,
        names.AICOST_RECORD_ID: record.id,
        names.AICOST_STATUS: record.status,
        names.AICOST_USAGE_STATE: record.usage_state,
        names.AICOST_ESTIMATED: record.estimated or None,
    }
    for meter, quantity in record.usage.items():
        name = names.USAGE_ATTRIBUTES.get(meter) or names.AICOST_USAGE_PREFIX + meter
        said[name] = quantity if isinstance(quantity, int) else float(quantity)
    for condition, value in record.conditions.items():
        said[names.AICOST_CONDITION_PREFIX + condition] = value
    for tag, value in record.tags.items():
        said[names.AICOST_TAG_PREFIX + tag] = value
    said.update(_money(record))
    return {name: value for name, value in said.items() if value is not None}  # type: ignore[misc]


def _money(record: Record) -> dict[str, object]:
    if record.cost is None:
        return {names.AICOST_UNPRICED_REASON: record.unpriced.reason if record.unpriced is not None else None}
    cost = record.cost
    return {
        names.COST_AMOUNT: float(cost.total),
        names.COST_CURRENCY: "USD",
        names.COST_SOURCE: "provider" if cost.source == "provider" else "local",
        names.AICOST_PRICE_SOURCE: cost.source,
        names.AICOST_PRICE_ID: cost.price_id,
        names.AICOST_PRICE_DATE: cost.price_date,
    }


def _name(operation: str, model: str | None) -> str:
    return f"{operation} {model}" if model else operation


def _opening(provider: str, operation: str, model: str | None) -> dict[str, str]:
    known = {names.PROVIDER: provider, names.OPERATION: operation}
    if model:
        known[names.REQUEST_MODEL] = model
    return known
