"""What it takes to begin: import time, start-up under `opentelemetry-instrument`, peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

IMPORT = """
import sys, time
import opentelemetry.trace, opentelemetry.metrics, opentelemetry.baggage
import opentelemetry.instrumentation.instrumentor, opentelemetry.instrumentation.utils
before = time.process_time()
import {module}
print(time.process_time() - before, *sorted(set(sys.modules) & {heavy!r}))
"""
HEAVY = {"sqlalchemy", "click", "rich", "jsonschema", "yaml", "genai_prices", "sqlite3", "openai", "anthropic"}
PROGRAMS = {
    "imports openai and anthropic": "import openai, anthropic",
    "and makes one call": "from benchmarks.calls import Clients; Clients().chat()",
}
# The peak that the kernel tells a parent begins at the size of that parent.
AT_THE_END = """
import sys
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak, "otel_aicost.instrumentor" in sys.modules)
"""


@dataclass(frozen=True)
class Start:
    """A process from its start to its end: seconds by the clock, seconds of CPU, peak memory in MiB."""

    wall: float
    cpu: float
    peak: float


def import_times(repeats: int) -> dict[str, tuple[float, list[str]]]:
    """Module -> milliseconds of CPU to import it where OpenTelemetry is imported, and what heavy it brings along."""
    found = {}
    for module in ("otel_aicost", "otel_aicost.instrumentor"):
        program = IMPORT.format(module=module, heavy=HEAVY)
        outputs = [
            subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
            for _ in range(repeats)
        ]
        found[module] = median(float(output[0]) * 1000 for output in outputs), outputs[0][1:]
    return found


def starts(program: str, repeats: int) -> tuple[list[Start], list[Start]]:
    """A program under `opentelemetry-instrument` without and with us, in turn."""
    with tempfile.TemporaryDirectory(prefix="aicost-benchmarks-") as name:
        hidden = Path(name, "hidden")
        info = hidden / "otel_aicost-0.dist-info"  # shadows the installed one, whose entry points nobody then finds
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: otel-aicost\nVersion: 0\n")
        visible = Path(name, "visible")
        visible.mkdir()
        ledger = str(Path(name, "ledger.db"))
        pairs = [
            (_start(program, hidden, ledger, with_us=False), _start(program, visible, ledger, with_us=True))
            for _ in range(repeats + 1)
        ]
    return [bare for bare, _ in pairs[1:]], [ours for _, ours in pairs[1:]]


def _start(program: str, first_on_path: Path, ledger: str, *, with_us: bool) -> Start:
    instrument = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    paths = os.pathsep.join((str(first_on_path), str(Path(__file__).parent.parent)))
    environment = {**os.environ, "PYTHONPATH": paths, "OTEL_AICOST_LEDGER": ledger}
    before, began = os.times(), time.perf_counter()
    ended = subprocess.run(
        [instrument, sys.executable, "-c", program + AT_THE_END],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    took, after = time.perf_counter() - began, os.times()
    peak, present = ended.stdout.split()
    assert present == str(with_us), f"expected otel-aicost there: {with_us}"
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Start(took, cpu, int(peak) / 1024)


def middle(measured: list[Start]) -> Start:
    """The median of each figure."""
    return Start(*(median(getattr(one, field) for one in measured) for field in ("wall", "cpu", "peak")))


FIRST_CALL = """
import json, time
from benchmarks.calls import Clients
from otel_aicost.config import Settings
from otel_aicost.instrumentor import AICostInstrumentor
clients = Clients()
def call():
    before = time.perf_counter()
    clients.chat()
    return (time.perf_counter() - before) * 1000
for _ in range(20):
    bare = call()
AICostInstrumentor().instrument(settings=Settings(ledger=None))
print(json.dumps([bare, call()]))
"""


def first_call(repeats: int) -> tuple[float, float]:
    """Milliseconds by the clock: a bare call, and the first instrumented one while prices load beside it."""
    command = [sys.executable, "-c", FIRST_CALL]
    found = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(repeats)
    ]
    return median(bare for bare, _ in found), median(first for _, first in found)
