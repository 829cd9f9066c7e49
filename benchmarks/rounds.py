"""Rounds: every set-up makes every kind of call in turn, again and again, each held against the bare SDK beside it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Pairs = list[tuple[float, float]]
"""Microseconds a call, off and on, measured one after the other in the same process."""


@dataclass(frozen=True)
class Added:
    """What a set-up adds to a call, in microseconds, and how far that may be off."""

    each: float
    spread: float


class Child:
    """A process with one set-up."""

    def __init__(self, setup: str, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.batches", setup],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def measure(self, workload: str) -> Pairs:
        assert self._process.stdin is not None
        print(workload, file=self._process.stdin, flush=True)
        return [tuple(pair) for pair in json.loads(self._answer())]

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            msg = f"the child ended with status {self._process.wait()}"
            raise RuntimeError(msg)
        return line


def measure(
    setups: Sequence[str], workloads: Sequence[str], rounds: int, progress: Callable[[str], None]
) -> dict[tuple[str, str], Pairs]:
    """(set-up, workload) -> pairs, two a round; every round goes through the set-ups in another order."""
    pairs: dict[tuple[str, str], Pairs] = {(setup, name): [] for setup in setups for name in workloads}
    children = {setup: Child(setup) for setup in setups}
    shuffle = random.Random(1).shuffle
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        for name in workloads:
            order = list(setups)
            shuffle(order)
            for setup in order:
                pairs[setup, name] += children[setup].measure(name)
    for child in children.values():
        child.close()
    return pairs


def bare(pairs: Mapping[tuple[str, str], Pairs], workload: str) -> float:
    """A quiet bare call: the median of the processes of all set-ups."""
    return median(_quiet([off for off, _ in found]) for (_, name), found in pairs.items() if name == workload)


def added(pairs: Mapping[tuple[str, str], Pairs], setup: str, workload: str) -> Added:
    """What `setup` adds to a quiet call, with half the interquartile range of 200 draws from the same pairs."""
    found = pairs[setup, workload]
    draw = random.Random(1).choices
    low, _, high = quantiles((_difference(draw(found, k=len(found))) for _ in range(200)), n=4)
    return Added(_difference(found), (high - low) / 2)


def _difference(pairs: Pairs) -> float:
    return _quiet([on for _, on in pairs]) - _quiet([off for off, _ in pairs])


def _quiet(batches: Sequence[float]) -> float:
    """The tenth percentile: whatever else runs on a machine only ever adds to what a batch takes."""
    return quantiles(batches, n=10, method="inclusive")[0]
