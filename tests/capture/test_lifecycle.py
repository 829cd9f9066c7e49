"""Instrumented before or after the SDK is imported, twice, undone, done again, with half of the SDKs there."""

from __future__ import annotations

import inspect
import json
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anthropic._base_client
import openai._base_client
import pytest
import wrapt
from opentelemetry.instrumentation.utils import suppress_instrumentation

import otel_aicost
from capture.scenarios import CHAT_ASKED, CHAT_STREAM, CLAUDE_ASKED
from capture.world import Counting, async_client, settings, sync_client
from otel_aicost import faults
from otel_aicost.instrumentor import AICostInstrumentor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_aicost.testing import FakeProvider

CLIENTS = [
    getattr(module, name)
    for module in (openai._base_client, anthropic._base_client)
    for name in ("SyncAPIClient", "AsyncAPIClient")
]
METHODS = ("request", "_process_response")
ORIGINALS = {(client, method): client.__dict__[method] for client in CLIENTS for method in METHODS}


@pytest.fixture
def agent(provider: FakeProvider) -> Iterator[Any]:
    instrumentor = AICostInstrumentor()
    yield lambda: instrumentor.instrument(settings=settings(provider), skip_dep_check=True)
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
    assert faults.counts() == {}


def originals_are_back() -> None:
    for (client, method), function in ORIGINALS.items():
        assert client.__dict__[method] is function


def test_uninstrument_puts_the_original_functions_back(agent: Any) -> None:
    """The same objects."""
    agent()
    assert all(client.__dict__[method] is not ORIGINALS[client, method] for client, method in ORIGINALS)
    AICostInstrumentor().uninstrument()
    originals_are_back()


def test_instrumenting_again_counts_once(agent: Any, gpt: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Twice in a row, and after an `uninstrument`."""
    with otel_aicost.track() as spent:
        agent()
        agent()
        gpt.chat.completions.create(**CHAT_ASKED)
    assert spent.calls == 1
    assert caplog.messages == ["Attempting to instrument while already instrumented"]
    caplog.clear()
    AICostInstrumentor().uninstrument()
    with otel_aicost.track() as spent:
        gpt.chat.completions.create(**CHAT_ASKED)
        assert spent.calls == 0
        agent()
        gpt.chat.completions.create(**CHAT_ASKED)
        list(gpt.chat.completions.create(**CHAT_STREAM))
    assert spent.calls == 2


def test_a_method_bound_before_is_counted_and_then_let_alone(provider: FakeProvider, gpt: Any) -> None:
    """`create` taken before instrumenting is counted; `request` taken while instrumented is a plain call afterwards."""
    create = gpt.chat.completions.create
    with Counting(settings(provider)) as counting:
        create(**CHAT_ASKED)
        assert len(counting.records) == 1
        request = gpt.request
    create(**CHAT_ASKED)
    from openai._models import FinalRequestOptions

    options = FinalRequestOptions.construct(method="post", url="/chat/completions", json_data=dict(CHAT_ASKED))
    assert request(object, options)["usage"]
    assert len(counting.collected.records) == 1


def test_a_stream_outlives_its_instrumentation(provider: FakeProvider, gpt: Any) -> None:
    """Begun with us and read without us: it is counted, and read to its end."""
    with Counting(settings(provider)) as counting:
        stream = gpt.chat.completions.create(**CHAT_STREAM)
        next(stream)
    assert list(stream)[-1].usage
    assert [record.status for record in counting.collected.records] == ["ok"]


def test_what_others_wrapped_around_us_stays(provider: FakeProvider, gpt: Any) -> None:
    """Taking ourselves out must not take another instrumentation with us."""
    seen = []

    def theirs(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        seen.append(1)
        return wrapped(*args, **kwargs)

    client = openai._base_client.SyncAPIClient
    try:
        with Counting(settings(provider)) as counting:
            wrapper = wrapt.wrap_function_wrapper(openai._base_client, "SyncAPIClient.request", theirs)
            gpt.chat.completions.create(**CHAT_ASKED)
            assert len(counting.records) == 1
        assert client.__dict__["request"] is wrapper
        gpt.chat.completions.create(**CHAT_ASKED)
        assert len(seen) == 2
        assert len(counting.collected.records) == 1
    finally:
        client.request = ORIGINALS[client, "request"]
    originals_are_back()


def test_a_wrapped_function_looks_as_before(provider: FakeProvider) -> None:
    """Signature, name, and whether it is a coroutine function."""
    with Counting(settings(provider)):
        for (client, method), original in ORIGINALS.items():
            wrapped = getattr(client, method)
            assert inspect.signature(wrapped) == inspect.signature(original)
            assert wrapped.__name__ == original.__name__
            assert inspect.iscoroutinefunction(wrapped) == inspect.iscoroutinefunction(original)


@pytest.mark.parametrize("package", ["openai", "anthropic"])
def test_an_sdk_that_lacks_a_function_works_as_without_us(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, package: str
) -> None:
    """A future version that has moved it: not counted, said once, and the other SDK is counted."""
    module = {"openai": openai._base_client, "anthropic": anthropic._base_client}[package]
    base = module.SyncAPIClient
    moved = base._process_response
    monkeypatch.delattr(base, "_process_response")
    client_class = {"openai": openai.OpenAI, "anthropic": anthropic.Anthropic}[package]
    monkeypatch.setattr(client_class, "_process_response", moved, raising=False)
    with (
        sync_client("openai", provider) as gpt,
        sync_client("anthropic", provider) as claude,
        Counting(settings(provider)) as counting,
    ):
        assert base.__dict__["request"] is ORIGINALS[base, "request"]
        assert gpt.chat.completions.create(**CHAT_ASKED).usage
        assert claude.messages.create(**CLAUDE_ASKED).usage
        assert [record.sdk for record in counting.records] == [{"openai": "anthropic", "anthropic": "openai"}[package]]
    warnings = [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "_process_response" in warnings[0].getMessage()


async def test_suppressed_instrumentation_is_honoured(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """OpenTelemetry's own switch for a block."""
    async with async_client("openai", provider) as async_gpt:
        with suppress_instrumentation():
            gpt.chat.completions.create(**CHAT_ASKED)
            list(gpt.chat.completions.create(**CHAT_STREAM))
            await async_gpt.chat.completions.create(**CHAT_ASKED)
        assert counting.records == []
        await async_gpt.chat.completions.create(**CHAT_ASKED)
    assert len(counting.records) == 1


# --- in processes of their own ---------------------------------------------------------------------------------

CALLS = """
import json, sys
import otel_aicost
with otel_aicost.track() as spent:
    answers = []
    if "openai" in sdks:
        import openai
        gpt = openai.OpenAI(max_retries=0)
        asked = dict(model="gpt-4o", messages=[{"role": "user", "content": "one"}])
        answers.append(gpt.chat.completions.create(**asked).choices[0].message.content)
        answers.append(len(list(gpt.chat.completions.create(**asked, stream=True))))
    if "anthropic" in sdks:
        import anthropic
        claude = anthropic.Anthropic(max_retries=0)
        asked = dict(model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": "one"}])
        answers.append(claude.messages.create(**asked).content[0].text)
        answers.append(len(list(claude.messages.create(**asked, stream=True))))
print(json.dumps({"calls": spent.calls, "unpriced": spent.unpriced, "answers": answers}))
"""
IMPORT_FIRST = (
    'sdks = ["openai", "anthropic"]\nimport openai, anthropic\nimport otel_aicost\notel_aicost.instrument()\n'
)
IMPORT_LATER = 'sdks = ["openai", "anthropic"]\nimport otel_aicost\notel_aicost.instrument()\n'
FROM_FIRST = """
sdks = []
from openai import OpenAI
gpt = OpenAI(max_retries=0)
create = gpt.chat.completions.create
import otel_aicost, json
otel_aicost.instrument()
with otel_aicost.track() as spent:
    answers = [create(model="gpt-4o", messages=[{"role": "user", "content": "one"}]).choices[0].message.content]
print(json.dumps({"calls": spent.calls, "unpriced": spent.unpriced, "answers": answers}))
sys_exit = __import__("sys").exit(0)
"""
ONLY = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {absent!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sdks = [{present!r}]
import otel_aicost
otel_aicost.instrument()
"""
SDKS = ("openai", "anthropic", "httpx", "httpx2", "pydantic", "sqlalchemy", "click", "rich", "jsonschema")
IMPORTS = f"""
import json, sys
import otel_aicost, otel_aicost.manual, otel_aicost.instrumentor
otel_aicost.instrument()
print(json.dumps([name for name in {SDKS!r} if name in sys.modules]))
"""


def run(code: str, provider: FakeProvider) -> Any:
    environ = {
        **provider.environ,
        "PATH": "",
        "OTEL_AICOST_LEDGER": "off",
        "OTEL_AICOST_PROVIDER_HOSTS": f"127.0.0.1:{provider.port}=openai",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("begin", [IMPORT_FIRST, IMPORT_LATER], ids=["sdk-first", "sdk-later"])
def test_the_order_of_imports_does_not_matter(provider: FakeProvider, begin: str) -> None:
    """The SDKs before us, or after us."""
    said = run(begin + CALLS, provider)
    assert said["calls"] == 4
    assert len(said["answers"]) == 4
    assert len(provider.requests) == 4


def test_a_client_and_a_method_made_before_are_counted(provider: FakeProvider) -> None:
    """`from openai import OpenAI`, a client, even its method: all older than the instrumentation."""
    assert run(FROM_FIRST, provider)["calls"] == 1


@pytest.mark.parametrize(("present", "absent"), [("openai", "anthropic"), ("anthropic", "openai")])
def test_one_sdk_alone_is_counted(provider: FakeProvider, present: str, absent: str) -> None:
    """The other one need not be installed."""
    said = run(ONLY.format(present=present, absent=absent) + CALLS, provider)
    assert said["calls"] == 2


def test_importing_us_imports_no_sdk(provider: FakeProvider) -> None:
    """Nor what only the command needs, though all is instrumented."""
    assert run(IMPORTS, provider) == []
