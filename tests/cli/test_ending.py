"""How `aicost` begins and ends: exit codes, broken pipes, interrupts, colours, and what it loads."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from ledgers import sample, write
from records import record

COMMANDS = ("report", "calls", "export")


@pytest.mark.parametrize("command", COMMANDS)
def test_no_ledger(aicost, tmp_path, monkeypatch, command):
    """Without a ledger: exit code 3, one line that says where it looked, and still no file."""
    path = tmp_path / "none" / "ledger.db"
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(path))
    result = aicost(command)
    assert result.exit_code == 3
    assert str(path) in result.stderr
    assert "opentelemetry-instrument" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("value", "message"), [("off", "switched off"), ("mysql://db/x", "expected a file, sqlite:///FILE, postgresql://")]
)
def test_no_usable_setting(aicost, monkeypatch, value, message):
    """A ledger that is switched off or misspelt is said to be, with exit code 3."""
    monkeypatch.setenv("OTEL_AICOST_LEDGER", value)
    result = aicost("report")
    assert result.exit_code == 3
    assert message in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_newer_ledger(aicost, ledger, command):
    """A ledger of a newer version: exit code 3 and what to do."""
    with closing(sqlite3.connect(ledger)) as raw:
        raw.execute("PRAGMA user_version = 99")
    result = aicost(command)
    assert result.exit_code == 3
    assert "newer otel-aicost" in result.stderr


def test_the_option_wins(aicost, ledger, tmp_path):
    """--ledger is read instead of what the environment names."""
    other = write(tmp_path / "other.db", record())
    assert aicost("export", "--ledger", other).stdout.count("\ncall,") == 1


def test_version(aicost):
    """--version says which version."""
    result = aicost("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("aicost 0.")


@pytest.mark.parametrize("arguments", [["--bogus"], ["bogus"]])
def test_misuse_of_the_root(aicost, arguments):
    """A command or option that is none: one line, exit code 2."""
    result = aicost(*arguments)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["export"], ["calls", "--limit", "5000"], ["report", "--days", "9999"]])
def test_a_reader_that_leaves(tmp_path, process, arguments):
    """When the reader of a pipe leaves, the command ends quietly, however much it still has to say."""
    path = write(tmp_path / "ledger.db", *(record() for _ in range(3000)))
    started = process(*arguments, "--ledger", path)
    started.stdout.close()
    errors = started.stderr.read()
    assert started.wait(timeout=60) == 0
    assert errors == b""


def test_an_interrupt(tmp_path, process):
    """Ctrl-C ends a long export with 130, without a word, and leaves no half-written file."""
    path = write(tmp_path / "ledger.db", *(record() for _ in range(3000)))
    started = process("export", "--ledger", path, stdout=subprocess.PIPE)
    assert started.stdout.read(1) == b"k"  # it runs, and the pipe is too small for the rest
    started.send_signal(signal.SIGINT)
    errors = started.communicate(timeout=60)[1]
    assert started.returncode == 130
    assert errors.strip() == b""


def test_an_interrupt_while_the_ledger_thinks(tmp_path, process):
    """Ctrl-C ends a question that the database is still answering."""
    path = write(tmp_path / "ledger.db", record())
    with closing(sqlite3.connect(path)) as raw:  # a rollup table that never ends to be read
        raw.execute("DROP VIEW spend")
        raw.execute("ALTER TABLE rollups RENAME TO spend")
        raw.execute(
            "CREATE VIEW rollups AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
            "SELECT spend.* FROM n LEFT JOIN spend"
        )
        raw.commit()
    started = process("report", "--ledger", path, "--days", "99999")
    while not _thinking(started.pid):
        assert started.poll() is None
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    errors = started.communicate(timeout=60)[1]
    assert started.returncode == 130
    assert errors.strip() == b""


def _thinking(pid):
    """Whether the process has had the ledger open for so long that it must be in the middle of its question."""
    opened = any(_target(link).endswith("ledger.db") for link in Path(f"/proc/{pid}/fd").iterdir())
    ticks = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return opened and ticks > 150


def _target(link):
    """What an open file is; one that was closed since it was listed is nothing."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def test_a_full_disk(tmp_path, process):
    """Output that cannot be written is an error, not silence."""
    path = write(tmp_path / "ledger.db", *sample())
    with Path("/dev/full").open("wb") as full:
        started = process("export", "--ledger", path, stdout=full)
        errors = started.communicate(timeout=60)[1]
    assert started.returncode == 1
    assert b"No space left on device" in errors
    assert errors.count(b"\n") == 1


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour(ledger, process, no_color, coloured):
    """On a terminal there is colour unless NO_COLOR is set."""
    ours, theirs = os.openpty()
    started = process("report", "--days", "9999", stdout=theirs, env={"TERM": "xterm-256color", "NO_COLOR": no_color})
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    assert started.wait(timeout=60) == 0
    assert b"What AI calls cost" in seen
    assert (b"\x1b[" in seen) is coloured


def test_no_colour_on_a_pipe(ledger, process):
    """A pipe gets no escape sequences, and lines longer than any terminal."""
    out, errors = process("calls", env={"COLUMNS": "40", "FORCE_COLOR": "1"}).communicate(timeout=60)
    assert b"\x1b" not in out
    assert errors == b""
    assert max(map(len, out.decode().splitlines())) > 120


def test_help_loads_little():
    """`aicost --help` loads neither the database nor the tables nor OpenTelemetry's SDK."""
    code = (
        "import sys\n"
        "from otel_aicost.cli.app import app\n"
        "app(['report', '--help'], standalone_mode=False)\n"
        "print([n for n in ('sqlalchemy', 'sqlite3', 'opentelemetry.sdk', 'openai') if n in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
