"""`aicost ledger`: verify, migrate, prune, backup, info."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from budgets.lines import line, settle, taking
from ledgers import SAMPLE_TOTAL, at, sample, write
from otel_aicost.budgets.window import Window
from otel_aicost.ledger import schema
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer
from records import record

COMMANDS = (
    ["info"],
    ["verify"],
    ["verify", "--repair"],
    ["migrate"],
    ["prune", "--keep-days", "1"],
    ["backup", "copy.db"],
)
OLD = Window("2020-01-01", 1_577_836_800, 1_577_923_200)


@pytest.fixture
def spent(ledger):
    """The sample, and a budget with a window of long ago and one that never ends."""
    writer = Writer.of_file(ledger)
    for number, window in enumerate((OLD, Window("forever", None, None))):
        settle(writer, f"c{number}", taking(line(limit=10**12, window=window), 6_250_000, 2500))
    assert writer.close(10)
    return ledger


def _alter(path, sql):
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        assert raw.execute(sql).rowcount > 0


def _total(aicost):
    return json.loads(aicost("report", "--since", "2020-01-01", "--format", "json").stdout)["total"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_ledger(aicost, tmp_path, monkeypatch, command):
    """Without a ledger: exit code 3, and no file is made."""
    monkeypatch.chdir(tmp_path)
    result = aicost("ledger", *command, "--ledger", tmp_path / "none" / "ledger.db")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "there is no ledger at" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_file_of_another_program(aicost, tmp_path, monkeypatch, command):
    """Another program's database: exit code 3, and not a byte of it is changed."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE songs (title TEXT)")
    before = path.read_bytes()
    result = aicost("ledger", *command, "--ledger", path)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "another program" in result.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_newer_ledger(aicost, ledger, tmp_path, monkeypatch, command):
    """A ledger of a newer version is left as it is."""
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect(ledger)) as raw:
        raw.execute("PRAGMA user_version = 99")
    result = aicost("ledger", *command)
    assert result.exit_code == 3
    assert "newer otel-aicost" in result.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["prune", "--before", "soon"], "is not a date"),
        (["prune", "--before", "2199-01-01"], "is in the future"),
        (["prune", "--before", "2026-01-01", "--keep-days", "3"], "--before goes without --keep-days"),
        (["prune", "--keep-days", "0"], "--keep-days"),
        (["backup"], "Missing argument 'FILE'"),
        (["verify", "ledger.db"], "unexpected extra argument"),
        (["mend"], "No such command"),
    ],
)
def test_misuse(aicost, ledger, command, said):
    """Wrong usage is one line and exit code 2."""
    result = aicost("ledger", *command)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


# --- verify --------------------------------------------------------------------------------------------------------


def test_all_agrees(aicost, spent):
    """A ledger that agrees with itself: what was checked, exit code 0."""
    result = aicost("ledger", "verify")
    assert result.exit_code == 0, result.output
    assert result.stdout == "checked 2 windows, 2 entries, 0 reservations, 12 calls, 0 daily totals: all agrees\n"
    assert json.loads(aicost("ledger", "verify", "--json").stdout)["findings"] == []


def test_what_differs_is_said_and_mended(aicost, spent):
    """A balance that differs: where, with both amounts, exit code 1; --repair mends it, and leaves an event."""
    _alter(spent, "UPDATE budget_windows SET spent_nano = 7, reserved_tokens = 3 WHERE window_id = 'forever'")
    result = aicost("ledger", "verify")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "WRONG: balance: b forever: the ledger says 0.000000007 USD, 2500 tokens, 1 call, it should be 0.00625 USD, 2500 tokens, 1 call",
        "WRONG: reserved: b forever: the ledger says 0.00 USD, 3 tokens, 0 calls, it should be 0.00 USD, 0 tokens, 0 calls",
        "checked 2 windows, 2 entries, 0 reservations, 12 calls, 0 daily totals: 2 differences",
    ]
    told = json.loads(aicost("ledger", "verify", "--json").stdout)
    assert (told["wrong"], told["findings"][0]["stored"]) == (2, "0.000000007 USD, 2500 tokens, 1 call")
    mended = aicost("ledger", "verify", "--repair")
    assert mended.exit_code == 0, mended.output
    assert "2 balances were written anew" in mended.stdout
    assert aicost("ledger", "verify").exit_code == 0
    events = json.loads(aicost("budgets", "history", "b", "--json").stdout)["events"]
    assert {event["kind"] for event in events} == {"balance_repaired"}
    assert "forever: 0.000000007 USD, 2500 tokens, 1 call spent" in {event["was"] for event in events}


def test_a_call_that_was_changed_is_not_repaired(aicost, spent):
    """Calls are never changed: that one costs something else than was entered stays a finding."""
    _alter(spent, "UPDATE calls SET cost_nano = 1 WHERE id = 'c1'")
    assert aicost("ledger", "verify", "--repair").exit_code == 1
    assert "0.000000001 USD" in aicost("ledger", "verify").stdout


# --- migrate -------------------------------------------------------------------------------------------------------


def _of_version_1(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for statement in schema.MIGRATIONS[0]:
            raw.execute(statement)
        raw.execute("PRAGMA user_version = 1")
    return path


def test_an_older_ledger_is_brought_up_to_date(aicost, tmp_path):
    """From which version to which; a second time there is nothing to do."""
    path = _of_version_1(tmp_path / "old.db")
    result = aicost("ledger", "migrate", "--ledger", path)
    assert (result.exit_code, result.stdout) == (0, f"{path}: from schema 1 to {schema.VERSION}\n")
    again = aicost("ledger", "migrate", "--ledger", path)
    assert (again.exit_code, again.stdout) == (0, f"{path}: schema {schema.VERSION}, nothing to do\n")
    assert aicost("ledger", "verify", "--ledger", path).exit_code == 0


@pytest.mark.parametrize(
    "command",
    [["budgets", "set", "b", "3"], ["ledger", "verify"], ["ledger", "prune", "--keep-days", "1"], ["budgets"]],
)
def test_nothing_else_migrates(aicost, tmp_path, command):
    """Every other command says what to do about an older ledger, and leaves it as it is."""
    path = _of_version_1(tmp_path / "old.db")
    result = aicost(*command, "--ledger", path)
    assert result.exit_code == 3
    assert "`aicost ledger migrate`" in result.stderr
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (1,)


# --- prune ---------------------------------------------------------------------------------------------------------


def test_reports_say_the_same_after_pruning(aicost, spent):
    """Calls become daily totals, ended windows go, and no total changes; a dry run changes nothing."""
    before = _total(aicost)
    told = "before 2026-11-20: 7 calls, 1 budget windows with 1 entries, 0 alerts, 0 processes"
    dry = aicost("ledger", "prune", "--before", "2026-11-20", "--dry-run")
    assert (dry.exit_code, dry.stdout) == (0, f"{told}; nothing was changed\n")
    assert json.loads(aicost("ledger", "info", "--json").stdout)["rows"]["calls"] == 12
    done = aicost("ledger", "prune", "--before", "2026-11-20", "--vacuum")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == f"pruned {told}"
    rows = json.loads(aicost("ledger", "info", "--json").stdout)["rows"]
    assert (rows["calls"], rows["budget_windows"], rows["budget_entries"]) == (5, 1, 1)
    assert _total(aicost) == before
    assert Decimal(before["cost_usd"]) == SAMPLE_TOTAL + Decimal("0.0125")
    assert aicost("ledger", "verify").exit_code == 0


def test_days_to_keep(aicost, tmp_path, monkeypatch):
    """--keep-days, or OTEL_AICOST_RETENTION_DAYS: what is younger stays; of 0 days nothing is pruned without being asked."""
    days = [datetime.now(UTC) - timedelta(days=number) for number in (1, 5, 15)]
    path = write(tmp_path / "ledger.db", *(record(started_ns=int(day.timestamp()) * 10**9) for day in days))
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(path))
    assert ": 1 calls" in aicost("ledger", "prune", "--keep-days", "6", "--dry-run").stdout
    assert ": 0 calls" in aicost("ledger", "prune", "--dry-run").stdout
    monkeypatch.setenv("OTEL_AICOST_RETENTION_DAYS", "3")
    assert ": 2 calls" in aicost("ledger", "prune", "--dry-run").stdout
    monkeypatch.setenv("OTEL_AICOST_RETENTION_DAYS", "0")
    result = aicost("ledger", "prune", "--dry-run")
    assert result.exit_code == 2
    assert "every call is kept" in result.stderr


def test_an_interrupt_while_pruning(tmp_path, process):
    """Ctrl-C between two steps: exit code 130, what was done is done, and every total is as it was."""
    path = write(tmp_path / "ledger.db", *(record(started_ns=at("2020-01-01") + number) for number in range(3000)))
    with closing(FileStore(path)) as blocking:
        blocking.connection.execute("BEGIN IMMEDIATE")
        started = process("ledger", "prune", "--ledger", path)
        while not any("ledger.db" in file for file in _open_files(started.pid)):
            assert started.poll() is None
            time.sleep(0.01)
        time.sleep(0.3)
        started.send_signal(signal.SIGINT)
        blocking.connection.execute("ROLLBACK")
    errors = started.communicate(timeout=60)[1]
    assert started.returncode == 130
    assert b"Traceback" not in errors
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT sum(calls), sum(cost_nano) FROM spend").fetchone() == (3000, 3000 * 6_250_000)
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _open_files(pid):
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(link.readlink())


def test_a_ledger_that_is_in_use_is_no_crash(aicost, spent, monkeypatch):
    """While another program holds the write lock for good, writing commands end with one line and exit code 3."""
    monkeypatch.setattr("otel_aicost.ledger.opening.BUSY_SECONDS", 0.05)
    with closing(FileStore(spent)) as blocking:
        blocking.connection.execute("BEGIN IMMEDIATE")
        for command in (
            ["ledger", "prune", "--before", "2026-11-20"],
            ["ledger", "verify", "--repair"],
            ["budgets", "set", "b", "3"],
        ):
            result = aicost(*command)
            assert result.exit_code == 3
            assert "locked" in result.stderr
            assert result.stderr.count("\n") == 1
        assert aicost("ledger", "verify").exit_code == 0


# --- backup and info -----------------------------------------------------------------------------------------------


def test_a_backup(aicost, ledger, tmp_path, monkeypatch):
    """A copy that can be read like the ledger, private, and not written over without being asked."""
    monkeypatch.chdir(tmp_path)
    result = aicost("ledger", "backup", "copy.db")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("copy.db: 10 calls, ")
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    again = aicost("ledger", "backup", "copy.db")
    assert again.exit_code == 1
    assert "--force" in again.stderr
    assert aicost("ledger", "backup", "copy.db", "--force").exit_code == 0
    assert (
        Decimal(
            json.loads(aicost("report", "--days", "9999", "--format", "json", "--ledger", "copy.db").stdout)["total"][
                "cost_usd"
            ]
        )
        == SAMPLE_TOTAL
    )


def test_a_backup_that_cannot_be_written(aicost, ledger, tmp_path):
    """No such directory: one line, exit code 1."""
    result = aicost("ledger", "backup", tmp_path / "none" / "copy.db")
    assert result.exit_code == 1
    assert "No such file or directory" in result.stderr


@pytest.mark.parametrize("way", ["variable", "option"])
def test_a_backup_of_postgresql(aicost, monkeypatch, tmp_path, way):
    """Of another database it says what makes one: wrong usage, and no password in it."""
    monkeypatch.chdir(tmp_path)
    address = "postgresql://me:secret@db/aicost"
    monkeypatch.setenv("OTEL_AICOST_LEDGER", address if way == "variable" else "off")
    result = aicost("ledger", "backup", "copy.db", *(["--ledger", address] if way == "option" else []))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pg_dump" in result.stderr
    assert "secret" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_progress_is_shown_on_a_terminal(tmp_path, process):
    """A person sees how far it is; the output itself is only the result."""
    path = write(tmp_path / "ledger.db", *(record(started_ns=at("2020-01-01") + number) for number in range(20)))
    for command, label in ((["prune"], b"pruning"), (["backup", tmp_path / "copy.db"], b"copying")):
        ours, theirs = os.openpty()
        started = process("ledger", *command, "--ledger", path, stderr=theirs, env={"TERM": "xterm"})
        os.close(theirs)
        said = started.communicate(timeout=60)[0]
        assert started.returncode == 0
        assert label in os.read(ours, 65536)
        assert label not in said
        os.close(ours)


def test_info(aicost, ledger):
    """Where it is, how large, of which version, how many rows, the oldest and the newest call."""
    told = json.loads(aicost("ledger", "info", "--json").stdout)
    assert (told["file"], told["schema"], told["mode"], told["journal"]) == (str(ledger), schema.VERSION, "0600", "wal")
    assert told["bytes"] >= ledger.stat().st_size
    assert (told["oldest_call"], told["newest_call"]) == ("2026-11-18T00:00:00+00:00", "2026-11-21T05:00:00+00:00")
    assert told["rows"]["calls"] == len(sample())
    shown = aicost("ledger", "info").stdout
    assert "rows of calls" in shown
    assert str(ledger) in shown
