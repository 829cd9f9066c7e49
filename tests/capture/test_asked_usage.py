"""`OTEL_AICOST_STREAM_USAGE=inject`: the provider is asked for the usage, the application never knows."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.dripping import chat_events
from capture.scenarios import CHAT_ASKED, CHAT_COUNTED, CHAT_STREAM, CHAT_USAGE, CLAUDE_STREAM, RESPONSES, seen
from capture.world import Counting, async_client, settings, sync_client
from otel_aicost import faults
from otel_aicost.capture.body import HiddenEvents
from otel_aicost.providers.openai import ask_for_usage, undo_usage
from otel_aicost.testing import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_aicost.testing import FakeProvider

ASKED = {**CHAT_ASKED, "stream": True}


@pytest.fixture
def asking(provider: FakeProvider) -> Iterator[Counting]:
    with Counting(settings(provider, stream_usage="inject")) as counting:
        yield counting
    assert faults.counts() == {}


def calls(client: Any) -> Any:
    """The stream as objects, as lines, and as text."""
    completions = client.chat.completions
    objects = [(seen(item), item.model_fields_set) for item in completions.create(**ASKED)]
    with completions.with_streaming_response.create(**ASKED) as response:
        lines = list(response.iter_lines())
    with completions.with_streaming_response.create(**ASKED) as response:
        whole = b"".join(response.iter_bytes())
    return objects, lines, whole


@pytest.mark.parametrize(
    "how",
    [{}, {"chunk_bytes": 1}, {"chunk_bytes": 5}, {"crlf": True}, {"crlf": True, "chunk_bytes": 3}, {"gzip": True},
     {"spaced": True}, {"spaced": True, "chunk_bytes": 2}],
    ids=str,
)  # fmt: skip
def test_the_application_sees_the_stream_it_asked_for(provider: FakeProvider, how: Any) -> None:
    """Object by object, line by line, byte by byte."""
    reply = Reply(usage=CHAT_USAGE, text='the "usage":null of a word', **how)
    with sync_client("openai", provider) as client:
        provider.always(reply)
        bare = calls(client)
        provider.reset()
        provider.always(reply)
        with Counting(settings(provider, stream_usage="inject")) as counting:
            assert calls(client) == bare
            assert [dict(record.usage) for record in counting.records] == [CHAT_COUNTED] * 3
            assert not any(record.estimated for record in counting.records)
    assert [request.payload["stream_options"] for request in provider.requests] == [{"include_usage": True}] * 3
    assert faults.counts() == {}


async def test_an_async_application_sees_the_stream_it_asked_for(provider: FakeProvider) -> None:
    """The same for the asynchronous client, and for completions."""
    reply = Reply(usage=CHAT_USAGE)

    async def call(client: Any) -> Any:
        chat = await client.chat.completions.create(**ASKED)
        objects = [seen(item) async for item in chat]
        plain = await client.completions.create(model="gpt-3.5-turbo-instruct", prompt="one", stream=True)
        return objects, [seen(item) async for item in plain]

    async with async_client("openai", provider) as client:
        provider.always(reply)
        bare = await call(client)
        provider.reset()
        provider.always(reply)
        with Counting(settings(provider, stream_usage="inject")) as counting:
            assert await call(client) == bare
            assert [dict(record.usage) for record in counting.records] == [CHAT_COUNTED] * 2
    assert faults.counts() == {}


def test_an_azure_stream_keeps_its_opening_event(provider: FakeProvider) -> None:
    """It has no choices either, and is not there because of us."""
    with sync_client("azure", provider) as client:
        provider.always(Reply(usage=CHAT_USAGE))
        bare = [seen(item) for item in client.chat.completions.create(**ASKED)]
        provider.reset()
        provider.always(Reply(usage=CHAT_USAGE))
        with Counting(settings(provider, stream_usage="inject")) as counting:
            assert [seen(item) for item in client.chat.completions.create(**ASKED)] == bare
            assert dict(counting.only.usage) == CHAT_COUNTED
    assert bare[0][1]["choices"] == []


def test_an_application_that_asks_itself_gets_what_it_asked_for(
    provider: FakeProvider, asking: Counting, gpt: Any
) -> None:
    """With the extra chunk, or expressly without."""
    provider.always(Reply(usage=CHAT_USAGE))
    assert list(gpt.chat.completions.create(**CHAT_STREAM))[-1].usage
    refused = {**ASKED, "stream_options": {"include_usage": False}}
    assert all(item.usage is None for item in gpt.chat.completions.create(**refused))
    assert [request.payload["stream_options"]["include_usage"] for request in provider.requests] == [True, False]
    assert [record.estimated for record in asking.records] == [False, True]


def test_only_chat_streams_are_asked(provider: FakeProvider, asking: Counting, gpt: Any, claude: Any) -> None:
    """Other requests are sent byte for byte as they are."""
    gpt.chat.completions.create(**CHAT_ASKED)
    gpt.embeddings.create(model="text-embedding-3-small", input="x")
    list(claude.messages.create(**CLAUDE_STREAM))
    list(gpt.post("/responses", body={**RESPONSES, "stream": True}, cast_to=object, stream=True, stream_cls=_stream()))
    assert not any("stream_options" in request.payload for request in provider.requests)
    assert len(asking.records) == 4


def _stream() -> Any:
    import openai

    return openai.Stream[object]


def test_what_the_application_passes_is_not_changed(provider: FakeProvider, asking: Counting, gpt: Any) -> None:
    """Neither its dictionaries nor the options it sends a second time."""
    from openai._models import FinalRequestOptions

    body = {**ASKED, "stream_options": {}}
    options = FinalRequestOptions.construct(method="post", url="/chat/completions", json_data=body)
    for _ in range(2):
        chunks = list(gpt.request(object, options, stream=True, stream_cls=_stream()))
        assert all("usage" not in chunk and chunk["choices"] for chunk in chunks)
    assert body == {**ASKED, "stream_options": {}}
    assert options.json_data == body
    assert [request.payload["stream_options"] for request in provider.requests] == [{"include_usage": True}] * 2
    assert [record.usage_state for record in asking.records] == ["reported"] * 2


def test_a_host_that_answers_with_json_is_left_alone(provider: FakeProvider, asking: Counting, gpt: Any) -> None:
    """A server that does not stream: its body goes through as it is."""
    body = {"id": "x", "model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    provider.always(Reply(json=body))
    with gpt.chat.completions.with_streaming_response.create(**ASKED) as response:
        assert json.loads(response.read()) == body
    assert asking.only.usage == {"input_tokens": 7, "output_tokens": 3}


USAGE = '{"prompt_tokens":1500,"completion_tokens":200}'
BARE = b"".join(chat_events(["It", 'says \\"usage\\":null', "日本"]))
INJECTED = b"".join(
    event if b'"usage"' in event[20:] and b'"choices":[]' in event else event.replace(b"}\n\n", b',"usage":null}\n\n')
    for event in chat_events(["It", 'says \\"usage\\":null', "日本"], USAGE)
)


@given(places=st.sets(st.integers(0, len(INJECTED))), line_end=st.sampled_from([b"\n", b"\r\n"]))
def test_the_answer_to_our_question_is_taken_out_wherever_the_network_cuts(places: set[int], line_end: bytes) -> None:
    """For any split the bytes are those of a stream that nobody asked for its usage."""
    hidden = HiddenEvents(undo_usage)
    whole = INJECTED.replace(b"\n", line_end)
    ends = sorted({0, len(whole), *places})
    pieces = [whole[a:b] for a, b in pairwise(ends)]
    passed = b"".join([*(hidden.without(piece) for piece in pieces), hidden.rest()])
    assert passed == BARE.replace(b"\n", line_end)


def test_a_question_is_added_to_other_options() -> None:
    """`stream_options` may hold more."""
    asked = ask_for_usage({"stream": True, "stream_options": {"include_obfuscation": False}})
    assert asked == {"stream": True, "stream_options": {"include_obfuscation": False, "include_usage": True}}
