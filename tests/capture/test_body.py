"""Bytes of a body become a mapping, wherever the network cut them, and the application gets every one of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2  # any client library of that family will do; the old one is in the old environment only
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.dripping import chat_events, claude_events
from otel_aicost import faults
from otel_aicost.capture import readers as bodies
from otel_aicost.capture.body import Observation, observe
from otel_aicost.capture.readers import JsonReader, SseReader, parse_json, reader_for
from otel_aicost.providers import endpoint_of
from otel_aicost.providers.anthropic import MESSAGES
from otel_aicost.providers.openai import CHAT, RESPONSES
from otel_aicost.testing.eventstream import chunk as frame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from otel_aicost.capture.body import End
    from otel_aicost.capture.readers import Reader
    from otel_aicost.providers.base import Endpoint

WORDS = ("It", "costs", "d\\u00e9j\\u00e0", 'a \\"dime\\"', "data: [DONE]", "日本")
USAGE = '{"prompt_tokens":1500,"completion_tokens":200}'
RESPONSE = '{"id":"resp_1","model":"gpt-4o","status":"%s","output":[],"usage":%s}'
RESPONSES_EVENTS = [
    b'event: response.created\ndata: {"type":"response.created","response":' + (RESPONSE % ("in_progress", "null")).encode() + b"}\n\n",
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"four words of text"}\n\n',
    b'event: response.completed\ndata: {"type":"response.completed","response":'
    + (RESPONSE % ("completed", '{"input_tokens":1500,"output_tokens":200}')).encode()
    + b"}\n\n",
]  # fmt: skip
STREAMS: dict[str, tuple[Endpoint, list[bytes]]] = {
    "chat": (CHAT, chat_events(WORDS, USAGE)),
    "chat without usage": (CHAT, chat_events(WORDS)),
    "chat broken off": (CHAT, chat_events(WORDS)[:3]),
    "chat failed": (CHAT, [*chat_events(WORDS)[:3], b'data: {"error":{"type":"server_error","message":"no"}}\n\n']),
    "messages": (MESSAGES, claude_events(WORDS)),
    "messages broken off": (MESSAGES, claude_events(WORDS)[:4]),
    "messages failed": (
        MESSAGES,
        [*claude_events(WORDS)[:4], b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'],
    ),
    "responses": (RESPONSES, RESPONSES_EVENTS),
    "responses broken off": (RESPONSES, RESPONSES_EVENTS[:2]),
    "responses failed": (
        RESPONSES, [*RESPONSES_EVENTS[:2], b'event: error\ndata: {"type":"error","code":"server_error","message":"x"}\n\n']
    ),
}  # fmt: skip


def read_whole(endpoint: Endpoint, pieces: Iterator[bytes] | list[bytes]) -> Any:
    reader = SseReader(endpoint)
    for piece in pieces:
        reader.feed(piece)
    return reader.body(whole=True), reader.complete, reader.error, reader.seen_tokens()


@st.composite
def cuts(draw: st.DrawFn) -> tuple[Endpoint, bytes, list[bytes]]:
    """A stream, as a whole and cut anywhere; some with the line ends of Windows."""
    endpoint, events = STREAMS[draw(st.sampled_from(sorted(STREAMS)))]
    whole = b"".join(events)
    if draw(st.booleans()):
        whole = whole.replace(b"\n", b"\r\n")
    places = sorted(draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    return endpoint, whole, [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]


@given(cuts())
def test_a_stream_reads_the_same_wherever_it_is_cut(cut: tuple[Endpoint, bytes, list[bytes]]) -> None:
    """Same body, same end, same error, same estimate for any split of the bytes."""
    endpoint, whole, pieces = cut
    assert read_whole(endpoint, pieces) == read_whole(endpoint, [whole])


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_a_stream_reads_the_same_byte_by_byte(name: str, line_end: bytes) -> None:
    """The finest cut there is."""
    endpoint, events = STREAMS[name]
    whole = b"".join(events).replace(b"\n", line_end)
    assert read_whole(endpoint, [bytes([byte]) for byte in whole]) == read_whole(endpoint, [whole])


@pytest.mark.parametrize(
    ("name", "input_tokens", "output_tokens", "complete"),
    [
        ("chat", 1500, 200, True),
        ("chat without usage", None, None, True),
        ("chat broken off", None, None, False),
        ("messages", 40, 200, True),
        ("messages broken off", 40, 1, False),
        ("responses", 1500, 200, True),
        ("responses broken off", None, None, False),
    ],
)
def test_a_stream_holds_the_usage_of_its_last_word(
    name: str, input_tokens: int | None, output_tokens: int | None, complete: bool
) -> None:
    """And the model, also when no usage came."""
    endpoint, events = STREAMS[name]
    body, whole, error, _ = read_whole(endpoint, events)
    reading = endpoint.read(body)
    usage = reading.usage or {}
    assert (usage.get("input_tokens"), usage.get("output_tokens")) == (input_tokens, output_tokens)
    assert (whole, error) == (complete, None)
    assert reading.model
    assert reading.response_id


@pytest.mark.parametrize(
    ("name", "error"),
    [("chat failed", "server_error"), ("messages failed", "overloaded_error"), ("responses failed", "server_error")],
)
def test_an_error_event_is_named(name: str, error: str) -> None:
    """By the provider's own word for it."""
    endpoint, events = STREAMS[name]
    assert read_whole(endpoint, events)[2] == error


def test_the_model_is_found_past_an_event_that_names_none() -> None:
    """Azure opens its streams with the verdict of a filter, where id and model are empty."""
    verdict = b'data: {"choices":[],"created":0,"id":"","model":"","prompt_filter_results":[]}\n\n'
    body, *_ = read_whole(CHAT, [verdict, *chat_events(["one"])])
    assert CHAT.read(body).model == "gpt-4o-2024-08-06"


@pytest.mark.parametrize("text", ["data: [DONE]", "data:[DONE]", '\\"message_stop\\"', '\\"response.completed\\"'])
@pytest.mark.parametrize("name", ["chat", "messages"])
def test_a_text_about_the_end_is_not_the_end(name: str, text: str) -> None:
    """A model that explains server-sent events does not end its own stream."""
    events = chat_events([text], USAGE) if name == "chat" else claude_events([text])
    reader = SseReader(STREAMS[name][0])
    for event in events[:-1]:
        reader.feed(event)
        assert not reader.complete
    reader.feed(events[-1])
    assert reader.complete


def test_a_stream_that_ends_without_a_line_end_is_read() -> None:
    """The last event counts, blank line or not."""
    events = chat_events(["one"], USAGE)[:-1]
    events[-1] = events[-1].rstrip(b"\n")
    body, *_ = read_whole(CHAT, events)
    assert CHAT.read(body).usage == {"input_tokens": 1500, "output_tokens": 200}


def test_only_a_usage_that_says_something_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI writes `"usage":null` into every chunk once it is asked; parsing those would be the main expense."""
    parsed = []
    monkeypatch.setattr(bodies, "parse_json", lambda data: parsed.append(data) or parse_json(data))
    events = [event.replace(b"}\n\n", b',"usage":null}\n\n') for event in chat_events(["word"] * 50)[:-1]]
    reader = SseReader(CHAT)
    for event in [*events, *chat_events([], USAGE)]:
        reader.feed(event)
    assert len(parsed) <= 4
    assert CHAT.read(reader.body(whole=True) or {}).usage == {"input_tokens": 1500, "output_tokens": 200}


@pytest.mark.parametrize("size", [1, 3, 7, 100, 10_000])
def test_amazons_event_stream_reads_the_same_wherever_it_is_cut(size: int) -> None:
    """Frames hold the events of a message in base64."""
    payloads = [event.partition(b"data: ")[2].strip() for event in claude_events(WORDS)]
    whole = b"".join(frame(payload) for payload in payloads)
    reader = reader_for("application/vnd.amazon.eventstream", MESSAGES)
    assert reader is not None
    for at in range(0, len(whole), size):
        reader.feed(whole[at : at + size])
    assert MESSAGES.read(reader.body(whole=True) or {}).usage == {"input_tokens": 40, "output_tokens": 200}
    assert reader.complete


@pytest.mark.parametrize("kind", ["audio/mpeg", "image/png", "application/octet-stream", "text/plain", ""])
def test_a_body_that_is_neither_json_nor_events_is_not_looked_into(kind: str) -> None:
    """Audio and images are never held in memory."""
    assert reader_for(kind, CHAT) is None


def test_a_json_body_past_the_limit_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body as long as the limit is read, one byte more is not kept."""
    text = json.dumps({"id": "x"}).encode()
    for limit, expected in ((len(text), {"id": "x"}), (len(text) - 1, None)):
        monkeypatch.setattr(bodies, "MAX_HELD", limit)
        reader = JsonReader()
        for byte in text:
            reader.feed(bytes([byte]))
        assert reader.body(whole=True) == expected


def test_an_event_past_the_limit_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that never ends does not fill the memory, and the events after it are read."""
    monkeypatch.setattr(bodies, "MAX_HELD", 1000)
    reader = SseReader(CHAT)
    for _ in range(300):
        reader.feed(b"x" * 10)
    assert reader._rest_size <= 1000
    reader.feed(b"\n\n")
    for event in chat_events(["one"], USAGE):
        reader.feed(event)
    assert CHAT.read(reader.body(whole=True) or {}).usage == {"input_tokens": 1500, "output_tokens": 200}


def test_the_text_of_a_long_stream_is_counted_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate needs the sum, not the text."""
    monkeypatch.setattr(bodies, "HELD_TEXT", 500)
    reader = SseReader(CHAT)
    for event in chat_events(["eight..."] * 100):
        reader.feed(event)
        assert reader._held_size <= 500
    assert reader.seen_tokens() >= 100 * len("eight... ") // 4


# --- the observation of a response -----------------------------------------------------------------------------


class Broken(BaseException):
    """What no handler of ours may swallow."""


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, *chunks: bytes | BaseException) -> None:
        self.chunks = chunks
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


def observed(
    *chunks: bytes | BaseException, reader: Reader | None = None
) -> tuple[httpx2.Response, list[tuple[End, BaseException | None]]]:
    response = httpx2.Response(200, stream=Body(*chunks))
    ends: list[tuple[End, BaseException | None]] = []
    observe(response, Observation(reader, lambda how, error: ends.append((how, error)), lambda: None))
    return response, ends


def shadowed(response: httpx2.Response) -> set[str]:
    return {"iter_bytes", "aiter_bytes", "close", "aclose"} & set(response.__dict__)


def test_reading_to_the_end_is_the_end() -> None:
    """The methods put in front are gone afterwards."""
    response, ends = observed(b"one", b"two")
    assert response.read() == b"onetwo"
    response.close()
    assert ends == [("read", None)]
    assert not shadowed(response)


@pytest.mark.parametrize("error", [Broken(), KeyboardInterrupt(), GeneratorExit(), ValueError("x")])
def test_an_error_out_of_a_body_is_the_same_object(error: BaseException) -> None:
    """Whatever it is, it is not caught, wrapped or copied."""
    response, ends = observed(b"one", error)
    chunks = response.iter_bytes()
    assert next(chunks) == b"one"
    with pytest.raises(type(error)) as caught:
        next(chunks)
    assert caught.value is error
    assert ends == [("failed", error)]


@pytest.mark.parametrize("error", [Broken(), KeyboardInterrupt(), ValueError("x")])
async def test_an_error_out_of_an_async_body_is_the_same_object(error: BaseException) -> None:
    """A cancellation among them."""
    response, ends = observed(b"one", error)
    chunks = response.aiter_bytes()
    assert await anext(chunks) == b"one"
    with pytest.raises(type(error)) as caught:
        await anext(chunks)
    assert caught.value is error
    assert ends == [("failed", error)]


def test_closing_before_the_end_is_an_end_of_its_own() -> None:
    """Told once, however often it is closed."""
    response, ends = observed(b"one", b"two")
    assert next(response.iter_bytes()) == b"one"
    response.close()
    response.close()
    assert ends == [("closed", None)]
    assert not shadowed(response)


async def test_closing_an_async_body_before_the_end_is_an_end_of_its_own() -> None:
    """The same for `aclose`."""
    response, ends = observed(b"one", b"two")
    assert await anext(response.aiter_bytes()) == b"one"
    await response.aclose()
    assert ends == [("closed", None)]
    assert not shadowed(response)


def test_letting_go_is_an_end() -> None:
    """At once, without the garbage collector: we add no cycle of references."""
    response, ends = observed(b"one")
    del response
    assert ends == [("dropped", None)]


def test_letting_go_half_way_is_an_end() -> None:
    """The same when reading had begun."""
    response, ends = observed(b"one", b"two")
    chunks = response.iter_bytes()
    next(chunks)
    del response, chunks
    assert [how for how, _ in ends] in (["dropped"], ["closed"])  # httpx2 closes what its iterator leaves


def test_a_reader_that_fails_is_set_aside() -> None:
    """The application reads on; the failure is counted."""

    class Failing(JsonReader):
        def feed(self, chunk: bytes) -> None:
            raise RuntimeError

    response, ends = observed(b"one", b"two", reader=Failing())
    assert response.read() == b"onetwo"
    assert [how for how, _ in ends] == ["read"]
    assert faults.counts() == {"capture.body": 1}


@pytest.mark.parametrize("size", [None, 1, 2, 100])
def test_the_chunk_size_asked_for_is_the_one_given(size: int | None) -> None:
    """`iter_bytes(chunk_size)` cuts as it does without us."""
    response, _ = observed(b"onetwothree")
    bare = httpx2.Response(200, stream=Body(b"onetwothree"))
    assert list(response.iter_bytes(size)) == list(bare.iter_bytes(size))


def test_the_endpoints_of_this_file_are_the_registered_ones() -> None:
    """What is tested here is what calls are read with."""
    assert endpoint_of("/v1/chat/completions") is CHAT
    assert endpoint_of("/v1/messages") is MESSAGES
    assert endpoint_of("/v1/responses") is RESPONSES
