"""Amazon Bedrock: one API for all its models (Converse), jobs, reranking; each model's own API is in `bedrock_native`.

The model of the request names region profile and version, so it decides the price.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from otel_aicost.model import NO_USAGE, Conditions, Reading, Usage
from otel_aicost.providers import bedrock_guardrails as guardrails
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Json,
    Provider,
    Sent,
    items,
    mapping,
    parameters,
    text,
)
from otel_aicost.providers.bedrock_native import (
    INVOKE,
    INVOKE_STREAM,
    PARAMETERS,
    conditions,
    converse_usage,
    headers,
    model_id,
    rerank_searches,
)

SECONDS_OF_A_SHOT = 6
LONGEST = 3600


def describe(sent: Sent) -> Description:
    """Model and parameters of a Converse request."""
    asked = {**sent.body, **mapping(sent.body.get("inferenceConfig"))}
    return Description(model_id(sent.body.get("modelId")), parameters(asked, PARAMETERS))


def read(body: Json) -> Reading:
    """An answer of Converse, whole or folded from a stream; a prompt router tells which model it chose."""
    usage, trace = mapping(body.get("usage")), mapping(body.get("trace"))
    model = model_id(mapping(trace.get("promptRouter")).get("invokedModelId"))
    reason, response_id = text(body.get("stopReason")), text(body.get("requestId"))
    try:
        counted = converse_usage(usage)
        checked = guardrails.of(trace.get("guardrail"))
    except AbsurdUsageError as error:
        return Reading(model, response_id, invalid=str(error))
    return Reading(
        model,
        response_id,
        counted,
        conditions(body),
        finish_reasons=(reason,) if reason else (),
        others=checked,
    )


def fragment(event: Json) -> Json:
    """Why it stopped, and then, in the last event, usage and the rest."""
    return {**mapping(event.get("messageStop")), **mapping(event.get("metadata"))}


def describe_rerank(sent: Sent) -> Description:
    """Billed by the query and hundred documents, which the request tells."""
    asked = mapping(mapping(sent.body.get("rerankingConfiguration")).get("bedrockRerankingConfiguration"))
    model = model_id(mapping(asked.get("modelConfiguration")).get("modelArn"))
    return Description(
        model, usage=rerank_searches(sent.body.get("sources"), len(items(sent.body.get("queries"))) or 1)
    )


def describe_job(sent: Sent) -> Description:
    """A job that leaves its result in a bucket reports no usage: a video's length is known beforehand, and no more."""
    wanted = mapping(sent.body.get("modelInput"))
    video = mapping(wanted.get("videoGenerationConfig"))
    shots = len(items(mapping(wanted.get("multiShotManualParams")).get("shots"))) * SECONDS_OF_A_SHOT
    size = text(video.get("dimension"))
    known = _seconds(shots or video.get("durationSeconds"))
    found: Conditions = {"size": size} if size else {}
    return Description(model_id(sent.body.get("modelId")), usage=known, conditions=found)


def _seconds(value: object) -> Usage:
    return {"output_video_seconds": value} if type(value) is int and 0 < value <= LONGEST else NO_USAGE


CONVERSE = Endpoint("chat", read, describe, headers=headers)
CONVERSE_STREAM = Endpoint(
    "chat",
    read,
    describe,
    fragment=fragment,
    marks=(b'"usage"', b'"stopReason"'),
    ends=(b'"metadata"',),
    text=("text", "input"),
    headers=headers,
)
PROVIDER = Provider(
    "aws.bedrock",
    hosts=(
        "bedrock-runtime*.amazonaws.com",
        "bedrock-runtime*.amazonaws.com.cn",
        "bedrock-runtime*.api.aws",
        "*.bedrock-runtime.*.vpce.amazonaws.com",
        "bedrock-agent-runtime*.amazonaws.com",
        "bedrock-mantle*.api.aws",
    ),
    priced_by_request=True,
    endpoints={
        "/model/*/converse": CONVERSE,
        "/model/*/converse-stream": CONVERSE_STREAM,
        "/model/*/invoke": INVOKE,
        "/model/*/invoke-with-response-stream": INVOKE_STREAM,
        "/model/*/count-tokens": Endpoint("count_tokens", lambda _: Reading(), describe, free=True),
        "/async-invoke": Endpoint("async_invoke", lambda _: Reading(), describe_job),
        "/guardrail/*/version/*/apply": Endpoint(
            "apply_guardrail", guardrails.read, lambda _: Description(guardrails.MODEL), headers=headers
        ),
        "/guardrail-checks/invoke": Endpoint(
            "apply_guardrail", guardrails.read, lambda _: Description("amazon.guardrail-checks"), headers=headers
        ),
        "/rerank": Endpoint("rerank", lambda _: Reading(), describe_rerank, body=False),
    },
)
