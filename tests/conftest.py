"""Fixtures of all tests: no test sees the user's settings, or leaves a pipeline behind."""

from __future__ import annotations

import os
import signal

import pytest

from otel_aicost import faults

# A runner started in the background ignores Ctrl-C, and its children inherit that: some tests are about Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_world(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith(("OTEL_", "OPENAI_", "ANTHROPIC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    faults.reset()
    yield
    faults.reset()
