"""Fixtures of all tests: no test sees the user's settings, or leaves a pipeline behind."""

from __future__ import annotations

import gc
import os
import signal

import hypothesis
import pytest

from otel_aicost import faults

# A runner started in the background ignores Ctrl-C, and its children inherit that: some tests are about Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run each sweep and race at full length: many minutes")


def pytest_configure(config):
    if config.getoption("--long"):
        hypothesis.settings.register_profile("long", max_examples=10_000)
        hypothesis.settings.load_profile("long")


@pytest.fixture(scope="session")
def long(pytestconfig):
    """Whether the suite runs at full length."""
    return pytestconfig.getoption("--long")


@pytest.fixture(scope="module", autouse=True)
def _quick_collections():
    """What was there before, a million objects, is not looked through again whenever a test collects garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_world(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith(("OTEL_", "OPENAI_", "ANTHROPIC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("OTEL_AICOST_STALE_DAYS", "0")  # what a test sees must not depend on the day it runs on
    faults.reset()
    yield
    faults.reset()
