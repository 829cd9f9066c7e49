"""Memory after many calls: `python -m benchmarks.memory SETUP CALLS`, a tenth of them broken off, a tenth errors."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import openai

from benchmarks.calls import CHAT, STREAM, Clients
from benchmarks.setups import Setup

WARM_UP = 5_000
CHUNKS = 20


@dataclass(frozen=True)
class Memory:
    """After the warm-up and after so many calls more: memory in MiB, and objects the garbage collector knows."""

    before: float
    after: float
    objects_before: int
    objects_after: int


def measure(setup: str, calls: int) -> Memory:
    """Run in a process of its own; `bare` for the SDK alone."""
    command = [sys.executable, "-m", "benchmarks.memory", setup, str(calls)]
    return Memory(*json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _call(clients: Clients, number: int) -> None:
    create = clients.openai.chat.completions.create
    if number % 10 == 3:
        next(iter(create(**STREAM)))  # and let go
    elif number % 10 == 7:
        with suppress(openai.BadRequestError):
            create(**{**CHAT, "model": "broken"})
    elif number % 10 == 9:
        clients.message()
    else:
        clients.chat()


def _state() -> tuple[float, int]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20, len(gc.get_objects())


def main() -> None:
    name, calls = sys.argv[1], int(sys.argv[2])
    clients = Clients(CHUNKS)
    setup = None if name == "bare" else Setup(name)
    for number in range(WARM_UP):
        _call(clients, number)
    if setup is not None:
        setup.flush()
    before, objects = _state()
    for number in range(calls):
        _call(clients, number)
    if setup is not None:
        setup.flush()
    after, objects_after = _state()
    print(json.dumps([before, after, objects, objects_after]))


if __name__ == "__main__":
    main()
