"""What a process does with its alerts: one line, one OpenTelemetry event, whoever raised it; and nothing for others."""

from __future__ import annotations

import logging
import sqlite3
import sys
import threading
from contextlib import closing
from decimal import Decimal
from types import ModuleType

import pytest
from opentelemetry import _logs
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from alerts.raised import NOW, reached
from budgets.lines import line, taking
from otel_aicost import faults, names
from otel_aicost.alerts.alert import alert
from otel_aicost.budgets.budget import Budget, Limits, Plan
from otel_aicost.budgets.window import Period
from otel_aicost.errors import BudgetExceeded
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.writer import Writer
from otel_aicost.observers import events
from otel_aicost.observers.alerts import AlertObserver
from otel_aicost.observers.plans import Plans
from records import record

DAILY = Budget("b", Period("day"), Limits(10), per=("user",), on_exceed="block")


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def rows(ledger):
    def ask():
        with closing(sqlite3.connect(ledger, timeout=10)) as connection:
            return connection.execute("SELECT kind, key, window_id FROM alerts ORDER BY at_ns, id").fetchall()

    return ask


@pytest.fixture
def observe(ledger):
    """Make the alerts of a process, with a writer of its own; `wait` is until all is written and said."""
    made = []

    def make(*budgets, written=True):
        writer = Writer.of_file(ledger) if written else None
        alerts = AlertObserver(Plans(None, lambda: (Plan(budgets), [])), writer)
        made.append((alerts, writer))
        alerts.wait = lambda: (writer is None or writer.flush(10)) and alerts.flush(10)
        return alerts

    yield make
    for alerts, writer in made:
        if writer is not None:
            writer.close(10)
        alerts.close(10)


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.DEBUG, "otel_aicost")
    return lambda: [(entry.levelname, entry.getMessage()) for entry in caplog.records if entry.name == "otel_aicost"]


@pytest.fixture
def emitted(monkeypatch):
    """The events that the application's provider got."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    monkeypatch.setattr(_logs._internal, "_LOGGER_PROVIDER", provider)
    yield lambda: [each.log_record for each in exporter.get_finished_logs()]
    provider.shutdown()


def refused(budget="b", key="alice"):
    return BudgetExceeded(f"budget {budget} of {key}: all is spent", budget=budget, key=key, spent=Decimal(10))


@pytest.mark.parametrize(
    ("share", "number"),
    [
        ("0.5", SeverityNumber.INFO),
        ("0.8", SeverityNumber.WARN),
        ("1", SeverityNumber.ERROR),
    ],
)
def test_an_alert_is_one_line_and_one_event(observe, said, emitted, share, number):
    """The line is its title; the event has its kind, severity and budget as attributes."""
    row = reached(share)
    alerts = observe()
    alerts.announce(row)
    assert alerts.wait()
    assert said() == [("WARNING", f"otel-aicost: {row.title}")]
    (event,) = emitted()
    assert (event.event_name, event.body, event.severity_number) == ("aicost.alert", row.title, number)
    assert (event.timestamp, event.severity_text) == (NOW, row.severity)
    assert dict(event.attributes) == {
        "aicost.alert.kind": row.kind,
        "aicost.alert.severity": row.severity,
        "aicost.alert.id": row.id,
        "aicost.budget.name": "user-day",
        "aicost.budget.key": "alice",
        "aicost.budget.window": "2026-11-21",
    }


def test_what_nobody_asked_for_by_name_is_as_loud_as_it_is_bad(observe, said):
    """A summary is for information, a spike is a warning."""
    alerts = observe()
    for severity in ("info", "warning", "critical"):
        alerts.announce(alert("spend_spike", severity, severity, once=(severity,), at_ns=NOW, details={}))
    assert alerts.wait()
    assert [level for level, _ in said()] == ["INFO", "WARNING", "WARNING"]


def test_a_budget_without_keys_has_no_key_in_its_event(observe, emitted):
    """An attribute that says nothing is not there."""
    alerts = observe()
    alerts.announce(reached("1", key=""))
    assert alerts.wait()
    assert names.AICOST_BUDGET_KEY not in emitted()[0].attributes


def test_without_a_provider_there_is_only_the_line(observe, said):
    """The API's placeholder takes it, and nothing happens."""
    alerts = observe()
    alerts.announce(reached("1"))
    assert alerts.wait()
    assert len(said()) == 1
    assert faults.counts() == {}


def test_a_provider_that_fails_does_not_take_the_next_alert(observe, said, monkeypatch):
    """Its error is counted, and each alert has its line."""

    def fail(_row):
        raise RuntimeError

    monkeypatch.setattr("otel_aicost.observers.alerts.emit", fail)
    alerts = observe()
    alerts.announce(reached("0.8"))
    alerts.announce(reached("0.9"))
    assert alerts.wait()
    assert faults.counts() == {"alert event": 2}
    assert len([1 for _, text in said() if "user-day" in text]) == 2


def test_a_provider_that_hangs_holds_nobody_up(observe, monkeypatch):
    """Neither the call that raised it nor the writer of the ledger waits for the announcement."""
    release, begun = threading.Event(), threading.Event()

    def hang(_row):
        begun.set()
        release.wait(30)

    monkeypatch.setattr("otel_aicost.observers.alerts.emit", hang)
    alerts = observe(DAILY)
    try:
        alerts.blocked(refused(), NOW)
        assert begun.wait(10)
        alerts.blocked(refused(key="bob"), NOW)
        assert alerts._writer.flush(10)
        assert not alerts.flush(0.01)
    finally:
        release.set()
    assert alerts.wait()


def test_an_older_sdk_has_events_of_its_own(monkeypatch, emitted):
    """Before 1.37 the SDK took no records of the API, and events were made by another interface."""
    got = []

    class Event:
        def __init__(self, name, timestamp=None, **told):
            self.told = (
                name,
                timestamp,
                told["body"],
                told["severity_number"],
                told["attributes"]["aicost.alert.kind"],
            )

    class EventLoggerProvider:
        def __init__(self, provider):
            assert provider is _logs.get_logger_provider()

        def get_event_logger(self, *_):
            return self

        def emit(self, event):
            got.append(event.told)

    ours, theirs = ModuleType("opentelemetry._events"), ModuleType("opentelemetry.sdk._events")
    ours.Event, theirs.EventLoggerProvider = Event, EventLoggerProvider
    monkeypatch.setitem(sys.modules, "opentelemetry._events", ours)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk._events", theirs)
    monkeypatch.setattr(events, "_older", lambda: True)
    row = reached("0.8")
    events.emit(row)
    assert got == [("aicost.alert", NOW, row.title, SeverityNumber.WARN, "threshold_reached")]
    assert emitted() == []


@pytest.mark.parametrize(
    ("version", "older"), [("1.30.0", True), ("1.36.9", True), ("1.37.0", False), ("2.0.0rc1", False)]
)
def test_the_release_decides(monkeypatch, version, older):
    """By its first two numbers."""
    monkeypatch.setattr(events.metadata, "version", lambda _: version)
    assert events._older.__wrapped__() is older


def test_a_threshold_is_raised_with_the_call_that_reached_it(observe, rows, said):
    """The row is in the ledger with the balance; a line comes of it once."""
    alerts = observe()
    one = line(limit=10, name="b", key="alice", alert_at=(Decimal("0.5"), Decimal(1)))
    for nano in (4, 1, 1, 4, 9):
        alerts._writer.put(record(), Settlement(None, (taking(one, nano),)))
        assert alerts.wait()
    assert [kind for kind, *_ in sorted(rows())] == ["budget_exceeded", "threshold_reached"]
    assert [level for level, _ in said()] == ["WARNING", "WARNING"]


def test_another_process_that_settles_says_nothing(observe, rows, said):
    """Whoever is first raises it; here the window was emptied of what was said, and the alert is still there."""
    one = line(limit=10, name="b")
    first, second = observe(), observe()
    first._writer.put(record(), Settlement(None, (taking(one, 10),)))
    assert first.wait()
    with closing(sqlite3.connect(first._writer.name)) as connection, connection:
        connection.execute("UPDATE budget_windows SET alerted = '0'")
    second._writer.put(record(), Settlement(None, (taking(one, 10),)))
    assert second.wait()
    assert len(rows()) == len(said()) == 1


def test_a_blocked_call_is_said_once_a_window(observe, rows, said, ledger):
    """However many are blocked, in however many processes; another key or day is another alert."""
    alerts = observe(DAILY)
    for _ in range(50):
        alerts.blocked(refused(), NOW)
    assert alerts.wait()
    other = observe(DAILY)
    other.blocked(refused(), NOW)
    assert other.wait()
    assert rows() == [("call_blocked", "alice", "2026-11-21")]
    assert said() == [("WARNING", "otel-aicost: A call was blocked by budget b of alice: all is spent")]
    alerts.blocked(refused(key="bob"), NOW)
    alerts.blocked(refused(), NOW + 86_400 * 10**9)
    assert alerts.wait()
    assert sorted(rows()) == [
        ("call_blocked", "alice", "2026-11-21"),
        ("call_blocked", "alice", "2026-11-22"),
        ("call_blocked", "bob", "2026-11-21"),
    ]


def test_a_call_that_took_too_much_is_said_once_a_day(observe, rows, said):
    """However many do, in however many processes."""
    one = line(20, limit=10, name="one-call", period=Period("call"))
    for alerts in (observe(), observe()):
        for _ in range(3):
            alerts.passed(one, NOW)
        assert alerts.wait()
    assert rows() == [("budget_exceeded", "", "2026-11-21")]
    assert [text for _, text in said()] == [
        "otel-aicost: A call took more than budget one-call allows: 0.00000002 of 0.00000001 USD"
    ]


def test_an_alert_that_cannot_be_made_stops_no_settlement(observe, rows, monkeypatch):
    """The call and its balance are written, and the error is counted."""

    def fail(*_):
        raise OverflowError

    monkeypatch.setattr("otel_aicost.ledger.balances.budget_alert", fail)
    monkeypatch.setattr("otel_aicost.observers.alerts.call_alert", fail)
    alerts = observe()
    alerts._writer.put(record(), Settlement(None, (taking(line(limit=10), 10),)))
    alerts.passed(line(), NOW)
    assert alerts.wait()
    assert faults.counts() == {"alerts": 2}
    with closing(sqlite3.connect(alerts._writer.name)) as connection:
        assert connection.execute("SELECT spent_nano FROM budget_windows").fetchall() == [(10,)]
    assert rows() == []


def test_a_process_asks_the_ledger_once_a_window(observe, monkeypatch):
    """A loop that is blocked a thousand times a second costs the ledger nothing."""
    alerts = observe(DAILY)
    asked = []
    monkeypatch.setattr(alerts._writer, "later", asked.append)
    for _ in range(50):
        alerts.blocked(refused(), NOW)
    assert len(asked) == 1


def test_what_is_remembered_has_an_end(observe, monkeypatch, rows):
    """Many keys do not fill the memory; the ledger knows which were said."""
    monkeypatch.setattr("otel_aicost.observers.alerts.REMEMBERED", 3)
    alerts = observe(DAILY)
    for key in "abcdabcd":
        alerts.blocked(refused(key=key), NOW)
        assert len(alerts._said) <= 3
    assert alerts.wait()
    assert sorted(key for _, key, _ in rows()) == ["a", "b", "c", "d"]


def test_a_budget_that_is_gone_raises_nothing(observe, rows, said):
    """The file was changed between the call and its alert."""
    alerts = observe()
    alerts._writer.warm()
    alerts.blocked(refused(), NOW)
    assert alerts.wait()
    assert rows() == said() == []


def test_without_a_ledger_it_is_said_all_the_same(observe, said):
    """Once a window, in this process."""
    alerts = observe(DAILY, written=False)
    for _ in range(3):
        alerts.blocked(refused(), NOW)
    assert alerts.wait()
    assert len(said()) == 1
