"""Every public method of every client, found by walking the SDKs: what costs money is blocked, nothing else is.

Nothing here names an endpoint of an SDK. A method that an SDK begins to have, a path that a provider file begins to
have, and a function that the capture begins to wrap, are in the test from then on, or fail it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from capture.holding import starting
from capture.scenarios import PICTURE, SPOKEN, WAVE
from capture.scenarios import _newest as newest
from capture.world import CLAUDE, GPT, PAID, Counting, async_client, sync_client
from otel_aicost import BudgetExceeded, faults
from otel_aicost.capture.stainless import _Client
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.providers import (
    ENDPOINTS,
    anthropic,
    anthropic_stored,
    endpoint_of,
    openai,
    openai_batches,
    openai_jobs,
    openai_video,
    paths,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from otel_aicost.testing import FakeProvider

NOTHING = "{name: nothing, limit: 0, period: day, on_exceed: block}"
ENOUGH = "{name: enough, limit: 1000000 USD, period: day, on_exceed: block, on_unpriced: allow}"
PACKAGES = ("openai", "anthropic")
"""The SDKs whose every method is tried; the others have tests of their own in tests/sdks."""
KINDS = ("openai", "azure", "anthropic", "bedrock", "vertex")
GIVEN: dict[str, Any] = {
    "messages": SPOKEN,
    "max_tokens": 5,
    "max_tokens_to_sample": 5,
    "input": "one two three",
    "prompt": "one two three",
    "voice": "alloy",
    "file": WAVE,
    "video": WAVE,
    "image": PICTURE,
    "response_format": dict,
}
ALSO = ("model", "input")
"""Given where they may be left out, too."""
CHOICES = ("external_keys.create", "voices.create", "automations.create", "files.create")
"""Ends of the names of methods that want one of several sets of arguments: they get all they take."""
VARIANTS = ("with_raw_response", "with_streaming_response")
OPENAI = {**openai.ENDPOINTS, **openai_batches.ENDPOINTS, **openai_jobs.ENDPOINTS, **openai_video.ENDPOINTS}
ANTHROPIC = {**anthropic.ENDPOINTS, **anthropic_stored.ENDPOINTS}
NEWER = {
    *("/responses", "/responses/compact", "/decisions", "/evals/*/runs"),
    *openai_video.ENDPOINTS,
}
"""What the oldest supported SDKs have no methods for."""
BILLABLE = {path for path, endpoint in ENDPOINTS.items() if not endpoint.free and not endpoint.only_with_usage}

NAMED = {path: path for path in BILLABLE}

NEWEST = newest()
LOCAL = (
    *(".connect", "webhooks.unwrap", "webhooks.verify_signature", "webhooks.parse_unverified"),
    *("environments.files.prepare", "environments.files.prepare_directory", "environments.files.upload"),
    *("artifacts.for_result", "work.poller", "work.worker", "uploads.upload_file_chunked"),
)
"""Methods that make no request of their own through the client: web sockets, what is done with a webhook that came
in, and what prepares a request that another method makes."""
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Method(NamedTuple):
    """One public method of one resource of a client."""

    name: str
    resource: Any
    takes: dict[str, inspect.Parameter]

    @property
    def streams(self) -> bool:
        return "stream" in self.takes

    def bound(self, variant: str = "") -> Any:
        owner = getattr(self.resource, variant) if variant else self.resource
        return getattr(owner, self.name.rpartition(".")[2])

    def arguments(self, model: str, *, all_of_them: bool = False) -> dict[str, Any]:
        given = {**GIVEN, "model": model}
        return {
            name: given.get(name, _filling(parameter))
            for name, parameter in self.takes.items()
            if name in ALSO
            or parameter.default is parameter.empty
            or (all_of_them and name != "stream" and not name.startswith(("extra_", "timeout")))
        }


def _filling(parameter: inspect.Parameter) -> Any:
    kind = str(parameter.annotation)
    if "FileTypes" in kind or "bytes" in kind:
        return WAVE
    if kind.startswith(("Iterable", "List", "Sequence", "SequenceNotStr")):
        return []
    if "Dict" in kind or "Param" in kind:
        return {}
    return 1 if kind in {"int", "float"} else "x"


def methods(owner: Any, base: type, prefix: str = "") -> Iterator[Method]:
    """All methods of all resources of a client, however deep."""
    for name in dir(owner):
        if name.startswith(("_", "with_")):
            continue
        found = inspect.getattr_static(type(owner), name, None)
        if inspect.isfunction(found) and prefix:
            takes = dict(inspect.signature(getattr(owner, name)).parameters)
            takes = {
                key: each for key, each in takes.items() if each.kind not in {each.VAR_KEYWORD, each.VAR_POSITIONAL}
            }
            yield Method(f"{prefix}{name}", owner, takes)
        elif not inspect.isfunction(found):
            child = getattr(owner, name, None)
            if isinstance(child, base):
                yield from methods(child, base, f"{prefix}{name}.")


def resource_base(client: Any, name: str) -> type:
    package = next(
        each.__module__.partition(".")[0]
        for each in type(client).__mro__
        if each.__module__.partition(".")[0] in PACKAGES
    )
    return getattr(__import__(f"{package}._resource", fromlist=[name]), name)


class Watched:
    """What becomes of one call after the other."""

    def __init__(self, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
        self.provider = provider
        self.posted: list[str] = []
        self.reached = False
        """Whether the arguments were good enough for the SDK to make a request of them."""
        routed, began = _Client._route, _Client.begin

        def noted(capture: _Client, sink: Any, client: Any, url: str) -> Any:
            self.posted.append(url)
            return routed(capture, sink, client, url)

        def began_noted(capture: _Client, *args: Any) -> Any:
            self.reached = True
            return began(capture, *args)

        monkeypatch.setattr(_Client, "_route", noted)
        monkeypatch.setattr(_Client, "begin", began_noted)

    def begin(self) -> None:
        self.posted.clear()
        self.reached = False
        self.provider.reset()

    @property
    def billable(self) -> str | None:
        """The path in the registry of what the SDK wanted to post, if that costs money."""
        return next((path for url in self.posted if (path := registered(url)) is not None), None)


def registered(url: str) -> str | None:
    endpoint = endpoint_of(url)
    known = paths.find(NAMED, "/" + url.partition("?")[0].strip("/"))
    return known if known is not None and ENDPOINTS[known] is endpoint else None


@pytest.fixture
def watched(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(provider, monkeypatch)


def sync_outcome(call: Any, arguments: dict[str, Any]) -> Exception | None:
    """What comes of a call, with all that it hands out taken in."""
    try:
        result = call(**arguments)
        if hasattr(result, "__enter__"):
            with result as inner:
                result = inner
        if hasattr(result, "until_done"):
            result.until_done()
        if hasattr(result, "send"):  # a conversation: beginning one sends nothing
            result.send(*SPOKEN)
    except Exception as error:  # noqa: BLE001 - the fake provider knows little of most of it
        return error
    return None


async def async_outcome(call: Any, arguments: dict[str, Any]) -> Exception | None:
    try:
        result = call(**arguments)
        if hasattr(result, "__await__"):
            result = await result
        if hasattr(result, "__aenter__"):
            async with result as inner:
                result = inner
        if hasattr(result, "until_done"):
            await result.until_done()
        if hasattr(result, "send"):
            await result.send(*SPOKEN)
    except Exception as error:  # noqa: BLE001 - as above
        return error
    return None


def ways(method: Method, model: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """How a method can be called: plain, streamed, and in its raw variants."""
    arguments = method.arguments(model, all_of_them=method.name.endswith(CHOICES))
    for variant in ("", *VARIANTS):
        try:
            call = method.bound(variant)
        except AttributeError:
            continue  # a helper without that variant
        yield variant or "plain", call, arguments
        if method.streams:
            yield f"{variant or 'plain'} streamed", call, {**arguments, "stream": True}


def _elsewhere(error: Exception | None) -> bool:
    """The method is not for this kind of client, and says so."""
    return error is not None and any(
        words in str(error) for words in ("not available on this client", "not supported in")
    )


SOCKET = "realtime"
"""Connections are blocked, too, and have tests of their own: tests/sdks/test_socket_budgets.py."""


class Found:
    """What the walk over one client came to."""

    def __init__(self) -> None:
        self.blocked: dict[str, str] = {}
        """Way -> path in the registry."""
        self.let_through: list[str] = []
        self.blocked_for_nothing: list[str] = []
        self.unreached: set[str] = set()

    def note(self, watched: Watched, method: str, way: str, error: Exception | None) -> None:
        path = watched.billable
        if not watched.reached and not _elsewhere(error):
            self.unreached.add(method)
        elif path is None and isinstance(error, BudgetExceeded):
            self.blocked_for_nothing.append(f"{method} {way}")
        elif path is not None and not (isinstance(error, BudgetExceeded) and not watched.provider.requests):
            self.let_through.append(f"{method} {way}: {error!r}")
        elif path is not None:
            self.blocked[f"{method} {way}"] = path


def model_of(kind: str) -> str:
    return GPT if kind in {"openai", "azure"} else CLAUDE


def proven(found: Found, kind: str, counting: Counting, spans: InMemorySpanExporter) -> None:
    """All that costs money was blocked in every way, nothing else was, and each is on record and on a span."""
    assert found.let_through == []
    assert found.blocked_for_nothing == []
    assert [name for name in sorted(found.unreached) if not name.endswith(LOCAL)] == []
    endpoints = OPENAI if kind in {"openai", "azure"} else ANTHROPIC
    expected = {path for path in endpoints if path in BILLABLE}
    if not NEWEST:
        expected -= NEWER | (anthropic_stored.ENDPOINTS.keys() if kind in {"bedrock", "vertex"} else set())
    assert set(found.blocked.values()) == expected
    blocked = [record for record in counting.records if record.status == "blocked" and record.operation != SOCKET]
    assert len(blocked) == len(found.blocked)
    marked = [span for span in spans.get_finished_spans() if (span.attributes or {}).get("aicost.status") == "blocked"]
    marked = [span for span in marked if (span.attributes or {}).get("gen_ai.operation.name") != SOCKET]
    assert len(marked) == len(found.blocked)
    assert {span.attributes["aicost.budget.name"] for span in marked if span.attributes} == {"nothing"}
    assert faults.counts() == {}


@pytest.fixture
def counted(provider: FakeProvider, tmp_path: Path) -> Iterator[Callable[..., Counting]]:
    yield from starting(provider, tmp_path / "ledger.db")


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_that_costs_money_is_blocked(
    provider: FakeProvider,
    counted: Callable[..., Counting],
    watched: Watched,
    spans: InMemorySpanExporter,
    kind: str,
) -> None:
    """With a limit of 0 no byte is sent, in whichever way a method is called; with enough, all of them are sent."""
    found = Found()
    counting = counted(NOTHING, paid=PAID[kind], spans=SpanObserver())
    with sync_client(kind, provider) as client:
        walked = list(methods(client, resource_base(client, "SyncAPIResource")))
        for method in walked:
            for way, call, arguments in ways(method, model_of(kind)):
                watched.begin()
                found.note(watched, method.name, way, sync_outcome(call, arguments))
                if watched.billable is None:
                    break  # nor would its other ways be
        proven(found, kind, counting, spans)

        counting.__exit__()
        counted(ENOUGH, paid=PAID[kind])
        for method in walked:
            for way, call, arguments in ways(method, model_of(kind)):
                if f"{method.name} {way}" in found.blocked:
                    watched.begin()
                    error = sync_outcome(call, arguments)
                    assert provider.requests or _elsewhere(error), (method.name, way, error)


@pytest.mark.parametrize("kind", KINDS)
async def test_every_asynchronous_method_that_costs_money_is_blocked(
    provider: FakeProvider,
    counted: Callable[..., Counting],
    watched: Watched,
    spans: InMemorySpanExporter,
    kind: str,
) -> None:
    """The same for the asynchronous clients."""
    found = Found()
    counting = counted(NOTHING, paid=PAID[kind], spans=SpanObserver())
    async with async_client(kind, provider) as client:
        walked = list(methods(client, resource_base(client, "AsyncAPIResource")))
        for method in walked:
            for way, call, arguments in ways(method, model_of(kind)):
                watched.begin()
                found.note(watched, method.name, way, await async_outcome(call, arguments))
                if watched.billable is None:
                    break
        proven(found, kind, counting, spans)

        counting.__exit__()
        counted(ENOUGH, paid=PAID[kind])
        for method in walked:
            for way, call, arguments in ways(method, model_of(kind)):
                if f"{method.name} {way}" in found.blocked:
                    watched.begin()
                    error = await async_outcome(call, arguments)
                    assert provider.requests or _elsewhere(error), (method.name, way, error)


def test_every_billable_path_and_every_wrapped_function_is_walked(counted: Callable[..., Counting]) -> None:
    """A path of another provider file, another SDK, or another wrapped function needs a kind of client in this test."""
    walked = {path for endpoints in (OPENAI, ANTHROPIC) for path in endpoints}
    assert walked >= BILLABLE
    assert {"openai" if kind in {"openai", "azure"} else "anthropic" for kind in KINDS} == set(PACKAGES)
    counting = counted(NOTHING)
    wrapped = ("SyncAPIClient.request", "AsyncAPIClient.request")
    assert {name: counting._capture.patched[name][:2] for name in PACKAGES} == dict.fromkeys(PACKAGES, wrapped)
