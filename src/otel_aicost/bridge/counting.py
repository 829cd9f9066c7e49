"""Which of many spans is the call: the innermost one that tells a usage, unless our capture has seen the call itself.

Spans end from the inside out, as a rule. A span that was counted, or in which a call was captured, makes its parent a
mere container, and so on outwards.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final

from opentelemetry import trace

from otel_aicost import names
from otel_aicost.bridge.emitters import emitter_of
from otel_aicost.bridge.reading import Told, told_of
from otel_aicost.bridge.sightings import Sighting, Sightings, models
from otel_aicost.model import NO_TAGS, NO_USAGE, Call, Outcome, Reading
from otel_aicost.pipeline import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    from otel_aicost.pipeline import Pipeline

REMEMBERED: Final = 65_536


class Kept:
    """A set that forgets its oldest members."""

    def __init__(self) -> None:
        self._members: OrderedDict[object, None] = OrderedDict()

    def add(self, member: object) -> None:
        self._members[member] = None
        if len(self._members) > REMEMBERED:
            self._members.popitem(last=False)

    def __contains__(self, member: object) -> bool:
        return member in self._members


class Bridge:
    """Turns ended spans of others into records. One a process; spans may come from any thread, and more than once."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._lock = Lock()
        self._paid = Kept()
        """Spans in which a call was counted: they contain it, and are none themselves."""
        self._counted = Kept()
        """Spans that were counted as calls."""
        self._responses = Kept()
        """Ids of responses that our capture has seen."""
        self._sightings = Sightings()
        pipeline.watched_by(self)

    def capturing(self) -> None:
        """Our capture begins a call: the span it happens in only contains it."""
        here = trace.get_current_span().get_span_context()
        if here.is_valid:
            with self._lock:
                self._paid.add((here.trace_id, here.span_id))

    def captured(self, call: Call, outcome: Outcome) -> None:
        """Our capture has seen a response."""
        reading = outcome.reading
        ended = call.started_ns + max(0, outcome.ended_ticks - call.started_ticks)
        seen = Sighting(names.SCOPE, call.started_ns, ended, models(call.request_model, reading.model))
        with self._lock:
            if reading.response_id is not None:
                self._responses.add(reading.response_id)
            self._sightings.add(outcome.usage, seen)

    def ended(self, span: ReadableSpan, tags: Mapping[str, str] = NO_TAGS) -> None:
        """A span ended: count the call that it stands for, if it does."""
        told = self._call_of(span)
        if told is not None:
            self._count(span, told, tags)

    def _call_of(self, span: ReadableSpan) -> Told | None:
        """What a span tells of a call, if that is to be counted; else `None`."""
        if span.context is None:
            return None
        scope, attributes = span.instrumentation_scope, span.attributes or {}
        name = scope.name if scope is not None else ""
        ours = name == names.SCOPE
        told = None if ours else told_of(attributes, emitter_of(name, _version(scope)))
        with self._lock:
            if ours or names.AICOST_RECORD_ID in attributes or self._is_container(span):
                self._contained_by_parent(span)
                return None
            if told is None:
                return None
            self._contained_by_parent(span)
            return told if self._is_new(span, told, name) else None

    def _is_container(self, span: ReadableSpan) -> bool:
        return _place(span.context) in self._paid

    def _contained_by_parent(self, span: ReadableSpan) -> None:
        if span.parent is not None:
            self._paid.add(_place(span.parent))

    def _is_new(self, span: ReadableSpan, told: Told, teller: str) -> bool:
        """Whether nobody has told of this call before: by its span, the span around it, its id, or its looks."""
        here, around = _place(span.context), _place(span.parent)
        if here in self._counted or around in self._counted or told.response_id in self._responses:
            return False
        named = models(told.request_model, told.response_model)
        sighting = Sighting(teller, span.start_time or 0, span.end_time or 0, named)
        if self._sightings.holds(told.usage, sighting):
            return False
        self._sightings.add(told.usage, sighting)  # what was told twice is not to stand in the way of the next call
        self._counted.add(here)
        return True

    def _count(self, span: ReadableSpan, told: Told, tags: Mapping[str, str]) -> None:
        started, ended = span.start_time or 0, span.end_time or span.start_time or 0
        call = Call(
            provider=told.provider,
            operation=told.operation,
            request_model=told.request_model,
            started_ns=started,
            started_ticks=0,
            tags=tags,
            conditions=told.conditions,
            sdk=span.instrumentation_scope.name if span.instrumentation_scope else None,
        )
        failed = span.status.status_code is trace.StatusCode.ERROR
        where = span.context
        trace_id, span_id = trace.format_trace_id(where.trace_id), trace.format_span_id(where.span_id)
        reading = Reading(
            told.response_model,
            told.response_id,
            told.usage or None,
            invalid=told.invalid,
            once=f"{trace_id}/{span_id}",
        )
        outcome = Outcome(
            status="partial" if failed else "ok",
            usage_state="invalid" if told.invalid else "reported",
            usage=NO_USAGE if told.invalid else told.usage,
            reading=reading,
            error_type=str((span.attributes or {}).get("error.type") or "error") if failed else None,
            ended_ticks=max(0, ended - started),
        )
        self._pipeline.adopt(call, outcome, Place(trace_id, span_id))


def _place(context: SpanContext | None) -> tuple[int, int] | None:
    return None if context is None else (context.trace_id, context.span_id)


def _version(scope: object) -> str | None:
    version = getattr(scope, "version", None)
    return version if isinstance(version, str) else None
