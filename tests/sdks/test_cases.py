"""Every call of every SDK: the application notices nothing, and each billable response is one record."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from capture.holding import starting
from capture.test_transparency import received
from capture.world import Counting, left_alone
from otel_aicost import BudgetExceeded, faults, tags
from otel_aicost.capture.installing import Capture
from otel_aicost.capture.sdks import SDKS
from otel_aicost.config import Settings
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.testing import Reply
from sdks.cases import KINDS
from sdks.driving import attempt, attempt_async, opened, seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from otel_aicost.model import Record
    from otel_aicost.testing import FakeProvider
    from sdks.driving import Case, Kind

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
FREE = Settings(ledger=None)
"""No host is mapped: who is paid is known by whose SDK it is."""
ALL = [pytest.param(kind, case, id=f"{kind.name}-{case.name}") for kind in KINDS for case in kind.cases]
STREAMS = [
    pytest.param(kind, case, id=f"{kind.name}-{case.name}") for kind in KINDS for case in kind.cases if case.streamed
]
CHATS = [
    pytest.param(kind, case, id=f"{kind.name}-{case.name}") for kind in KINDS if kind.cheaper for case in kind.cases[:2]
]
EACH = [pytest.param(kind, id=kind.name) for kind in KINDS]


def installed(module: str) -> bool:
    """An SDK moves its modules from one version to the next."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(autouse=True)
def _no_fault_of_ours() -> Iterator[None]:
    yield
    assert faults.counts() == {}


@pytest.fixture
def held(provider: FakeProvider, tmp_path: Path) -> Iterator[Callable[..., Counting]]:
    yield from starting(provider, tmp_path / "ledger.db")


def counted_as(records: list[Record], kind: Kind, case: Case) -> None:
    assert len(records) == case.records
    for record in records:
        assert dict(record.usage) == dict(case.counted)
        assert (record.status, record.operation, record.provider) == ("ok", case.operation, kind.provider)
        assert (record.usage_state, record.estimated, record.error_type) == ("reported", False, None)
        assert record.sdk == kind.name
        assert (record.cost is None) == (record.unpriced is not None)


@pytest.mark.parametrize(("kind", "case"), ALL)
def test_a_call_is_seen_by_us_and_by_nobody_else(provider: FakeProvider, kind: Kind, case: Case) -> None:
    """Same types, content and requests as without us, and one record for each billable response."""
    provider.always(case.script)
    bare = attempt(kind, case, provider.url)
    asked_bare = received(provider)
    provider.reset()
    provider.always(case.script)
    with Counting(FREE) as counting:
        assert attempt(kind, case, provider.url) == bare
        assert received(provider) == asked_bare
        counted_as(counting.records, kind, case)


@pytest.mark.parametrize(("kind", "case"), ALL)
async def test_an_async_call_is_seen_by_us_and_by_nobody_else(provider: FakeProvider, kind: Kind, case: Case) -> None:
    """The same for the asynchronous clients."""
    provider.always(case.script)
    bare = await attempt_async(kind, case, provider.url)
    asked_bare = received(provider)
    provider.reset()
    provider.always(case.script)
    with Counting(FREE) as counting:
        assert await attempt_async(kind, case, provider.url) == bare
        assert received(provider) == asked_bare
        counted_as(counting.records, kind, case)


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize(("kind", "case"), ALL)
async def test_an_error_is_the_sdks_own(provider: FakeProvider, kind: Kind, case: Case, status: int) -> None:
    """Same type, same words; the record has its name, and costs nothing."""
    provider.fail(status, times=4)
    bare = attempt(kind, case, provider.url), await attempt_async(kind, case, provider.url)
    provider.reset()
    provider.fail(status, times=4)
    with Counting(FREE) as counting:
        assert (attempt(kind, case, provider.url), await attempt_async(kind, case, provider.url)) == bare
        for record, (error, _) in zip(counting.records, bare, strict=True):
            assert (record.status, record.usage_state, record.cost) == ("error", "none", None)
            assert record.error_type in {error.__qualname__, str(status)}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.retrying is not None], ids=lambda kind: kind.name)
async def test_a_call_that_is_tried_again_is_one(provider: FakeProvider, kind: Kind) -> None:
    """What the provider refused with a 503 is not billed; the answer is."""
    case = kind.cases[0]
    with Counting(FREE) as counting:
        provider.always(case.script)
        provider.fail(503, times=1)
        attempt(kind, case, provider.url, **kind.retrying)
        provider.fail(503, times=1)
        await attempt_async(kind, case, provider.url, **kind.retrying)
        assert len(provider.requests) == 4
        assert [(record.status, dict(record.usage)) for record in counting.records] == [("ok", case.counted)] * 2


@pytest.mark.parametrize(("kind", "case"), ALL)
async def test_a_budget_stops_a_call_before_it_is_sent(
    provider: FakeProvider, held: Callable[..., Counting], kind: Kind, case: Case
) -> None:
    """Nothing reaches the provider, and the call is on record as blocked."""
    counting = held("{name: nothing, calls: 0, period: day, on_exceed: block}", paid=kind.dear or kind.provider)
    assert attempt(kind, case, provider.url)[0] is BudgetExceeded
    assert (await attempt_async(kind, case, provider.url))[0] is BudgetExceeded
    assert provider.requests == []
    assert [record.status for record in counting.records] == ["blocked", "blocked"]


@pytest.mark.parametrize(("kind", "case"), CHATS)
async def test_a_budget_can_have_another_model_asked(
    provider: FakeProvider, held: Callable[..., Counting], kind: Kind, case: Case
) -> None:
    """The request is the application's own but for the model."""
    provider.always(case.script)
    attempt(kind, case, provider.url)
    await attempt_async(kind, case, provider.url)
    bare = [json.loads(request.body) for request in provider.requests]
    provider.reset()
    provider.always(case.script)
    counting = held(
        f"{{name: b, limit: 0, period: day, on_exceed: {{fallback: '{kind.cheaper}'}}}}", paid=kind.provider
    )
    attempt(kind, case, provider.url)
    await attempt_async(kind, case, provider.url)
    assert [json.loads(request.body) for request in provider.requests] == [
        {**body, "model": kind.cheaper} for body in bare
    ]
    for record in counting.records:
        assert (record.request_model, record.asked_model) == (kind.cheaper, bare[0]["model"])


@pytest.mark.parametrize(("kind", "case"), STREAMS)
async def test_a_stream_that_is_left_is_a_part(provider: FakeProvider, kind: Kind, case: Case) -> None:
    """After one event, and forgotten: a record says that there was more."""
    provider.always(case.script)
    with Counting(FREE) as counting:
        with opened(kind, provider.url) as client:
            seen(_first(case.call(client)))
            gc.collect()
        await left_alone(counting, 1)
        assert [record.status for record in counting.records] == ["partial"]
        assert counting.only.estimated


def _first(stream: Any) -> Any:
    if hasattr(stream, "__enter__"):
        with stream as entered:
            return next(iter(entered))
    return next(iter(stream))


@pytest.mark.parametrize(("kind", "case"), STREAMS)
async def test_a_stream_that_breaks_is_a_part(provider: FakeProvider, kind: Kind, case: Case) -> None:
    """The application has the SDK's own error, the record its name."""
    broken = Reply(usage=case.usage, **{**case.reply, "drop_after": 3})
    provider.always(broken)
    bare = attempt(kind, case, provider.url), await attempt_async(kind, case, provider.url)
    provider.reset()
    provider.always(broken)
    with Counting(FREE) as counting:
        assert (attempt(kind, case, provider.url), await attempt_async(kind, case, provider.url)) == bare
        assert [record.status for record in counting.records] == ["partial", "partial"]


@pytest.mark.parametrize("kind", EACH)
async def test_a_call_is_one_span_with_its_tags(
    provider: FakeProvider, kind: Kind, spans: InMemorySpanExporter
) -> None:
    """Under the span of the application, with cost attributes."""
    case = kind.cases[0]
    provider.always(case.script)
    with Counting(FREE, SpanObserver()) as counting, tags(team="x"):
        attempt(kind, case, provider.url)
        await attempt_async(kind, case, provider.url)
        assert [dict(record.tags) for record in counting.records] == [{"team": "x"}] * 2
    made = spans.get_finished_spans()
    assert [(span.attributes or {})["gen_ai.provider.name"] for span in made] == [kind.provider] * 2


@pytest.mark.parametrize("kind", EACH)
def test_an_sdk_can_be_left_out(provider: FakeProvider, kind: Kind) -> None:
    """By its name; and once we are gone every function is its own again."""
    provider.always(kind.cases[0].script)
    counting = Counting(FREE)
    capture = Capture(counting.pipeline, disabled=(kind.name,))
    capture.install()
    assert kind.name not in capture.patched
    attempt(kind, kind.cases[0], provider.url)
    capture.remove()
    with counting:
        pass
    attempt(kind, kind.cases[0], provider.url)
    assert counting.records == []
    assert counting.pipeline.close(5)


IMPORTED_LATER = """
import sys
from types import SimpleNamespace
from otel_aicost.capture.installing import Capture
from otel_aicost.config import Settings
capture = Capture(SimpleNamespace(settings=Settings(ledger=None)))
capture.install()
before = set(sys.modules)
assert not capture.patched, capture.patched
__import__(sys.argv[1])
print(sorted(capture.patched[sys.argv[1].partition(".")[0]]))
"""


OURS = [sdk for sdk in SDKS if sdk.name in {kind.name for kind in KINDS} and installed(sdk.module)]


@pytest.mark.parametrize("sdk", OURS, ids=[sdk.module for sdk in OURS])
def test_an_sdk_is_wrapped_when_it_is_imported(sdk: Any) -> None:
    """After `instrument()` as before it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORTED_LATER, sdk.module], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() != "[]"
