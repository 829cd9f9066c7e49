"""The entry point `aicost`: reads the settings and wires capture, prices and observers into one pipeline."""

from __future__ import annotations

import atexit
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from otel_aicost import config, faults, names
from otel_aicost.capture.installing import Capture
from otel_aicost.observers.ledger import LedgerObserver
from otel_aicost.observers.metrics import MetricsObserver
from otel_aicost.observers.plans import Plans
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.pipeline import Pipeline
from otel_aicost.track import settle_with

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from prometheus_client import CollectorRegistry

    from otel_aicost.bridge.counting import Bridge
    from otel_aicost.budgets.budget import Plan
    from otel_aicost.config import Settings
    from otel_aicost.exporter.in_process import Port
    from otel_aicost.ledger.fleet import Fleet
    from otel_aicost.ledger.writer import Writer
    from otel_aicost.observers import Observer
    from otel_aicost.observers.alerts import AlertObserver
    from otel_aicost.observers.budgets import BudgetObserver
    from otel_aicost.prices.catalogue import Catalogue

EXIT_SECONDS = 4.0
"""The longest the ledger may hold up the exit of the application."""

_NO_PROVIDER = (
    f"{names.ENV_PRICE_SPANS} needs a tracer provider: run under opentelemetry-instrument with OTEL_TRACES_EXPORTER "
    "set, or add otel_aicost.CostSpanProcessor() to the provider that the program makes"
)

_pipeline: Pipeline | None = None
_bridge: tuple[Pipeline, Bridge] | None = None
_port: Port | None = None


class AICostInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # it comes without types
    """Counts and prices the AI calls of this process, until `uninstrument`."""

    _capture: Capture | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: an SDK that is not installed is simply never imported."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:  # noqa: ANN401 - the base class's signature
        try:
            self._begin(kwargs.get("settings"))
        except Exception as error:  # noqa: BLE001 - it would stop every other instrumentor of the process
            faults.report("instrument", error)

    def _begin(self, settings: Settings | None) -> None:
        if settings is None:
            settings, mistakes = config.load()
            for mistake in mistakes:
                faults.LOGGER.warning("otel-aicost: %s", mistake)
        if not settings.enabled:
            return
        pipeline = start(settings)
        if settings.price_spans:
            _price_spans(pipeline)
        self._capture = Capture(pipeline, settings.disabled_sdks)
        self._capture.install()

    def _uninstrument(self, **_: Any) -> None:  # noqa: ANN401 - the base class's signature
        capture, self._capture = self._capture, None
        try:
            if capture is not None:
                capture.remove()
        finally:
            stop()

    @property
    def patched(self) -> dict[str, tuple[str, ...]]:
        """Package -> the functions of it that are wrapped in this process."""
        return {} if self._capture is None else dict(self._capture.patched)


def start(settings: Settings) -> Pipeline:
    """Make the pipeline of this process; one that is disabled prices what it is asked, and writes nowhere."""
    global _pipeline  # noqa: PLW0603 - one a process
    _pipeline = _made(settings) if settings.enabled else Pipeline(settings, lambda: load_prices(settings), None, ())
    settle_with(_pipeline.settle)
    atexit.register(stop)
    return _pipeline


def recorder(settings: Settings) -> Pipeline:
    """A pipeline for records that were made elsewhere: ledger, budgets and alerts, and nothing of a running program.

    The caller closes it. Without a ledger (`settings.ledger` is `None`) it prices, and writes nowhere.
    """
    plans = Plans(settings.config, lambda: config.load_budgets(settings))
    writer = _writer(settings, plans.now().lease_seconds)
    alerts = _alerts(settings, plans, writer)
    observers: list[Observer] = [] if writer is None else [LedgerObserver(writer)]
    if alerts is not None:
        observers.append(alerts)
    return Pipeline(settings, lambda: load_prices(settings), None, observers, _budgets(plans, writer, alerts))


def stop() -> None:
    """Close the pipeline of this process, if there is one; waits at most `EXIT_SECONDS`."""
    global _pipeline, _port
    pipeline, _pipeline = _pipeline, None
    port, _port = _port, None
    atexit.unregister(stop)
    if port is not None:
        port.close()
    if pipeline is not None:
        pipeline.close(EXIT_SECONDS)


def running() -> Pipeline | None:
    """The pipeline of this process."""
    return _pipeline


def _price_spans(pipeline: Pipeline) -> None:
    """Count the calls that other instrumentations have spans of, as those end."""
    from otel_aicost.bridge.processor import CostSpanProcessor  # noqa: PLC0415 - for who asks for it

    provider = trace.get_tracer_provider()
    add = getattr(provider, "add_span_processor", None)
    if add is None:
        faults.LOGGER.warning("otel-aicost: %s", _NO_PROVIDER)
        return
    add(CostSpanProcessor(bridge_of(pipeline)))


def bridge_of(pipeline: Pipeline) -> Bridge:
    """The bridge of this process: two of them would count twice what one has counted."""
    global _bridge  # noqa: PLW0603 - one a process
    from otel_aicost.bridge.counting import Bridge  # noqa: PLC0415 - as above

    if _bridge is None or _bridge[0] is not pipeline:
        _bridge = (pipeline, Bridge(pipeline))
    return _bridge[1]


def load_prices(settings: Settings, stale_days: int | None = None) -> Catalogue:
    """The price catalogue; slow, so it is loaded in the background. Prices older than `stale_days` are said."""
    from otel_aicost.prices.catalogue import Catalogue  # noqa: PLC0415
    from otel_aicost.prices.staleness import say_stale  # noqa: PLC0415

    catalogue = Catalogue.load(settings.prices, settings.price_data)
    say_stale(catalogue, stale_days)
    return catalogue


def _made(settings: Settings) -> Pipeline:
    path = config.budget_file(settings)
    # A program may change its directory, and the file is looked at again.
    settings = replace(settings, config=None if path is None else path.absolute())
    plans = Plans(settings.config, lambda: config.load_budgets(settings))
    settings = replace(settings, apis=plans.now().apis)
    writer = _writer(settings, plans.now().lease_seconds)
    alerts = _alerts(settings, plans, writer)
    observers = _observers(settings, writer)
    if alerts is not None:
        observers.append(alerts)  # the last one: those before it may raise some when they are closed
    if writer is not None and plans.now().budgets:
        _note(writer, plans, "the environment" if path is None else path.name)
    budgets = _budgets(plans, writer, alerts)

    def prices() -> Catalogue:
        return load_prices(settings, config.stale_days(plans.now(), settings))

    pipeline = Pipeline(settings, prices, SpanObserver(), observers, budgets)
    _serve(settings, plans, pipeline)
    return pipeline


def _serve(settings: Settings, plans: Plans, pipeline: Pipeline) -> None:
    """Serve the ledger's metrics from this process, or be ready to, where a port is set."""
    global _port  # noqa: PLW0603 - one a process
    port, place = settings.prometheus_port, settings.ledger
    if port is None:
        return
    if place is None:
        faults.LOGGER.warning("otel-aicost: there are no metrics to serve at port %s without a ledger", port)
        return
    from otel_aicost.exporter.in_process import Port  # noqa: PLC0415 - for whom it was asked

    def registry() -> CollectorRegistry:
        from otel_aicost.exporter import collector  # noqa: PLC0415 - for whom has the port

        return collector.registry(place, plans.now, pipeline.warm)

    _port = Port(settings.prometheus_host, port, registry)
    _port.start()


def _note(writer: Writer | Fleet, plans: Plans, source: str) -> None:
    """Put down in the ledger what the budgets are, now and whenever the file changes."""
    from otel_aicost.ledger import events, limits  # noqa: PLC0415 - not needed where there is no budget

    def note(plan: Plan) -> None:
        who = f"{source} ({events.whoami()})"
        writer.later(lambda connection: limits.note_definitions(connection, plan, who, time.time_ns()))

    plans.changed = note
    note(plans.now())


def _writer(settings: Settings, lease_seconds: float) -> Writer | Fleet | None:
    if settings.ledger is None:
        return None
    if isinstance(settings.ledger, config.Server):
        from otel_aicost.ledger.fleet import Fleet  # noqa: PLC0415 - as below

        return Fleet(settings.ledger, settings.retention_days, lease_seconds, settings.metric_tags)
    from otel_aicost.ledger.writer import Writer  # noqa: PLC0415 - not needed without a ledger

    return Writer.of_file(settings.ledger, settings.retention_days, lease_seconds, settings.metric_tags)


def _budgets(plans: Plans, writer: Writer | Fleet | None, alerts: AlertObserver | None) -> BudgetObserver | None:
    """Who holds calls to their budgets; `None` where there is none, and then calls pay nothing for it."""
    if not plans.now().budgets:
        return None
    from otel_aicost.observers.budgets import BudgetObserver  # noqa: PLC0415

    return BudgetObserver(plans, writer, alerts)


def _alerts(settings: Settings, plans: Plans, writer: Writer | Fleet | None) -> AlertObserver | None:
    """Who announces alerts, and watches the ledger where the file asks for it; `None` where nothing raises any."""
    plan = plans.now()
    if not plan.budgets and plan.alerts is None:
        return None
    from otel_aicost.ledger.opening import opener  # noqa: PLC0415 - as above
    from otel_aicost.ledger.visits import Visits  # noqa: PLC0415
    from otel_aicost.observers.alerts import AlertObserver  # noqa: PLC0415

    if plan.alerts is None or settings.ledger is None:
        return AlertObserver(plans, writer)
    return AlertObserver(plans, writer, Visits(opener(settings.ledger)))


def _ledger(writer: Writer | Fleet) -> LedgerObserver:
    from otel_aicost.observers.heartbeats import Heartbeats  # noqa: PLC0415 - not needed without a ledger

    return LedgerObserver(writer, Heartbeats(writer, _wrapped))


def _wrapped() -> Mapping[str, str]:
    """Package -> version of the SDKs that are wrapped in this process."""
    versions = {
        package: getattr(sys.modules.get(package), "__version__", "") for package in AICostInstrumentor().patched
    }
    return {package: str(version) for package, version in versions.items()}


def _observers(settings: Settings, writer: Writer | Fleet | None) -> list[Observer]:
    observers: list[Observer] = [MetricsObserver(settings.metric_tags)]
    if writer is not None:
        observers.append(_ledger(writer))
    if settings.jsonl is not None:
        from otel_aicost.observers.jsonl import JsonlObserver  # noqa: PLC0415

        observers.append(JsonlObserver(settings.jsonl))
    return observers
