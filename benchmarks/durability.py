"""From the return of a call to its row, as another process sees it: `python -m benchmarks.durability LEDGER`."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from benchmarks.calls import Clients
from otel_aicost.config import Settings
from otel_aicost.instrumentor import AICostInstrumentor, running

APART = 0.02
"""Seconds between calls: the application then waits for something, as it does in life."""


def measure(calls: int) -> tuple[float, float]:
    """Milliseconds, median and 99th percentile; a row counts from when a reader of the file first sees it."""
    with tempfile.TemporaryDirectory(prefix="aicost-benchmarks-") as name:
        path = Path(name, "ledger.db")
        AICostInstrumentor().instrument(settings=Settings(ledger=path))
        pipeline = running()
        assert pipeline is not None
        pipeline.warm()
        clients = Clients()
        clients.chat()  # makes the file
        pipeline.flush(10)
        watcher = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.durability", str(path), str(calls)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert watcher.stdout is not None
        watcher.stdout.readline()
        returned = []
        for _ in range(calls):
            clients.chat()
            returned.append(time.monotonic_ns())
            time.sleep(APART)
        seen = json.loads(watcher.communicate()[0])
        AICostInstrumentor().uninstrument()
    # Rows come in the order of the calls. A row may be there before the call returns.
    late = [max(0, there - back) / 1e6 for there, back in zip(seen, returned, strict=True)]
    percentiles = quantiles(late, n=100)
    return percentiles[49], percentiles[98]


def _watch(path: str, calls: int) -> None:
    ledger = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    count = "SELECT count(*) FROM calls"
    known = start = ledger.execute(count).fetchone()[0]
    print("watching", flush=True)
    seen: list[int] = []
    while known - start < calls:
        now = ledger.execute(count).fetchone()[0]
        seen += [time.monotonic_ns()] * (now - known)
        known = now
        time.sleep(0.0002)
    print(json.dumps(seen))


if __name__ == "__main__":
    _watch(sys.argv[1], int(sys.argv[2]))
