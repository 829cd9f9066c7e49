"""Amazon Bedrock: Converse, the models' own bodies by vendor, both as event streams too; guardrails and the rest."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from otel_aicost.testing import anthropic_wire, dialects, eventstream
from otel_aicost.testing.exchange import Answer, Exchange
from otel_aicost.testing.failures import anthropic_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_aicost.testing.reply import Usage

Body = dict[str, Any]


def converse(exchange: Exchange) -> Answer:
    """POST /model/{id}/converse."""
    said = {"output": {"message": {"role": "assistant", "content": _content(exchange)}}, "stopReason": _stop(exchange)}
    return exchange.whole({**said, **_told(exchange)})


def converse_stream(exchange: Exchange) -> Answer:
    """POST /model/{id}/converse-stream."""
    events: list[tuple[str, Body]] = [("messageStart", {"role": "assistant"})]
    for index, block in enumerate(_content(exchange)):
        events += _block(index, block, exchange)
    events += [("messageStop", {"stopReason": _stop(exchange)}), ("metadata", exchange.finish(_told(exchange)))]
    chunks = [eventstream.event(kind, exchange.encode(body)) for kind, body in events]
    return Answer(chunks, eventstream.CONTENT_TYPE, streamed=True, failure=_failure())


def invoke(exchange: Exchange) -> Answer:
    """POST /model/{id}/invoke: in the words of the model's vendor."""
    if "anthropic." in exchange.model:
        return anthropic_wire.bedrock(exchange)
    return Answer([exchange.encode(exchange.finish(_native(exchange)))], headers=_counts(exchange))


def invoke_stream(exchange: Exchange) -> Answer:
    """POST /model/{id}/invoke-with-response-stream."""
    if "anthropic." in exchange.model:
        return anthropic_wire.bedrock_stream(exchange)
    bodies = _native_chunks(exchange)
    used = exchange.counted
    bodies[-1]["amazon-bedrock-invocationMetrics"] = {
        "inputTokenCount": dialects.converse(used)["inputTokens"],
        "outputTokenCount": used.output_tokens,
        "invocationLatency": 5,
        "firstByteLatency": 1,
        "cacheReadInputTokenCount": used.cache_read_tokens,
        "cacheWriteInputTokenCount": used.cache_write_tokens,
    }
    chunks = [eventstream.chunk(exchange.encode(exchange.finish(body))) for body in bodies]
    return Answer(chunks, eventstream.CONTENT_TYPE, streamed=True, failure=_failure())


def count_tokens(exchange: Exchange) -> Answer:
    """POST /model/{id}/count-tokens, which is free."""
    return exchange.whole({"inputTokens": exchange.counted.input_tokens})


def async_invoke(exchange: Exchange) -> Answer:
    """POST /async-invoke."""
    return exchange.whole(
        {"invocationArn": f"arn:aws:bedrock:us-east-1:000000000000:async-invoke/{exchange.id('')[:12]}"}
    )


def apply_guardrail(exchange: Exchange) -> Answer:
    """POST /guardrail/{id}/version/{version}/apply; its units are `Reply.usage_extra`."""
    usage = {"topicPolicyUnits": 0, "contentPolicyUnits": 1, "wordPolicyUnits": 1, **exchange.reply.usage_extra}
    return exchange.whole({"usage": usage, "action": "NONE", "outputs": [], "assessments": []})


def rerank(exchange: Exchange) -> Answer:
    """POST /rerank of the service for agents."""
    sources = exchange.payload.get("sources") or []
    return exchange.whole({"results": [{"index": at, "relevanceScore": 0.5} for at in range(len(sources))]})


def _told(exchange: Exchange) -> Body:
    tier = exchange.reply.service_tier
    return {
        "usage": exchange.usage(dialects.converse),
        "metrics": {"latencyMs": 5},
        **({"serviceTier": {"type": tier}} if tier else {}),
    }


def _counts(exchange: Exchange) -> dict[str, str]:
    used = dialects.converse(exchange.counted)
    tier = exchange.reply.service_tier
    return {
        "x-amzn-bedrock-input-token-count": str(used["inputTokens"]),
        "x-amzn-bedrock-output-token-count": str(used["outputTokens"]),
        **({"x-amzn-bedrock-service-tier": tier} if tier else {}),
    }


def _stop(exchange: Exchange) -> str:
    return exchange.reply.finish_reason or ("tool_use" if exchange.tool_calls else "end_turn")


def _content(exchange: Exchange) -> list[Body]:
    blocks: list[Body] = []
    if exchange.reply.thinking:
        blocks.append({"reasoningContent": {"reasoningText": {"text": exchange.reply.thinking}}})
    if exchange.text:
        blocks.append({"text": exchange.text})
    for at, call in enumerate(exchange.tool_calls):
        blocks.append(
            {"toolUse": {"toolUseId": exchange.id(f"tooluse_{at}"), "name": call.name, "input": dict(call.arguments)}}
        )
    return blocks


def _block(index: int, block: Body, exchange: Exchange) -> list[tuple[str, Body]]:
    begun: list[tuple[str, Body]] = []
    if "toolUse" in block:
        tool = {key: value for key, value in block["toolUse"].items() if key != "input"}
        begun = [("contentBlockStart", {"start": {"toolUse": tool}, "contentBlockIndex": index})]
        deltas: list[Body] = [{"toolUse": {"input": json.dumps(block["toolUse"]["input"])}}]
    elif "reasoningContent" in block:
        deltas = [{"reasoningContent": {"text": exchange.reply.thinking}}]
    else:
        deltas = [{"text": piece} for piece in exchange.pieces]
    told: list[tuple[str, Body]] = [
        ("contentBlockDelta", {"delta": delta, "contentBlockIndex": index}) for delta in deltas
    ]
    return [*begun, *told, ("contentBlockStop", {"contentBlockIndex": index})]


def _failure() -> bytes:
    return eventstream.exception("throttlingException", anthropic_error(529)["error"]["message"])


def _nova(exchange: Exchange, used: Usage) -> Body:
    usage = {"cacheReadInputTokenCount": used.cache_read_tokens, "cacheWriteInputTokenCount": used.cache_write_tokens}
    stated = {key: n for key, n in dialects.converse(used).items() if key in {"inputTokens", "outputTokens"}}
    message = {"role": "assistant", "content": [{"text": exchange.text}]}
    return {"output": {"message": message}, "stopReason": _stop(exchange), "usage": {**stated, **usage}}


def _titan(exchange: Exchange, used: Usage) -> Body:
    result = {"tokenCount": used.output_tokens, "outputText": exchange.text, "completionReason": "FINISH"}
    return {"inputTextTokenCount": used.input_tokens, "results": [result]}


def _titan_embed(_: Exchange, used: Usage) -> Body:
    return {"embedding": [0.25, 0.5], "inputTextTokenCount": used.input_tokens}


def _llama(exchange: Exchange, used: Usage) -> Body:
    counts = {"prompt_token_count": used.input_tokens, "generation_token_count": used.output_tokens}
    return {"generation": exchange.text, **counts, "stop_reason": "stop"}


def _mistral(exchange: Exchange, _: Usage) -> Body:
    return {"outputs": [{"text": exchange.text, "stop_reason": "stop"}]}


def _command(exchange: Exchange, _: Usage) -> Body:
    told = {"id": exchange.id(""), "text": exchange.text, "finish_reason": "COMPLETE"}
    return {"id": exchange.id(""), "generations": [told], "prompt": "..."}


def _cohere_embed(exchange: Exchange, _: Usage) -> Body:
    return {"id": exchange.id(""), "embeddings": [[0.25, 0.5]], "response_type": "embeddings_floats", "texts": ["..."]}


def _rerank(exchange: Exchange, _: Usage) -> Body:
    documents = exchange.payload.get("documents") or []
    return {"results": [{"index": at, "relevance_score": 0.5} for at in range(len(documents))]}


def _image(exchange: Exchange, _: Usage) -> Body:
    wanted = exchange.payload.get("imageGenerationConfig") or {}
    return {"images": [base64.b64encode(b"image").decode()] * wanted.get("numberOfImages", 1), "error": None}


def _openai(exchange: Exchange, used: Usage) -> Body:
    message = {"role": "assistant", "content": exchange.text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": exchange.id("chatcmpl-"), "choices": [choice], "usage": dialects.chat(used)}


_VENDORS: Mapping[str, Callable[[Exchange, Usage], Body]] = {
    "amazon.nova-canvas": _image,
    "amazon.nova": _nova,
    "amazon.rerank": _rerank,
    "amazon.titan-embed": _titan_embed,
    "amazon.titan-image": _image,
    "amazon.titan": _titan,
    "cohere.embed": _cohere_embed,
    "cohere.rerank": _rerank,
    "cohere.": _command,
    "meta.": _llama,
    "mistral.": _mistral,
    "stability.": _image,
}
"""What a model's id holds -> its body; the others (AI21, DeepSeek, OpenAI, Qwen ...) speak OpenAI's."""


def _native(exchange: Exchange) -> Body:
    shape = next((shape for part, shape in _VENDORS.items() if part in exchange.model), _openai)
    return shape(exchange, exchange.counted)


def _native_chunks(exchange: Exchange) -> list[Body]:
    whole, used = _native(exchange), exchange.counted
    if "generation" in whole:
        counts = [{"generation_token_count": at + 1} for at in range(len(exchange.pieces))]
        said = [{"generation": piece, **n} for piece, n in zip(exchange.pieces, counts, strict=True)]
        said[0]["prompt_token_count"] = used.input_tokens
        return [*said, {"generation": "", "generation_token_count": used.output_tokens, "stop_reason": "stop"}]
    if "results" in whole:
        return [{"outputText": piece, "index": 0} for piece in exchange.pieces] + [
            {"inputTextTokenCount": used.input_tokens, "totalOutputTextTokenCount": used.output_tokens,
             "outputText": "", "completionReason": "FINISH"}
        ]  # fmt: skip
    if "output" in whole:
        said = [{"contentBlockDelta": {"delta": {"text": piece}, "contentBlockIndex": 0}} for piece in exchange.pieces]
        ended = [{"messageStop": {"stopReason": _stop(exchange)}}, {"metadata": {"usage": whole["usage"]}}]
        return [{"messageStart": {"role": "assistant"}}, *said, *ended]
    if "outputs" in whole:
        said = [{"outputs": [{"text": piece, "stop_reason": None}]} for piece in exchange.pieces]
        return [*said, {"outputs": [{"text": "", "stop_reason": "stop"}]}]
    said = [{"choices": [{"delta": {"content": piece}, "finish_reason": None}]} for piece in exchange.pieces]
    return [*said, {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": whole.get("usage")}]
