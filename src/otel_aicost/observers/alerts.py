"""What a process does with an alert that it raised: a line in its log, an OpenTelemetry event, and the sender is woken."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from opentelemetry import _logs
from opentelemetry._logs import SeverityNumber

from otel_aicost import faults, names
from otel_aicost.alerts.of_budgets import blocked_alert, budget_alert
from otel_aicost.ledger.alerts import raise_alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_aicost.alerts.alert import AlertRow
    from otel_aicost.alerts.of_budgets import Crossing
    from otel_aicost.budgets.budget import Budget
    from otel_aicost.errors import BudgetExceeded
    from otel_aicost.ledger.alerts import Connection

REMEMBERED: Final = 10_000
"""Blocked calls whose alert this process remembers; past that it asks the ledger again, which says each once."""
_SEVERITIES: Final = {"info": SeverityNumber.INFO, "warning": SeverityNumber.WARN, "critical": SeverityNumber.ERROR}


class Announcer:
    """Announces alerts. Nothing it does may fail its caller, which is in the middle of something else."""

    def __init__(self, wake: Callable[[], None] | None = None) -> None:
        self.wake = wake
        """Called after each alert: there is something to send."""

    def announce(self, row: AlertRow) -> None:
        """Say what was raised just now, by this process."""
        level = faults.LOGGER.info if row.severity == "info" else faults.LOGGER.warning
        level("otel-aicost: %s", row.title)
        try:
            emit(row)
        except Exception as error:  # noqa: BLE001 - a provider of the application's may do anything
            faults.report("alert event", error)
        if self.wake is not None:
            self.wake()


class BudgetAlerts:
    """The alerts of the budgets of this process."""

    def __init__(
        self,
        budgets: Iterable[Budget],
        announcer: Announcer,
        later: Callable[[Callable[[Connection], object]], None] | None,
    ) -> None:
        """`later` does work in a transaction of its own in the background; `None` where there is no ledger."""
        self._budgets = {budget.name: budget for budget in budgets}
        self._announcer = announcer
        self._later = later
        self._said: set[str] = set()

    def reached(self, crossing: Crossing) -> None:
        """A threshold was reached, and its alert is in the ledger: by this process."""
        self._announcer.announce(budget_alert(crossing, time.time_ns()))

    def blocked(self, refused: BudgetExceeded, at_ns: int) -> None:
        """A call was not sent: raise the alert of its window in the background, unless this process has done so."""
        budget = self._budgets.get(refused.budget)
        if budget is None:
            return
        row = blocked_alert(budget, refused, at_ns)
        if row.fingerprint in self._said:
            return
        if len(self._said) >= REMEMBERED:
            self._said = set()
        self._said.add(row.fingerprint)
        if self._later is None:
            self._announcer.announce(row)
        else:
            self._later(lambda connection: self._raise(connection, row))

    def _raise(self, connection: Connection, row: AlertRow) -> None:
        if raise_alert(connection, row):
            self._announcer.announce(row)


def emit(row: AlertRow) -> None:
    """Give the alert as a log event to whatever LoggerProvider the application has."""
    attributes = {
        names.AICOST_ALERT_KIND: row.kind,
        names.AICOST_ALERT_SEVERITY: row.severity,
        names.AICOST_ALERT_ID: row.id,
        names.AICOST_BUDGET: row.budget,
        names.AICOST_BUDGET_KEY: row.key or None,
        names.AICOST_BUDGET_WINDOW: row.window_id,
    }
    told = {name: value for name, value in attributes.items() if value is not None}
    number = _SEVERITIES[row.severity]
    try:
        record = _logs.LogRecord(
            timestamp=row.at_ns,
            severity_number=number,
            severity_text=row.severity,
            body=row.title,
            attributes=told,
            event_name=names.EVENT_ALERT,
        )
    except TypeError:  # before 1.35 the events had an interface of their own
        from opentelemetry._events import Event, get_event_logger  # noqa: PLC0415

        event = Event(names.EVENT_ALERT, row.at_ns, body=row.title, severity_number=number, attributes=told)
        get_event_logger(names.SCOPE, version("otel-aicost")).emit(event)
    else:
        _logs.get_logger(names.SCOPE, version("otel-aicost")).emit(record)
