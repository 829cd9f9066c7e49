"""Messages of the fake provider, first-party, on Amazon Bedrock and on Vertex AI, read by the real SDK."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from otel_aicost.testing import FakeProvider, Reply, ToolCall, Usage

ASKED: Any = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "system": "be brief",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "one two three"}]}],
}
CACHED = Usage(
    input_tokens=3100,
    output_tokens=60,
    cache_read_tokens=2000,
    cache_write_tokens=1000,
    cache_write_1h_tokens=400,
    reasoning_tokens=9,
    web_searches=2,
)


def test_an_unscripted_call_counts_one_token_for_each_word(claude: anthropic.Anthropic) -> None:
    """The system prompt counts, the names of roles do not."""
    usage = claude.messages.create(**ASKED).usage
    assert (usage.input_tokens, usage.output_tokens) == (5, 14)


def test_cached_tokens_stand_beside_the_input(provider: FakeProvider, claude: anthropic.Anthropic) -> None:
    """The inclusive totals of a Usage become Anthropic's exclusive ones."""
    provider.next(Reply(usage=CACHED, usage_extra={"speed": "fast"}, service_tier="priority"))
    assert claude.messages.create(**ASKED).to_dict()["usage"] == {
        "input_tokens": 100,
        "cache_creation_input_tokens": 1000,
        "cache_read_input_tokens": 2000,
        "cache_creation": {"ephemeral_5m_input_tokens": 600, "ephemeral_1h_input_tokens": 400},
        "output_tokens": 60,
        "output_tokens_details": {"thinking_tokens": 9},
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
        "service_tier": "priority",
        "inference_geo": "not_available",
        "speed": "fast",
    }


def test_a_stream_states_its_usage_at_both_ends(provider: FakeProvider, claude: anthropic.Anthropic) -> None:
    """`message_start` has everything but the output, `message_delta` the final counts."""
    provider.next(Reply(usage=CACHED))
    events: list[Any] = [event.to_dict() for event in claude.messages.create(**ASKED, stream=True)]
    start, delta = events[0]["message"]["usage"], events[-2]["usage"]
    assert [events[0]["type"], events[-2]["type"], events[-1]["type"]] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    assert (start["output_tokens"], start["cache_creation"]["ephemeral_1h_input_tokens"]) == (1, 400)
    assert "server_tool_use" not in start
    assert (delta["output_tokens"], delta["server_tool_use"]["web_search_requests"]) == (60, 2)
    assert not {"cache_creation", "service_tier"} & set(delta)


@pytest.mark.parametrize("rubbish", [None, "lots", True, [5]])
@pytest.mark.parametrize("stream", [False, True])
def test_any_rubbish_can_be_sent_as_usage(
    provider: FakeProvider, claude: anthropic.Anthropic, rubbish: object, *, stream: bool
) -> None:
    """A usage that is not a Usage goes over the wire as it is, at both ends of a stream."""
    provider.next(Reply(usage=rubbish))
    raw = claude.messages.with_raw_response.create(**ASKED, stream=stream)
    if stream:
        events: list[Any] = list(raw.parse())
        assert (events[0].message.usage, events[-2].usage) == (rubbish, rubbish)
    else:
        assert raw.http_response.json()["usage"] == rubbish


async def test_the_stream_helpers_build_the_same_message(
    provider: FakeProvider, claude: anthropic.Anthropic, async_claude: anthropic.AsyncAnthropic
) -> None:
    """Text and tool use come out whole, sync and async, and so does the thinking where it is not streamed."""
    reply = Reply(thinking="let me see", text="It is warm", tool_calls=(ToolCall("weather", {"city": "Nouméa"}),))
    provider.always(reply)
    with claude.messages.stream(**ASKED) as stream:
        final = stream.get_final_message()
    async with async_claude.messages.stream(**ASKED) as async_stream:
        async_final = await async_stream.get_final_message()
    assert final.stop_reason == "tool_use"
    content: list[Any] = [block.to_dict() for block in final.content]
    assert [block["type"] for block in content] == ["thinking", "text", "tool_use"]
    whole: Any = claude.messages.create(**ASKED)
    assert whole.content[0].thinking == "let me see"
    assert content[2]["input"] == {"city": "Nouméa"}
    assert async_final.usage == final.usage
    assert final.usage.output_tokens == 8


async def test_the_async_client_reads_both(async_claude: anthropic.AsyncAnthropic) -> None:
    """Whole and streamed answers carry the same text."""
    whole: Any = await async_claude.messages.create(**ASKED)
    stream = await async_claude.messages.create(**ASKED, stream=True)
    texts = [event.delta.text async for event in stream if event.type == "content_block_delta"]
    assert "".join(texts) == whole.content[0].text


def test_the_beta_endpoint_is_the_same(provider: FakeProvider, claude: anthropic.Anthropic) -> None:
    """`?beta=true` changes nothing."""
    assert claude.beta.messages.create(**ASKED).usage.output_tokens == 14
    answer: Any = claude.post("/v1/messages?beta=true", cast_to=object, body=ASKED)
    assert answer["usage"]["output_tokens"] == 14
    assert provider.requests[1].query == {"beta": "true"}


def test_tokens_can_be_counted(claude: anthropic.Anthropic) -> None:
    """`count_tokens` counts the words of the prompt."""
    body = {"model": "claude-haiku-4-5", "messages": ASKED["messages"]}
    assert claude.post("/v1/messages/count_tokens", cast_to=object, body=body) == {"input_tokens": 3}


def test_a_tool_that_is_insisted_on_is_called(claude: anthropic.Anthropic) -> None:
    """A named `tool_choice` gets a call with arguments that fit the schema."""
    schema = {"type": "object", "properties": {"days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}}}
    tools: Any = [{"name": "other", "input_schema": schema}, {"name": "weather", "input_schema": schema}]
    choice: Any = {"type": "tool", "name": "weather"}
    block: Any = claude.messages.create(**ASKED, tools=tools, tool_choice=choice).content[0]
    assert (block.name, block.input) == ("weather", {"days": 1, "unit": "C"})


@pytest.mark.skipif(not hasattr(anthropic.resources.Messages, "parse"), reason="this version has no parse()")
def test_parse_gets_an_object_that_fits(claude: anthropic.Anthropic) -> None:
    """An unscripted answer to a request with a schema is a sample of it."""
    from pydantic import BaseModel

    class Pitch(BaseModel):
        title: str
        words: int

    answer: Any = claude.messages.parse(**ASKED, output_format=Pitch)
    assert answer.parsed_output == Pitch(title="text", words=1)


def bedrock(kind: Any, provider: FakeProvider) -> Any:
    return kind(base_url=provider.url, aws_access_key="x", aws_secret_key="x", aws_region="us-east-1", max_retries=0)


BEDROCK: Any = {**ASKED, "model": "us.anthropic.claude-haiku-4-5-20251001-v1:0"}


def test_bedrock_is_read_whole_and_streamed(provider: FakeProvider) -> None:
    """The binary event stream passes the checksums of botocore and gives the same message."""
    provider.always(Reply(text="It is warm", usage=CACHED))
    with bedrock(anthropic.AnthropicBedrock, provider) as client:
        raw = client.messages.with_raw_response.create(**BEDROCK)
        with client.messages.stream(**BEDROCK) as stream:
            final = stream.get_final_message()
    assert [request.path.rpartition("/")[2] for request in provider.requests] == [
        "invoke",
        "invoke-with-response-stream",
    ]
    assert raw.headers["x-amzn-bedrock-input-token-count"] == "100"
    assert raw.parse().model == final.model == "claude-haiku-4-5-20251001"
    assert final.content[0].text == "It is warm"
    assert final.usage.output_tokens == 60


async def test_bedrock_is_read_asynchronously_with_its_metrics(provider: FakeProvider) -> None:
    """The last event holds Amazon's own counts."""
    provider.next(Reply(usage=CACHED))
    async with bedrock(anthropic.AsyncAnthropicBedrock, provider) as client:
        stream = await client.messages.create(**BEDROCK, stream=True)
        events = [event.to_dict() async for event in stream]
    assert events[-1]["amazon-bedrock-invocationMetrics"] == {
        "inputTokenCount": 100,
        "outputTokenCount": 60,
        "invocationLatency": 5,
        "firstByteLatency": 1,
        "cacheReadInputTokenCount": 2000,
        "cacheWriteInputTokenCount": 1000,
    }


def vertex(kind: Any, provider: FakeProvider) -> Any:
    return kind(base_url=provider.vertex_url, region="us-east5", project_id="p", access_token="x", max_retries=0)


VERTEX: Any = {**ASKED, "model": "claude-haiku-4-5@20251001"}


async def test_vertex_is_read_whole_and_streamed(provider: FakeProvider) -> None:
    """`:rawPredict` answers in JSON, `:streamRawPredict` in events."""
    with vertex(anthropic.AnthropicVertex, provider) as client:
        whole = client.messages.create(**VERTEX)
    async with (
        vertex(anthropic.AsyncAnthropicVertex, provider) as async_client,
        async_client.messages.stream(**VERTEX) as stream,
    ):
        final = await stream.get_final_message()
    assert whole.model == final.model == "claude-haiku-4-5-20251001"
    assert final.usage.output_tokens == whole.usage.output_tokens == 14
    assert [request.path.rpartition(":")[2] for request in provider.requests] == [
        "rawPredict",
        "streamRawPredict",
    ]
