"""The commands that write, on a ledger of their own that is not there yet."""

from __future__ import annotations

import json
from contextlib import closing
from sqlite3 import connect

import pytest
from click.testing import CliRunner

from otel_aicost.cli.app import app


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """Where the settings say; nothing is there."""
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(path))
    monkeypatch.setenv("OTEL_AICOST_RETENTION_DAYS", "0")
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def aicost(ledger):
    """Run a command: a result with `exit_code`, `stdout` and `stderr`."""

    def run(*arguments, **options):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="aicost", **options)

    return run


@pytest.fixture
def calls(ledger):
    """The rows of the ledger, the oldest first, as mappings."""

    def read():
        with closing(connect(ledger)) as connection:
            cursor = connection.execute("SELECT * FROM calls ORDER BY started_ns, model, id")
            names = [column[0] for column in cursor.description]
            found = [dict(zip(names, row, strict=True)) for row in cursor]
        for row in found:
            for name in ("usage", "tags", "conditions", "parts"):
                row[name] = json.loads(row[name])
        return found

    return read
