"""A stream broken off at any place and in any way is one record, with at least what was delivered."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from capture.dripping import Dripping, chat_events, claude_events
from capture.scenarios import CHAT_ASKED, CLAUDE_ASKED
from capture.world import KEY, TRUST, Counting, left_alone
from otel_aicost import faults
from otel_aicost.config import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_aicost.model import Record

WORDS = [f"antidisestablishmentarianism{number}" for number in range(4)]
KINDS = ("chat", "messages")
EVENTS = {"chat": chat_events(WORDS), "messages": claude_events(WORDS)}
LENGTHS = {kind: len(events) for kind, events in EVENTS.items()}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(kind: str) -> Iterator[Dripping]:
    with Dripping(EVENTS[kind]) as running:
        yield running


@pytest.fixture
def counted(kind: str, server: Dripping) -> Iterator[Counting]:
    paid = {"chat": "openai", "messages": "anthropic"}[kind]
    with Counting(Settings(ledger=None, provider_hosts={f"127.0.0.1:{server.port}": paid})) as counting:
        yield counting
    assert faults.counts() == {}


def client_of(kind: str, url: str) -> Any:
    common = {"base_url": url, "api_key": KEY, "timeout": 10, "max_retries": 0}
    if kind == "chat":
        return openai.OpenAI(http_client=openai.DefaultHttpxClient(verify=TRUST), **common)
    return anthropic.Anthropic(http_client=anthropic.DefaultHttpxClient(verify=TRUST), **common)


def async_client_of(kind: str, url: str) -> Any:
    common = {"base_url": url, "api_key": KEY, "timeout": 10, "max_retries": 0}
    if kind == "chat":
        return openai.AsyncOpenAI(http_client=openai.DefaultAsyncHttpxClient(verify=TRUST), **common)
    return anthropic.AsyncAnthropic(http_client=anthropic.DefaultAsyncHttpxClient(verify=TRUST), **common)


def create(kind: str, client: Any) -> Any:
    if kind == "chat":
        return client.chat.completions.create(**CHAT_ASKED, stream=True)
    return client.messages.create(**CLAUDE_ASKED, stream=True)


def text_of(item: Any) -> str:
    if hasattr(item, "choices"):
        return item.choices[0].delta.content or "" if item.choices else ""
    return getattr(getattr(item, "delta", None), "text", "") or ""


def estimated(record: Record, kind: str, text: str) -> None:
    """A partial record that holds at least the text that was delivered."""
    assert record.status == "partial"
    assert record.usage_state in ("missing", "reported")
    assert record.estimated
    assert record.usage.get("output_tokens", 0) >= len(text) // 4
    assert record.usage["input_tokens"] > 0
    if kind == "messages" and text:
        assert record.usage["input_tokens"] == 40
        assert record.usage_state == "reported"
    assert record.cost is not None


def take(server: Dripping, stream: Any, count: int) -> str:
    server.release(count)
    return "".join(text_of(next(stream)) for _ in range(count))


async def take_async(server: Dripping, stream: Any, count: int) -> str:
    server.release(count)
    return "".join([text_of(await anext(stream)) for _ in range(count)])


def leave_by_close(stream: Any) -> None:
    stream.close()
    stream.close()


def leave_by_exit(stream: Any) -> None:
    with stream:
        pass


def leave_by_error(stream: Any) -> None:
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught, stream:
        raise error
    assert caught.value is error


def leave_by_response(stream: Any) -> None:
    stream.response.close()


@pytest.mark.parametrize("count", range(5))
@pytest.mark.parametrize("leave", [leave_by_close, leave_by_exit, leave_by_error, leave_by_response])
def test_a_stream_that_is_closed(
    kind: str, server: Dripping, counted: Counting, leave: Callable[[Any], None], count: int
) -> None:
    """By `close`, by the end of a `with`, by an error of the application inside it, by its response."""
    with client_of(kind, server.url) as client:
        stream = create(kind, client)
        text = take(server, stream, count)
        leave(stream)
        estimated(counted.only, kind, text)


@pytest.mark.parametrize("count", range(5))
def test_a_stream_that_is_forgotten(kind: str, server: Dripping, counted: Counting, count: int) -> None:
    """The garbage collector finds it, whenever that is."""
    with client_of(kind, server.url) as client:
        stream = create(kind, client)
        text = take(server, stream, count)
        del stream
        gc.collect()
        estimated(counted.only, kind, text)


@pytest.mark.parametrize("count", range(5))
def test_a_connection_that_drops(kind: str, server: Dripping, counted: Counting, count: int) -> None:
    """The application has the error, the record its name."""
    with client_of(kind, server.url) as client:
        stream = create(kind, client)
        text = take(server, stream, count)
        server.drop()
        with pytest.raises(Exception, match=r"peer closed|Connection error") as caught:
            next(stream)
        names = {type(caught.value).__name__, type(caught.value.__cause__).__name__}
        record = counted.only
        estimated(record, kind, text)
        assert record.error_type == "RemoteProtocolError"
        assert "RemoteProtocolError" in names


def test_a_stream_read_to_its_end(kind: str, server: Dripping, counted: Counting) -> None:
    """The other side: nothing is partial about it, and closing it later changes nothing."""
    with client_of(kind, server.url) as client:
        server.release(LENGTHS[kind])
        stream = create(kind, client)
        text = "".join(text_of(item) for item in stream)
        stream.close()
        record = counted.only
        assert record.status == "ok"
        assert record.estimated is (kind == "chat")
        assert record.usage["output_tokens"] >= len(text) // 4


def test_a_stream_that_ends_in_good_order_but_early(kind: str) -> None:
    """A proxy that cuts the body and closes it properly: the end never came, so it is partial and estimated."""
    with Dripping(EVENTS[kind][:4]) as server, client_of(kind, server.url) as client:
        paid = {"chat": "openai", "messages": "anthropic"}[kind]
        with Counting(Settings(ledger=None, provider_hosts={f"127.0.0.1:{server.port}": paid})) as counting:
            server.release(4)
            text = "".join(text_of(item) for item in create(kind, client))
            estimated(counting.only, kind, text)


# --- asynchronous ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(5))
@pytest.mark.parametrize("method", ["close", "aclose", "with", "response"])
async def test_an_async_stream_that_is_closed(
    kind: str, server: Dripping, counted: Counting, count: int, method: str
) -> None:
    """In each of the ways there are."""
    async with async_client_of(kind, server.url) as client:
        stream = await create(kind, client)
        text = await take_async(server, stream, count)
        if method == "with":
            async with stream:
                pass
        elif method == "response":
            await stream.response.aclose()
        else:  # the oldest SDKs have no `aclose`
            await getattr(stream, method, stream.close)()
        estimated(counted.only, kind, text)


@pytest.mark.parametrize("count", range(5))
async def test_an_async_stream_that_is_cancelled(kind: str, server: Dripping, counted: Counting, count: int) -> None:
    """While it waits for the next chunk; the application gets the cancellation as it was sent."""
    async with async_client_of(kind, server.url) as client:
        taken: list[str] = []
        waiting = asyncio.Event()
        caught: list[BaseException] = []

        async def read() -> None:
            stream = await create(kind, client)
            try:
                taken.append(await take_async(server, stream, count))
                waiting.set()
                await anext(stream)
            except asyncio.CancelledError as error:
                caught.append(error)
                raise

        task = asyncio.create_task(read())
        await waiting.wait()
        for _ in range(3):
            await asyncio.sleep(0)  # into the read
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert caught[0].args == ("enough",)
        gc.collect()
        record = counted.only
        estimated(record, kind, taken[0])
        assert record.error_type == "CancelledError"


async def test_a_call_that_is_cancelled_before_its_answer(kind: str, counted: Counting) -> None:
    """Nothing came back, so nothing is known to be billed."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it is connected to, and never looks
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with async_client_of(kind, url) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(create(kind, client), 0.05)
    record = counted.only
    assert (record.status, record.usage_state, record.cost) == ("error", "none", None)
    assert record.error_type == "CancelledError"


async def test_an_async_stream_that_takes_too_long(kind: str, server: Dripping, counted: Counting) -> None:
    """`asyncio.wait_for` cancels the read."""
    async with async_client_of(kind, server.url) as client:
        stream = await create(kind, client)
        text = await take_async(server, stream, 3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.02)
        await stream.close()
        estimated(counted.only, kind, text)


async def test_a_group_of_tasks_that_fails(kind: str, server: Dripping, counted: Counting) -> None:
    """The sibling of a task that fails is cancelled in the middle of its stream."""
    async with async_client_of(kind, server.url) as client:
        stream = await create(kind, client)
        text = await take_async(server, stream, 3)

        async def fail() -> None:
            raise ValueError

        with pytest.raises(ExceptionGroup):  # noqa: PT012 - the group has to be entered
            async with asyncio.TaskGroup() as group:
                group.create_task(anext(stream))
                group.create_task(fail())
        await stream.close()
        estimated(counted.only, kind, text)


async def test_an_async_stream_that_another_task_closes(kind: str, server: Dripping, counted: Counting) -> None:
    """Begun in one task, read in a second, closed in a third."""
    async with async_client_of(kind, server.url) as client:
        stream = await asyncio.create_task(create(kind, client))
        text = await asyncio.create_task(take_async(server, stream, 3))
        await asyncio.create_task(stream.close())
        estimated(counted.only, kind, text)


@pytest.mark.parametrize("count", [0, 3])
async def test_an_async_stream_that_is_forgotten(kind: str, server: Dripping, counted: Counting, count: int) -> None:
    """The event loop closes what the garbage collector finds."""
    async with async_client_of(kind, server.url) as client:
        stream = await create(kind, client)
        text = await take_async(server, stream, count)
        del stream
        await left_alone(counted)
        estimated(counted.only, kind, text)


def test_a_loop_that_ends_with_streams_open(kind: str, server: Dripping, counted: Counting) -> None:
    """`asyncio.run` closes what is left, in contexts of its own."""
    texts: list[str] = []

    async def main() -> None:
        client = async_client_of(kind, server.url)
        stream = await create(kind, client)
        texts.append(await take_async(server, stream, 3))
        held.append((client, stream))

    held: list[Any] = []
    asyncio.run(main())
    held.clear()
    gc.collect()
    estimated(counted.only, kind, texts[0])
