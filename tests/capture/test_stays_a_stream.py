"""A stream stays a stream: the server sends a chunk only after the application has the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from capture.dripping import Dripping, chat_events, claude_events
from capture.scenarios import CHAT_ASKED, CLAUDE_ASKED
from capture.world import KEY, TRUST, Counting
from otel_aicost import faults
from otel_aicost.config import Settings

if TYPE_CHECKING:
    from otel_aicost.config import StreamUsage

WORDS = [f"word{number}" for number in range(20)]
USAGE = '{"prompt_tokens":1500,"completion_tokens":200}'
CHAT = chat_events(WORDS)
CLAUDE = claude_events(WORDS)


def chat_client(url: str) -> Any:
    transport = openai.DefaultHttpxClient(verify=TRUST)
    return openai.OpenAI(base_url=url, api_key=KEY, http_client=transport, timeout=10, max_retries=0)


def async_chat_client(url: str) -> Any:
    transport = openai.DefaultAsyncHttpxClient(verify=TRUST)
    return openai.AsyncOpenAI(base_url=url, api_key=KEY, http_client=transport, timeout=10, max_retries=0)


def claude_client(url: str) -> Any:
    transport = anthropic.DefaultHttpxClient(verify=TRUST)
    return anthropic.Anthropic(base_url=url, api_key=KEY, http_client=transport, timeout=10, max_retries=0)


@pytest.mark.parametrize("stream_usage", ["estimate", "inject"])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_a_chunk_is_there_before_the_next_is_sent(stream_usage: StreamUsage, line_end: bytes) -> None:
    """Nothing is held back until later, with the usage asked for or not."""
    events = [event.replace(b"\n", line_end) for event in CHAT]
    with (
        Dripping(events) as server,
        chat_client(server.url) as client,
        Counting(Settings(ledger=None, stream_usage=stream_usage)) as counting,
    ):
        stream = client.chat.completions.create(**CHAT_ASKED, stream=True)
        for word in WORDS:
            server.release()
            assert next(stream).choices[0].delta.content == f"{word} "
        server.release(len(events))
        assert len(list(stream)) == 1
        assert len(counting.records) == 1
    assert faults.counts() == {}


async def test_an_async_chunk_is_there_before_the_next_is_sent() -> None:
    """The same for the asynchronous client."""
    with Dripping(CHAT) as server, Counting(Settings(ledger=None)) as counting:
        async with async_chat_client(server.url) as client:
            server.release()
            stream = await client.chat.completions.create(**CHAT_ASKED, stream=True)
            for word in WORDS:
                assert (await anext(stream)).choices[0].delta.content == f"{word} "
                server.release()
            server.release(len(CHAT))
            assert len([item async for item in stream]) == 1
        assert len(counting.records) == 1
    assert faults.counts() == {}


def test_a_text_stream_is_there_word_by_word() -> None:
    """The helper of the Anthropic SDK as well."""
    with Dripping(CLAUDE) as server, claude_client(server.url) as client, Counting(Settings(ledger=None)) as counting:
        server.release(2)
        with client.messages.stream(**CLAUDE_ASKED) as stream:
            texts = stream.text_stream
            for word in WORDS:
                server.release()
                assert next(texts) == f"{word} "
            server.release(len(CLAUDE))
            assert list(texts) == []
        assert counting.only.usage["output_tokens"] == 200
    assert faults.counts() == {}


def test_the_record_is_there_when_the_last_event_is() -> None:
    """The application need not read on to the end of the connection."""
    with (
        Dripping([*chat_events(WORDS, USAGE), b": bye\n\n"]) as server,
        chat_client(server.url) as client,
        Counting(Settings(ledger=None)) as counting,
        client.chat.completions.with_streaming_response.create(**CHAT_ASKED, stream=True) as response,
    ):
        server.release(len(WORDS) + 3)
        lines = response.iter_lines()
        while next(lines) != "data: [DONE]":
            assert counting.collected.records == []
        assert counting.only.usage == {"input_tokens": 1500, "output_tokens": 200}
        assert counting.only.status == "ok"
        server.release()
        assert ": bye" in list(lines)
    assert faults.counts() == {}
