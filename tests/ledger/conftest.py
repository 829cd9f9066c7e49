"""A ledger file, a look into it, and child processes that use one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from otel_aicost import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[1]


class Look(Protocol):
    def __call__(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]: ...


class Spawn(Protocol):
    def __call__(self, code: str, *arguments: object) -> subprocess.Popen[str]: ...


@pytest.fixture(autouse=True)
def _fresh_faults() -> Iterator[None]:
    faults.reset()
    yield
    faults.reset()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def look(ledger: Path) -> Look:
    def ask(sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(ledger, timeout=10)) as connection:
            return connection.execute(sql, parameters).fetchall()

    return ask


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start Python code in a process of its own, with the arguments in `sys.argv[1:]`; killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(TESTS), *(entry for entry in sys.path if entry)])
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()
