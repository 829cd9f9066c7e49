"""What goes wrong on the way, on purpose: errors, drops, rubbish, and odd but legal ways to write a body."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from otel_aicost.testing import FakeProvider, Reply

ASKED: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "one two three"}]}
CLAUDE: Any = {**ASKED, "model": "claude-haiku-4-5", "max_tokens": 100}
BEDROCK: Any = {**CLAUDE, "model": "anthropic.claude-haiku-4-5-20251001-v1:0"}

BROKEN = r"peer closed connection|Connection error"
"""Older and newer versions of the SDKs say it differently."""


def bedrock(provider: FakeProvider) -> Any:
    return anthropic.AnthropicBedrock(
        base_url=provider.url, aws_access_key="x", aws_secret_key="x", aws_region="us-east-1", max_retries=0
    )


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, openai.BadRequestError, "invalid_value"),
        (401, openai.AuthenticationError, "invalid_api_key"),
        (403, openai.PermissionDeniedError, None),
        (404, openai.NotFoundError, "model_not_found"),
        (418, openai.APIStatusError, "invalid_value"),
        (429, openai.RateLimitError, "rate_limit_exceeded"),
        (500, openai.InternalServerError, None),
        (599, openai.InternalServerError, None),
    ],
)
def test_openai_errors_read_as_the_real_ones(
    provider: FakeProvider,
    client: openai.OpenAI,
    status: int,
    kind: type[openai.APIStatusError],
    code: str | None,
) -> None:
    """Each status has the SDK's own exception with the provider's code."""
    provider.fail(status)
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**ASKED)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert client.chat.completions.create(**ASKED).usage


@pytest.mark.parametrize(
    ("status", "kind", "word"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
def test_anthropic_errors_read_as_the_real_ones(
    provider: FakeProvider,
    claude: anthropic.Anthropic,
    status: int,
    kind: type[anthropic.APIStatusError],
    word: str,
) -> None:
    """Each status has the SDK's own exception with the provider's error type."""
    provider.fail(status)
    with pytest.raises(kind) as caught:
        claude.messages.create(**CLAUDE)
    body: Any = caught.value.body
    assert body["error"]["type"] == word


def test_amazon_and_google_have_errors_of_their_own(provider: FakeProvider) -> None:
    """Bedrock names the error in a header, Vertex in a status word."""
    provider.fail(429, times=2)
    with bedrock(provider) as client, pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(**BEDROCK)
    assert caught.value.response.headers["x-amzn-errortype"] == "ThrottlingException"
    url = f"{provider.vertex_url}/projects/p/locations/l/publishers/anthropic/models/m:rawPredict"
    with (
        openai.OpenAI(base_url=url, api_key="x", max_retries=0) as plain,
        pytest.raises(openai.RateLimitError) as told,
    ):
        plain.post(url, cast_to=object, body={})
    assert told.value.response.json()["error"]["status"] == "RESOURCE_EXHAUSTED"


def test_an_error_can_be_spelled_out(provider: FakeProvider, client: openai.OpenAI) -> None:
    """`error` and `headers` replace what the provider usually sends."""
    spelled = {"error": {"message": "no", "code": "mine"}}
    provider.next(Reply(status=400, error=spelled, headers={"X-Request-ID": "req_1"}))
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**ASKED)
    assert (caught.value.code, caught.value.request_id) == ("mine", "req_1")


def test_the_sdks_retry_what_fails_at_first(provider: FakeProvider) -> None:
    """Two failures and a success are three requests and one answer."""
    provider.fail(500, times=2)
    with openai.OpenAI(base_url=provider.openai_url, api_key="x", max_retries=2) as client:
        assert client.chat.completions.create(**ASKED).usage
    provider.fail(429, times=2)
    with anthropic.Anthropic(base_url=provider.url, api_key="x", max_retries=2) as claude:
        assert claude.messages.create(**CLAUDE).usage
    assert len(provider.requests) == 6


def test_a_connection_can_be_cut_without_an_answer(provider: FakeProvider) -> None:
    """The SDK sees a broken connection, and may try again."""
    provider.next(Reply(hang_up=True))
    with openai.OpenAI(base_url=provider.openai_url, api_key="x", max_retries=1) as client:
        assert client.chat.completions.create(**ASKED).usage
    provider.next(Reply(hang_up=True))
    with (
        openai.OpenAI(base_url=provider.openai_url, api_key="x", max_retries=0) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        client.chat.completions.create(**ASKED)


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_stream_can_break_off(provider: FakeProvider, client: openai.OpenAI, chunks: int) -> None:
    """Exactly `drop_after` chunks arrive; then the connection is gone."""
    provider.next(Reply(drop_after=chunks))
    stream = client.chat.completions.create(**ASKED, stream=True)
    arrived: list[str] = []
    with pytest.raises(Exception, match=BROKEN):
        arrived.extend(chunk.id for chunk in stream)
    assert len(arrived) == chunks


async def test_an_async_stream_can_break_off(provider: FakeProvider, async_claude: anthropic.AsyncAnthropic) -> None:
    """The same for messages, asynchronously."""
    provider.next(Reply(drop_after=2))
    events = aiter(await async_claude.messages.create(**CLAUDE, stream=True))
    assert [(await anext(events)).type for _ in range(2)] == ["message_start", "content_block_start"]
    with pytest.raises(Exception, match=BROKEN):
        await anext(events)


def test_a_whole_answer_can_break_off(provider: FakeProvider, client: openai.OpenAI) -> None:
    """Headers arrive, the body does not."""
    provider.next(Reply(drop_after=0))
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**ASKED)


def test_the_body_can_be_cut_short(provider: FakeProvider, client: openai.OpenAI) -> None:
    """The message is whole for HTTP and broken as JSON."""
    provider.next(Reply(truncate=40))
    raw = client.chat.completions.with_raw_response.create(**ASKED)
    assert len(raw.content) == 40
    with pytest.raises(json.JSONDecodeError):
        json.loads(raw.content)


def test_an_openai_stream_can_fail_in_the_middle(provider: FakeProvider, client: openai.OpenAI) -> None:
    """Two chunks, then an error event that the SDK raises."""
    provider.next(Reply(error_after=2))
    stream = iter(client.chat.completions.create(**ASKED, stream=True))
    assert [next(stream).object for _ in range(2)] == ["chat.completion.chunk"] * 2
    with pytest.raises(openai.APIError, match="had an error"):
        next(stream)


def test_an_anthropic_stream_can_fail_in_the_middle(provider: FakeProvider, claude: anthropic.Anthropic) -> None:
    """`event: error` after the first usage."""
    provider.next(Reply(error_after=1))
    stream = iter(claude.messages.create(**CLAUDE, stream=True))
    assert next(stream).type == "message_start"
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        next(stream)


def test_a_response_stream_can_fail_in_the_middle(provider: FakeProvider, client: openai.OpenAI) -> None:
    """The Responses API sends an event of type `error`."""
    provider.next(Reply(error_after=2))
    text = client.post("/responses", cast_to=str, body={"model": "gpt-4o", "input": "hi", "stream": True})
    last = json.loads(text.strip().rpartition("data: ")[2])
    assert (last["type"], last["code"], last["sequence_number"]) == ("error", "server_error", 2)


def test_a_bedrock_stream_can_fail_in_the_middle(provider: FakeProvider) -> None:
    """An exception frame of the binary framing, readable by botocore."""
    from botocore.eventstream import EventStreamBuffer  # type: ignore[import-untyped]

    provider.next(Reply(error_after=1))
    with bedrock(provider) as client:
        raw = client.messages.with_raw_response.create(**BEDROCK, stream=True)
        frames = EventStreamBuffer()
        frames.add_data(b"".join(raw.http_response.iter_bytes()))
    kinds = [frame.to_response_dict()["headers"][":message-type"] for frame in frames]
    assert kinds == ["event", "exception"]


@pytest.mark.parametrize(
    "manner",
    [
        {"gzip": True},
        {"crlf": True},
        {"comments": True},
        {"spaced": True},
        {"chunk_bytes": 7},
        {"chunk_bytes": 1, "gzip": True, "crlf": True, "comments": True},
    ],
)
def test_odd_ways_to_write_a_stream_read_the_same(
    provider: FakeProvider, client: openai.OpenAI, claude: anthropic.Anthropic, manner: dict[str, Any]
) -> None:
    """Compression, line ends, comments, spaces and where chunks end change nothing that is read."""
    readings = []
    for reply in (Reply(text="Ça va très bien"), Reply(text="Ça va très bien", **manner)):
        provider.reset()
        provider.always(reply)
        asked: Any = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = [chunk.to_dict() for chunk in client.chat.completions.create(**ASKED, **asked)]
        events = [event.to_dict() for event in claude.messages.create(**CLAUDE, stream=True)]
        whole = [
            client.chat.completions.create(**ASKED).to_dict(),
            claude.messages.create(**CLAUDE).to_dict(),
        ]
        readings.append((chunks, events, whole))
    assert readings[0] == readings[1]


def test_any_path_can_be_given_an_answer(provider: FakeProvider, client: openai.OpenAI) -> None:
    """`json` and `body` answer for endpoints the fake provider has never heard of."""
    provider.next(Reply(json={"usage": {"input_tokens": 4}}), Reply(body=b"pong", content_type="text/plain"))
    assert client.post("/decisions", cast_to=object, body={}) == {"usage": {"input_tokens": 4}}
    assert client.post("/ping", cast_to=str, body={}) == "pong"
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        client.post("/decisions", cast_to=object, body={})


def test_answers_and_chunks_can_be_slow(provider: FakeProvider, client: openai.OpenAI) -> None:
    """A client that waits less than the delay times out."""
    provider.next(Reply(delay=30), Reply(chunk_delay=30))
    variants: list[Any] = [{}, {"stream": True}]
    for asked in variants:
        with pytest.raises(Exception, match="timed out"):
            list(client.with_options(timeout=0.1).chat.completions.create(**ASKED, **asked))


def test_a_slow_stream_is_broken_off_by_close() -> None:
    """`close` does not wait for a delay to pass."""
    provider = FakeProvider().start()
    provider.next(Reply(chunk_delay=60))
    with openai.OpenAI(base_url=provider.openai_url, api_key="x", max_retries=0) as client:
        stream = client.chat.completions.create(**ASKED, stream=True)
        provider.close()
        with pytest.raises(Exception, match=BROKEN):
            next(iter(stream))


def test_a_mistake_in_a_script_is_told_to_the_caller(provider: FakeProvider, client: openai.OpenAI) -> None:
    """A script that raises becomes an error that names the reason."""

    def broken(_: object) -> Reply:
        msg = "no such call"
        raise LookupError(msg)

    provider.always(broken)
    with pytest.raises(openai.InternalServerError, match="LookupError: no such call"):
        client.chat.completions.create(**ASKED)
