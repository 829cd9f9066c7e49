from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from exporter.scraped import scrape
from exporter.until import until
from ledgers import at, sample, write
from otel_aicost.exporter.background import Background
from otel_aicost.ledger.opening import NoLedgerYetError, looking
from otel_aicost.ledger.writer import Writer
from records import cost, record


def test_what_is_scraped_while_many_write_never_falls(path, collector):
    """Three threads write while it is scraped: no counter falls, every scrape is of one moment, the last has all."""
    writer = Writer.of_file(path)
    writer.put(record())
    writer.flush(10)
    end, put = threading.Event(), []

    def write_on():
        while not end.is_set():
            writer.put(record(started_ns=time.time_ns(), cost=cost("0.001")))
            put.append(1)
            time.sleep(0.001)

    threads = [threading.Thread(target=write_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    one, before = collector(path), 0.0
    for _ in range(20):
        found = scrape(one)
        calls = sum(found.all("aicost_calls_total"))
        assert calls >= before
        assert calls == found.one("aicost_ledger_calls")
        year = found.nano("aicost_spend_usd", period="year", offset="0")
        assert found.nano("aicost_cost_usd_total") - year in {0, 6_250_000}
        before = calls
    end.set()
    for thread in threads:
        thread.join()
    assert writer.close(10)
    assert sum(scrape(one).all("aicost_calls_total")) == len(put) + 1


def test_a_scrape_does_not_wait_for_a_writer_nor_a_writer_for_a_scrape(path, collector):
    """While somebody holds the write lock it is scraped; while it is scraped others may write."""
    write(path, *sample())
    one = collector(path, now=at("2026-11-21T12:00:00"))
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        holder.execute("DELETE FROM totals")
        assert scrape(one).nano("aicost_cost_usd_total") == 1_883_250_001
        holder.execute("ROLLBACK")
        with looking(path) as reader:  # as a scrape that takes long
            assert reader.execute("SELECT count(*) FROM totals").fetchone()[0] > 0
            holder.execute("BEGIN IMMEDIATE")
            holder.execute("UPDATE refusals SET calls = 1")
            holder.execute("COMMIT")


def test_the_background_outlives_errors_and_ends_when_asked(path):
    """An error of the work is reported, and it is tried again; closed, the thread ends."""
    write(path, *sample())
    seen = []

    def work(connection):
        seen.append(connection)
        msg = "on purpose"
        raise ValueError(msg)

    from otel_aicost import faults

    faults.reset()
    one = Background(path, work)
    one.wanted()
    until(lambda: faults.counts().get("exporter"))
    assert one._thread.is_alive()
    one.close()
    assert not one._thread.is_alive()
    one.wanted()
    assert not one._thread.is_alive()


def test_a_fork_does_not_wait_for_the_background(path):
    """A long question to the ledger is interrupted by a fork; the child can be scraped, and the parent goes on."""
    write(path, *sample())
    code = """
import os, sys, time
from pathlib import Path
from otel_aicost.exporter.background import Background
from otel_aicost.exporter.collector import LedgerCollector
asked, done = [], []
def work(connection):
    asked.append(1)
    connection.execute("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n").fetchone()
    done.append(1)
path = Path(sys.argv[1])
background, collector = Background(path, work), LedgerCollector(path)
list(collector.collect())
background.wanted()
while not asked or background._connection is None: time.sleep(0.01)
time.sleep(0.2)
pid = os.fork()
if pid == 0:
    up = [f for f in collector.collect() if f.name == "aicost_ledger_up"][0].samples[0].value
    os._exit(0 if up == 1 and background._thread is None else 1)
_, status = os.waitpid(pid, 0)
assert not done and background._thread.is_alive()
print(os.waitstatus_to_exitcode(status))
os._exit(0)
"""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "0", done.stderr


def test_a_look_in_the_background_that_fails_is_reported(tmp_path):
    """What the top spenders are made of cannot be read: that is said; that there is no ledger yet is no failure."""
    from otel_aicost import faults

    broken = tmp_path / "ledger.db"
    broken.write_bytes(b"no database" * 100)
    faults.reset()
    missing, failing = (Background(path, lambda _: None) for path in (tmp_path / "none.db", broken))
    with pytest.raises(NoLedgerYetError):
        missing.once()
    for one in (missing, failing):
        one.wanted()
    until(lambda: faults.counts().get("exporter"))
    for one in (missing, failing):
        one.close()
    assert faults.counts() == {"exporter": 1}
    faults.reset()
