"""Each of our functions fails in turn, and the application does not notice.

A function fails here by its code: every reference to it, in whatever table or closure, raises.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import importlib
import inspect
import logging
import pkgutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import otel_aicost
from capture.scenarios import CHAT_ASKED, CHAT_STREAM, CHAT_USAGE, CLAUDE_ASKED, CLAUDE_STREAM, seen
from capture.world import Counting, async_client, settings, sync_client
from otel_aicost import faults
from otel_aicost.instrumentor import AICostInstrumentor
from otel_aicost.observers.metrics import MetricsObserver
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.testing import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FunctionType

    from otel_aicost.testing import FakeProvider

THROUGH = "the application's call goes through it: all it does is guarded inside"
GUARD = "it is the guard itself"
LOOP = "the loop of the background thread, which nothing of the application waits for"
EXCLUDED = {
    "capture.stainless._process_response": THROUGH,
    "capture.ollama._streams": THROUGH,
    **{f"capture.streaming.Opening.{name}": THROUGH for name in ("__enter__", "__exit__", "__aenter__", "__aexit__")},
    **{f"capture.ollama.{name}": THROUGH for name in ("_Http.stream", "_StandIn.__getattr__")},
    **{f"capture.websocket._Connections.{name}": THROUGH for name in ("received", "received_async", "closed")},
    **{f"capture.google_live._Sessions.{name}": THROUGH for name in ("received", "opened")},
    "capture.conversations.Conversation.drop": GUARD,
    "capture.boundary.attempt": GUARD,
    "capture.boundary._admitted": GUARD,
    "capture.boundary._admitted_async": GUARD,
    "capture.boundary._entered": GUARD,
    "capture.boundary._leave": GUARD,
    "capture.boundary._taken": GUARD,
    "capture.body._Chunks.__init__": THROUGH,
    "capture.body._Chunks.__iter__": THROUGH,
    "capture.body._Chunks.__next__": THROUGH,
    "capture.body._Chunks.close": THROUGH,
    "capture.body._AsyncChunks.__init__": THROUGH,
    "capture.body._AsyncChunks.__aiter__": THROUGH,
    "capture.body._AsyncChunks.__anext__": THROUGH,
    "capture.body._AsyncChunks.aclose": THROUGH,
    **{
        f"capture.events.{name}": THROUGH
        for name in (
            *(f"Events.{method}" for method in ("__init__", "__iter__", "__next__", "close")),
            *(f"AsyncEvents.{method}" for method in ("__init__", "__aiter__", "__anext__", "aclose")),
        )
    },
    "capture.botocore_events._Messages.__next__": THROUGH,
    "capture.botocore_events._AsyncMessages.__anext__": THROUGH,
    **{
        f"capture.botocore_bodies.{name}": THROUGH
        for name in (
            *("_Chunks.__init__", "_Chunks.__iter__", "_Chunks.__next__"),
            *("_read_async", "_readinto_async", "_close_async"),
        )
    },
    **{
        f"capture.google_genai.{name}": THROUGH
        for name in (*(f"_Begun.{method}" for method in ("__init__", "__iter__", "__next__", "close")),)
    },
    "capture.events.looked": GUARD,
    "capture.events.ended": GUARD,
    "capture.body._end": GUARD,
    "capture.body._guarded_end": GUARD,
    "capture.body._shown": GUARD,
    "capture.body.Observation.drop": GUARD,
    "worker.Worker._run": LOOP,
    "worker.Worker._guarded": GUARD,
    "worker._take": LOOP,
}
PACKAGES = ("capture", "providers", "observers")
MODULES = ("pipeline", "worker", "text_tokens", "prices.catalogue", "prices.rate_card")
TAGS = ("current", "clean")
"""The rest of `tags` is called by the application, for itself."""
TRACK = ("open_scopes", "track.add", "settle_with")


def _modules() -> Iterator[Any]:
    for package in PACKAGES:
        found = importlib.import_module(f"otel_aicost.{package}")
        yield found
        for module in pkgutil.iter_modules(found.__path__):
            if module.name not in {"ledger", "jsonl"}:  # background sinks; they have tests of their own
                yield importlib.import_module(f"otel_aicost.{package}.{module.name}")
    for name in MODULES:
        yield importlib.import_module(f"otel_aicost.{name}")


def _functions_of(owner: Any, prefix: str, home: str) -> Iterator[tuple[str, FunctionType]]:
    for name, value in vars(owner).items():
        function = inspect.unwrap(value.fget) if isinstance(value, property) else value
        function = function.__func__ if isinstance(function, (staticmethod, classmethod)) else function
        function = inspect.unwrap(function) if callable(function) else function
        if inspect.isfunction(function) and function.__module__ == home and function.__code__.co_filename != "<string>":
            yield f"{prefix}.{name}", function
        elif inspect.isclass(value) and value.__module__ == home and not getattr(value, "_is_protocol", False):
            yield from _functions_of(value, f"{prefix}.{name}", home)


def _all_functions() -> dict[str, FunctionType]:
    found: dict[str, FunctionType] = {}
    for module in _modules():
        found.update(_functions_of(module, module.__name__.removeprefix("otel_aicost."), module.__name__))
    for name in TAGS:
        found[f"tags.{name}"] = getattr(importlib.import_module("otel_aicost.tags"), name)
    for name in TRACK:
        module = importlib.import_module("otel_aicost.track")
        found[f"track.{name}"] = functools.reduce(getattr, name.split("."), module)
    return found


FUNCTIONS = _all_functions()
BREAKABLE = sorted(set(FUNCTIONS) - set(EXCLUDED))


class InjectedError(RuntimeError):
    """What our functions raise here."""


@contextmanager
def failing(function: FunctionType) -> Iterator[None]:
    """As long as this lasts, the function raises."""
    names = function.__code__.co_freevars
    code = function.__code__
    scope: dict[str, Any] = {}
    listed, used = ", ".join(names), "; ".join(names) or "pass"  # as many free variables as the original has
    exec(f"def outer({listed}):\n def broken(*_, **__):\n  {used}\n  raise InjectedError\n return broken", scope)
    broken = scope["outer"](*names).__code__
    function.__globals__["InjectedError"] = InjectedError
    function.__code__ = broken
    try:
        yield
    finally:
        function.__code__ = code
        del function.__globals__["InjectedError"]


@pytest.fixture(scope="module")
def application(_running: FakeProvider) -> Iterator[Callable[..., Any]]:
    """Plain, streamed, broken off, forgotten, failed and asynchronous calls, and what the application saw."""
    _running.reset()
    with sync_client("openai", _running) as gpt, sync_client("anthropic", _running) as claude, asyncio.Runner() as loop:
        async_gpt = async_client("openai", _running)

        async def asynchronous() -> Any:
            whole = seen(await async_gpt.chat.completions.create(**CHAT_ASKED))
            stream = await async_gpt.chat.completions.create(**CHAT_STREAM)
            return whole, [seen(item) async for item in stream]

        def run(*, little: bool = False) -> Any:
            _running.reset()
            _running.always(Reply(usage=CHAT_USAGE))
            taken = [
                seen(gpt.chat.completions.create(**CHAT_ASKED)),
                [seen(item) for item in gpt.chat.completions.create(**CHAT_STREAM)],
            ]
            if little:
                return taken
            taken += [
                [seen(item) for item in gpt.chat.completions.create(**CHAT_ASKED, stream=True)],
                seen(gpt.embeddings.create(model="text-embedding-3-small", input="x", dimensions=2)),
                seen(claude.messages.create(**CLAUDE_ASKED)),
                [seen(item) for item in claude.messages.create(**CLAUDE_STREAM)],
                loop.run(asynchronous()),
            ]
            stream = gpt.chat.completions.create(**CHAT_STREAM)
            taken.append(seen(next(stream)))
            stream.close()
            forgotten = gpt.chat.completions.create(**CHAT_STREAM)
            taken.append(seen(next(forgotten)))
            del forgotten
            gc.collect()
            _running.fail(400)
            with pytest.raises(Exception, match="Error code: 400") as caught:
                gpt.chat.completions.create(**CHAT_ASKED)
            return taken, type(caught.value), str(caught.value)

        def run_apart(*, little: bool = False) -> Any:
            """A span that a broken function leaves behind as the current one must not be that of the next test."""
            return contextvars.copy_context().run(run, little=little)

        yield run_apart
        loop.run(async_gpt.close())


@pytest.fixture(scope="module")
def expected(application: Callable[..., Any]) -> Any:
    assert not AICostInstrumentor().is_instrumented_by_opentelemetry
    return application()


@pytest.fixture
def watched(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    """Counting with everything on: spans, metrics, tags."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider())
    chosen = settings(provider, tags={"team": "x"}, baggage_keys=("user",))
    with Counting(chosen, SpanObserver(), observers=[MetricsObserver(("team",))]) as counting:
        yield counting


@pytest.mark.parametrize("name", BREAKABLE)
def test_a_function_that_fails_is_not_noticed(
    watched: Counting, application: Callable[..., Any], expected: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Same results, same exception, nothing raised where nobody can catch it."""
    with failing(FUNCTIONS[name]), otel_aicost.track():
        assert application() == expected
    watched.pipeline.flush(5)
    said = [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert len(said) == len({entry.getMessage().partition(" and carries on")[0] for entry in said})


@pytest.mark.parametrize("name", BREAKABLE)
def test_a_function_that_fails_from_the_beginning_is_not_noticed(
    provider: FakeProvider, application: Callable[..., Any], expected: Any, name: str
) -> None:
    """The same when it is broken before anything is instrumented."""
    agent = AICostInstrumentor()
    with failing(FUNCTIONS[name]):
        agent.instrument(settings=settings(provider), skip_dep_check=True)
        capture = agent._capture
        assert application(little=True) == expected[0][:2]
    agent.uninstrument()
    assert capture is None or capture.patched == {}


@pytest.mark.parametrize(
    "name",
    ["capture.readers.SseReader.feed", "capture.readers.SseReader._take", "capture.body.Observation.look",
     "capture.exchange.Exchange._first_chunk", "capture.exchange.Exchange._settle", "pipeline.Pipeline.finish",
     "providers.openai.read"],
)  # fmt: skip
def test_what_we_asked_for_stays_hidden_if_reading_it_fails(
    provider: FakeProvider, application: Callable[..., Any], expected: Any, name: str
) -> None:
    """The extra chunk of a stream is ours to take out again, whatever becomes of the counting."""
    with Counting(settings(provider, stream_usage="inject")), failing(FUNCTIONS[name]):
        assert application() == expected


def test_a_stream_is_passed_on_if_hiding_fails(provider: FakeProvider, gpt: Any) -> None:
    """With the extra chunk in it, and without a gap."""
    provider.always(Reply(usage=CHAT_USAGE, chunk_bytes=50))
    with Counting(settings(provider, stream_usage="inject")):
        with failing(FUNCTIONS["providers.openai.undo_usage"]):
            said = list(gpt.chat.completions.create(**CHAT_ASKED, stream=True))
        usual = list(gpt.chat.completions.create(**CHAT_ASKED, stream=True))
    assert said[-1].usage.prompt_tokens == 1500
    assert [item.choices for item in said[:-1]] == [item.choices for item in usual]


def test_the_failures_are_counted(watched: Counting, application: Callable[..., Any], expected: Any) -> None:
    """Each is told once a minute and counted every time."""
    with failing(FUNCTIONS["capture.exchange.Exchange._outcome"]):
        assert application() == expected
    assert faults.counts()["capture.request"] >= 3
    assert faults.counts()["capture.body"] >= 3


@pytest.mark.parametrize("name", sorted(EXCLUDED))
def test_what_is_excluded_exists(name: str) -> None:
    """A name in the list of exceptions is the name of a function."""
    assert name in FUNCTIONS
