"""What watches in the background: sends each message once, tries again, and is in nobody's way."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from alerts.raised import reached
from ledgers import write
from otel_aicost import faults
from otel_aicost.alerts.settings import AlertSettings, Channel
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import deliveries, watching
from otel_aicost.ledger.alerts import raise_alert
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.visits import Visits
from otel_aicost.model import Unpriced
from otel_aicost.observers import watch
from otel_aicost.observers.watch import Watch, send_due
from records import record
from webhook import SECRETS, Webhook

TESTS = Path(__file__).parents[1]


@pytest.fixture
def ledger(tmp_path):
    path = tmp_path / "ledger.db"
    FileStore(path).close()
    return path


@pytest.fixture
def hook():
    with Webhook() as hook:
        yield hook


@pytest.fixture
def raised(ledger):
    """Raise alerts as another process would: they are in the ledger, and nobody is told."""

    def put(*shares):
        rows = [replace(reached(share), at_ns=time.time_ns()) for share in shares]
        with closing(FileStore(ledger, 10)) as store, store.transaction() as connection:
            for row in rows:
                raise_alert(connection, row)
        return rows

    return put


@pytest.fixture
def look(ledger):
    def ask(sql):
        with closing(sqlite3.connect(ledger, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    return ask


@pytest.fixture
def watching_(ledger):
    """Watch, until the test ends."""
    made = []

    def start(settings, announce=lambda _: None):
        made.append(Watch(Visits(lambda: FileStore(ledger)), lambda: settings, announce))
        return made[-1]

    yield start
    for each in made:
        each.close(1)


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.005)
    assert found
    return found


def ops(hook, **told):
    return AlertSettings(channels=(Channel("ops", told.pop("severity", "warning"), url=hook.url),), **told)


def test_an_alert_is_sent_when_it_is_raised(watching_, hook, raised, look):
    """Whoever raised it; and noted as sent."""
    one = watching_(ops(hook))
    (row,) = raised("0.8")
    one.wake()
    until(lambda: look("SELECT 1 FROM deliveries WHERE sent_ns IS NOT NULL"))
    assert hook.titles == [f"[warning] {row.title}"]
    one.wake()
    assert one._worker.flush(10)
    assert len(hook.messages) == 1


def test_what_is_due_at_once_is_one_message(watching_, hook, raised, look):
    """A morning after a bad night is not a hundred mails."""
    raised("0.8", "0.9", "1", "0.5")
    one = watching_(ops(hook))
    one.wake()
    until(lambda: len(look("SELECT 1 FROM deliveries WHERE sent_ns IS NOT NULL")) == 3)
    assert hook.titles == ["3 alerts of otel-aicost, the worst is critical"]
    assert "has reached 50%" not in hook.messages[0]["message"]


def test_it_is_tried_again_until_it_arrives(watching_, hook, raised, look, monkeypatch, caplog):
    """500, then up: nothing is lost, and the error that is kept names the channel only."""
    monkeypatch.setattr(deliveries, "FIRST_PAUSE_NS", 1000)
    monkeypatch.setattr(deliveries, "LONGEST_PAUSE_NS", 1000)
    monkeypatch.setattr(watch, "_LEAST_PAUSE", 0.01)
    hook.status = 500
    raised("0.8")
    watching_(ops(hook)).wake()
    until(lambda: len(hook.asked) >= 3)
    ((error,),) = look("SELECT error FROM deliveries")
    assert error == "channel ops: it was not accepted (HTTP 500)"
    hook.status = 200
    until(lambda: look("SELECT 1 FROM deliveries WHERE sent_ns IS NOT NULL AND error IS NULL"))
    assert len(hook.messages) == 1
    said = [entry.getMessage() for entry in caplog.records if "not sent" in entry.getMessage()]
    assert said == [f"otel-aicost: an alert was not sent, and is tried again: {error}"]
    assert not any(
        secret in text
        for secret in SECRETS
        for text in (*said, *Path(look("PRAGMA database_list")[0][2]).read_bytes().decode("latin-1").splitlines())
    )


def test_a_channel_that_is_down_does_not_keep_the_others(watching_, hook, raised, look):
    """Each has its own queue."""
    with Webhook() as gone:
        url = gone.url
    raised("0.8")
    settings = AlertSettings(
        channels=(Channel("down", url=url), Channel("unset", url_env="NO_SUCH"), Channel("ops", url=hook.url))
    )
    watching_(settings).wake()
    until(lambda: len(look("SELECT 1 FROM deliveries WHERE error IS NOT NULL OR sent_ns IS NOT NULL")) == 3)
    assert len(hook.messages) == 1
    assert look("SELECT channel, error FROM deliveries WHERE error IS NOT NULL ORDER BY channel") == [
        ("down", "channel down: it cannot be reached, or does not answer"),
        ("unset", "channel unset: the variable NO_SUCH is not set or empty"),
    ]


def test_a_call_does_not_notice(watching_, hook, raised, look):
    """While a message hangs, waking and records are taken as ever, and the ledger can be written."""
    hook.open.clear()
    raised("0.8")
    one = watching_(ops(hook))
    one.wake()
    until(lambda: hook.asked)
    done = threading.Event()

    def work():
        for _ in range(100):
            one.wake()
            one.after(record(), None)
        raised("0.9", "1")
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert done.wait(30)
    assert look("SELECT sent_ns, error FROM deliveries") == [(None, None)]  # it hangs still
    hook.open.set()


def test_the_end_does_not_wait_for_a_message_that_hangs(watching_, hook, raised, look):
    """What has not arrived is sent by whoever comes after the lease."""
    hook.open.clear()
    raised("0.8")
    one = watching_(ops(hook))
    one.wake()
    until(lambda: hook.asked)
    one.close(10)
    assert look("SELECT sent_ns, error FROM deliveries") == [(None, None)]  # it hangs still


def test_after_the_end_nothing_begins(watching_, hook, raised, look):
    """Neither by a record nor by an alert."""
    one = watching_(ops(hook))
    one.close(1)
    raised("0.8")
    one.wake()
    one.after(record(), None)
    assert one._timer is None
    assert look("SELECT 1 FROM deliveries") == []


def unpriced(ledger):
    write(ledger, record(started_ns=time.time_ns(), cost=None, unpriced=Unpriced("unknown_model", "?")))


def test_it_looks_a_while_after_the_first_call(watching_, ledger, look, monkeypatch):
    """And announces what it raised; without a call there is no thread."""
    monkeypatch.setattr(watch, "FIRST_SECONDS", 0.01)
    unpriced(ledger)
    told = []
    one = watching_(AlertSettings(), told.append)
    assert one._worker._thread is None
    one.after(record(), None)
    until(lambda: told)
    assert [row.kind for row in told] == ["unpriced_calls"]
    assert look("SELECT kind FROM alerts") == [("unpriced_calls",)]


def test_it_looks_again_and_again(watching_, ledger, monkeypatch):
    """Every so often, also where the process makes no more calls."""
    monkeypatch.setattr(watch, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(watch, "EVERY_SECONDS", 0.05)
    monkeypatch.setattr(watch, "EARLY_SECONDS", 0.02)
    monkeypatch.setattr(watch, "_LEAST_PAUSE", 0.01)
    told = []
    watching_(AlertSettings(), told.append).after(record(), None)
    time.sleep(0.1)
    unpriced(ledger)
    until(lambda: told)


def test_one_process_of_a_ledger_looks(watching_, ledger, monkeypatch):
    """The others find it claimed, and only send."""
    monkeypatch.setattr(watch, "FIRST_SECONDS", 0.0)
    looks = []
    monkeypatch.setattr(watch.watching, "look", lambda *_: looks.append(1) or [])
    several = [watching_(AlertSettings()) for _ in range(5)]
    for one in several:
        one.after(record(), None)
    until(lambda: all(one._look_at > time.monotonic() + 60 for one in several))
    for one in several:
        assert one._worker.flush(10)
    assert looks == [1]


def test_a_ledger_that_does_not_answer_is_reported_and_tried_again(watching_, ledger, hook, raised, look, monkeypatch):
    """Nothing reaches the application."""
    monkeypatch.setattr(watch, "EVERY_SECONDS", 0.05)
    monkeypatch.setattr(watch, "_LEAST_PAUSE", 0.01)
    raised("0.8")
    with closing(sqlite3.connect(ledger, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        watching_(ops(hook)).wake()
        until(lambda: faults.counts().get("alerts"))
        blocker.execute("ROLLBACK")
    until(lambda: look("SELECT 1 FROM deliveries WHERE sent_ns IS NOT NULL"))


def test_a_section_that_was_taken_out_ends_the_watch(watching_, hook, raised, look):
    """The file is looked at again in each round."""
    raised("0.8")
    one = watching_(None)
    one.wake()
    assert one._worker.flush(10)
    assert look("SELECT 1 FROM deliveries") == []


SENDER = """
import sys
from functools import partial
from pathlib import Path
from otel_aicost.alerts.settings import AlertSettings, Channel
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.visits import Visits
from otel_aicost.observers.watch import send_due
visits = Visits(partial(FileStore, Path(sys.argv[1]), 10))
settings = AlertSettings(channels=(Channel("ops", url=sys.argv[2]),))
print("ready", flush=True)
sys.stdin.readline()
print(sum(send_due(visits, settings) for _ in range(5)))
"""


def child(code, *arguments, **environment):
    path = os.pathsep.join([str(TESTS), *(entry for entry in sys.path if entry)])
    return subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_several_processes_send_each_message_once(ledger, hook, raised, look):
    """All of them at the same moment."""
    children = [child(SENDER, ledger, hook.url) for _ in range(3)]
    for each in children:
        assert each.stdout.readline() == "ready\n"
    raised(*(f"0.{number}" for number in range(801, 821)))
    for each in children:
        each.stdin.write("\n")
        each.stdin.flush()
    told = [each.communicate(timeout=60) for each in children]
    assert [error for _, error in told] == ["", "", ""]
    assert sum(int(out) for out, _ in told) == 20
    said = "\n".join(message["title"] + message["message"] for message in hook.messages)
    for number in range(801, 821):
        assert said.count(f"{number / 10:g}% of its limit") == 1


def test_what_a_killed_process_had_taken_is_sent_by_another(ledger, hook, raised, look):
    """At the end of its lease: once at the least, and here once."""
    hook.open.clear()
    raised("0.8")
    killed = child(SENDER, ledger, hook.url)
    killed.stdin.write("\n")
    killed.stdin.flush()
    until(lambda: hook.asked)
    killed.kill()
    killed.communicate()
    hook.messages.clear()
    hook.open.set()
    visits = Visits(lambda: FileStore(ledger))
    assert send_due(visits, ops(hook)) == 0
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE deliveries SET next_ns = next_ns - ?", (deliveries.LEASE_NS,))
    assert send_due(visits, ops(hook)) == 1


PROGRAM = """
import os, sqlite3, sys, time
import otel_aicost
otel_aicost.instrument()
otel_aicost.record(provider="openai", model="gpt-4o", operation="chat", usage={"input_tokens": 4_000_000})
if len(sys.argv) > 1 and os.fork() == 0:
    otel_aicost.record(provider="openai", model="gpt-4o", operation="chat", usage={"input_tokens": 40_000_000})
    otel_aicost.flush()
    ledger, end = sqlite3.connect(os.environ["OTEL_AICOST_LEDGER"], timeout=10), time.monotonic() + 30
    while ledger.execute("SELECT count(*) FROM deliveries WHERE sent_ns > 0").fetchone()[0] < 2 and time.monotonic() < end:
        time.sleep(0.05)
    os._exit(0)
if len(sys.argv) > 1:
    os.wait()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"sqlalchemy", "click", "rich", "jsonschema", "apprise"}))
"""


def program(tmp_path, section, *arguments, **environment):
    file = tmp_path / "aicost.yaml"
    file.write_text(f"budgets:\n  - {{name: all, limit: 10 USD, period: forever, alert_at: [0.5, 5]}}\n{section}")
    return child(
        PROGRAM, *arguments, OTEL_AICOST_CONFIG=str(file), OTEL_AICOST_LEDGER=str(tmp_path / "l.db"), **environment
    ).communicate(timeout=120)


def test_a_short_program_sends_what_it_raised(tmp_path, hook):
    """At its end; and it has imported nothing that an instrumented program must not."""
    out, error = program(tmp_path, "alerts: {channels: [{name: ops, url_env: OPS, severity: info}]}\n", OPS=hook.url)
    assert hook.titles == ["[critical] Budget all is used up: 10.00 of 10.00 USD spent; it never resets"]
    assert out == "[]\n"
    assert not any(secret in error for secret in SECRETS)


def test_without_the_section_nothing_is_sent(tmp_path, hook):
    """The alert is in the ledger all the same."""
    program(tmp_path, "")
    assert hook.asked == []
    with closing(sqlite3.connect(tmp_path / "l.db")) as connection:
        assert connection.execute("SELECT kind FROM alerts").fetchall() == [("budget_exceeded",)]


def test_a_forked_child_sends_its_own(tmp_path, hook):
    """Its parent's thread is not in it; it begins one. What both raised arrives once, in one message or in two."""
    program(tmp_path, "alerts: {channels: [{name: ops, url_env: OPS}]}\n", "fork", OPS=hook.url)
    with closing(sqlite3.connect(tmp_path / "l.db")) as connection:
        assert connection.execute("SELECT count(*) FROM deliveries WHERE sent_ns IS NOT NULL").fetchone() == (2,)
    said = json.dumps(hook.messages)
    assert said.count("is used up") == 1
    assert said.count("500% of its limit") == 1


def test_visits_are_over_before_a_fork(ledger):
    """A look that takes long is ended: SQLite must not be open in two processes that share its memory."""
    visits = Visits(lambda: FileStore(ledger))
    begun, ended = threading.Event(), threading.Event()

    def work():
        try:
            with visits.visit() as store, store.reading() as connection:
                begun.set()
                connection.execute(
                    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
                ).fetchone()
        except LedgerError as error:
            ended.error = error
        ended.set()

    threading.Thread(target=work, daemon=True).start()
    assert begun.wait(10)
    time.sleep(0.05)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if visits._store is None else 7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert ended.wait(10)
    assert "interrupted" in str(ended.error)
    with visits.visit() as store, store.transaction() as connection:
        assert watching.claim(connection, 1, 2)
