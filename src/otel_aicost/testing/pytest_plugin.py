"""A pytest fixture, the fake provider fresh for each test: `pytest -p otel_aicost.testing.pytest_plugin`.

The one module of this package that needs more than the standard library: pytest, which whoever loads it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otel_aicost.testing.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fake_provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    """A running fake provider; `openai.OpenAI()` and `anthropic.Anthropic()` without arguments go to it."""
    with FakeProvider() as provider:
        for name, value in provider.environ.items():
            monkeypatch.setenv(name, value)
        yield provider
