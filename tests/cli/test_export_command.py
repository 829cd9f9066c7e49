"""`aicost export` writes every call once, wholly or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from ledgers import SAMPLE_TOTAL, sample, write
from records import record

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture(params=[None, "2026-11-19"], ids=["calls", "some folded"])
def path(request, tmp_path):
    return write(tmp_path / "ledger.db", *sample(), fold_before=request.param)


def _rows(form, text):
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    if form == "json":
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_every_call_once(aicost, path, form):
    """In every format the rows stand for all calls, their costs add up exactly, and the oldest comes first."""
    result = aicost("export", "--ledger", path, "--format", form)
    rows = _rows(form, result.stdout)
    assert sum(int(row["calls"]) for row in rows) == 10
    assert sum(Decimal(row["cost_usd"] or 0) for row in rows) == SAMPLE_TOTAL
    assert [row["day"] for row in rows] == sorted(row["day"] for row in rows)
    assert result.stderr == ""


def test_folded_calls_are_marked(aicost, tmp_path):
    """Daily totals say that they are some, and of how many calls."""
    path = write(tmp_path / "ledger.db", record(), record(), fold_before="2027-01-01")
    (row,) = _rows("jsonl", aicost("export", "--ledger", path, "--format", "jsonl").stdout)
    assert (row["kind"], row["calls"], row["cost_usd"], row["id"]) == ("day", 2, "0.0125", None)
    assert row["tags"] == {"feature": "search", "user": "u1"}


def test_formats_agree(aicost, path):
    """CSV and JSON have the same fields in the same order."""
    table = _rows("csv", aicost("export", "--ledger", path).stdout)
    document = _rows("json", aicost("export", "--ledger", path, "--format", "json").stdout)
    assert [list(row) for row in table] == [list(row) for row in document]
    for flat, whole in zip(table, document, strict=True):
        assert flat["tags"] == json.dumps(whole["tags"], separators=(",", ":"))
        assert flat["model"] == whole["model"]


@pytest.mark.parametrize(("form", "text"), [("json", "[]\n"), ("jsonl", "")])
def test_nothing(aicost, path, form, text):
    """Without calls the file is empty but well formed."""
    result = aicost("export", "--ledger", path, "--format", form, "--provider", "groq")
    assert (result.exit_code, result.stdout) == (0, text)


def test_a_file(aicost, path, tmp_path):
    """A file is written whole, for its owner only, and its name and rows are told on stderr."""
    output = tmp_path / "calls.csv"
    result = aicost("export", "--ledger", path, "--output", output)
    assert (result.exit_code, result.stdout) == (0, "")
    rows = _rows("csv", output.read_text())
    assert result.stderr == f"{len(rows)} rows in {output}\n"
    assert sum(Decimal(row["cost_usd"] or 0) for row in rows) == SAMPLE_TOTAL
    assert output.stat().st_mode & 0o777 == 0o600


def test_no_file_is_overwritten(aicost, path, tmp_path):
    """An existing file is left alone without --force and replaced with it."""
    output = tmp_path / "calls.csv"
    output.write_text("mine")
    result = aicost("export", "--ledger", path, "--output", output)
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert output.read_text() == "mine"
    assert aicost("export", "--ledger", path, "--output", output, "--force").exit_code == 0
    assert output.read_text().startswith("kind,day,calls,id,")


def test_a_directory_that_is_not_there(aicost, path, tmp_path):
    """Where the file cannot be made, one line says why."""
    result = aicost("export", "--ledger", path, "--output", tmp_path / "no" / "calls.csv")
    assert result.exit_code == 1
    assert "No such file or directory" in result.stderr
    assert result.stderr.count("\n") == 1


def test_broken_off_leaves_nothing(path, tmp_path, process):
    """A full disk leaves neither half a file nor the old one damaged."""
    output = tmp_path / "calls.csv"
    output.write_text("old")

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    started = process("export", "--ledger", path, "--output", output, "--force", preexec_fn=limited)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 1, errors
    assert b"File too large" in errors
    assert output.read_text() == "old"
    assert {entry.name for entry in tmp_path.iterdir()} <= {"ledger.db", "ledger.db-wal", "ledger.db-shm", "calls.csv"}


def test_progress_only_for_a_person(path, tmp_path, process):
    """A terminal on stderr sees progress; a pipe sees none."""
    ours, theirs = os.openpty()
    started = process("export", "--ledger", path, stderr=theirs, env={"TERM": "xterm"})
    os.close(theirs)
    started.communicate(timeout=60)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # Linux says so when the other side is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    assert b"Exporting" in seen
    piped = process("export", "--ledger", path, stderr=subprocess.PIPE)
    assert piped.communicate(timeout=60)[1] == b""


def test_memory_does_not_grow_with_the_ledger(tmp_path, process):
    """Twenty times as many calls take no more memory."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from otel_aicost.cli.app import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    peaks = []
    for number in (1_000, 20_000):
        path = write(tmp_path / f"{number}.db", *(record() for _ in range(number)))
        command = [sys.executable, "-c", code, "export", "--ledger", path, "--output", tmp_path / f"{number}.csv"]
        done = subprocess.run(command, capture_output=True, check=True, text=True, env={"PYTHONPATH": str(SOURCE)})
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 8 * 1024
