"""What a budget check adds to a call, by the clock: alone, from a leased slice, with many processes at one balance."""

from __future__ import annotations

import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_aicost.budgets.budget import Amounts, Budget, Limits, Line
from otel_aicost.budgets.window import Period, Window
from otel_aicost.ids import new_id
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier

PROCESSES = 16
PAUSE = 0.005
"""Between two calls of a process, in seconds: an application that calls a model two hundred times a second."""
PACE = 0.1
"""The same where many processes do so: each ten times a second, as one whose calls take a tenth of a second."""
_LIMITS = Limits(10**16)
_STEPS = 4000


class Waits(NamedTuple):
    """What was measured, in microseconds, and beside it the same loop of plain Python at the same moments."""

    admitted: list[float]
    plain: list[float]


def line(mode: str) -> Line:
    """What a call of a tenth of a cent takes of a budget of ten million dollars."""
    budget = Budget("company", Period("day"), _LIMITS, on_exceed="block", mode=mode)  # type: ignore[arg-type]
    day = Window("2026-11-22", 1_795_305_600, 1_795_392_000)
    return Line(budget, "", day, _LIMITS, Amounts(1_000_000, 500, 1), _LIMITS)


def waits(writer: Writer, mode: str, count: int, pause: float) -> Waits:
    """How long each of `count` calls waits for its admission; each is settled."""
    held, found = line(mode), Waits([], [])
    for _ in range(count):
        name = new_id()
        began = time.perf_counter_ns()
        refused = writer.reserve(name, [held])
        found.admitted.append((time.perf_counter_ns() - began) / 1000)
        assert refused is None
        writer.release(Settlement(name, (held._replace(amounts=Amounts()),)))
        if pause:
            time.sleep(pause)
            began = time.perf_counter_ns()
            sum(range(_STEPS))
            found.plain.append((time.perf_counter_ns() - began) / 1000)
            time.sleep(pause / 10)
    return found


def alone(mode: str, count: int, pause: float) -> list[float]:
    """The waits of one process with a ledger of its own."""
    writer = Writer.of_file(_ledger())
    for _ in range(3):
        writer.reserve(new_id(), [line(mode)])
    found = waits(writer, mode, count, pause)
    writer.close(10)
    return found.admitted


def together(mode: str, count: int, pause: float) -> Waits:
    """The waits of `PROCESSES` processes that hold one balance, from the moment at which all of them are there."""
    command = [sys.executable, "-m", "benchmarks.budgets", mode, str(count), str(pause)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Waits(*json.loads(done.stdout))


def _fork(mode: str, count: int, pause: float) -> Waits:
    path, forked = _ledger(), multiprocessing.get_context("fork")
    start = forked.Barrier(PROCESSES)
    heard = []
    for _ in range(PROCESSES):
        ear, told = forked.Pipe(duplex=False)
        forked.Process(target=_one, args=(path, (mode, count, pause), start, told)).start()
        heard.append(ear)
    each: list[Waits] = [ear.recv() for ear in heard]
    return Waits([wait for one in each for wait in one.admitted], [wait for one in each for wait in one.plain])


def _one(path: Path, plan: tuple[str, int, float], start: Barrier, told: Connection[Any, Any]) -> None:
    (mode, count, pause), writer = plan, Writer.of_file(path)
    writer.reserve(new_id(), [line(mode)])
    writer.flush(10)
    start.wait()
    time.sleep(random.random() * pause)  # nobody begins all calls of a machine at once
    told.send(waits(writer, mode, count, pause))
    writer.close(10)


def bare(count: int, pause: float) -> list[float]:
    """Microseconds of so many bare calls of the SDK, its transport answering from memory."""
    from benchmarks.calls import Clients  # noqa: PLC0415 - the many processes do without

    clients, found = Clients(), []
    for _ in range(count):
        began = time.perf_counter_ns()
        clients.chat()
        found.append((time.perf_counter_ns() - began) / 1000)
        time.sleep(pause)
    return found


def measure(count: int) -> dict[str, tuple[float, float]]:
    """What waits -> its median and 99th percentile, in microseconds."""
    found = {}
    for told, pause in (("one after the other", 0.0), (f"{PAUSE * 1000:.0f} ms apart", PAUSE)):
        found[f"the bare call, {told}"] = bare(count, pause)
        found[f"strict, decided in the ledger, {told}"] = alone("strict", count, pause)
        found[f"balanced, from a leased slice, {told}"] = alone("balanced", count, pause)
    each = max(20, count // PROCESSES)
    for pause in (PACE, PAUSE):
        told = f"{PROCESSES} processes, {pause * 1000:.0f} ms apart"
        for mode in ("strict", "balanced"):
            both = together(mode, each, pause)
            found[f"{mode}, {told}"] = both.admitted
        found[f"so many steps of plain Python, {told}"] = both.plain
    return {name: (median(each), quantiles(each, n=100)[98]) for name, each in found.items()}


def _ledger() -> Path:
    path = Path(tempfile.mkdtemp(prefix="aicost-benchmarks-")) / "ledger.db"
    FileStore(path).close()
    return path


if __name__ == "__main__":
    print(json.dumps(_fork(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
