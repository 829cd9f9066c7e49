"""boto3 and aiobotocore on Amazon Bedrock: one record for each billable answer, and the application sees no change."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import subprocess
import sys
import warnings
from contextlib import closing
from decimal import Decimal

import boto3
import botocore.client
import pytest
from aiobotocore.session import get_session
from botocore.config import Config
from botocore.eventstream import EventStream
from botocore.exceptions import ClientError, EventStreamError, ReadTimeoutError, ResponseStreamingError
from botocore.response import StreamingBody

from capture.holding import starting
from capture.test_every_failure import BREAKABLE, FUNCTIONS, failing
from capture.world import Counting, left_alone, settings
from otel_aicost import BudgetExceeded, faults, tags
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.testing import Reply, Usage

NOVA = "amazon.nova-pro-v1:0"
LITE = "amazon.nova-lite-v1:0"
CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
LLAMA = "meta.llama3-1-8b-instruct-v1:0"
SAID = [{"role": "user", "content": [{"text": "a secret question"}]}]
ASKED = {"modelId": NOVA, "messages": SAID, "inferenceConfig": {"maxTokens": 100}}
NATIVE = {"modelId": CLAUDE, "body": json.dumps({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})}
USED = Usage(input_tokens=100, output_tokens=20)
TOKENS = {"input_tokens": 100, "output_tokens": 20}
NOVA_DOLLARS = Decimal("0.000144")
"""100 at 0.80 and 20 at 3.20 dollars a million."""
KEYS = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "secret-canary"}


def options(provider, **others):
    config = Config(retries={"max_attempts": 0}, read_timeout=5, **others)
    return {**KEYS, "endpoint_url": provider.url, "config": config}


@pytest.fixture(autouse=True)
def _connections_are_left_here():
    """A stream that is not read to its end leaves its connection to the garbage collector, with us and without."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def client(_running):
    with closing(boto3.client("bedrock-runtime", **options(_running))) as made:
        yield made


@pytest.fixture
def aio(_running):
    """A client of aiobotocore, in an `async with`."""
    return get_session().create_client("bedrock-runtime", **options(_running))


@pytest.fixture
def counting(provider, spans):
    provider.always(Reply(usage=USED))
    with Counting(settings(provider, "aws.bedrock"), SpanObserver()) as counted:
        yield counted
    assert faults.counts() == {}


@pytest.fixture
def held(provider, tmp_path):
    yield from starting(provider, tmp_path / "ledger.db")
    assert faults.counts() == {}


def without_ids(value):
    """What an application sees of an answer, but for time and the connection."""
    return {key: part for key, part in value.items() if key != "ResponseMetadata"}


# --- Converse ---------------------------------------------------------------------------------------------------------


def test_converse_is_one_record_with_its_cost(client, counting, spans):
    """The answer is the dictionary it always was; the call has a span, its tags, and no word of the prompt."""
    with tags(user="alice"):
        answer = client.converse(**ASKED)

    assert type(answer) is dict
    record = counting.only
    assert (record.provider, record.operation, record.sdk, record.status) == ("aws.bedrock", "chat", "botocore", "ok")
    assert (record.request_model, record.usage, record.cost.total) == (NOVA, TOKENS, NOVA_DOLLARS)
    assert (record.finish_reasons, record.tags) == (("end_turn",), {"user": "alice"})
    assert record.parameters == {"gen_ai.request.max_tokens": 100}
    assert record.response_id == answer["ResponseMetadata"].get("RequestId")
    (span,) = spans.get_finished_spans()
    assert "secret" not in repr(span.attributes) + repr(record)


def test_the_same_answers_with_and_without(client, provider):
    """Answers are equal key by key, and a stream's events too, whether anybody counts or not."""

    def seen():
        provider.reset()
        streamed = client.converse_stream(**ASKED)
        native = client.invoke_model_with_response_stream(**NATIVE)
        invoked = client.invoke_model(**NATIVE)
        assert type(streamed["stream"]) is EventStream
        assert type(native["body"]) is EventStream
        assert type(invoked["body"]) is StreamingBody
        return (
            without_ids(client.converse(**ASKED)),
            list(streamed["stream"]),
            list(native["body"]),
            invoked["body"].read(),
            sorted(invoked),
        )

    before = seen()
    with Counting(settings(provider, "aws.bedrock")):
        assert seen() == before


def test_the_cache_is_inside_the_input(client, counting, provider):
    """Converse leaves cached tokens out of its input; here they are in, with their lifetimes."""
    used = Usage(
        input_tokens=1000, output_tokens=10, cache_read_tokens=600, cache_write_tokens=300, cache_write_1h_tokens=100
    )
    provider.always(Reply(usage=used))
    client.converse(**{**ASKED, "modelId": "global.anthropic.claude-sonnet-4-5-20250929-v1:0"})

    assert counting.only.usage == {
        "input_tokens": 1000,
        "output_tokens": 10,
        "cache_read_tokens": 600,
        "cache_write_tokens": 300,
        "cache_write_5m_tokens": 200,
        "cache_write_1h_tokens": 100,
    }
    # 100 at 3, 600 at 0.30, 200 at 3.75, 100 at 6, 10 at 15 dollars a million
    assert counting.only.cost.total == Decimal("0.00198")


@pytest.mark.parametrize(
    ("told", "conditions", "priced"),
    [
        ({"serviceTier": {"type": "default"}, "performanceConfig": {"latency": "standard"}}, {}, True),
        ({"serviceTier": {"type": "priority"}}, {"service_tier": "priority"}, False),
        ({"serviceTier": {"type": "flex"}}, {"service_tier": "flex"}, False),
        ({"serviceTier": {"type": "reserved"}}, {"service_tier": "reserved"}, False),
        ({"performanceConfig": {"latency": "optimized"}}, {"speed": "optimized"}, False),
    ],
)
@pytest.mark.parametrize("call", ["converse", "converse_stream"])
def test_tiers_that_have_no_price_are_not_given_the_standard_one(
    client, counting, provider, call, told, conditions, priced
):
    """The tier of the answer decides, not that of the request."""
    provider.always(Reply(usage=USED, extra=told))
    list(getattr(client, call)(**ASKED).get("stream", ()))

    assert counting.only.conditions == conditions
    assert (counting.only.cost is not None) is priced
    assert priced or counting.only.unpriced.reason == "unpriced_condition"


@pytest.mark.parametrize("call", ["converse", "converse_stream"])
def test_a_prompt_router_is_priced_by_the_model_it_chose(client, counting, provider, call):
    """The router's own name is in no price list."""
    chosen = f"arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.{NOVA}"
    provider.always(Reply(usage=USED, extra={"trace": {"promptRouter": {"invokedModelId": chosen}}}))
    router = "arn:aws:bedrock:us-east-1:000000000000:default-prompt-router/amazon.nova:1"
    list(getattr(client, call)(**{**ASKED, "modelId": router}).get("stream", ()))

    assert (counting.only.request_model, counting.only.response_model) == (router, f"us.{NOVA}")
    assert counting.only.cost.total == NOVA_DOLLARS


@pytest.mark.parametrize("call", ["converse", "converse_stream"])
def test_the_guardrail_of_an_answer_is_a_record_of_its_own(client, counting, provider, call):
    """Its text units are billed beside the tokens, and do not make those unpriced."""
    used = {"topicPolicyUnits": 2, "contentPolicyUnits": 1, "wordPolicyUnits": 1, "contentPolicyImageUnits": 0}
    checked = {"invocationMetrics": {"guardrailProcessingLatency": 9, "usage": used}}
    trace = {"guardrail": {"inputAssessment": {"gr1": checked}, "outputAssessments": {"gr1": [checked, checked]}}}
    provider.always(Reply(usage=USED, extra={"trace": trace}))
    list(getattr(client, call)(**ASKED).get("stream", ()))

    model, guardrail = counting.records
    assert (model.usage, model.cost.total) == (TOKENS, NOVA_DOLLARS)
    assert (guardrail.operation, guardrail.request_model) == ("apply_guardrail", "amazon.guardrails")
    assert guardrail.usage == {"guardrail_topic_units": 6, "guardrail_content_units": 3, "guardrail_free_units": 3}


# --- what is read of a stream -----------------------------------------------------------------------------------------

STREAMS = [("converse_stream", ASKED, "stream"), ("invoke_model_with_response_stream", NATIVE, "body")]


@pytest.mark.parametrize(("call", "asked", "key"), STREAMS)
def test_a_stream_read_to_its_end_is_exact(client, counting, call, asked, key):
    """Usage comes in the last event."""
    for _ in getattr(client, call)(**asked)[key]:
        pass

    record = counting.only
    assert (record.status, record.usage_state, record.usage, record.stream) == ("ok", "reported", TOKENS, True)
    assert record.first_chunk_ns is not None
    assert record.finish_reasons == ("end_turn",)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the socket is left, too
@pytest.mark.parametrize("end", ["close", "drop"])
@pytest.mark.parametrize(("call", "asked", "key"), STREAMS)
def test_a_stream_that_is_left_is_partial_with_what_is_known(client, counting, call, asked, key, end):
    """Closed, or let go: an estimate of what came, said to be one."""
    stream = getattr(client, call)(**asked)[key]
    events = iter(stream)
    for _ in range(4):
        next(events)
    if end == "close":
        stream.close()
    del stream, events
    asyncio.run(left_alone(counting))

    record = counting.only
    assert (record.status, record.estimated) == ("partial", True)
    assert record.usage["output_tokens"] > 0


@pytest.mark.parametrize(("call", "asked", "key"), STREAMS)
def test_an_error_in_a_stream_is_the_applications(client, counting, provider, call, asked, key):
    """The SDK's exception comes through, and ends the record at once."""
    provider.always(Reply(usage=USED, error_after=4))
    stream = getattr(client, call)(**asked)[key]
    with pytest.raises(EventStreamError, match="throttlingException"):
        list(stream)

    record = counting.only
    assert (record.status, record.error_type, record.estimated) == ("partial", "throttlingException", True)


@pytest.mark.parametrize(("call", "asked", "key"), STREAMS)
def test_a_connection_that_breaks_in_a_stream_is_partial(client, counting, provider, call, asked, key):
    """What the transport raises comes through."""
    provider.always(Reply(usage=USED, drop_after=4))
    with pytest.raises(Exception) as caught:  # noqa: PT011 - urllib3's, which differs by version
        list(getattr(client, call)(**asked)[key])

    record = counting.only
    assert (record.status, record.error_type) == ("partial", type(caught.value).__name__)


# --- InvokeModel, whose body is read once ------------------------------------------------------------------------------


def parts(body):
    return b"".join(iter(lambda: body.read(7), b""))


def filled(body):
    whole, buffer = b"", bytearray(11)
    while size := body.readinto(buffer):
        whole += bytes(buffer[:size])
    return whole


def raw_read(body):
    with body as raw:
        return raw.read()


def raw_streamed(body):
    with body as raw:
        return b"".join(raw.stream(13))


WAYS = {
    "whole": lambda body: body.read(),
    "parts": parts,
    "exactly": lambda body: body.read(int(body._content_length)),
    "in two": lambda body: body.read(10) + body.read(),
    "chunks": lambda body: b"".join(body.iter_chunks(16)),
    "iterated": b"".join,
    "lines": lambda body: b"\n".join(body.iter_lines()),
    "readlines": lambda body: b"".join(body.readlines()),
    "readinto": filled,
    "json.load": lambda body: json.dumps(json.load(body)).encode(),
    "as text": lambda body: io.TextIOWrapper(body).read().encode(),
    "raw": raw_read,
    "raw stream": raw_streamed,
}


@pytest.mark.parametrize(
    ("way", "cut"), [*((way, None) for way in WAYS), *((way, 5) for way in WAYS if way != "exactly")]
)
def test_a_body_is_read_as_ever_however_it_is_read(client, provider, way, cut):
    """The same bytes, one record with the usage of the body, and nothing of ours left on it; `cut`: sent chunked."""

    def seen():
        provider.reset()
        provider.always(Reply(usage=USED, chunk_bytes=cut))
        body = client.invoke_model(**NATIVE)["body"]
        return body, WAYS[way](body)

    _, before = seen()
    with Counting(settings(provider, "aws.bedrock")) as counting:
        body, after = seen()
        assert after == before
        record = counting.only
    assert (record.status, record.usage_state, record.usage) == ("ok", "reported", TOKENS)
    assert record.response_model == "claude-haiku-4-5-20251001"
    assert {"read", "close", "read_chunked"}.isdisjoint({*vars(body), *vars(body._raw_stream)})
    assert faults.counts() == {}


@pytest.mark.parametrize("end", ["close", "drop", "part"])
def test_a_body_that_is_not_read_is_counted_by_its_headers(client, counting, end):
    """The tokens were spent: the headers tell them, and the record says that the answer was not taken."""
    body = client.invoke_model(**NATIVE)["body"]
    if end == "part":
        body.read(5)
    if end == "close":
        body.close()
    del body
    asyncio.run(left_alone(counting))

    assert (counting.only.status, counting.only.usage_state, counting.only.usage) == ("partial", "reported", TOKENS)


def test_a_body_that_is_not_read_and_has_no_headers_is_unread(client, counting, provider):
    """What nobody told is not made up."""
    provider.always(Reply(json={"content": "?"}))
    client.invoke_model(**NATIVE)["body"].close()

    assert (counting.only.usage_state, counting.only.unpriced.reason) == ("unread", "no_usage")


@pytest.mark.parametrize("way", ["whole", "parts", "raw"])
def test_a_connection_that_breaks_in_a_body_fails_as_ever(client, counting, provider, way):
    """The same exception as without us; the headers still tell what was spent."""

    def broken():
        provider.reset()
        provider.always(Reply(usage=USED, chunk_bytes=40, drop_after=2))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - three kinds of them
            WAYS[way](client.invoke_model(**NATIVE)["body"])
        return type(caught.value)

    with_us = broken()
    counting.__exit__()
    assert broken() is with_us
    assert issubclass(with_us, ResponseStreamingError) or way == "raw"
    record = counting.only
    assert (record.status, record.usage) == ("partial", TOKENS)


def test_a_read_that_times_out_fails_as_ever(provider, counting):
    """The SDK's own exception, and a partial record."""
    quick = boto3.client(
        "bedrock-runtime", **{**options(provider), "config": Config(read_timeout=0.2, retries={"max_attempts": 0})}
    )
    provider.always(Reply(usage=USED, chunk_bytes=40, chunk_delay=0.5))
    body = quick.invoke_model(**NATIVE)["body"]
    with pytest.raises(ReadTimeoutError):
        body.read()
    assert counting.only.status == "partial"


@pytest.mark.parametrize(
    ("model", "asked", "usage", "operation"),
    [
        (NOVA, {"messages": SAID}, TOKENS, "chat"),
        ("amazon.titan-text-lite-v1", {"inputText": "hi"}, TOKENS, "chat"),
        ("amazon.titan-embed-text-v2:0", {"inputText": "hi"}, {"input_tokens": 100, "output_tokens": 0}, "embeddings"),
        (LLAMA, {"prompt": "hi", "max_gen_len": 5}, TOKENS, "chat"),
        ("mistral.mistral-7b-instruct-v0:2", {"prompt": "hi"}, TOKENS, "chat"),
        ("cohere.command-light-text-v14", {"prompt": "hi"}, TOKENS, "chat"),
        ("cohere.embed-english-v3", {"texts": ["hi"]}, {"input_tokens": 100, "output_tokens": 0}, "embeddings"),
        ("ai21.jamba-1-5-mini-v1:0", {"messages": SAID}, TOKENS, "chat"),
        ("deepseek.r1-v1:0", {"prompt": "hi"}, TOKENS, "chat"),
        ("openai.gpt-oss-120b-1:0", {"messages": SAID}, TOKENS, "chat"),
        ("cohere.rerank-v3-5:0", {"query": "q", "documents": ["d"] * 101}, {"rerank_searches": 2}, "rerank"),
        (
            "amazon.nova-canvas-v1:0",
            {"imageGenerationConfig": {"numberOfImages": 2, "width": 1024, "height": 512, "quality": "premium"}},
            {"output_images": 2},
            "image_generation",
        ),
    ],
)
def test_every_vendors_own_body_is_read(client, counting, provider, model, asked, usage, operation):
    """Where the body says nothing, the headers do."""
    provider.always(Reply(usage=Usage(input_tokens=100, output_tokens=usage.get("output_tokens", 0))))
    client.invoke_model(modelId=model, body=json.dumps(asked))["body"].read()

    record = counting.only
    assert (record.request_model, record.usage, record.operation) == (model, usage, operation)
    if operation == "image_generation":
        assert record.conditions == {"size": "1024x512", "quality": "premium"}


@pytest.mark.parametrize(
    "model", [NOVA, LLAMA, "amazon.titan-text-lite-v1", "mistral.mistral-7b-instruct-v0:2", "ai21.jamba-1-5-mini-v1:0"]
)
def test_every_vendors_own_stream_is_read(client, counting, model):
    """Amazon's metrics come with the last chunk, whatever the vendor."""
    list(client.invoke_model_with_response_stream(modelId=model, body=b'{"prompt": "hi"}')["body"])

    assert (counting.only.status, counting.only.usage, counting.only.estimated) == ("ok", TOKENS, False)
    assert len(counting.only.finish_reasons) == 1


def test_a_provisional_count_is_not_taken_for_the_last(client, counting):
    """Llama tells running totals: a stream that is closed early has those, or what was seen if that is more."""
    stream = client.invoke_model_with_response_stream(modelId=LLAMA, body=b'{"prompt": "hi"}')["body"]
    events = iter(stream)
    for _ in range(3):
        next(events)
    stream.close()

    record = counting.only
    assert (record.status, record.estimated, record.usage["input_tokens"]) == ("partial", True, 100)
    assert 3 <= record.usage["output_tokens"] < 20


# --- the other operations ---------------------------------------------------------------------------------------------


def test_counting_tokens_is_free(client, counting):
    """It is recorded, and costs nothing."""
    asked = {"converse": {"messages": SAID}}
    assert client.count_tokens(modelId=CLAUDE, input=asked)["inputTokens"] == 100
    assert (counting.only.operation, counting.only.cost.total) == ("count_tokens", 0)


def test_a_guardrail_alone_is_billed_by_text_units(client, counting, provider):
    """Each policy has a meter of its own."""
    provider.always(Reply(usage_extra={"sensitiveInformationPolicyUnits": 2, "contextualGroundingPolicyUnits": 3}))
    client.apply_guardrail(
        guardrailIdentifier="gr1", guardrailVersion="1", source="INPUT", content=[{"text": {"text": "hi"}}]
    )

    assert (counting.only.operation, counting.only.request_model) == ("apply_guardrail", "amazon.guardrails")
    assert counting.only.usage == {
        "guardrail_topic_units": 0,
        "guardrail_content_units": 1,
        "guardrail_personal_data_units": 2,
        "guardrail_grounding_units": 3,
        "guardrail_free_units": 1,
    }


def test_a_job_is_counted_by_what_its_request_tells(client, counting):
    """A video has a length; of other jobs nothing is known, and that is said."""
    where = {"s3OutputDataConfig": {"s3Uri": "s3://bucket"}}
    video = {"taskType": "TEXT_VIDEO", "videoGenerationConfig": {"durationSeconds": 6, "dimension": "1280x720"}}
    client.start_async_invoke(modelId="amazon.nova-reel-v1:1", modelInput=video, outputDataConfig=where)
    client.start_async_invoke(modelId="twelvelabs.marengo-embed-2-7-v1:0", modelInput={}, outputDataConfig=where)

    video, other = counting.records
    assert (video.usage, video.conditions) == ({"output_video_seconds": 6}, {"size": "1280x720"})
    assert (other.usage_state, other.unpriced.reason) == ("missing", "no_usage")


def test_a_rerank_is_billed_by_the_search(provider, counting):
    """The service for agents has it too; its other operations are left alone."""
    agents = boto3.client("bedrock-agent-runtime", **options(provider))
    source = {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "d"}}}
    model = {"modelArn": "arn:aws:bedrock:us-west-2::foundation-model/amazon.rerank-v1:0"}
    agents.rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": "q"}}],
        sources=[source] * 120,
        rerankingConfiguration={
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {"modelConfiguration": model},
        },
    )

    record = counting.only
    assert (record.operation, record.request_model) == ("rerank", "amazon.rerank-v1:0")
    assert (record.usage, record.cost.total) == ({"rerank_searches": 2}, Decimal("0.002"))


def test_other_services_are_not_seen(provider, counting):
    """A call of another service, or one that fetches something stored, makes no record."""
    provider.always(Reply(json={}))
    boto3.client("lambda", **options(provider)).list_functions()
    boto3.client("bedrock-runtime", **options(provider)).list_async_invokes()

    assert counting.records == []


# --- errors, retries, budgets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "name"), [(429, "ThrottlingException"), (400, "ValidationException")])
@pytest.mark.parametrize("call", ["converse", "converse_stream", "invoke_model"])
def test_an_error_is_the_applications(client, counting, provider, call, status, name):
    """The client's own exception class, and a record that says which."""
    provider.fail(status)
    with pytest.raises(getattr(client.exceptions, name)) as caught:
        getattr(client, call)(**(NATIVE if call == "invoke_model" else ASKED))

    assert isinstance(caught.value, ClientError)
    record = counting.only
    assert (record.status, record.cost, record.error_type) == ("error", None, name)


@pytest.mark.parametrize("call", ["converse", "invoke_model", "converse_stream"])
def test_retries_are_one_call(provider, counting, call, monkeypatch):
    """The SDK sends again by itself; the answer is billed once, and the record tells how often it was sent."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    retrying = boto3.client("bedrock-runtime", **{**options(provider), "config": Config(retries={"max_attempts": 3})})
    provider.fail(503, times=2)
    answer = getattr(retrying, call)(**(NATIVE if call == "invoke_model" else ASKED))
    list(answer.get("stream", ()) or answer.get("body", ()))

    assert len(provider.requests) == 3
    assert counting.only.parameters["http.request.resend_count"] == 2
    assert counting.only.usage == TOKENS


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        ("converse", ASKED),
        ("converse_stream", ASKED),
        ("invoke_model", NATIVE),
        ("invoke_model_with_response_stream", NATIVE),
    ],
)
def test_a_budget_blocks_before_anything_is_sent(client, provider, held, call, asked):
    """The only exception of ours in user code."""
    counting = held("{name: nothing, limit: 0, period: day, on_exceed: block}", paid="aws.bedrock")
    with pytest.raises(BudgetExceeded):
        getattr(client, call)(**asked)

    assert provider.requests == []
    assert counting.only.status == "blocked"


@pytest.mark.parametrize("call", ["converse", "converse_stream"])
def test_a_budget_falls_back_to_another_model(client, provider, held, call):
    """Converse says the same to every model; what the application passed stays as it is."""
    text = f"{{name: small, limit: 0.0002 USD, period: day, on_exceed: {{fallback: '{LITE}'}}}}"
    counting = held(text, paid="aws.bedrock")
    provider.always(Reply(usage=USED))
    asked = dict(ASKED)
    list(getattr(client, call)(**asked).get("stream", ()))

    assert asked == ASKED
    assert LITE in provider.requests[0].path.replace("%3A", ":")
    assert (counting.only.asked_model, counting.only.request_model) == (NOVA, LITE)


def test_a_native_body_is_not_sent_to_another_model(client, provider, held):
    """It is in the words of one vendor: the budget blocks instead."""
    text = f"{{name: small, limit: 0, period: day, on_exceed: {{fallback: '{LITE}'}}}}"
    held(text, paid="aws.bedrock")
    with pytest.raises(BudgetExceeded):
        client.invoke_model(**NATIVE)
    assert provider.requests == []


# --- aiobotocore ------------------------------------------------------------------------------------------------------


async def test_converse_is_counted_asynchronously(aio, counting):
    """As with boto3."""
    async with aio as client:
        await client.converse(**ASKED)
    record = counting.only
    assert (record.sdk, record.usage, record.cost.total) == ("aiobotocore", TOKENS, NOVA_DOLLARS)


@pytest.mark.parametrize(("call", "asked", "key"), STREAMS)
async def test_streams_are_counted_asynchronously(aio, provider, call, asked, key):
    """The same events and type as without us, and the usage of the last one."""

    async def seen(client):
        provider.reset()
        provider.always(Reply(usage=USED))
        stream = (await getattr(client, call)(**asked))[key]
        return type(stream), [event async for event in stream]

    async with aio as client:
        before = await seen(client)
        with Counting(settings(provider, "aws.bedrock")) as counting:
            assert await seen(client) == before
            record = counting.only
    assert (record.status, record.usage, record.stream) == ("ok", TOKENS, True)
    assert faults.counts() == {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("end", ["close", "drop", "cancel", "error"])
@pytest.mark.parametrize(("call", "asked", "key"), STREAMS)
async def test_an_asynchronous_stream_that_is_left_is_partial(aio, counting, provider, call, asked, key, end):
    """Closed, let go, cancelled, or ended by the provider."""
    slow = {"chunk_delay": 0.05} if end == "cancel" else {"error_after": 6} if end == "error" else {}
    provider.always(Reply(usage=USED, **slow))
    async with aio as client:
        stream = (await getattr(client, call)(**asked))[key]

        async def read(stream, most):
            seen = 0
            async for _ in stream:
                seen += 1
                if seen == most:
                    return

        if end == "cancel":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await read(stream, None)
        elif end == "error":
            with pytest.raises(EventStreamError):
                await read(stream, None)
        else:
            await read(stream, 4)
        if end == "close":
            stream.close()
        del stream
        await left_alone(counting)
    assert (counting.only.status, counting.only.estimated) == ("partial", True)


async def whole(body):
    return await body.read()


async def in_parts(body):
    return b"".join([part async for part in body.iter_chunks(9)])


async def by_lines(body):
    return b"\n".join([line async for line in body.iter_lines()])


async def in_place(body):
    read, buffer = b"", bytearray(11)
    while size := await body.readinto(buffer):
        read += bytes(buffer[:size])
    return read


async def inside(body):
    async with body as here:
        return await here.read()


@pytest.mark.parametrize("way", [whole, in_parts, by_lines, in_place, inside])
async def test_an_asynchronous_body_is_read_as_ever(aio, provider, way):
    """The same bytes and type, and one record."""

    async def seen(client):
        provider.reset()
        provider.always(Reply(usage=USED))
        body = (await client.invoke_model(**NATIVE))["body"]
        return type(body), await way(body)

    async with aio as client:
        before = await seen(client)
        with Counting(settings(provider, "aws.bedrock")) as counting:
            assert await seen(client) == before
            record = counting.only
            assert await (await client.invoke_model(**NATIVE))["body"].read()
            assert [counted.status for counted in counting.records] == ["ok", "ok"]
    assert (record.status, record.usage_state, record.usage) == ("ok", "reported", TOKENS)
    assert record.response_model == "claude-haiku-4-5-20251001"
    assert faults.counts() == {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("end", ["close", "drop"])
async def test_an_asynchronous_body_that_is_not_read_is_counted_by_its_headers(aio, counting, end):
    """As with boto3."""
    async with aio as client:
        body = (await client.invoke_model(**NATIVE))["body"]
        if end == "close":
            body.close()
        del body
        await left_alone(counting)
    assert (counting.only.status, counting.only.usage) == ("partial", TOKENS)


async def test_errors_and_budgets_are_the_same_asynchronously(aio, provider, held):
    """The client's own exception; and nothing is sent that a budget blocks."""
    counting = held("{name: nothing, limit: 0.00001 USD, period: day, on_exceed: block}", paid="aws.bedrock")
    async with aio as client:
        with pytest.raises(BudgetExceeded):
            await client.converse(**ASKED)
        assert provider.requests == []
        provider.fail(429)
        with pytest.raises(client.exceptions.ThrottlingException):
            await client.count_tokens(modelId=CLAUDE, input={"converse": {"messages": SAID}})
    assert [record.status for record in counting.records] == ["blocked", "error"]


# --- failures of ours -------------------------------------------------------------------------------------------------

OURS = [name for name in BREAKABLE if name.startswith(("capture.botocore", "providers.bedrock"))]


async def everything(client, aio_client, provider):
    """Each kind of answer, read and left and failed: what an application gets of it."""
    provider.reset()
    provider.always(Reply(usage=USED))
    got = [without_ids(client.converse(**ASKED)), list(client.converse_stream(**ASKED)["stream"])]
    got += [WAYS[way](client.invoke_model(**NATIVE)["body"]) for way in ("whole", "parts", "raw stream")]
    got.append(list(client.invoke_model_with_response_stream(**NATIVE)["body"]))
    client.invoke_model(**NATIVE)["body"].close()
    client.converse_stream(**ASKED)["stream"].close()
    got += [await way((await aio_client.invoke_model(**NATIVE))["body"]) for way in (whole, in_place)]
    (await aio_client.invoke_model(**NATIVE))["body"].close()
    got.append([event async for event in (await aio_client.converse_stream(**ASKED))["stream"]])
    provider.next(Reply(usage=USED, chunk_bytes=40), Reply(usage=USED, error_after=3))
    got.append(client.invoke_model(**NATIVE)["body"].readlines())
    for failing_call in (lambda: list(client.converse_stream(**ASKED)["stream"]), lambda: client.converse(**ASKED)):
        with pytest.raises(ClientError) as caught:
            failing_call()
        got.append((type(caught.value).__name__, str(caught.value)))
        provider.fail(429)
    provider.reset()
    provider.next(Reply(usage=USED, chunk_bytes=40, drop_after=2))
    with pytest.raises(ResponseStreamingError):
        client.invoke_model(**NATIVE)["body"].read()
    return got


UNCOUNTED = []
"""What `everything` gives without us, once it was asked."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets of streams that failed
@pytest.mark.parametrize("name", OURS)
async def test_a_function_that_fails_is_not_noticed(client, aio, provider, name):
    """Same answers, same exceptions, whatever of ours is broken."""
    async with aio as aio_client:
        UNCOUNTED[:] = UNCOUNTED or [await everything(client, aio_client, provider)]
        with failing(FUNCTIONS[name]), Counting(settings(provider, "aws.bedrock")):
            assert await everything(client, aio_client, provider) == UNCOUNTED[0]


# --- coming and going -------------------------------------------------------------------------------------------------


def test_what_is_wrapped_is_unwrapped(provider):
    """`uninstrument` gives the class its own function back, and the client of before passes calls on."""
    original = botocore.client.BaseClient._make_api_call
    with Counting(settings(provider, "aws.bedrock")):
        assert botocore.client.BaseClient._make_api_call is not original
    assert botocore.client.BaseClient._make_api_call is original


IMPORTED_LATER = """
import sys
from capture.world import Counting
from otel_aicost.capture.installing import Capture
from otel_aicost.config import Settings
counting = Counting(Settings(ledger=None))
counting._capture = Capture(counting.pipeline, {disabled!r})
with counting:
    assert not any(name.partition(".")[0] in ("botocore", "boto3", "aiobotocore") for name in sys.modules)
    import boto3
    client = boto3.client("bedrock-runtime", region_name="us-east-1", aws_access_key_id="x",
                          aws_secret_access_key="x", endpoint_url={url!r})
    client.converse(modelId="amazon.nova-pro-v1:0", messages=[{{"role": "user", "content": [{{"text": "hi"}}]}}])
    print([(record.provider, record.sdk) for record in counting.records])
"""


@pytest.mark.parametrize(
    ("disabled", "expected"), [([], "[('aws.bedrock', 'botocore')]"), (["botocore"], "[]")], ids=["on", "disabled"]
)
def test_the_sdk_may_be_imported_afterwards_or_be_left_alone(provider, disabled, expected):
    """Nothing of Amazon's is imported by us; an unknown host is Amazon's, as nobody else speaks this."""
    code = "import sys; sys.path[:0] = ['tests', '.']\n" + IMPORTED_LATER.format(disabled=disabled, url=provider.url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout.strip(), done.returncode) == (expected, 0), done.stderr
