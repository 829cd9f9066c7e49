"""What Google keeps and hands out later: batches, files of their results, cached contents."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from otel_aicost.model import Conditions, Reading
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Json,
    Sent,
    items,
    mapping,
    quantity,
    text,
)
from otel_aicost.providers.google_content import describe, name_of, read

if TYPE_CHECKING:
    from collections.abc import Mapping

BATCH: Conditions = {"processing": "batch"}
_HOUR_NS = 3600 * 10**9


def read_begun(_: Json) -> Reading:
    """A job is billed by its results."""
    return Reading(pending=True)


def read_batch(body: Json) -> Reading:
    """The results of a batch, or of a list of them, as far as they stand in the answer itself: each once."""
    jobs = items(body.get("operations")) or [body]
    return Reading(others=tuple(result for job in jobs for result in _results(job)))


def _results(job: Json) -> list[Reading]:
    name, about = text(job.get("name")) or "", mapping(job.get("metadata"))
    output = mapping(about.get("output")) or mapping(job.get("response")) or mapping(job.get("output"))
    model, at_ns = name_of(about.get("model")), moment(about.get("endTime"))
    found = []
    for key in ("inlinedResponses", "inlinedEmbedContentResponses"):
        for number, line in enumerate(items(mapping(output.get(key)).get("inlinedResponses"))):
            found += _result(line, f"{name}:{number}", model, at_ns)
    return found


def read_results(body: Json) -> Reading:
    """A file that was downloaded: of other files than results, no line is one."""
    found = [
        result
        for line in items(body.get("lines"))
        if "usageMetadata" in mapping(line.get("response"))
        for result in _result(line, None, None, None)
    ]
    return Reading(others=tuple(found))


def _result(line: Json, name: str | None, model: str | None, at_ns: int | None) -> list[Reading]:
    """The response to one request of a batch; a response has an id of its own, wherever it is found."""
    response = mapping(line.get("response"))
    if not response:  # it failed, and costs nothing
        return []
    reading = read({"usageMetadata": {"promptTokenCount": whole(response.get("tokenCount"))}, **response})
    named = reading.response_id or name
    once = None if named is None else f"batch:{named}"
    return [replace(reading, model=reading.model or model, conditions=BATCH, once=once, at_ns=at_ns)]


def read_vertex_batch(body: Json) -> Reading:
    """Vertex AI puts results into a bucket or a table: how many there are is all that is told, so no price fits."""
    name, counts = text(body.get("name")), mapping(body.get("completionStats"))
    if name is None or text(body.get("state")) not in {"JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"}:
        return Reading(pending=True)
    try:
        done = quantity(whole(counts.get("successfulCount")) or 1, "successfulCount")
    except AbsurdUsageError as error:
        return Reading(invalid=str(error))
    model, at_ns = name_of(body.get("model")), moment(body.get("endTime"))
    return Reading(model, usage={"batch_requests": done}, conditions=BATCH, once=f"batch:{name}", at_ns=at_ns)


def describe_cache(sent: Sent) -> Description:
    """The model that is to read the cache."""
    return Description(name_of(sent.body.get("model")))


def read_cache(body: Json) -> Reading:
    """Storage, by tokens and hours up to the expiry agreed on: deleted earlier it costs less, kept longer more."""
    model, usage = name_of(body.get("model")), mapping(body.get("usageMetadata"))
    begun, ends = moment(body.get("createTime")), moment(body.get("expireTime"))
    if usage.get("totalTokenCount") is None or begun is None or ends is None:
        return Reading(model)
    try:
        kept = quantity(usage["totalTokenCount"], "totalTokenCount") * Decimal(max(0, ends - begun)) / _HOUR_NS
        return Reading(model, usage={"cache_token_hours": quantity(kept, "cache_token_hours")})
    except AbsurdUsageError as error:
        return Reading(model, invalid=str(error))


def read_vertex_cache(body: Json) -> Reading:
    """On Vertex AI writing the cache is billed as input besides."""
    stored = read_cache(body)
    if stored.usage is None:
        return stored
    written = quantity(mapping(body.get("usageMetadata")).get("totalTokenCount"), "totalTokenCount")
    return Reading(stored.model, usage={"input_tokens": written}, others=(stored,))


def moment(value: object) -> int | None:
    """A time as Google writes it (`2026-01-01T00:00:00.123456789Z`), in nanoseconds since the epoch."""
    try:
        seconds = datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return None
    return int(seconds * 10**6) * 1000 if seconds > 0 else None


def whole(value: object) -> object:
    """Google writes some counts as text."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else value  # noqa: PLR2004


_STARTED = Endpoint("batch", read_begun, describe)
_POLL = Endpoint("generate_content", read_batch, past=True, only_with_usage=True)
_POLL_VERTEX = Endpoint("batch", read_vertex_batch, past=True, only_with_usage=True)
ENDPOINTS: Mapping[str, Endpoint] = {
    ":batchGenerateContent": _STARTED,
    ":asyncBatchEmbedContent": _STARTED,
    "/cachedContents": Endpoint("create_cache", read_cache, describe_cache),
}
POLLS: Mapping[str, Endpoint] = {
    "/batches/*": _POLL,
    "/batches": _POLL,
    "/files/*:download": replace(_POLL, read=read_results, lines=True, marks=(b'"response"', b'"error"')),
}
VERTEX_ENDPOINTS: Mapping[str, Endpoint] = {
    "/batchPredictionJobs": Endpoint("batch", read_begun, describe_cache),
    "/cachedContents": Endpoint("create_cache", read_vertex_cache, describe_cache),
}
VERTEX_POLLS: Mapping[str, Endpoint] = {"/batchPredictionJobs/*": _POLL_VERTEX}
