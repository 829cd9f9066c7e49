"""What a budget check adds to a call, by the clock: alone, from a leased slice, with many processes at one balance."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from benchmarks.calls import Clients
from otel_aicost.budgets.budget import Amounts, Budget, Limits, Line
from otel_aicost.budgets.window import Period, Window
from otel_aicost.ids import new_id
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer

PROCESSES = 16
PAUSE = 0.005
"""Between two calls of a process, in seconds: an application that calls a model two hundred times a second."""
_LIMITS = Limits(10**16)


def line(mode: str) -> Line:
    """What a call of a tenth of a cent takes of a budget of ten million dollars."""
    budget = Budget("company", Period("day"), _LIMITS, on_exceed="block", mode=mode)  # type: ignore[arg-type]
    day = Window("2026-11-22", 1_795_305_600, 1_795_392_000)
    return Line(budget, "", day, _LIMITS, Amounts(1_000_000, 500, 1), _LIMITS)


def waits(path: Path, count: int, *, sliced: bool) -> list[float]:
    """Microseconds that each of `count` calls waits for its admission; each is settled."""
    writer = Writer(lambda: FileStore(path), str(path), sliced=sliced)
    held = line("balanced" if sliced else "strict")
    writer.reserve(new_id(), [held])
    found = []
    for _ in range(count):
        name = new_id()
        began = time.perf_counter_ns()
        refused = writer.reserve(name, [held])
        found.append((time.perf_counter_ns() - began) / 1000)
        assert refused is None
        writer.release(Settlement(name, (held._replace(amounts=Amounts()),)))
        time.sleep(PAUSE)
    writer.close(10)
    return found


def together(count: int) -> list[float]:
    """The waits of `PROCESSES` processes that hold one balance at once."""
    path = Path(tempfile.mkdtemp(prefix="aicost-benchmarks-")) / "ledger.db"
    FileStore(path).close()
    command = [sys.executable, "-m", "benchmarks.budgets", str(path), str(count)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    return [wait for child in children for wait in json.loads(child.communicate()[0])]


def bare(count: int) -> list[float]:
    """Microseconds of so many bare calls of the SDK, its transport answering from memory."""
    clients, found = Clients(), []
    for _ in range(count):
        began = time.perf_counter_ns()
        clients.chat()
        found.append((time.perf_counter_ns() - began) / 1000)
        time.sleep(PAUSE)
    return found


def measure(count: int) -> dict[str, tuple[float, float]]:
    """What waits -> its median and 99th percentile, in microseconds."""
    path = Path(tempfile.mkdtemp(prefix="aicost-benchmarks-")) / "ledger.db"
    found = {
        "the bare call, without us": bare(count),
        "strict, decided in the ledger": waits(path, count, sliced=False),
        "balanced, from a leased slice": waits(path, count, sliced=True),
        f"strict, {PROCESSES} processes at one balance": together(max(20, count // PROCESSES)),
    }
    return {name: (median(each), quantiles(each, n=100)[98]) for name, each in found.items()}


if __name__ == "__main__":
    print(json.dumps(waits(Path(sys.argv[1]), int(sys.argv[2]), sliced=False)))
