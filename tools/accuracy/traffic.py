"""Programs that make calls, each in a way that counters usually lose money by: `python -m tools.accuracy.traffic`.

Calls are recorded by hand, so that no SDK has to be imported: what is measured comes after the capture.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import otel_aicost

LIFE: Final = 4.0
"""Seconds until a process of `restarts` is killed."""


def call(chance: random.Random, feature: str) -> None:
    """One call of a few tenths of a cent up to some cents."""
    model = chance.choice(("gpt-4o", "gpt-4o-mini", "gpt-4.1"))
    usage = {"input_tokens": chance.randrange(100, 9000), "output_tokens": chance.randrange(50, 3000)}
    with otel_aicost.tags(feature=feature):
        otel_aicost.record("openai", model, usage, operation="chat", duration=chance.uniform(0.1, 3))


def steady(chance: random.Random, until: float) -> None:
    """A few features, again and again."""
    while time.time() < until:
        call(chance, f"feature-{chance.randrange(3)}")
        time.sleep(chance.uniform(0.1, 0.5))


def new_series(chance: random.Random, until: float) -> None:
    """Every call may be the first and the last of its feature: 150 of them, the first ones often."""
    while time.time() < until:
        call(chance, f"feature-{int(150 * chance.random() ** 2)}")
        time.sleep(chance.uniform(0.2, 0.8))


def restarts(chance: random.Random, until: float) -> None:
    """A process that is killed every few seconds, without warning, and started anew."""
    while time.time() < until:
        child = _start("steady", until, chance.randrange(10**9))
        time.sleep(LIFE)
        child.send_signal(signal.SIGKILL)
        child.wait()


def short_jobs(chance: random.Random, until: float) -> None:
    """Programs that live for a second and make a few calls."""
    while time.time() < until:
        _start("job", until, chance.randrange(10**9)).wait()
        time.sleep(chance.uniform(0, 2))


def job(chance: random.Random, until: float) -> None:
    """One of those programs."""
    if time.time() < until:
        for _ in range(chance.randrange(1, 4)):
            call(chance, f"job-{chance.randrange(20)}")


def workers(chance: random.Random, until: float) -> None:
    """Four processes of one server, forked from one that made a call itself."""
    call(chance, "feature-0")
    children = []
    for _ in range(4):
        seed = chance.randrange(10**9)
        child = os.fork()
        if not child:
            steady(random.Random(seed), until)  # noqa: S311 - traffic, no secrets
            otel_aicost.flush()
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


KINDS: Final[dict[str, Callable[[random.Random, float], None]]] = {
    "steady": steady,
    "new-series": new_series,
    "restarts": restarts,
    "short-jobs": short_jobs,
    "4-workers": workers,
    "job": job,
}
SHOWN: Final = tuple(kind for kind in KINDS if kind != "job")


def _start(kind: str, until: float, seed: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tools.accuracy.traffic", kind, str(until), str(seed)])


def main() -> None:
    """Run one kind until a Unix time, with calls that follow from a seed."""
    kind, until, seed = sys.argv[1:]
    otel_aicost.instrument()
    KINDS[kind](random.Random(int(seed)), float(until))  # noqa: S311 - traffic, no secrets


if __name__ == "__main__":
    main()
