"""Errors reach the application as without us, and are recorded without a cost."""

from __future__ import annotations

import gc
import json
import socket
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from capture.scenarios import CHAT_ASKED, CHAT_STREAM, CLAUDE_ASKED, CLAUDE_STREAM, CLAUDE_USAGE, seen
from capture.world import Counting, async_client, left_alone, settings, sync_client
from otel_aicost import faults
from otel_aicost.testing import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.model import Record
    from otel_aicost.testing import FakeProvider

LONG = " ".join(f"word{number}" for number in range(12))
CALLS = {
    "chat": ("openai", lambda client: client.chat.completions.create(**CHAT_ASKED)),
    "chat streamed": ("openai", lambda client: client.chat.completions.create(**CHAT_STREAM)),
    "chat raw": ("openai", lambda client: client.chat.completions.with_raw_response.create(**CHAT_ASKED)),
    "messages": ("anthropic", lambda client: client.messages.create(**CLAUDE_ASKED)),
    "messages streamed": ("anthropic", lambda client: client.messages.create(**CLAUDE_STREAM)),
}
STREAMED = ("chat streamed", "messages streamed")


def told(error: BaseException) -> Any:
    """All an application can learn of an exception."""
    facts = {
        name: getattr(error, name, None) for name in ("status_code", "body", "code", "param", "type", "request_id")
    }
    response = getattr(error, "response", None)
    headers = None if response is None else {name: value for name, value in response.headers.items() if name != "date"}
    causes = type(error.__cause__), type(error.__context__), error.__suppress_context__
    return type(error), str(error), [str(argument) for argument in error.args], facts, headers, causes


def attempt(call: Callable[[], Any]) -> tuple[list[Any], Any]:
    """What came before the error, and the error."""
    taken: list[Any] = []
    try:
        result = call()
        if isinstance(result, (openai.Stream, anthropic.Stream)):
            taken.extend(seen(item) for item in result)
        else:
            taken.append(seen(getattr(result, "content", result)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return taken, told(error)
    return taken, None


async def attempt_async(call: Callable[[], Any]) -> tuple[list[Any], Any]:
    taken: list[Any] = []
    try:
        result = await call()
        if isinstance(result, (openai.AsyncStream, anthropic.AsyncStream)):
            async for item in result:
                taken.append(seen(item))  # noqa: PERF401 - what came before the error is wanted
        else:
            taken.append(seen(getattr(result, "content", result)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return taken, told(error)
    return taken, None


def same_with_us(provider: FakeProvider, name: str, reply: Reply, **options: Any) -> tuple[Any, Record]:
    kind, call = CALLS[name]
    with sync_client(kind, provider, **options) as client:
        provider.reset()
        provider.always(reply)
        bare = attempt(lambda: call(client))
        provider.reset()
        provider.always(reply)
        with Counting(settings(provider, kind)) as counting:
            assert attempt(lambda: call(client)) == bare
            if not counting.records:
                gc.collect()  # the oldest SDKs leave a stream that failed to the garbage collector
            record = counting.only
    assert faults.counts() == {}
    return bare[1], record


async def same_with_us_async(provider: FakeProvider, name: str, reply: Reply, **options: Any) -> tuple[Any, Record]:
    kind, call = CALLS[name]
    async with async_client(kind, provider, **options) as client:
        provider.reset()
        provider.always(reply)
        bare = await attempt_async(lambda: call(client))
        provider.reset()
        provider.always(reply)
        with Counting(settings(provider, kind)) as counting:
            assert await attempt_async(lambda: call(client)) == bare
            await left_alone(counting)
            record = counting.only
    assert faults.counts() == {}
    return bare[1], record


def free_of_charge(record: Record, error: Any) -> None:
    assert (record.status, record.usage_state) == ("error", "none")
    assert (record.cost, record.unpriced, dict(record.usage)) == (None, None, {})
    assert record.error_type == error[0].__name__


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
@pytest.mark.parametrize("name", CALLS)
def test_an_error_status_is_the_same_exception(provider: FakeProvider, name: str, status: int) -> None:
    """The provider's refusal has the SDK's own exception, and costs nothing."""
    error, record = same_with_us(provider, name, Reply(status=status))
    assert error[3]["status_code"] == status
    free_of_charge(record, error)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
@pytest.mark.parametrize("name", CALLS)
async def test_an_async_error_status_is_the_same_exception(provider: FakeProvider, name: str, status: int) -> None:
    """The same for asynchronous clients."""
    error, record = await same_with_us_async(provider, name, Reply(status=status))
    assert error[3]["status_code"] == status
    free_of_charge(record, error)


@pytest.mark.parametrize(
    ("reply", "options"),
    [(Reply(hang_up=True), {}), (Reply(delay=30), {"timeout": openai.Timeout(60, read=0.05)})],
    ids=["hang-up", "timeout"],
)
@pytest.mark.parametrize("name", CALLS)
async def test_a_connection_without_an_answer_is_the_same_exception(
    provider: FakeProvider, name: str, reply: Reply, options: Any
) -> None:
    """Nothing came, so nothing is known to be billed."""
    free_of_charge(*reversed(same_with_us(provider, name, reply, **options)))
    free_of_charge(*reversed(await same_with_us_async(provider, name, reply, **options)))


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_refused_connection_is_the_same_exception(provider: FakeProvider, kind: str) -> None:
    """A port where nobody listens."""
    call = CALLS["chat" if kind == "openai" else "messages"][1]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with sync_client(kind, provider) as first:
        client = first.with_options(base_url=nowhere)
        bare = attempt(lambda: call(client))
        with Counting(settings(provider)) as counting:
            assert attempt(lambda: call(client)) == bare
            free_of_charge(counting.only, bare[1])
    async with async_client(kind, provider) as first:
        client = first.with_options(base_url=nowhere)
        bare = await attempt_async(lambda: call(client))
        with Counting(settings(provider)) as counting:
            assert await attempt_async(lambda: call(client)) == bare
            free_of_charge(counting.only, bare[1])


@pytest.mark.parametrize("drop_after", [0, 1, 3])
@pytest.mark.parametrize("name", STREAMED)
async def test_a_connection_that_drops_in_a_stream_is_the_same_exception(
    provider: FakeProvider, name: str, drop_after: int
) -> None:
    """The chunks before the drop arrive, the usage is estimated from them, and the record is partial."""
    reply = Reply(text=LONG, drop_after=drop_after, usage=CLAUDE_USAGE)
    for error, record in (
        same_with_us(provider, name, reply),
        await same_with_us_async(provider, name, reply),
    ):
        assert error is not None
        assert record.status == "partial"
        assert record.error_type == "RemoteProtocolError"
        assert record.estimated
        assert record.cost is not None


@pytest.mark.parametrize("error_after", [0, 1, 3])
@pytest.mark.parametrize("name", STREAMED)
async def test_an_error_in_the_middle_of_a_stream_is_the_same_exception(
    provider: FakeProvider, name: str, error_after: int
) -> None:
    """What was generated before it is billed, so it is estimated; the record names the provider's error."""
    reply = Reply(text=LONG, error_after=error_after, usage=CLAUDE_USAGE)
    for error, record in (
        same_with_us(provider, name, reply),
        await same_with_us_async(provider, name, reply),
    ):
        assert error is not None
        assert record.status == "partial"
        assert record.error_type == ("server_error" if name.startswith("chat") else "overloaded_error")
        assert record.estimated


@pytest.mark.parametrize("body", [b'{"id": "chatcmpl-1", "choi', b"<html>busy</html>", b"", b"[1, 2]", b"null"])
@pytest.mark.parametrize("name", ["chat", "chat raw", "messages"])
async def test_a_body_that_is_no_answer_is_the_same_to_the_application(
    provider: FakeProvider, name: str, body: bytes
) -> None:
    """Whatever the SDK makes of it; the record says that the usage is missing."""
    reply = Reply(body=body, content_type="application/json")
    for _, record in (same_with_us(provider, name, reply), await same_with_us_async(provider, name, reply)):
        assert record.usage_state == "missing"
        assert record.cost is None
        assert record.unpriced is not None
        assert record.unpriced.reason == "no_usage"


@pytest.mark.parametrize("name", STREAMED)
@pytest.mark.parametrize("event", [b"data: {oops\n\n", b"data: 7\n\n", b"\xff\xfe\n\n", b"event: ?\ndata:\n\n"])
async def test_an_event_that_is_rubbish_is_the_same_to_the_application(
    provider: FakeProvider, name: str, event: bytes
) -> None:
    """Rubbish between the events of a stream."""
    reply = Reply(body=event * 2, content_type="text/event-stream")
    for _, record in (same_with_us(provider, name, reply), await same_with_us_async(provider, name, reply)):
        assert record.usage_state == "missing"


ODD_CHUNKS = [
    {"choices": []},
    {"choices": None},
    {},
    {"choices": [{"index": 0}]},
    {"choices": [{"index": 0, "delta": None}]},
    {"choices": [{"delta": {"content": None}}], "usage": None},
    {"choices": [], "usage": {}},
    {"choices": [], "usage": []},
    {"choices": [], "usage": "much"},
    {"id": None, "model": None, "choices": [], "usage": {"prompt_tokens": None}},
]


@pytest.mark.parametrize("chunk", ODD_CHUNKS, ids=[json.dumps(chunk) for chunk in ODD_CHUNKS])
async def test_a_chunk_with_parts_missing_is_the_same_to_the_application(provider: FakeProvider, chunk: Any) -> None:
    """Compatible hosts leave out about everything."""
    body = b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n"
    reply = Reply(body=body, content_type="text/event-stream")
    for _, record in (
        same_with_us(provider, "chat streamed", reply),
        await same_with_us_async(provider, "chat streamed", reply),
    ):
        assert record.usage_state == "missing"
        assert record.status == "ok"
