"""What a scrape takes, how much memory, and whether those who write feel it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from otel_aicost.exporter.collector import registry
from otel_aicost.exporter.exposition import render
from otel_aicost.ledger.posting import Posted, post
from otel_aicost.ledger.row import row
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer
from otel_aicost.model import Cost, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = {"text": "text/plain", "OpenMetrics": "application/openmetrics-text; version=1.0.0"}
SERIES_A_SET = 27
"""Samples of a label set: cost, calls, estimated, five of tokens, two of savings, seventeen of the durations."""
SERIES = 10_000
MONTH_NS = 28 * 86_400 * 10**9
BATCH = 5000
CALL_EVERY = 0.002


def record(number: int, sets: int, at_ns: int) -> Record:
    """A call of one of so many label sets."""
    kind = number % sets
    price = Decimal(number % 997 + 1).scaleb(-6)
    return Record(
        id=f"{number:032x}",
        started_ns=at_ns,
        duration_ns=840_000_000,
        provider="openai",
        operation="chat",
        status="ok",
        usage_state="reported",
        service="shop",
        request_model=f"model-{kind % 20}",
        usage={"input_tokens": 2500, "output_tokens": 300},
        cost=Cost(price, (), "genai-prices", "openai/gpt-4o", "2024-10-02", "bench"),
        tags={"feature": f"f{kind // 20}", "user": f"u{number % 5000}"},
    )


def ledger(calls: int, sets: int) -> Path:
    """A ledger of so many calls of the last four weeks."""
    path = Path(tempfile.mkdtemp(prefix="aicost-benchmarks-")) / "ledger.db"
    start, step = time.time_ns() - MONTH_NS, MONTH_NS // calls
    with closing(FileStore(path)) as store:
        for first in range(0, calls, BATCH):
            some = [record(n, sets, start + n * step) for n in range(first, min(calls, first + BATCH))]
            with store.transaction() as connection:
                post(store, connection, [Posted(row(each), None) for each in some], tags=("feature",))
    return path


def scrapes(path: Path, count: int) -> dict[str, object]:
    """Of scrapes after the first: CPU and clock in milliseconds, samples, bytes; and the memory all of it took."""
    served = registry(path)
    before = _most_memory()
    began = time.perf_counter()
    render(served)
    found: dict[str, object] = {"first": (time.perf_counter() - began) * 1000}
    for name, accept in FORMATS.items():
        took, work = [], []
        for _ in range(count):
            began, before_cpu = time.perf_counter(), time.thread_time()
            _, body = render(served, accept)
            took.append((time.perf_counter() - began) * 1000)
            work.append((time.thread_time() - before_cpu) * 1000)
        found[name] = [
            median(work),
            median(took),
            max(took),
            sum(not line.startswith(b"#") for line in body.splitlines()),
            len(body),
        ]
    found["memory"] = _most_memory() - before
    return found


def _most_memory() -> float:
    """The most memory this process ever had, in MiB. What `getrusage` says begins with its parent's."""
    told = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(told["VmHWM"].split()[0]) / 1024


def measure(calls: int, count: int) -> dict[str, object]:
    """`scrapes` of a fresh ledger, in a process of its own."""
    path = ledger(calls, SERIES // SERIES_A_SET)
    command = [sys.executable, "-m", "benchmarks.scrape", "scrapes", str(path), str(count)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def beside(calls: int, count: int) -> dict[str, tuple[float, float, float, float]]:
    """Microseconds of a `put`, milliseconds until a call is in the ledger: without and with scrapes, in turn."""
    path = ledger(calls, SERIES // SERIES_A_SET)
    writer = Writer.of_file(path, total_tags=("feature",))
    found: dict[str, list[list[float]]] = {"no scrapes": [[], []], "scraped without a pause": [[], []]}
    numbers = iter(range(calls, calls + 8 * count))
    for _ in range(4):
        for name, (puts, flushes) in found.items():
            with _scraping(path, wanted=name != "no scrapes"):
                _write(writer, numbers, count // 4, puts, flushes)
    writer.close(10)
    return {
        name: (median(puts), quantiles(puts, n=100)[98], median(flushes), quantiles(flushes, n=100)[98])
        for name, (puts, flushes) in found.items()
    }


def _write(writer: Writer, numbers: Iterator[int], count: int, puts: list[float], flushes: list[float]) -> None:
    for _ in range(count):
        one = record(next(numbers), SERIES // SERIES_A_SET, time.time_ns())
        began = time.perf_counter()
        writer.put(one)
        puts.append((time.perf_counter() - began) * 1e6)
        writer.flush(10)
        flushes.append((time.perf_counter() - began) * 1000)
        time.sleep(CALL_EVERY)


class _scraping:  # noqa: N801 - used as a verb
    """Another process scrapes without a pause while this holds."""

    def __init__(self, path: Path, *, wanted: bool) -> None:
        self._command = [sys.executable, "-m", "benchmarks.scrape", "on", str(path)] if wanted else None

    def __enter__(self) -> None:
        if self._command:
            self._child = subprocess.Popen(self._command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
            assert self._child.stdout is not None
            self._child.stdout.readline()

    def __exit__(self, *_: object) -> None:
        if self._command:
            self._child.communicate()


def _scrape_on(path: Path) -> None:
    served, end = registry(path), threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), end.set()), daemon=True).start()
    render(served)
    print("ready", flush=True)
    while not end.is_set():
        render(served, FORMATS["OpenMetrics"])


if __name__ == "__main__":
    if sys.argv[1] == "on":
        _scrape_on(Path(sys.argv[2]))
    else:
        print(json.dumps(scrapes(Path(sys.argv[2]), int(sys.argv[3]))))
