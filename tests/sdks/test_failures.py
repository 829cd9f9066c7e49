"""Each function that calls of these SDKs go through fails in turn, and the application does not notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from capture.test_every_failure import BREAKABLE, FUNCTIONS, failing
from capture.world import Counting
from otel_aicost.config import Settings
from otel_aicost.observers.spans import SpanObserver
from sdks.cases import KINDS
from sdks.driving import attempt, attempt_async

if TYPE_CHECKING:
    from otel_aicost.testing import FakeProvider
    from sdks.driving import Kind

SHARED = ("capture.boundary.Pending.", "capture.readers.NdjsonReader.", "capture.streaming.")
BARE: dict[str, Any] = {}
"""SDK -> what its calls give without us."""


async def application(kind: Kind, provider: FakeProvider) -> Any:
    """The first calls of the SDK, as it sees them: plain, streamed, failed, broken off."""
    provider.reset()
    seen = []
    for case in kind.cases[:3]:
        provider.always(case.script)
        seen += [attempt(kind, case, provider.url), await attempt_async(kind, case, provider.url)]
    provider.fail(400)
    return [*seen, attempt(kind, kind.cases[0], provider.url)]


def names() -> list[Any]:
    """What to break, with whom: a family's functions with each SDK of it, a provider's with its own."""
    return [
        pytest.param(kind, name, id=f"{kind.name}-{name}")
        for kind in KINDS
        for name in BREAKABLE
        if name.startswith((*SHARED, f"capture.{kind.family}.", f"providers.{kind.provider}."))
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("kind", "name"), names())
async def test_a_function_that_fails_is_not_noticed(provider: FakeProvider, kind: Kind, name: str) -> None:
    """Same results, same exceptions."""
    if kind.name not in BARE:
        BARE[kind.name] = await application(kind, provider)
    with Counting(Settings(ledger=None), SpanObserver()), failing(FUNCTIONS[name]):
        assert await application(kind, provider) == BARE[kind.name]
