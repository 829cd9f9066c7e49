"""OpenTelemetry's providers, when the user asks for an exporter and nobody else sets them up.

`opentelemetry-instrument` makes no providers of its own: that is the work of a distribution such as
`opentelemetry-distro`. Where there is one, it is left alone. Where there is none, asking for an exporter
(`OTEL_TRACES_EXPORTER=console`, `OTEL_EXPORTER_OTLP_ENDPOINT=...`) would do nothing at all; here it does what it says.
"""

from __future__ import annotations

import logging
import os

from opentelemetry import metrics, trace

from otel_aicost import config, faults

WISHES = {
    "traces": ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    "metrics": ("OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
}
"""Signal -> the variable that names its exporter, and the one that names its collector."""
ANY_COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"
TIMEOUT = "OTEL_EXPORTER_OTLP_TIMEOUT"
PATIENCE = "2"
"""Seconds for an export, unless the user says otherwise: the default of ten delays the exit by over ten seconds for
each signal when no collector listens."""


def set_up_providers() -> None:
    """Make the providers the user asked for, unless there are some already. Never raises."""
    try:
        if config.load()[0].enabled and asked_for() and nobody_else_did():
            _configure()
    except Exception as error:  # noqa: BLE001 - it would stop every instrumentor of the process
        faults.report("otel_setup", error)


def asked_for() -> dict[str, list[str]]:
    """Signal -> the exporters to add to those its own variable names; empty when nothing was asked for."""
    wanted: dict[str, list[str]] = {}
    for signal, (exporter, collector) in WISHES.items():
        if os.environ.get(exporter):
            wanted[signal] = []  # the SDK reads the variable itself
        elif os.environ.get(collector) or os.environ.get(ANY_COLLECTOR):
            wanted[signal] = ["otlp"]
    return wanted


def nobody_else_did() -> bool:
    """Whether the providers are still the placeholders of the API."""
    placeholders = (trace.get_tracer_provider(), metrics.get_meter_provider())
    return all(type(provider).__module__.startswith("opentelemetry.") for provider in placeholders) and not any(
        type(provider).__module__.startswith("opentelemetry.sdk") for provider in placeholders
    )


def _configure() -> None:
    from opentelemetry.sdk._configuration import _OTelSDKConfigurator  # noqa: PLC0415 - made for distributions

    class Configurator(_OTelSDKConfigurator):
        """What the SDK offers to distributions."""

    # A collector that is not there is no reason to write on the application's terminal; a handler of the
    # application's own still gets every message, and `aicost doctor` tries the endpoint.
    logging.getLogger("opentelemetry.exporter").addHandler(logging.NullHandler())
    wanted = asked_for()
    impatient = TIMEOUT not in os.environ
    if impatient:
        os.environ[TIMEOUT] = PATIENCE  # exporters read it when they are made
    try:
        Configurator().configure(  # type: ignore[no-untyped-call]  # so in the SDK
            trace_exporter_names=wanted.get("traces", []),
            metric_exporter_names=wanted.get("metrics", []),
        )
    finally:
        if impatient:
            del os.environ[TIMEOUT]
