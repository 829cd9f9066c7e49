"""The road of a call: begun, answered, priced, and one frozen Record handed to each observer.

Errors of observers stop here: they are reported, and the next observer is served.
"""

from __future__ import annotations

import os
import threading
import time
from copy import copy
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from opentelemetry import baggage, context, trace

from otel_aicost import faults, names
from otel_aicost.budgets.budget import Subject
from otel_aicost.ids import new_id, stable_id
from otel_aicost.ledger import forks
from otel_aicost.model import (
    NANO,
    NO_CONDITIONS,
    NO_PARAMETERS,
    NO_USAGE,
    UNPRICED_FAILED,
    UNPRICED_INVALID,
    UNPRICED_USAGE,
    Cost,
    Outcome,
    Record,
    Unpriced,
)
from otel_aicost.tags import clean
from otel_aicost.track import open_scopes
from otel_aicost.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextvars import Token

    from opentelemetry.context import Context

    from otel_aicost.budgets.budget import Amounts, Budget
    from otel_aicost.config import Settings
    from otel_aicost.errors import BudgetExceeded
    from otel_aicost.ledger.balances import Settlement
    from otel_aicost.model import Call, Quantity, Reading, UsageState
    from otel_aicost.observers import Observer
    from otel_aicost.observers.budgets import BudgetObserver, Hold
    from otel_aicost.observers.spans import CallSpan, SpanObserver
    from otel_aicost.prices.catalogue import Catalogue
    from otel_aicost.track import track

FREE = Cost(Decimal(0), (), "supplement", "free endpoint")
ONCE_KEPT = 65_536
"""Ids of what is counted once that a process remembers; past them the ledger still knows."""

RENEW_SECONDS = 60.0
"""How often a process looks whether newer prices were stored: with a call, in the background."""

_loading = threading.Lock()
if hasattr(os, "register_at_fork"):
    # A child forked in the middle of an import would find that module locked for ever.
    os.register_at_fork(before=_loading.acquire, after_in_parent=_loading.release, after_in_child=_loading.release)


class Watcher(Protocol):
    """Who has to know which calls our own capture sees."""

    def capturing(self) -> None:
        """A call is about to be sent, here and now."""

    def captured(self, call: Call, outcome: Outcome) -> None:
        """A response of such a call ended."""


class Place(NamedTuple):
    """The span that somebody else has made of a call."""

    trace_id: str | None
    span_id: str | None


class OpenCall:
    """A call on its way; see `capture.OpenCall`."""

    __slots__ = ("_context", "_pipeline", "call", "hold", "span", "tags", "tracks")

    def __init__(self, pipeline: Pipeline, call: Call, span: CallSpan | None) -> None:
        self._pipeline = pipeline
        self._context: Token[Context] | None = None
        self.call = call
        self.span = span
        self.tags = pipeline.tags_of(call.tags)
        self.tracks = open_scopes()
        self.hold: Hold | None = None

    @property
    def awaits_budget(self) -> bool:
        return self.hold is not None and self.hold.blocking

    def admit(self) -> BudgetExceeded | None:
        return self._pipeline.admit(self)

    async def admit_async(self) -> BudgetExceeded | None:
        return await self._pipeline.admit_async(self)

    def enter(self) -> None:
        if self.span is not None and self.span.own is not None:
            self._context = context.attach(self.span.own)

    def leave(self) -> None:
        if self._context is not None:
            context.detach(self._context)
            self._context = None

    def responding(self) -> None:
        if self.span is not None:
            self.span.responding()

    def finish(self, outcome: Outcome) -> None:
        self._pipeline.finish(self, outcome)

    def abandon(self) -> None:
        self._pipeline.release(self)
        if self.span is not None:
            self.span.abandon()

    def later(self, work: Callable[[], object]) -> None:
        self._pipeline.later(work)


class Pipeline:
    """Prices calls and hands their records on. One a process, made by the instrumentor."""

    def __init__(
        self,
        settings: Settings,
        load_prices: Callable[[], Catalogue],
        spans: SpanObserver | None,
        observers: Sequence[Observer],
        budgets: BudgetObserver | None = None,
    ) -> None:
        self.settings = settings
        self._load_prices = load_prices
        self._catalogue: Catalogue | None = None
        self._warming = False
        self._renew_at = time.monotonic() + RENEW_SECONDS
        self._spans = spans
        self._worker: Worker[Callable[[], object]] = Worker("aicost-pipeline", _run_all)
        self._observers = tuple(observers)
        self._budgets = budgets
        if budgets is not None:  # the first call is to find prices and ledger ready
            self.later(self.warm)
        self._service: str | None = None
        self._once: dict[str, None] = {}
        self._watcher: Watcher | None = None

    def begin(self, call: Call, body: Mapping[str, Any] = NO_PARAMETERS) -> OpenCall:
        """A call is about to be sent: open its span, find its budgets, and see that prices are being loaded."""
        if not self._warming:
            self._warming = True
            self.later(self.warm)
        self._see_to_prices()
        if self._watcher is not None and not call.only_with_usage:
            self._watcher.capturing()
        trace_id = None if self._budgets is None else _trace_id()  # before a span of our own begins one
        span = None
        if self._spans is not None and not call.only_with_usage:
            try:
                span = self._spans.before(call)
            except Exception as error:  # noqa: BLE001 - calling an observer is one of the guarded places
                faults.report("spans.before", error)
        opened = OpenCall(self, call, span)
        if self._budgets is not None and not call.past:
            try:
                opened.hold = self._budgets.hold(new_id(), call, self._subject(call, opened.tags, trace_id), body)
            except Exception as error:  # noqa: BLE001 - as above
                faults.report("budgets.hold", error)
        return opened

    def admit(self, opened: OpenCall) -> BudgetExceeded | None:
        """Reserve what the call may cost; or why it must not be sent, and then it is on record as blocked."""
        if self._budgets is None or opened.hold is None:
            return None
        try:
            refused = self._budgets.admit(opened.hold, self._foresee)
        except Exception as error:  # noqa: BLE001 - an error of ours must not stop a call
            faults.report("budgets.admit", error)
            return None
        return self._decided(opened, opened.hold, refused)

    async def admit_async(self, opened: OpenCall) -> BudgetExceeded | None:
        """As `admit`, without blocking the event loop."""
        if self._budgets is None or opened.hold is None:
            return None
        try:
            refused = await self._budgets.admit_async(opened.hold, self._foresee)
        except Exception as error:  # noqa: BLE001 - as above
            faults.report("budgets.admit", error)
            return None
        return self._decided(opened, opened.hold, refused)

    def look(self, call: Call, prompt_tokens: int) -> tuple[BudgetExceeded | None, Amounts | None]:
        """Why such a call would not be sent now, and what it may take; nothing is reserved or recorded."""
        if self._budgets is None:
            return None, None
        subject = self._subject(call, self.tags_of(call.tags), _trace_id())
        return self._budgets.look(call, subject, prompt_tokens, self._foresee)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """Those that hold now."""
        return () if self._budgets is None else self._budgets.now()

    def _decided(self, opened: OpenCall, hold: Hold, refused: BudgetExceeded | None) -> BudgetExceeded | None:
        opened.call = hold.call  # with another model, where a budget fell back to one
        if refused is not None:
            named = {names.AICOST_BUDGET: refused.budget, names.AICOST_BUDGET_KEY: refused.key or None}
            told = {name: value for name, value in named.items() if value is not None}
            opened.call = replace(opened.call, parameters={**opened.call.parameters, **told})
            kind = type(refused).__qualname__
            opened.finish(Outcome("blocked", "none", error_type=kind, ended_ticks=time.perf_counter_ns()))
            self._say_blocked(refused, opened.call.started_ns)
        return refused

    def _say_blocked(self, refused: BudgetExceeded, at_ns: int) -> None:
        try:
            if self._budgets is not None:
                self._budgets.blocked(refused, at_ns)
        except Exception as error:  # noqa: BLE001 - as above
            faults.report("budgets.blocked", error)

    def _foresee(self, call: Call, usage: Mapping[str, Quantity]) -> Cost | Unpriced:
        models = (call.request_model,) if call.request_model else ()
        return self.warm().price(call.provider, models, usage, call.conditions, call.started_ns)

    def _subject(self, call: Call, tags: Mapping[str, str], trace_id: str | None) -> Subject:
        return Subject(call.provider, call.request_model or "", call.operation, self.service(), tags, trace_id)

    def release(self, opened: OpenCall) -> None:
        """Give back what was reserved for a call that cost nothing."""
        if self._budgets is not None and opened.hold is not None:
            self._budgets.release(opened.hold)

    def _settle(self, opened: OpenCall, record: Record) -> Settlement | None:
        if self._budgets is None:
            return None
        try:
            if opened.call.past:
                return self._charge(opened, record)
            return None if opened.hold is None else self._budgets.settle(opened.hold, record)
        except Exception as error:  # noqa: BLE001 - as above
            faults.report("budgets.settle", error)
            return None

    def finish(self, opened: OpenCall, outcome: Outcome) -> None:
        """A response ended. Until the prices are there, it waits for them in the background."""
        reading = outcome.reading
        if reading.others:
            self._finish_parts(opened, outcome)
            return
        nothing = opened.call.only_with_usage and not reading.usage and reading.invalid is None
        if nothing or reading.pending or self._counted(opened.call, reading):
            opened.abandon()
            return
        if self._watcher is not None:
            self._watcher.captured(opened.call, outcome)
        span, opened.span = opened.span, None  # a second response of the same call has a span of its own
        if self._catalogue is None:
            forks.before_child_exit(self.flush, first=True)
            self.later(lambda: self._conclude(opened, outcome, span))
        else:
            self._conclude(opened, outcome, span)

    def _finish_parts(self, opened: OpenCall, outcome: Outcome) -> None:
        """A response that is billed in parts: a record for each, and for the whole where it has a usage of its own."""
        reading = outcome.reading
        whole = replace(outcome, reading=replace(reading, others=()))
        if reading.usage or reading.invalid or not opened.call.only_with_usage:
            self.finish(opened, whole)
        for part in reading.others:
            apart = copy(opened)
            apart.span = None
            apart.call = replace(opened.call, request_model=part.model or opened.call.request_model, usage=NO_USAGE)
            state: UsageState = "invalid" if part.invalid else "reported" if part.usage else "missing"
            self.finish(apart, replace(whole, usage_state=state, usage=part.usage or NO_USAGE, reading=part))

    def _counted(self, call: Call, reading: Reading) -> bool:
        """Whether what is billed once has been here before."""
        if reading.once is None:
            return False
        identifier = stable_id(call.provider, reading.once)
        if identifier in self._once:
            return True
        if len(self._once) >= ONCE_KEPT:
            self._once.clear()
        self._once[identifier] = None
        return False

    def later(self, work: Callable[[], object]) -> None:
        """Do `work` in the background, in the order it was put."""
        self._worker.put(work)

    def warm(self) -> Catalogue:
        """The price catalogue, loaded if it is not yet."""
        if self._catalogue is None:
            with _loading:
                if self._catalogue is None:
                    self._catalogue = self._load_prices()
        return self._catalogue

    def _see_to_prices(self) -> None:
        if time.monotonic() >= self._renew_at:
            self._renew_at = time.monotonic() + RENEW_SECONDS
            self.later(self._renew)

    def _renew(self) -> None:
        """Take the prices that `aicost prices update` has stored meanwhile."""
        if self._catalogue is not None and self._catalogue.is_outdated():
            self._catalogue = self._load_prices()

    def settle(self, timeout: float = 1.0) -> bool:
        """Wait until every finished call is priced and handed on."""
        return self._worker.flush(timeout)

    def flush(self, timeout: float) -> bool:
        """Wait until every finished call has reached its last observer. `False` if `timeout` did not suffice."""
        until = time.monotonic() + timeout
        done = self.settle(timeout)
        for observer in self._observers:
            done = observer.flush(max(0.0, until - time.monotonic())) and done
        return done

    def close(self, timeout: float) -> bool:
        """As `flush`; what still comes is handled where it comes."""
        until = time.monotonic() + timeout
        done = self._worker.close(timeout)
        for observer in self._observers:
            done = observer.close(max(0.1, until - time.monotonic())) and done
        return done

    def _hand_on(
        self,
        record: Record,
        scopes: tuple[track, ...],
        span: CallSpan | None,
        settlement: Settlement | None,
        *,
        spans: bool = True,
    ) -> None:
        for scope in scopes:
            scope.add(record)
        if spans and self._spans is not None:
            try:
                self._spans.after(record, span)
            except Exception as error:  # noqa: BLE001 - as above
                faults.report("spans.after", error)
        for observer in self._observers:
            try:
                observer.after(record, settlement)
            except Exception as error:  # noqa: BLE001 - as above
                faults.report(type(observer).__name__, error)

    def conclude(self, call: Call, outcome: Outcome) -> Record:
        """Price and hand on a call that was made without us, here and now."""
        self._see_to_prices()
        opened = OpenCall(self, call, None)
        record = self._price(opened, outcome, None)
        self._hand_on(record, opened.tracks, None, self._charge(opened, record))
        return record

    def enter(self, record: Record) -> None:
        """Hand on a record that was made elsewhere; it is held against the budgets of its own time."""
        settlement = None
        if self._budgets is not None:
            about = (record.provider, record.request_model or record.response_model or "", record.operation)
            subject = Subject(*about, record.service, record.tags, record.trace_id)
            settlement = self._budgets.charge(record, subject)
        self._hand_on(record, (), None, settlement)

    def watched_by(self, watcher: Watcher) -> None:
        """Tell `watcher` of calls from now on."""
        self._watcher = watcher

    def adopt(self, call: Call, outcome: Outcome, place: Place) -> None:
        """Price and hand on a call that somebody else has a span of, in the background; it gets no other span."""
        if self._counted(call, outcome.reading):
            return
        opened = OpenCall(self, call, None)
        self.later(lambda: self._adopt(opened, outcome, place))

    def _adopt(self, opened: OpenCall, outcome: Outcome, place: Place) -> None:
        record = self._price(opened, outcome, place)
        self._hand_on(record, opened.tracks, None, self._charge(opened, record), spans=False)

    def _charge(self, opened: OpenCall, record: Record) -> Settlement | None:
        """Hold what no budget could stop against the budgets it belongs to."""
        if self._budgets is None:
            return None
        return self._budgets.charge(record, self._subject(opened.call, opened.tags, _trace_id()))

    def _conclude(self, opened: OpenCall, outcome: Outcome, span: CallSpan | None) -> None:
        try:
            record = self._price(opened, outcome, span)
        except Exception as error:  # noqa: BLE001 - nothing of ours may reach the application
            faults.report("pipeline", error)
            self.release(opened)
            return
        self._hand_on(record, opened.tracks, span, self._settle(opened, record))

    def _price(self, opened: OpenCall, outcome: Outcome, span: CallSpan | Place | None) -> Record:
        call, reading = opened.call, outcome.reading
        conditions = {**call.conditions, **reading.conditions} or NO_CONDITIONS
        cost, unpriced = self._cost(call, outcome, conditions)
        parameters = call.parameters
        if outcome.resends:
            parameters = {**parameters, "http.request.resend_count": outcome.resends}
        first = outcome.first_chunk_ticks
        past = call.past or reading.at_ns is not None  # how long it took is not known
        return Record(
            id=_id(opened, reading),
            started_ns=_billed_ns(call, reading),
            duration_ns=0 if past else max(0, outcome.ended_ticks - call.started_ticks),
            provider=call.provider,
            operation=reading.operation or call.operation,
            status=outcome.status,
            usage_state=outcome.usage_state,
            service=self.service(),
            request_model=call.request_model,
            response_model=reading.model,
            asked_model=call.asked_model,
            response_id=reading.response_id,
            usage=outcome.usage,
            conditions=conditions,
            cost=cost,
            unpriced=unpriced,
            estimated=outcome.estimated,
            error_type=outcome.error_type,
            tags=opened.tags,
            first_chunk_ns=None if first is None or past else max(0, first - call.started_ticks),
            host=call.host,
            port=call.port,
            stream=call.stream,
            parameters=parameters,
            finish_reasons=reading.finish_reasons,
            sdk=call.sdk,
            trace_id=None if span is None else span.trace_id,
            span_id=None if span is None else span.span_id,
        )

    def _cost(self, call: Call, outcome: Outcome, conditions: Mapping[str, str]) -> tuple[Cost | None, Unpriced | None]:
        reading = outcome.reading
        if call.free:
            return FREE, None
        if reading.cost or (reading.cost is not None and outcome.status == "ok"):  # streams begin with a cost of 0
            return Cost(reading.cost.quantize(NANO), (), "provider"), None
        if outcome.usage_state == "invalid":
            return None, Unpriced(UNPRICED_INVALID, f"the response reports an absurd usage: {reading.invalid}")
        if outcome.usage_state == "none":
            return None, None
        if not outcome.usage:
            return None, Unpriced(UNPRICED_USAGE, "the response was not read, or reports no usage")
        models = (call.request_model, reading.model) if call.priced_by_request else (reading.model, call.request_model)
        known = [model for model in dict.fromkeys(models) if model]
        try:
            found = self.warm().price(call.provider, known, outcome.usage, conditions, _billed_ns(call, reading))
        except Exception as error:  # noqa: BLE001 - a call whose price cannot be found is a call all the same
            faults.report("prices", error)
            found = Unpriced(UNPRICED_FAILED, f"pricing failed: {type(error).__name__}: {error}")
        return (found, None) if isinstance(found, Cost) else (None, found)

    def tags_of(self, tagged: Mapping[str, str]) -> Mapping[str, str]:
        """The tags of a call: the static ones, then the allowed keys of incoming baggage, then the code's own."""
        if not (self.settings.tags or self.settings.baggage_keys):
            return tagged
        carried = {}
        for key in self.settings.baggage_keys:
            value = baggage.get_baggage(key)
            if value is not None:
                carried[key] = value
        return {**self.settings.tags, **clean(carried), **tagged}

    def service(self) -> str:
        """The name of this service, as OpenTelemetry knows it."""
        if self._service is None:
            self._service = _service_name()
        return self._service


def _id(opened: OpenCall, reading: Reading) -> str:
    if reading.once is not None:
        return stable_id(opened.call.provider, reading.once)
    return new_id() if opened.hold is None or opened.hold.settled else opened.hold.id


def _billed_ns(call: Call, reading: Reading) -> int:
    return call.started_ns if reading.at_ns is None else reading.at_ns


def _trace_id() -> str | None:
    here = trace.get_current_span().get_span_context()
    return trace.format_trace_id(here.trace_id) if here.is_valid else None


def _service_name() -> str:
    named = os.environ.get("OTEL_SERVICE_NAME")
    if named:
        return named
    resource = getattr(trace.get_tracer_provider(), "resource", None)
    name = str(resource.attributes.get("service.name", "")) if resource is not None else ""
    if name and not name.startswith("unknown_service"):
        return name
    for pair in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, _, value = pair.partition("=")
        if key.strip() == "service.name" and value.strip():
            return value.strip()
    return "unknown_service"


def _run_all(work: list[Callable[[], object]]) -> None:
    for task in work:
        try:
            task()
        except Exception as error:  # noqa: BLE001 - one task must not take the next with it
            faults.report("pipeline.later", error)
