"""OpenTelemetry's providers, when the user asks for an exporter and nobody else sets them up.

`opentelemetry-instrument` makes no providers of its own: that is the work of a distribution such as
`opentelemetry-distro`. Where there is one, it is left alone. Where there is none, asking for an exporter
(`OTEL_TRACES_EXPORTER=console`, `OTEL_EXPORTER_OTLP_ENDPOINT=...`) would do nothing at all; here it does what it says.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace

from otel_aicost import config, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

WISHES = {
    "OTEL_TRACES_EXPORTER": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_METRICS_EXPORTER": "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
}
"""The variable that names the exporter of a signal, and the one that names its collector."""
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


def asked_for() -> dict[str, str]:
    """The exporter variables as the user means them; empty when no exporter was asked for."""
    wanted = {}
    for exporter, collector in WISHES.items():
        named = os.environ.get(exporter)
        if named or os.environ.get(collector) or os.environ.get(ANY_COLLECTOR):
            wanted[exporter] = named or "otlp"
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
    with _environment({TIMEOUT: PATIENCE, **asked_for()}):
        Configurator().configure()  # type: ignore[no-untyped-call]  # so in the SDK


@contextmanager
def _environment(defaults: dict[str, str]) -> Iterator[None]:
    """The variables the SDK reads while it is set up; what the user set stays, and nothing is left behind."""
    added = {name: value for name, value in defaults.items() if not os.environ.get(name)}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
