"""`aicost alerts`: what is listed, marked, checked and tried, with the exit codes it promises."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from dataclasses import replace

import pytest

from alerts.raised import reached
from ledgers import write
from otel_aicost.alerts.alert import alert
from otel_aicost.ledger.alerts import raise_alert, set_state
from otel_aicost.ledger.deliveries import LEASE_NS
from otel_aicost.ledger.store import FileStore
from otel_aicost.model import Unpriced
from otel_aicost.observers import watch
from records import record
from webhook import SECRETS, Webhook

NOW = time.time_ns()
HOUR = 3600 * 10**9


@pytest.fixture
def hook():
    with Webhook() as hook:
        yield hook


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """One without calls, where the settings say."""
    path = write(tmp_path / "ledger.db")
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(path))
    return path


@pytest.fixture
def rows(ledger):
    """An unread one of two hours ago, a read one, a resolved one."""
    found = [
        replace(reached("0.8"), at_ns=NOW - 2 * HOUR),
        replace(reached("1"), at_ns=NOW - 50 * HOUR),
        alert("spend_spike", "warning", "old", once=("1",), at_ns=NOW - 3 * HOUR, details={"hour": "h"}),
    ]
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        for row in found:
            raise_alert(connection, row)
        set_state(connection, [found[1].id], "read", NOW)
        set_state(connection, [found[2].id], "resolved", NOW)
    return found


@pytest.fixture
def section(tmp_path, monkeypatch):
    """Write aicost.yaml with this section."""

    def put(text):
        file = tmp_path / "aicost.yaml"
        file.write_text(text)
        monkeypatch.setenv("OTEL_AICOST_CONFIG", str(file))
        return file

    return put


def states(aicost):
    told = json.loads(aicost("alerts", "list", "--all", "--json").stdout)["alerts"]
    return {each["id"]: each["state"] for each in told}


def test_they_are_listed_unread_first(aicost, rows):
    """With the id to name them by, their age and their sentence; resolved ones only when asked for."""
    for arguments in (["alerts"], ["alerts", "list"]):
        result = aicost(*arguments)
        assert result.exit_code == 0, result.output
        lines = result.stdout.splitlines()[2:]
        assert [line.split()[:5] for line in lines] == [
            [rows[0].id[:8], "unread", "warning", "2", "h"],
            [rows[1].id[:8], "read", "critical", "2", "d"],
        ]
        assert lines[0].endswith(rows[0].title)
    assert len(aicost("alerts", "list", "--all").stdout.splitlines()) == 2 + 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--severity", "critical"], [1]),
        (["--kind", "spend_spike"], []),
        (["--kind", "spend_spike", "--all"], [2]),
        (["--budget", "user-day"], [0, 1]),
        (["--days", "1"], [0]),
        (["--days", "3"], [0, 1]),
        (["--limit", "1"], [0]),
    ],
)
def test_the_list_can_be_narrowed(aicost, rows, options, expected):
    """By severity (and worse), kind, budget, age and number."""
    told = json.loads(aicost("alerts", "list", "--json", *options).stdout)["alerts"]
    assert [each["id"] for each in told] == [rows[index].id for index in expected]


def test_json_has_everything(aicost, rows, ledger):
    """The details, and what became of its messages."""
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        connection.execute(
            "INSERT INTO deliveries VALUES (?, 'ops', 2, ?, NULL, 'channel ops: down')", (rows[0].id, NOW)
        )
    first = json.loads(aicost("alerts", "--json").stdout)["alerts"][0]
    assert first["details"]["spent"] == "40.00"
    assert (first["budget"], first["key"], first["window"], first["kind"]) == (
        "user-day", "alice", "2026-11-21", "threshold_reached",
    )  # fmt: skip
    (delivery,) = first["deliveries"]
    assert (delivery["channel"], delivery["attempts"], delivery["sent_at"], delivery["error"]) == (
        "ops", 2, None, "channel ops: down",
    )  # fmt: skip
    assert first["at"].endswith("+00:00")


def test_a_ledger_without_alerts_says_so(aicost, ledger):
    """That is no error."""
    result = aicost("alerts")
    assert (result.exit_code, result.stdout.split(":")[0]) == (0, "There is no such alert")
    assert json.loads(aicost("alerts", "--json").stdout) == {"alerts": []}


def test_they_are_read_and_resolved(aicost, rows):
    """By the beginning of an id, or all."""
    first = rows[0].id
    assert aicost("alerts", "read", first[:8]).stdout == "1 alert read\n"
    assert states(aicost)[first] == "read"
    assert aicost("alerts", "read", first).stdout == "0 alerts read\n"
    assert aicost("alerts", "resolve", first[:10], rows[1].id).stdout == "2 alerts resolved\n"
    assert set(states(aicost).values()) == {"resolved"}
    assert aicost("alerts", "read", "--all").stdout == "0 alerts read\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["read"], "name alerts by their ids, or all of them with --all"),
        (["resolve"], "name alerts by their ids, or all of them with --all"),
        (["read", "--all", "0123456789"], "name alerts by their ids, or all of them with --all"),
        (["read", "0123456789"], "'0123456789' stands for no alert"),
        (["resolve", "abc"], "'abc' is no id of an alert"),
    ],
)
def test_what_is_not_there_is_wrong_usage(aicost, rows, arguments, said):
    """And nothing is changed."""
    before = states(aicost)
    result = aicost("alerts", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert states(aicost) == before


@pytest.mark.parametrize("command", [["list"], ["read", "--all"], ["resolve", "--all"], ["check"]])
def test_no_ledger_is_made(aicost, tmp_path, command):
    """Exit code 3, as with every command."""
    missing = tmp_path / "nowhere.db"
    assert aicost("alerts", *command, "--ledger", missing).exit_code == 3
    assert not missing.exists()


def test_check_says_what_is_new_and_sends_it(aicost, ledger, section, hook):
    """Once: the next check is quiet, which is what cron wants."""
    section(f"alerts: {{channels: [{{name: ops, url: '{hook.url}'}}]}}")
    write(ledger, record(started_ns=time.time_ns(), cost=None, unpriced=Unpriced("unknown_model", "?")))
    first = aicost("alerts", "check")
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout.startswith("warning: 1 call to openai/gpt-4o-2024-08-06 on ")
    assert len(hook.messages) == 1
    second = aicost("alerts", "check")
    assert (second.exit_code, second.stdout, second.stderr) == (0, "", "")
    assert len(hook.messages) == 1


def test_check_needs_no_section(aicost, ledger, section):
    """Without one the defaults hold: calls without a price, and old prices."""
    section("budgets: []")
    write(ledger, record(started_ns=time.time_ns(), cost=None, unpriced=Unpriced("unknown_model", "?")))
    assert aicost("alerts", "check").stdout.startswith("warning: 1 call to")


def test_check_fails_when_a_message_does_not_arrive(aicost, rows, section, hook, ledger):
    """Exit code 1, and the channel named; the next check sends it."""
    file = section(f"alerts: {{channels: [{{name: ops, url: '{hook.url}'}}]}}")
    hook.status = 500
    failed = aicost("alerts", "check", "--config", file)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr == "aicost: channel ops: it was not accepted (HTTP 500)\n"
    hook.status = 200
    assert aicost("alerts", "check").exit_code == 0
    assert hook.messages == []  # its pause is not over
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        connection.execute("UPDATE deliveries SET next_ns = next_ns - ?", (LEASE_NS,))
    assert aicost("alerts", "check").exit_code == 0
    assert len(hook.messages) == 1


def test_check_tells_every_mistake_of_the_file(aicost, ledger, section):
    """Exit code 1; nothing of what may be a secret is shown."""
    file = section("alerts: {channels: [{name: ops, url: tr0ub4dor}], spend_spike: {times: 0}}")
    result = aicost("alerts", "check")
    assert result.exit_code == 1
    assert f"{file}:1: alerts.channels[0].url: " in result.stderr
    assert f"{file}:1: alerts.spend_spike.times: " in result.stderr
    assert "tr0ub4dor" not in result.output


def test_a_channel_is_tried(aicost, section, hook):
    """Without a ledger; the message says what it is."""
    section(f"alerts: {{channels: [{{name: ops, url: '{hook.url}', severity: critical}}]}}")
    result = aicost("alerts", "test", "ops")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("channel ops: a test message was accepted after ")
    assert hook.titles == ["This is a test of the channel ops: alerts of otel-aicost arrive here"]


def test_a_channel_that_does_not_work_is_said(aicost, section, hook, monkeypatch):
    """Exit code 1 and why, and not a word of its URL."""
    hook.status = 403
    section("alerts: {channels: [{name: ops, url_env: OPS_URL}]}")
    result = aicost("alerts", "test", "ops")
    assert (result.exit_code, result.stderr) == (1, "aicost: channel ops: the variable OPS_URL is not set or empty\n")
    monkeypatch.setenv("OPS_URL", hook.url)
    result = aicost("alerts", "test", "ops")
    assert (result.exit_code, result.stderr) == (1, "aicost: channel ops: it was not accepted (HTTP 403)\n")
    assert not any(secret in result.output for secret in SECRETS)


def test_a_channel_that_is_none_is_wrong_usage(aicost, section):
    """With the names there are."""
    section("alerts: {channels: [{name: ops, url_env: A}, {name: mail, url_env: B}]}")
    result = aicost("alerts", "test", "opps")
    assert result.exit_code == 2
    assert "there is no channel 'opps'; the channels are ops, mail" in result.stderr
    section("budgets: []")
    assert "aicost.yaml has none" in aicost("alerts", "test", "ops").stderr


def test_a_process_of_its_own_ends_with_a_message_that_hangs(process, section, hook, ledger, rows):
    """No thread that still waits keeps the command from its end."""
    section(f"alerts: {{channels: [{{name: ops, url: '{hook.url}'}}]}}")
    hook.open.clear()
    started = process(
        "alerts", "check", env={name: os.environ[name] for name in ("OTEL_AICOST_CONFIG", "OTEL_AICOST_LEDGER")}
    )
    _, stderr = started.communicate(timeout=watch.SECONDS + 30)
    assert started.returncode == 1
    assert stderr.decode() == "aicost: channel ops: it cannot be reached, or does not answer\n"


@pytest.fixture
def foreign(ledger):
    """One that Alertmanager sent."""
    row = alert(
        "KubeDown", "critical", "a node is gone", once=("alertmanager", "9a", "1"), at_ns=NOW - HOUR, details={}
    )
    row = replace(row, source="alertmanager")
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        raise_alert(connection, row)
    return row


def test_those_of_alertmanager_are_listed_with_their_name(aicost, rows, foreign):
    """They are marked as from there, and can be read and resolved as ours can."""
    assert "KubeDown: a node is gone" in aicost("alerts").stdout
    told = json.loads(aicost("alerts", "list", "--json").stdout)["alerts"]
    assert {each["kind"]: each["source"] for each in told} == {
        "threshold_reached": "aicost", "budget_exceeded": "aicost", "KubeDown": "alertmanager",
    }  # fmt: skip
    only = json.loads(aicost("alerts", "list", "--kind", "KubeDown", "--json").stdout)["alerts"]
    assert [each["id"] for each in only] == [foreign.id]
    assert aicost("alerts", "resolve", foreign.id[:8]).exit_code == 0
    assert states(aicost)[foreign.id] == "resolved"


def test_a_kind_that_nobody_has_is_refused(aicost, rows, foreign):
    """It is misspelt; the kinds of ours and those there are are told."""
    result = aicost("alerts", "list", "--kind", "KubeDwn")
    assert result.exit_code == 2
    assert "there is no alert of kind 'KubeDwn'; the kinds are KubeDown, budget_exceeded, call_blocked" in result.stderr
    assert aicost("alerts", "list", "--kind", "stale_prices").exit_code == 0
