"""Fixtures of all tests: no test sees the user's settings, or leaves a pipeline behind."""

from __future__ import annotations

import os

import pytest

from otel_aicost import faults


@pytest.fixture(autouse=True)
def _own_world(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith(("OTEL_", "OPENAI_", "ANTHROPIC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    faults.reset()
    yield
    faults.reset()
