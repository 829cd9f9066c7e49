"""An alert as an OpenTelemetry log event, through whatever LoggerProvider the application has."""

from __future__ import annotations

import importlib
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Final

from opentelemetry import _logs
from opentelemetry._logs import SeverityNumber

from otel_aicost import names

if TYPE_CHECKING:
    from otel_aicost.alerts.alert import AlertRow

_FIRST: Final = (1, 37)
_SEVERITIES: Final = {"info": SeverityNumber.INFO, "warning": SeverityNumber.WARN, "critical": SeverityNumber.ERROR}


def emit(row: AlertRow) -> None:
    """Give the alert to the application's provider; nothing happens where there is none."""
    told = {
        names.AICOST_ALERT_KIND: row.kind,
        names.AICOST_ALERT_SEVERITY: row.severity,
        names.AICOST_ALERT_ID: row.id,
        names.AICOST_BUDGET: row.budget,
        names.AICOST_BUDGET_KEY: row.key or None,
        names.AICOST_BUDGET_WINDOW: row.window_id,
    }
    attributes = {name: value for name, value in told.items() if value is not None}
    number = _SEVERITIES[row.severity]
    if _older():
        _emit_event(row, number, attributes)
        return
    record = _logs.LogRecord(
        timestamp=row.at_ns,
        severity_number=number,
        severity_text=row.severity,
        body=row.title,
        attributes=attributes,
        event_name=names.EVENT_ALERT,
    )
    _logs.get_logger(names.SCOPE, _version()).emit(record)


def _emit_event(row: AlertRow, number: SeverityNumber, attributes: dict[str, str]) -> None:
    """The same by the interface that older releases have for events, and newer ones have no more."""
    event = importlib.import_module("opentelemetry._events").Event(
        names.EVENT_ALERT, row.at_ns, body=row.title, severity_number=number, attributes=attributes
    )
    provider = importlib.import_module("opentelemetry.sdk._events").EventLoggerProvider(_logs.get_logger_provider())
    provider.get_event_logger(names.SCOPE, _version()).emit(event)


@cache
def _older() -> bool:
    """Whether this is a release whose SDK takes no records of the API."""
    numbers = metadata.version("opentelemetry-api").split(".")[:2]
    return tuple(map(int, numbers)) < _FIRST


@cache
def _version() -> str:
    return metadata.version("otel-aicost")
