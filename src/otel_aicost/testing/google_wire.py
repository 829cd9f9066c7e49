"""Google's Gemini, as the Gemini API and Vertex AI serve it: content, embeddings, media, batches, interactions."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from otel_aicost.testing import dialects
from otel_aicost.testing.exchange import Answer, Exchange, pieces
from otel_aicost.testing.openai_chat import SSE

if TYPE_CHECKING:
    from collections.abc import Iterator

DIMENSIONS = 4
SAMPLE_MODEL = "gemini-2.5-flash"
"""The model of what is fetched by an id alone; `Reply(model=...)` says otherwise."""
_PIXEL = base64.b64encode(b"\x89PNG").decode()


def generate(exchange: Exchange) -> Answer:
    """POST {model}:generateContent."""
    return exchange.whole(_content(exchange, _parts(exchange), last=True))


def stream(exchange: Exchange) -> Answer:
    """POST {model}:streamGenerateContent?alt=sse. Each event repeats the usage so far."""
    chunks = [exchange.event(exchange.finish(event)) for event in _events(exchange)]
    failure = exchange.event(
        exchange.reply.error or {"error": {"code": 500, "message": "failed", "status": "INTERNAL"}}
    )
    return Answer(chunks, SSE, streamed=True, failure=failure)


def count_tokens(exchange: Exchange) -> Answer:
    """POST {model}:countTokens, which is free."""
    return exchange.whole({"totalTokens": exchange.counted.input_tokens})


def embed(exchange: Exchange) -> Answer:
    """POST {model}:batchEmbedContents."""
    values = {"values": [0.5] * DIMENSIONS}
    usage = exchange.usage(lambda used: {"promptTokenCount": used.input_tokens})
    return exchange.whole(
        {"embeddings": [values for _ in exchange.payload.get("requests") or [0]], "usageMetadata": usage}
    )


def predict(exchange: Exchange) -> Answer:
    """POST {model}:predict: images, or on Vertex AI embeddings."""
    if "embedding" in exchange.model:
        texts = exchange.payload.get("instances") or [{}]
        made: list[dict[str, Any]] = [
            {
                "embeddings": {
                    "values": [0.5] * DIMENSIONS,
                    "statistics": {"token_count": len(str(text.get("content")).split()), "truncated": False},
                }
            }
            for text in texts
        ]
        characters = sum(len(str(text.get("content"))) for text in texts)
        return exchange.whole({"predictions": made, "metadata": {"billableCharacterCount": characters}})
    count = int((exchange.payload.get("parameters") or {}).get("sampleCount") or 1)
    return exchange.whole({"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": _PIXEL}] * count})


def predict_long(exchange: Exchange) -> Answer:
    """POST {model}:predictLongRunning: the operation's name tells how many videos it is to make."""
    count = int((exchange.payload.get("parameters") or {}).get("sampleCount") or 1)
    where = exchange.request.path.partition("/models/")[0].partition("/projects/")[2]
    name = f"models/{exchange.model}/operations/{exchange.id('op')}-{count}"
    return exchange.whole({"name": f"projects/{where}/{name}" if where else name})


def operation(exchange: Exchange) -> Answer:
    """GET models/{model}/operations/{id}, and Vertex AI's POST :fetchPredictOperation: done by now."""
    name = exchange.payload.get("operationName") or f"models/{exchange.request.path.partition('/models/')[2]}"
    count = int(str(name).rpartition("-")[2])
    if exchange.request.method == "POST":
        videos = {"videos": [{"gcsUri": f"gs://fake/{number}.mp4", "mimeType": "video/mp4"} for number in range(count)]}
        return exchange.whole({"name": name, "done": True, "response": videos})
    samples = [{"video": {"uri": f"https://example.com/{number}"}} for number in range(count)]
    return exchange.whole(
        {"name": name, "done": True, "response": {"generateVideoResponse": {"generatedSamples": samples}}}
    )


def batch(exchange: Exchange) -> Answer:
    """POST {model}:batchGenerateContent."""
    about = {"model": f"models/{exchange.model}", "state": "BATCH_STATE_PENDING", "createTime": _time(exchange)}
    return exchange.whole({"name": f"batches/{exchange.id('')}", "metadata": about})


def batch_done(exchange: Exchange) -> Answer:
    """GET batches/{id}: two responses, and a request that failed."""
    model = exchange.reply.model or SAMPLE_MODEL
    lines = [
        {
            "response": {
                **_content(exchange, [{"text": exchange.text}], last=True),
                "responseId": f"{exchange.route['id']}{n}",
            }
        }
        for n in range(2)
    ]
    output = {"inlinedResponses": {"inlinedResponses": [*lines, {"error": {"code": 3, "message": "no"}}]}}
    about = {
        "model": f"models/{model}",
        "state": "BATCH_STATE_SUCCEEDED",
        "createTime": _time(exchange),
        "endTime": _time(exchange),
        "output": output,
    }
    return exchange.whole({"name": f"batches/{exchange.route['id']}", "metadata": about, "done": True})


def cached_contents(exchange: Exchange) -> Answer:
    """POST cachedContents."""
    seconds = float(str(exchange.payload.get("ttl") or "3600s").rstrip("s"))
    return exchange.whole(
        {
            "name": f"cachedContents/{exchange.id('')}",
            "model": exchange.payload.get("model"),
            "createTime": _time(exchange),
            "updateTime": _time(exchange),
            "expireTime": _time(exchange, seconds),
            "usageMetadata": {"totalTokenCount": exchange.counted.input_tokens},
        }
    )


def interactions(exchange: Exchange) -> Answer:
    """POST interactions, whole or streamed."""
    whole = _interaction(exchange, exchange.id("v1_"))
    if not exchange.request.stream:
        return exchange.whole(whole)
    begun = {key: value for key, value in whole.items() if key not in {"usage", "steps"}} | {"status": "in_progress"}
    deltas = [{"type": "text", "text": piece} for piece in exchange.pieces]
    events: list[dict[str, Any]] = [
        {"event_type": "interaction.created", "interaction": begun},
        {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
        *({"event_type": "step.delta", "index": 0, "delta": delta} for delta in deltas),
        {"event_type": "step.stop", "index": 0},
        {"event_type": "interaction.completed", "interaction": {k: v for k, v in whole.items() if k != "steps"}},
    ]
    chunks = [exchange.event(event, event["event_type"]) for event in events]
    return Answer([*chunks, b"event: done\ndata: [DONE]\n\n"], SSE, streamed=True)


def interaction(exchange: Exchange) -> Answer:
    """GET interactions/{id}: done by now."""
    return exchange.whole(_interaction(exchange, exchange.route["id"]))


def _interaction(exchange: Exchange, identifier: str) -> dict[str, Any]:
    running = bool(exchange.payload.get("background"))
    done = {
        "usage": exchange.usage(dialects.interaction),
        "steps": [{"type": "model_output", "content": [{"type": "text", "text": exchange.text}]}],
    }
    return {
        "id": identifier,
        "object": "interaction",
        "status": "in_progress" if running else "completed",
        "model": exchange.model if exchange.model != "fake-model" else SAMPLE_MODEL,
        "created": _time(exchange),
        "updated": _time(exchange),
        "service_tier": exchange.reply.service_tier or "standard",
        **({} if running else done),
    }


def _content(exchange: Exchange, parts: list[dict[str, Any]], *, last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if last:
        candidate["finishReason"] = exchange.reply.finish_reason or "STOP"
        if exchange.counted.web_searches:
            queries = [f"query {number}" for number in range(exchange.counted.web_searches)]
            candidate["groundingMetadata"] = {"webSearchQueries": queries}
    tier = {"serviceTier": exchange.reply.service_tier} if exchange.reply.service_tier else {}
    usage = exchange.usage(lambda used: {**dialects.google(used), **tier})
    if not last and isinstance(usage, dict):
        usage = {key: usage[key] for key in ("promptTokenCount", "promptTokensDetails") if key in usage}
    model = exchange.model if exchange.model != "fake-model" else SAMPLE_MODEL
    told = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model}
    return {**{key: value for key, value in told.items() if value is not None}, "responseId": exchange.id("")}


def _parts(exchange: Exchange) -> list[dict[str, Any]]:
    thought = [{"text": exchange.reply.thinking, "thought": True}] if exchange.reply.thinking else []
    calls = [{"functionCall": {"name": call.name, "args": dict(call.arguments)}} for call in exchange.tool_calls]
    return [*thought, *([{"text": exchange.text}] if exchange.text else []), *calls]


def _events(exchange: Exchange) -> Iterator[dict[str, Any]]:
    parts = [part for part in _parts(exchange) if "functionCall" in part or part.get("thought")]
    said = [*parts, *({"text": piece} for piece in pieces(exchange.text))] or [{"text": ""}]
    for number, part in enumerate(said, 1):
        yield _content(exchange, [part], last=number == len(said))


def _time(exchange: Exchange, after: float = 0) -> str:
    moment = datetime.fromtimestamp(exchange.created, UTC) + timedelta(seconds=after)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
