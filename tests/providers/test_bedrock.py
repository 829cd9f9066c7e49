"""Bedrock's bodies, field by field: Converse, each vendor's own, metrics, headers and guardrails."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_aicost.capture.readers import reader_for
from otel_aicost.providers import bedrock as converse
from otel_aicost.providers import bedrock_guardrails as guardrails
from otel_aicost.providers import bedrock_native as native
from otel_aicost.providers import endpoint_of, named, provider_of
from otel_aicost.providers.base import Sent
from otel_aicost.testing import eventstream

BEDROCK = named("aws.bedrock")
METRICS = {"inputTokenCount": 7, "outputTokenCount": 3, "invocationLatency": 9, "firstByteLatency": 1}


def test_converse_holds_the_cache_inside_its_input():
    """`inputTokens` is what was neither read from a cache nor written to one."""
    usage = {
        "inputTokens": 10,
        "outputTokens": 5,
        "totalTokens": 115,
        "cacheReadInputTokens": 60,
        "cacheWriteInputTokens": 40,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 10}, {"ttl": "9d"}, None],
    }
    assert converse.read({"usage": usage, "stopReason": "end_turn"}).usage == {
        "input_tokens": 110,
        "output_tokens": 5,
        "cache_read_tokens": 60,
        "cache_write_tokens": 40,
        "cache_write_5m_tokens": 10,
        "cache_write_1h_tokens": 30,
    }


@pytest.mark.parametrize("body", [{}, {"usage": {}}, {"usage": None}, {"usage": []}, {"output": "?"}])
def test_an_answer_without_usage_has_none(body):
    """It is missing rather than zero."""
    assert converse.read(body).usage is None
    assert native.read(body).usage is None


@pytest.mark.parametrize("count", [-1, 10**11, "7", 1.5e300, float("nan"), True, {}])
def test_absurd_counts_are_invalid(count):
    """They are set aside, with the reason."""
    for told in (
        converse.read({"usage": {"inputTokens": count, "outputTokens": 1}}),
        native.read({"usage": {"input_tokens": count, "output_tokens": 1}}),
        native.read({native.METRICS: {**METRICS, "outputTokenCount": count}}),
        native.read({"generation_token_count": count}),
        native.read({"results": [{"tokenCount": count}]}),
        guardrails.read({"usage": {"contentPolicyUnits": count}}),
    ):
        assert told.usage is None
        assert told.invalid is not None


TOKENS = {"input_tokens": 7, "output_tokens": 3}


@pytest.mark.parametrize(
    ("body", "usage", "reason"),
    [
        ({"usage": {"input_tokens": 7, "output_tokens": 3}, "stop_reason": "end_turn"}, TOKENS, "end_turn"),
        (
            {"usage": {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 10}},
            {"input_tokens": 17, "output_tokens": 3, "cache_read_tokens": 10},
            None,
        ),
        (
            {"usage": {"inputTokens": 7, "outputTokens": 3, "cacheReadInputTokenCount": 0}, "stopReason": "x"},
            TOKENS,
            "x",
        ),
        (
            {"usage": {"prompt_tokens": 7, "completion_tokens": 3}, "choices": [{"finish_reason": "stop"}]},
            TOKENS,
            "stop",
        ),
        (
            {"usage": {"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 5}}},
            {**TOKENS, "cache_read_tokens": 5},
            None,
        ),
        ({"prompt_token_count": 7, "generation_token_count": 3, "stop_reason": "stop"}, TOKENS, "stop"),
        (
            {"inputTextTokenCount": 7, "results": [{"tokenCount": 1}, {"tokenCount": 2, "completionReason": "?"}]},
            TOKENS,
            None,
        ),
        ({"inputTextTokenCount": 7, "embedding": [0.5]}, {"input_tokens": 7}, None),
        ({"outputs": [{"text": "?", "stop_reason": "length"}]}, None, "length"),
        ({"generations": [{"finish_reason": "MAX_TOKENS"}]}, None, "MAX_TOKENS"),
        ({"images": ["?", "?"]}, {"output_images": 2}, None),
        ({"artifacts": [{"base64": "?"}]}, {"output_images": 1}, None),
        ({"results": [{"index": 0, "relevance_score": 0.5}]}, None, None),
        (
            {"results": [{"relevance_score": 0.5}], "meta": {"billed_units": {"search_units": 2}}},
            {"rerank_searches": 2},
            None,
        ),
    ],
)
def test_each_vendor_tells_its_usage_in_its_own_way(body, usage, reason):
    """By the shape of the body: a model's id may be a name of the user's own."""
    reading = native.read(body)
    assert reading.usage == usage
    assert reading.finish_reasons == ((reason,) if reason else ())


def test_headers_tell_what_a_body_does_not():
    """A body with a usage of its own has the say."""
    told = native.headers(
        {
            "x-amzn-bedrock-input-token-count": "7",
            "x-amzn-bedrock-output-token-count": "3",
            "x-amzn-bedrock-cache-read-input-token-count": "20",
            "x-amzn-bedrock-cache-write-input-token-count": "rubbish",
            "x-amzn-bedrock-service-tier": "flex",
            "x-amzn-bedrock-performanceconfig-latency": "optimized",
            "x-amzn-requestid": "abc",
        }
    )
    reading = native.read({**told, "outputs": []})
    assert reading.usage == {"input_tokens": 27, "output_tokens": 3, "cache_read_tokens": 20}
    assert reading.conditions == {"service_tier": "flex", "speed": "optimized"}
    assert reading.response_id == "abc"
    assert native.read({**told, "usage": {"input_tokens": 1, "output_tokens": 1}}).usage == {
        "input_tokens": 1,
        "output_tokens": 1,
    }
    assert native.read(native.headers({})).usage is None


def folded(*events):
    from otel_aicost.capture.merging import merge

    body = {}
    for event in events:
        merge(body, native.fragment(event))
    return native.read(body)


def test_what_amazon_metered_is_what_it_bills():
    """A vendor's own running count may differ; of the cache's lifetimes the vendor alone tells."""
    started = {
        "input_tokens": 7,
        "cache_creation_input_tokens": 20,
        "cache_creation": {"ephemeral_1h_input_tokens": 20},
    }
    events = (
        {"type": "message_start", "message": {"id": "m", "model": "claude", "usage": {**started, "output_tokens": 1}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop", native.METRICS: {**METRICS, "cacheWriteInputTokenCount": 20}},
    )
    assert folded(*events).usage == {
        "input_tokens": 27,
        "output_tokens": 3,
        "cache_write_tokens": 20,
        "cache_write_1h_tokens": 20,
    }
    begun = folded(*events[:1])
    assert (begun.final, begun.usage["output_tokens"]) == (False, 1)
    assert folded(*events[:2]).usage["output_tokens"] == 5


def test_metrics_that_leave_the_cache_out_are_not_the_last_word():
    """Then the vendor's count is."""
    usage = {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 10}
    told = native.read({"usage": usage, native.METRICS: METRICS})
    assert told.usage == {"input_tokens": 17, "output_tokens": 3, "cache_read_tokens": 10}


def test_a_chunk_gives_no_text_away():
    """What is kept of an event is counts, reasons and names."""
    chunk = {"outputText": "secret", "completion": "secret", "inputTextTokenCount": 7, "completionReason": "FINISH"}
    assert "secret" not in str(native.fragment(chunk))


@pytest.mark.parametrize("size", [7, 10_000])
def test_converse_is_read_from_the_bytes_of_its_stream(size):
    """As SDKs that are not Amazon's receive it; in whatever pieces."""
    usage = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}
    events = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"delta": {"text": "metadata usage"}, "contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 5}}),
    ]
    stream = b"".join(eventstream.event(kind, json.dumps(body).encode()) for kind, body in events)
    reader = reader_for(eventstream.CONTENT_TYPE, converse.CONVERSE_STREAM)
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
    reading = converse.read(reader.body(whole=True))
    assert (reading.usage, reading.finish_reasons) == (TOKENS, ("end_turn",))


def test_guardrails_inside_an_answer_are_added_up():
    """Those of input and output, of each guardrail; what cost nothing is no record."""
    checked = {"invocationMetrics": {"usage": {"topicPolicyUnits": 1, "contentPolicyImageUnits": 2}}}
    nothing = {"invocationMetrics": {"usage": {"topicPolicyUnits": 0}}}
    trace = {"guardrail": {"inputAssessment": {"a": checked, "b": nothing}, "outputAssessments": {"a": [checked]}}}
    (part,) = converse.read({"trace": trace}).others
    assert part.usage == {"guardrail_topic_units": 2, "guardrail_images": 4}
    inside = {"amazon-bedrock-trace": {"guardrail": {"input": {"a": checked}, "outputs": [{"a": nothing}]}}}
    (part,) = native.read(inside).others
    assert part.usage == {"guardrail_topic_units": 1, "guardrail_images": 2}
    assert converse.read({"trace": {"guardrail": {"inputAssessment": {"b": nothing}}}}).others == ()


def test_checks_of_a_prompt_are_counted():
    """`InvokeGuardrailChecks` tells the units of each check."""
    usage = {"contentFilter": {"textUnits": 2}, "promptAttack": {"textUnits": 1}, "sensitiveInformation": {}}
    assert guardrails.read({"usage": usage}).usage == {
        "guardrail_content_units": 2,
        "guardrail_attack_units": 1,
    }
    assert guardrails.read({}).usage is None


@pytest.mark.parametrize(
    ("asked", "usage"),
    [
        ({"videoGenerationConfig": {"durationSeconds": 12}}, {"output_video_seconds": 12}),
        ({"multiShotManualParams": {"shots": [{}, {}]}}, {"output_video_seconds": 12}),
        ({"videoGenerationConfig": {"durationSeconds": -6}}, {}),
        ({"videoGenerationConfig": {"durationSeconds": "6"}}, {}),
        ({}, {}),
        (None, {}),
    ],
)
def test_a_video_is_as_long_as_its_request_says(asked, usage):
    """A shot is six seconds."""
    assert converse.describe_job(Sent({"modelId": "amazon.nova-reel-v1:1", "modelInput": asked})).usage == usage


@pytest.mark.parametrize(
    ("given", "model"),
    [
        ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("arn:aws-us-gov:bedrock:us-gov-west-1:1:inference-profile/us-gov.amazon.nova-pro-v1:0", "us-gov.amazon.nova-pro-v1:0"),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"),
        ("arn:aws:bedrock:us-east-1:1:default-prompt-router/anthropic.claude:1", "arn:aws:bedrock:us-east-1:1:default-prompt-router/anthropic.claude:1"),
        (None, None),
    ],
)  # fmt: skip
def test_an_arn_of_a_model_is_its_id(given, model):
    """One of something that the user made stays whole: only the user knows its price."""
    assert converse.describe(Sent({"modelId": given})).model == model


@pytest.mark.parametrize(
    ("body", "most"),
    [
        ({"inferenceConfig": {"maxTokens": 9}}, 9),
        ({"inferenceConfig": {"max_new_tokens": 9}}, 9),
        ({"textGenerationConfig": {"maxTokenCount": 9}}, 9),
        ({"max_gen_len": 9}, 9),
        ({"max_tokens": 9}, 9),
        ({"max_tokens_to_sample": 9}, 9),
        ({"inferenceConfig": "?"}, None),
    ],
)
def test_the_most_a_model_may_say_is_known_beforehand(body, most):
    """Each vendor has it elsewhere; budgets reserve for it."""
    told = native.describe(Sent({**body, "modelId": "m"})).parameters
    assert told.get("gen_ai.request.max_tokens") == most


def test_a_path_names_the_model_where_nothing_else_does():
    """As for a request that is made by hand."""
    assert native.describe(Sent({}, path="/model/amazon.nova-pro-v1%3A0/invoke")).model == "amazon.nova-pro-v1:0"


@pytest.mark.parametrize(
    "host",
    [
        "bedrock-runtime.eu-central-1.amazonaws.com",
        "bedrock-runtime-fips.us-west-2.amazonaws.com",
        "bedrock-runtime.cn-north-1.amazonaws.com.cn",
        "bedrock-runtime.us-east-1.api.aws",
        "vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com",
        "bedrock-agent-runtime.us-east-1.amazonaws.com",
    ],
)
def test_every_kind_of_host_is_amazons(host):
    """Standard, FIPS, China, dual stack, private link, agents."""
    assert provider_of(host, 443, {}) is BEDROCK


def test_the_dialect_of_anthropics_sdk_is_found_as_before():
    """Its path is rewritten after it was looked at."""
    assert endpoint_of("/v1/messages", BEDROCK).operation == "chat"
    assert endpoint_of("/v1/chat/completions", BEDROCK).operation == "chat"


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just([]) | st.just({})
WHOLE = {
    "usage": {"inputTokens": 1, "cacheDetails": [{"ttl": "5m", "inputTokens": 1}], "billed_units": {"input_tokens": 1}},
    "trace": {"guardrail": {"a": {"b": [{"invocationMetrics": {"usage": {"topicPolicyUnits": 1}}}]}}, "promptRouter": {"invokedModelId": "m"}},
    "amazon-bedrock-trace": {"guardrail": {"input": {"a": {"invocationMetrics": {"usage": {"wordPolicyUnits": 1}}}}}},
    native.METRICS: METRICS, native.HEADERS: {"inputTokens": 1}, "serviceTier": {"type": "flex"},
    "performanceConfig": {"latency": "optimized"}, "stopReason": "x", "metadata": {"usage": {"inputTokens": 1}},
    "messageStop": {"stopReason": "x"}, "results": [{"tokenCount": 1, "relevance_score": 1}], "choices": [{"finish_reason": "x"}],
    "outputs": [{"stop_reason": "x"}], "generations": [{}], "images": [], "embeddings": [], "prompt_token_count": 1,
    "meta": {"billed_units": {"search_units": 1}}, "type": "message_start", "message": {"usage": {"input_tokens": 1}},
    "modelInput": {"videoGenerationConfig": {"durationSeconds": 6}, "multiShotManualParams": {"shots": [{}]}},
    "rerankingConfiguration": {"bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": "m"}}},
    "sources": [{}], "queries": [{}], "documents": ["d"], "query": "q", "modelId": "m", "inferenceConfig": {"maxTokens": 1},
    "imageGenerationConfig": {"width": 1, "height": 1, "quality": "x"},
}  # fmt: skip


@st.composite
def damaged(draw, value=WHOLE):
    """The body with some of its parts gone, and some replaced."""
    if draw(st.integers(0, 9)) == 0:
        return draw(LEAVES)
    if isinstance(value, dict):
        kept = [key for key in value if draw(st.integers(0, 2))]
        return {key: draw(damaged(value[key])) for key in kept}
    return [draw(damaged(item)) for item in value] if isinstance(value, list) else value


@given(body=damaged(), endpoint=st.sampled_from(sorted(BEDROCK.endpoints)))
def test_no_body_makes_reading_it_fail(body, endpoint):
    """Whatever is in it: quantities that can be, or a reason."""
    found = BEDROCK.endpoints[endpoint]
    body = body if isinstance(body, dict) else {}
    told = found.describe(Sent(body))
    for reading in (found.read(body), found.read(found.fragment(body)), *found.read(body).others):
        assert all(amount >= 0 for amount in (reading.usage or {}).values())
    assert all(amount > 0 for amount in told.usage.values())
