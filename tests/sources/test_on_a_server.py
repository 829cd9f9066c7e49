"""The same on a ledger that a fleet shares: records are on the server when the command ends, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_aicost.cli.app import app
from otel_aicost.config import server
from otel_aicost.ledger.opening import looking
from postgres import cluster, database  # noqa: F401 - fixtures

RESULT = Path(__file__).parent / "data" / "result.json"


@pytest.fixture
def aicost(database, tmp_path, monkeypatch):  # noqa: F811 - the fixture
    monkeypatch.setenv("OTEL_AICOST_LEDGER", database)
    monkeypatch.setenv("OTEL_AICOST_OUTBOX", str(tmp_path / "outbox.db"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aicost.yaml").write_text("budgets:\n  - {name: prs, per: [pr], limit: 5 USD, period: forever}\n")

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="aicost")

    return run


def test_recorded_and_imported_once(aicost, database, tmp_path):  # noqa: F811 - the fixture
    """A run is recorded, exported and imported again: two rows, their sum in the budget, and all of it is known."""
    typed = ["record", "--from", "claude-code", RESULT, "--tag", "pr=123", "--format", "json"]
    first, second = (json.loads(aicost(*typed).stdout) for _ in range(2))
    assert [{each["state"] for each in told["records"]} for told in (first, second)] == [{"new"}, {"known"}]
    assert first["total_usd"] == second["total_usd"] == "0.1011"
    out = tmp_path / "calls.jsonl"
    assert aicost("export", "--format", "jsonl", "--output", out).exit_code == 0
    told = json.loads(aicost("import", out, "--json").stdout)["files"][0]
    assert (told["new"], told["known"], told["refused"]) == (0, 2, 0)
    with looking(server(database, tmp_path / "outbox.db")) as connection:
        assert connection.execute("SELECT key, spent_nano FROM budget_windows").fetchall() == [("123", 101_100_000)]
        assert connection.execute("SELECT sum(calls), sum(cost_nano) FROM totals").fetchall() == [(2, 101_100_000)]
