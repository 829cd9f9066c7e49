"""The command line on a ledger of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ledgers import sample, write
from otel_aicost.cli.app import app

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """The sample, where the settings say."""
    path = write(tmp_path / "ledger.db", *sample())
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(path))
    return path


@pytest.fixture
def aicost():
    """Run a command in this process: a result with `exit_code`, `stdout` and `stderr`."""

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="aicost")

    return run


@pytest.fixture
def process():
    """Start the command as a process of its own."""
    started = []

    def start(*arguments, **options):
        command = [sys.executable, "-m", "otel_aicost.cli", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), **options.pop("env", {})}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        started.append(subprocess.Popen(command, env=environment, **options))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()
        for stream in (each.stdout, each.stderr):
            if stream is not None:
                stream.close()
