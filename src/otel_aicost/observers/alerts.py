"""What a process does with an alert that it raised: a log line, an OpenTelemetry event, and the sender is woken."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from otel_aicost import faults
from otel_aicost.alerts.of_budgets import blocked_alert, budget_alert, call_alert
from otel_aicost.ledger.alerts import raise_alert
from otel_aicost.observers.events import emit
from otel_aicost.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.alerts.alert import AlertRow
    from otel_aicost.budgets.budget import Line
    from otel_aicost.errors import BudgetExceeded
    from otel_aicost.ledger.balances import Alert, Settlement
    from otel_aicost.ledger.fleet import Fleet
    from otel_aicost.ledger.store import Connection
    from otel_aicost.ledger.visits import Visits
    from otel_aicost.ledger.writer import Writer
    from otel_aicost.model import Record
    from otel_aicost.observers.plans import Plans
    from otel_aicost.observers.watch import Watch

REMEMBERED: Final = 10_000
"""Alerts of single calls that this process remembers; past that it asks the ledger again, which says each once."""


class AlertObserver:
    """The alerts of this process. They are announced in a thread of its own: a log handler may take its time."""

    def __init__(self, plans: Plans, writer: Writer | Fleet | None, visits: Visits | None = None) -> None:
        """`visits` are those to the ledger of `writer`, needed where the file has a section `alerts:`."""
        self._plans = plans
        self._writer = writer
        self._said: set[str] = set()
        self._worker: Worker[AlertRow] = Worker("aicost-announcements", self._tell)
        self._watch = None if visits is None else _watch(visits, plans, self.announce)
        if writer is not None:
            writer.alert = self.reached

    def announce(self, row: AlertRow) -> None:
        """Say what was raised just now, by this process; a microsecond, from anywhere."""
        self._worker.put(row)

    def reached(self, alert: Alert) -> None:
        """A share of a limit was reached, and this process has put its alert into the ledger."""
        self.announce(budget_alert(alert, time.time_ns()))

    def blocked(self, refused: BudgetExceeded, at_ns: int) -> None:
        """A call was not sent at `at_ns`: raise the alert of its window in the background, the first time."""
        budget = next((each for each in self._plans.now().budgets if each.name == refused.budget), None)
        if budget is None:
            return
        self._raise_once(blocked_alert(budget, refused, at_ns))

    def passed(self, line: Line, at_ns: int) -> None:
        """A call that began at `at_ns` took more than a budget of single calls allows."""
        try:
            self._raise_once(call_alert(line, at_ns))
        except Exception as error:  # noqa: BLE001 - the call is to be settled whatever its alert is like
            faults.report("alerts", error)

    def after(self, record: Record, settlement: Settlement | None) -> None:
        """Begin to watch with the first call."""
        if self._watch is not None:
            self._watch.after(record, settlement)

    def flush(self, timeout: float) -> bool:
        """Wait until all is announced."""
        return self._worker.flush(timeout)

    def close(self, timeout: float) -> bool:
        """As `flush`, and end what watches."""
        until = time.monotonic() + timeout
        done = self._worker.close(timeout)
        if self._watch is not None:
            self._watch.close(max(0.1, until - time.monotonic()))
        return done

    def _raise_once(self, row: AlertRow) -> None:
        if row.fingerprint in self._said:
            return
        if len(self._said) >= REMEMBERED:
            self._said = set()
        self._said.add(row.fingerprint)
        if self._writer is None:
            self.announce(row)
        else:
            self._writer.later(lambda connection: self._raise(connection, row))

    def _raise(self, connection: Connection, row: AlertRow) -> None:
        if raise_alert(connection, row):
            self.announce(row)

    def _tell(self, rows: list[AlertRow]) -> None:
        for row in rows:
            # Somebody asked to be told of just that share of a budget: it must not need a log level to be seen.
            loud = row.severity != "info" or row.budget is not None
            faults.LOGGER.log(logging.WARNING if loud else logging.INFO, "otel-aicost: %s", row.title)
            try:
                emit(row)
            except Exception as error:  # noqa: BLE001 - a provider of the application's may do anything
                faults.report("alert event", error)
        if self._watch is not None:
            self._watch.wake()


def _watch(visits: Visits, plans: Plans, announce: Callable[[AlertRow], None]) -> Watch:
    from otel_aicost.observers.watch import Watch  # noqa: PLC0415 - only where the file has the section

    return Watch(visits, lambda: plans.now().alerts, announce)
