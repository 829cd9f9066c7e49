"""The server of these tests, looks into it and into an outbox, and child processes that use both."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fleet.load import at_ease
from otel_aicost.config import server
from otel_aicost.ledger.fleet import Fleet
from postgres import cluster, database  # noqa: F401 - fixtures

TESTS = Path(__file__).parents[1]
HEAD = """
import os, sys, threading, time
from pathlib import Path
from budgets.lines import line, settle, taking
from fleet.load import at_ease
from otel_aicost.config import server
from otel_aicost.ledger.fleet import Fleet
from records import record
place = server(sys.argv[1], Path(sys.argv[2]))
"""


@pytest.fixture
def patient(monkeypatch):
    """No call of this test gives the server up because the machine is slow."""
    at_ease(monkeypatch.setattr)


@pytest.fixture
def place(database, tmp_path):  # noqa: F811 - the fixture
    """An empty database, and an outbox."""
    return server(database, tmp_path / "outbox.db")


@pytest.fixture
def warmed(place):
    """Make a `Fleet` that has its connection and its tables: what comes next does not wait for them."""
    made = []

    def make(at=place, **options):
        made.append(Fleet(at, **options))
        made[-1].warm()
        assert made[-1].flush(60)
        return made[-1]

    yield make
    for each in made:
        each.close(5)


@pytest.fixture
def fleet(warmed):
    return warmed()


@pytest.fixture
def ask(cluster, database):  # noqa: F811 - the fixtures
    """Ask the server: the rows, sums as whole numbers."""

    def query(sql, *parameters):
        rows = cluster.execute(database, sql, *parameters)
        return [tuple(int(value) if type(value).__name__ == "Decimal" else value for value in row) for row in rows]

    return query


@pytest.fixture
def waiting(place):
    """How many calls wait in the outbox."""

    def count():
        if not place.outbox.exists():
            return 0
        with closing(sqlite3.connect(place.outbox, timeout=10)) as connection:
            return connection.execute("SELECT count(*) FROM parcels WHERE landed_ns IS NULL").fetchone()[0]

    return count


@pytest.fixture
def spawn(place):
    """Start Python code in a process of its own; `place` is there, and `budgets.lines`. Killed at the end."""
    started = []

    def start(code, *arguments):
        path = os.pathsep.join([str(TESTS), *(entry for entry in sys.path if entry)])
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", HEAD + code, place.url, str(place.outbox), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


@pytest.fixture
def balanced(ask):
    """Check that the balances are the sums of their entries, and these those of the calls; nothing is reserved."""

    def check():
        spent = (
            "SELECT budget, key, window_id, sum(spent_nano), sum(spent_tokens), sum(spent_calls) FROM budget_windows"
        )
        entered = "SELECT budget, key, window_id, sum(nano), sum(tokens), sum(calls) FROM budget_entries"
        group = "GROUP BY 1, 2, 3 HAVING sum({}) > 0 ORDER BY 1, 2, 3"
        assert ask(f"{spent} {group.format('spent_calls')}") == ask(f"{entered} {group.format('calls')}")
        assert ask("SELECT call_id FROM budget_entries EXCEPT SELECT id FROM calls") == []
        assert ask("SELECT sum(reserved_nano), sum(reserved_calls) FROM budget_windows") in ([(0, 0)], [(None, None)])
        assert ask("SELECT count(*) FROM reservations") == [(0,)]

    return check
