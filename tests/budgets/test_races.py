"""64 processes start at once for the last ten calls of a budget, again and again: ten are admitted, each time."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

TESTS = Path(__file__).parents[1]
PROCESSES, ROOM, COST = 64, 10, 7
SHORT, LONG = 10, 1000

RACERS = """
import json, multiprocessing, os, sys, time
from pathlib import Path
from budgets.lines import line, taking
from otel_aicost import faults
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.writer import StoreDownError, Writer
from records import cost, record
ledger, processes, trials, room, nano = Path(sys.argv[1]), *map(int, sys.argv[2:])
forked = multiprocessing.get_context("fork")
start = forked.Barrier(processes)

def work(number, told):
    writer = Writer.of_file(ledger)
    writer.warm()
    writer.flush(10)
    admitted, late = [], 0
    for trial in range(trials):
        name = f"{trial}-{number}"
        asked = line(nano, limit=room * nano, key=str(trial), mode="strict", on_exceed="block")
        start.wait()
        while True:
            try:
                refused = writer.reserve(name, [asked])
                break
            except StoreDownError:
                late += 1
                time.sleep(0.02)
        if refused is None:
            admitted.append(trial)
            writer.put(record(id=name, cost=cost(f"{nano / 1e9:.9f}")), Settlement(name, (taking(asked, nano),)))
    until = time.monotonic() + 60
    while not writer.flush(10) and time.monotonic() < until:
        pass
    done = writer.close(10)
    told.send((admitted, late, done, faults.counts()))

ears = []
for number in range(processes):
    heard, told = forked.Pipe(duplex=False)
    forked.Process(target=work, args=(number, told)).start()
    ears.append(heard)
print(json.dumps([heard.recv() for heard in ears]))
"""


def test_exactly_as_many_are_admitted_as_there_is_room_for(tmp_path, long):
    """No trial admits one more or less, nothing is lost, and every balance is the sum of its entries and of its calls."""
    trials = LONG if long else SHORT
    ledger = tmp_path / "ledger.db"
    path = os.pathsep.join([str(TESTS), *(entry for entry in sys.path if entry)])
    done = subprocess.run(
        [sys.executable, "-c", RACERS, str(ledger), *map(str, (PROCESSES, trials, ROOM, COST))],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120 + 2 * trials,
        check=True,
    )
    told = json.loads(done.stdout)
    admitted = [trial for each, _, _, _ in told for trial in each]
    assert [admitted.count(trial) for trial in range(trials)] == [ROOM] * trials
    assert all(ended for _, _, ended, _ in told)
    lost = [errors for _, _, _, errors in told if set(errors) - {"ledger"}]
    assert lost == []
    if long:  # a machine with other work to do may let somebody wait for the lock for too long, who then asks again
        assert [late for _, late, _, _ in told if late] == []
    with closing(sqlite3.connect(ledger)) as connection:
        balances = connection.execute(
            "SELECT key, spent_nano, reserved_nano, spent_calls, reserved_calls FROM budget_windows"
        )
        assert sorted(balances) == sorted((str(trial), ROOM * COST, 0, ROOM, 0) for trial in range(trials))
        entries = connection.execute("SELECT key, sum(nano), count(*) FROM budget_entries GROUP BY key")
        assert sorted(entries) == sorted((str(trial), ROOM * COST, ROOM) for trial in range(trials))
        costs = connection.execute(
            "SELECT key, sum(cost_nano), count(*) FROM budget_entries JOIN calls ON calls.id = call_id GROUP BY key"
        )
        assert sorted(costs) == sorted((str(trial), ROOM * COST, ROOM) for trial in range(trials))
        assert connection.execute("SELECT count(*) FROM calls").fetchone() == (ROOM * trials,)
        assert connection.execute("SELECT count(*) FROM reservations").fetchone() == (0,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
