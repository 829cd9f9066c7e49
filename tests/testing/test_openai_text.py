"""Chat completions, completions and responses of the fake provider, read by the real SDK."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from pydantic import BaseModel

from otel_aicost.testing import FakeProvider, Reply, ToolCall, Usage

PROMPT: Any = [{"role": "user", "content": "one two three"}]
ASKED: Any = {"model": "gpt-4o", "messages": PROMPT}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
EVERYTHING = Usage(
    input_tokens=1500,
    output_tokens=200,
    cache_read_tokens=1000,
    cache_write_tokens=50,
    reasoning_tokens=120,
    input_audio_tokens=30,
    output_audio_tokens=20,
    input_image_tokens=10,
)

needs_responses = pytest.mark.skipif(
    not hasattr(openai.OpenAI, "responses"), reason="this version of the SDK has no responses"
)


class Pitch(BaseModel):
    """What is asked for in the tests of `.parse()`."""

    title: str
    words: int
    lines: list[str]


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_an_unscripted_call_counts_one_token_for_each_word(client: openai.OpenAI) -> None:
    """Input tokens are the words of the prompt, output tokens those of the answer."""
    answer = client.chat.completions.create(**ASKED)
    assert answer.usage
    assert answer.usage.prompt_tokens == 3
    assert answer.usage.completion_tokens == len((answer.choices[0].message.content or "").split())


def test_a_scripted_usage_arrives_in_every_detail(provider: FakeProvider, client: openai.OpenAI) -> None:
    """A Usage is written in the field names of chat completions, totals inclusive."""
    provider.next(Reply(usage=EVERYTHING))
    usage = client.chat.completions.create(**ASKED).to_dict()["usage"]
    assert usage == {
        "prompt_tokens": 1500,
        "completion_tokens": 200,
        "total_tokens": 1700,
        "prompt_tokens_details": {
            "cached_tokens": 1000,
            "cache_write_tokens": 50,
            "audio_tokens": 30,
            "image_tokens": 10,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 120,
            "audio_tokens": 20,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def test_the_cost_a_provider_states_stands_beside_its_usage(provider: FakeProvider, client: openai.OpenAI) -> None:
    """`usage_extra` adds OpenRouter's and xAI's own cost."""
    provider.next(Reply(usage_extra={"cost": 0.00123, "cost_in_usd_ticks": 12_300_000}))
    usage: Any = client.chat.completions.create(**ASKED).usage
    assert (usage.cost, usage.cost_in_usd_ticks) == (0.00123, 12_300_000)


@pytest.mark.parametrize("rubbish", [None, "lots", True, {"prompt_tokens": -5}, {"prompt_tokens": 10**30}, []])
def test_any_rubbish_can_be_sent_as_usage(provider: FakeProvider, client: openai.OpenAI, rubbish: object) -> None:
    """A usage that is not a Usage goes over the wire as it is."""
    provider.next(Reply(usage=rubbish))
    assert client.post("/chat/completions", cast_to=object, body=ASKED)["usage"] == rubbish  # type: ignore[index]


def test_keys_can_be_added_and_left_out(provider: FakeProvider, client: openai.OpenAI) -> None:
    """`extra` and `omit` change the top level of the answer."""
    provider.next(Reply(extra={"provider": "someone"}, omit=("choices", "usage")))
    answer: Any = client.post("/chat/completions", cast_to=object, body=ASKED)
    assert answer["provider"] == "someone"
    assert not {"choices", "usage"} & set(answer)


def test_a_stream_without_include_usage_has_none(client: openai.OpenAI) -> None:
    """No chunk of such a stream has a usage key at all."""
    chunks = list(client.chat.completions.create(**ASKED, stream=True))
    assert "".join(text_of(chunks)).startswith("The fake provider")
    assert all("usage" not in chunk.to_dict() for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stream_with_include_usage_ends_in_an_extra_chunk(provider: FakeProvider, client: openai.OpenAI) -> None:
    """The last chunk has the usage and no choices, every other one `usage: null`."""
    provider.next(Reply(usage=Usage(input_tokens=7, output_tokens=5)))
    chunks = list(client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))
    assert [chunk.choices for chunk in chunks[-1:]] == [[]]
    assert chunks[-1].usage
    assert chunks[-1].usage.total_tokens == 12
    assert {chunk.to_dict()["usage"] for chunk in chunks[:-1]} == {None}


def test_asking_for_the_usage_does_not_change_the_stream(provider: FakeProvider, client: openai.OpenAI) -> None:
    """Ids and text are the same with and without `stream_options`."""
    bare = list(client.chat.completions.create(**ASKED, stream=True))
    provider.reset()
    asked = list(client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))
    assert [chunk.choices for chunk in bare] == [chunk.choices for chunk in asked[:-1]]
    assert bare[0].id == asked[0].id


async def test_the_async_client_reads_both(async_client: openai.AsyncOpenAI) -> None:
    """Whole and streamed answers carry the same text."""
    whole = await async_client.chat.completions.create(**ASKED)
    stream = await async_client.chat.completions.create(**ASKED, stream=True)
    assert text_of([chunk async for chunk in stream]) == whole.choices[0].message.content


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices_are_counted_each(client: openai.OpenAI, *, stream: bool) -> None:
    """With n=3 there are three choices, and three times the output."""
    if stream:
        chunks = client.chat.completions.create(**ASKED, n=3, stream=True, stream_options={"include_usage": True})
        seen = list(chunks)
        indexes = {choice.index for chunk in seen for choice in chunk.choices}
        usage = seen[-1].usage
    else:
        answer = client.chat.completions.create(**ASKED, n=3)
        indexes, usage = {choice.index for choice in answer.choices}, answer.usage
    assert indexes == {0, 1, 2}
    assert usage
    assert usage.completion_tokens == 3 * 14


def test_a_scripted_tool_call_arrives_whole_and_in_pieces(provider: FakeProvider, client: openai.OpenAI) -> None:
    """The pieces of the streamed arguments add up to the arguments of the whole answer."""
    reply = Reply(tool_calls=(ToolCall("weather", {"city": "New Caledonia", "days": 3}),))
    provider.next(reply, reply)
    whole = client.chat.completions.create(**ASKED, tools=[WEATHER])
    chunks = list(client.chat.completions.create(**ASKED, tools=[WEATHER], stream=True))
    pieces = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    calls: Any = whole.choices[0].message.tool_calls
    assert whole.choices[0].finish_reason == chunks[-1].choices[0].finish_reason == "tool_calls"
    assert pieces[0].function
    assert pieces[0].function.name == "weather"
    joined = "".join((piece.function and piece.function.arguments) or "" for piece in pieces)
    assert joined == calls[0].function.arguments == '{"city": "New Caledonia", "days": 3}'


def test_a_tool_that_is_insisted_on_is_called(client: openai.OpenAI) -> None:
    """`tool_choice="required"` gets a call with arguments that fit the schema."""
    answer = client.chat.completions.create(**ASKED, tools=[WEATHER], tool_choice="required")
    calls: Any = answer.choices[0].message.tool_calls
    assert [(call.function.name, call.function.arguments) for call in calls] == [("weather", '{"city": "text"}')]


def test_parse_gets_an_object_that_fits(client: openai.OpenAI) -> None:
    """An unscripted answer to a request with a schema is a sample of it."""
    answer = client.beta.chat.completions.parse(**ASKED, response_format=Pitch)
    assert answer.choices[0].message.parsed == Pitch(title="text", words=1, lines=["text"])


async def test_the_stream_helper_reads_chat(async_client: openai.AsyncOpenAI) -> None:
    """`.stream()` builds the final completion with its usage."""
    options: Any = {"include_usage": True}
    async with async_client.beta.chat.completions.stream(**ASKED, stream_options=options) as stream:
        final = await stream.get_final_completion()
    assert final.usage
    assert final.usage.completion_tokens == 14


def test_the_thinking_comes_before_the_answer(provider: FakeProvider, client: openai.OpenAI) -> None:
    """Reasoning text counts as output and as reasoning."""
    provider.next(Reply(thinking="let me see", text="done"))
    answer = client.chat.completions.create(**ASKED)
    message: Any = answer.choices[0].message
    usage: Any = answer.to_dict()["usage"]
    assert message.reasoning_content == "let me see"
    assert (usage["completion_tokens"], usage["completion_tokens_details"]["reasoning_tokens"]) == (4, 3)


@pytest.mark.parametrize(("asked", "served"), [({}, "default"), ({"service_tier": "flex"}, "flex")])
def test_the_service_tier_is_the_one_asked_for(client: openai.OpenAI, asked: Any, served: str) -> None:
    """Without a word about it the tier is `default`."""
    assert client.chat.completions.create(**ASKED, **asked).service_tier == served


def test_the_response_can_name_another_model(provider: FakeProvider, client: openai.OpenAI) -> None:
    """`Reply(model=...)` stands in for the dated snapshot that really answered."""
    provider.next(Reply(model="gpt-4o-2024-08-06"))
    assert client.chat.completions.create(**ASKED).model == "gpt-4o-2024-08-06"


@pytest.mark.parametrize("stream", [False, True])
def test_azure_answers_with_the_model_behind_the_deployment(provider: FakeProvider, *, stream: bool) -> None:
    """The path holds the deployment, the response the real model."""
    azure = openai.AzureOpenAI(azure_endpoint=provider.url, api_key="x", api_version="2024-10-21")
    with azure as client:
        answer = client.chat.completions.create(model="my-deployment", messages=PROMPT, stream=stream)
        models = {chunk.model for chunk in answer} if stream else {answer.model}  # type: ignore[union-attr]
    assert models == {"gpt-4o-2024-11-20"}
    assert provider.requests[0].path == "/openai/deployments/my-deployment/chat/completions"
    assert provider.requests[0].query == {"api-version": "2024-10-21"}


def test_azure_v1_paths_are_the_same_endpoints(provider: FakeProvider) -> None:
    """`/openai/v1/` needs no deployment."""
    with openai.OpenAI(base_url=f"{provider.url}/openai/v1", api_key="x") as client:
        assert client.chat.completions.create(**ASKED).model == "gpt-4o"


def test_completions_are_read_whole_and_streamed(client: openai.OpenAI) -> None:
    """The older endpoint has text in its choices and the same usage."""
    whole = client.completions.create(model="gpt-3.5-turbo-instruct", prompt="one two three")
    options: Any = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.completions.create(model="gpt-3.5-turbo-instruct", prompt="one two three", **options))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage
    assert whole.usage
    assert whole.usage.prompt_tokens == 3


@needs_responses
def test_a_response_is_read_whole(provider: FakeProvider, client: openai.OpenAI) -> None:
    """The usage is written in the field names of the Responses API."""
    provider.next(Reply(text="Hello there", usage=EVERYTHING, service_tier="priority"))
    answer = client.responses.create(model="gpt-4o", input="hi", instructions="be brief")
    assert answer.output_text == "Hello there"
    assert answer.service_tier == "priority"
    assert answer.usage
    assert answer.usage.to_dict() == {
        "input_tokens": 1500,
        "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 50},
        "output_tokens": 200,
        "output_tokens_details": {"reasoning_tokens": 120},
        "total_tokens": 1700,
    }


@needs_responses
def test_the_stream_helper_reads_every_kind_of_item(provider: FakeProvider, client: openai.OpenAI) -> None:
    """Reasoning, web searches, text and tool calls are streamed event by event."""
    usage = Usage(input_tokens=5, output_tokens=4, web_searches=2)
    calls = (ToolCall("weather", {"city": "Nouméa"}),)
    provider.next(Reply(thinking="let me see", text="It is warm", tool_calls=calls, usage=usage))
    tool: Any = {"type": "function", "strict": True, **WEATHER["function"]}
    with client.responses.stream(model="gpt-4o", input="hi", tools=[tool]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert [item.type for item in final.output] == [
        "reasoning",
        "web_search_call",
        "web_search_call",
        "message",
        "function_call",
    ]
    assert final.output_text == "It is warm"
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.tool_usage
    assert final.tool_usage.web_search.num_requests == 2
    call: Any = final.output[-1]
    assert call.arguments == '{"city": "Nouméa"}'


@needs_responses
def test_responses_parse_gets_an_object_that_fits(client: openai.OpenAI) -> None:
    """`text.format` is honoured as `response_format` is in chat."""
    answer = client.responses.parse(model="gpt-4o", input="hi", text_format=Pitch)
    assert answer.output_parsed == Pitch(title="text", words=1, lines=["text"])


@needs_responses
async def test_the_async_client_streams_responses(async_client: openai.AsyncOpenAI) -> None:
    """The usage comes with the last event only."""
    stream = await async_client.responses.create(model="gpt-4o", input="hi", stream=True)
    events: list[Any] = [event async for event in stream]
    assert events[0].response.usage is None
    assert events[-1].response.usage.input_tokens == 1
    assert [event.sequence_number for event in events] == list(range(len(events)))


@needs_responses
@pytest.mark.parametrize("ending", ["incomplete", "failed"])
def test_a_response_can_end_badly(provider: FakeProvider, client: openai.OpenAI, ending: str) -> None:
    """`finish_reason` is the status of a response; its usage is stated all the same."""
    provider.next(Reply(finish_reason=ending))
    events: list[Any] = list(client.responses.create(model="gpt-4o", input="hi", stream=True))
    assert events[-1].type == f"response.{ending}"
    assert events[-1].response.usage.output_tokens == 14


@needs_responses
def test_a_background_response_states_its_usage_when_fetched(client: openai.OpenAI) -> None:
    """Created with `usage: null`, finished when it is asked for."""
    queued = client.responses.create(model="gpt-4o", input="hi", background=True)
    assert (queued.status, queued.usage) == ("queued", None)
    finished = client.responses.retrieve(queued.id)
    assert finished.status == "completed"
    assert finished.usage
    assert list(client.responses.retrieve(queued.id, stream=True))[-1].type == "response.completed"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_unknown")


@needs_responses
def test_counting_the_tokens_of_a_response_is_answered(client: openai.OpenAI) -> None:
    """`/responses/input_tokens` counts the words of the input."""
    assert client.post("/responses/input_tokens", cast_to=object, body={"model": "gpt-4o", "input": "a b c"}) == {
        "object": "response.input_tokens",
        "input_tokens": 3,
    }
