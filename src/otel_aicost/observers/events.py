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
    try:
        record = _logs.LogRecord(
            timestamp=row.at_ns,
            severity_number=number,
            severity_text=row.severity,
            body=row.title,
            attributes=attributes,
            event_name=names.EVENT_ALERT,
        )
    except TypeError:  # in older releases events had an interface of their own
        events = importlib.import_module("opentelemetry._events")
        event = events.Event(
            names.EVENT_ALERT, row.at_ns, body=row.title, severity_number=number, attributes=attributes
        )
        events.get_event_logger(names.SCOPE, _version()).emit(event)
    else:
        _logs.get_logger(names.SCOPE, _version()).emit(record)


@cache
def _version() -> str:
    return metadata.version("otel-aicost")
