"""What it costs to support many SDKs and providers: the package as it is, beside a copy that knows OpenAI alone."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.rounds import Child

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.rounds import Pairs

ROOT = Path(__file__).parent.parent
KEPT = "openai"
BEGIN = """
import json, time
import opentelemetry.trace, opentelemetry.metrics, opentelemetry.baggage
import opentelemetry.instrumentation.instrumentor, opentelemetry.instrumentation.utils
marks = [time.process_time()]
import otel_aicost
from otel_aicost.config import Settings
from otel_aicost.instrumentor import AICostInstrumentor
AICostInstrumentor().instrument(settings=Settings(ledger=None))
marks.append(time.process_time())
import otel_aicost.capture.stainless
marks.append(time.process_time())
import openai
marks.append(time.process_time())
from otel_aicost.capture.sdks import NAMES
from otel_aicost.providers import every
took = [(after - before) * 1000 for before, after in zip(marks, marks[1:])]
print(json.dumps([*took, len(NAMES), len(list(every()))]))
"""


class Begun(NamedTuple):
    """A fresh process: milliseconds of CPU, and how many it knows."""

    instrumented: float
    """To import the package and call `instrument()`, where OpenTelemetry is imported."""
    sdk: float
    """More of ours when an SDK is imported: its family, and the registry of providers."""
    openai: float
    """More of the SDK's own: to import it."""
    sdks: int
    providers: int

    @property
    def program(self) -> float:
        """All of it."""
        return self.instrumented + self.sdk + self.openai


class Both(NamedTuple):
    """A figure of the whole package, one of the copy, and their ratio with half its interquartile range."""

    whole: float
    alone: float
    ratio: float
    spread: float


def packages(folder: Path) -> dict[str, Path]:
    """Name -> a folder to import the package from: as it is, and with a table of OpenAI alone."""
    found = {name: folder / name for name in ("whole", "alone")}
    for there in found.values():
        shutil.copytree(
            ROOT / "src" / "otel_aicost", there / "otel_aicost", ignore=shutil.ignore_patterns("__pycache__")
        )
    package = found["alone"] / "otel_aicost"
    with (package / "capture" / "sdks.py").open("a") as sdks:
        sdks.write(f"\nSDKS = tuple(sdk for sdk in SDKS if sdk.name == {KEPT!r})\nNAMES = ({KEPT!r},)\n")
    for registry in (package / "providers" / name for name in ("__init__.py", "others.py")):
        registry.write_text(_without_others(registry.read_text()))
    return found


def begin(found: dict[str, Path], repeats: int) -> dict[str, list[Begun]]:
    """Fresh processes of both in turn; the first of each, which compiles the files, is left out."""
    started: dict[str, list[Begun]] = {name: [] for name in found}
    for _ in range(repeats + 1):
        for name, there in found.items():
            command = [sys.executable, "-c", BEGIN]
            ended = subprocess.run(command, env=_environment(there), check=True, capture_output=True, text=True)
            started[name].append(Begun(*json.loads(ended.stdout)))
    return {name: each[1:] for name, each in started.items()}


def call(found: dict[str, Path], rounds: int, workload: str = "chat") -> dict[str, Pairs]:
    """Microseconds of CPU a call, off and on, of both in turn."""
    children = {name: Child("alone", _environment(there)) for name, there in found.items()}
    pairs: dict[str, Pairs] = {name: [] for name in found}
    for number in range(rounds):
        for name in sorted(found, reverse=number % 2 == 0):
            pairs[name] += children[name].measure(workload)
    for child in children.values():
        child.close()
    return pairs


def both(whole: list[float], alone: list[float]) -> Both:
    """Medians, and the median ratio of those that were measured beside each other."""
    low, middle, high = quantiles((one / other for one, other in zip(whole, alone, strict=True)), n=4)
    return Both(median(whole), median(alone), middle, (high - low) / 2)


def _environment(there: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(there), str(ROOT)))}


def _without_others(registry: str) -> str:
    """A registry with what belongs to OpenAI in its tables, and without the imports that nothing needs then."""
    tree = ast.parse(registry)
    for statement in tree.body:
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Tuple):
            value.elts = [one for one in value.elts if _root(one).startswith(KEPT)]
        elif isinstance(value, ast.Dict):
            value.values = [one for one in value.values if _root(one).startswith(KEPT)]
            value.keys = value.keys[: len(value.values)]
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "otel_aicost.providers":
            statement.names = [alias for alias in statement.names if alias.name in named]
    tree.body = [statement for statement in tree.body if getattr(statement, "names", True)]
    return ast.unparse(tree)


def _root(node: ast.AST) -> str:
    """The name that an expression such as `*openai.PROVIDERS` begins with."""
    return next(_names(node), "")


def _names(node: ast.AST) -> Iterator[str]:
    return (inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))
