"""OpenAI's organization usage: pages of its usage API, and the CSV files of the console, which have the same names.

https://platform.openai.com/docs/api-reference/usage
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from otel_aicost.model import NO_CONDITIONS, Cost
from otel_aicost.sources.line import Found, MistakeError, Values, count, made, middle, moment, nonzero, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.model import Conditions, Quantity, Usage

NAME: Final = "openai-usage"
PROVIDER: Final = "openai"
GROUPS: Final = (
    "organization_id",
    "project_id",
    "user_id",
    "api_key_id",
    "model",
    "batch",
    "service_tier",
    "size",
    "source",
    "vector_store_id",
    "context_level",
    "api_source",
)
"""What a line may be grouped by."""


def recognises(values: Values) -> bool:
    """Whether this is a line of it."""
    kind = str(values.get("object") or "")
    return kind.startswith("organization.usage.") or ("start_time" in values and _kind(values) is not None)


def read(values: Values, now_ns: int) -> Found | None:
    """A bucket of time and its groups; `None` for one in which nothing was used."""
    start = moment(values, "start_time")
    at = middle(start, moment(values, "end_time"), now_ns)
    operation, usage_of = _kind(values) or ("", _unknown)
    usage = usage_of(values)
    if not any(usage.values()):
        return None
    model = text(values, "model")
    free = operation == "embeddings" and "moderation" in (model or "")
    record = made(
        NAME,
        started_ns=at,
        provider=PROVIDER,
        operation="moderation" if free else operation,
        request_model=model,
        usage=usage,
        conditions=_conditions(values),
        cost=Cost(Decimal(0), (), "supplement", "free endpoint") if free else None,
    )
    key = (operation, str(start), text(values, "end_time") or "", *(text(values, name) or "" for name in GROUPS))
    requests = int(count(values, "num_model_requests", "num_requests"))
    return Found(record, key, priced=free, scale=len(str(max(requests - 1, 0))) if requests > 1 else 0)


def _completions(values: Values) -> Usage:
    sent, received = count(values, "input_tokens"), count(values, "output_tokens")
    kinds = [count(values, f"input_{kind}_tokens") for kind in ("text", "audio", "image")]
    written = count(values, "input_cache_write_tokens")
    usage: dict[str, Quantity] = {
        # Older pages leave audio and images out of `input_tokens`.
        "input_tokens": max(sent, sum(kinds, start=0)),
        "output_tokens": max(received, sum((count(values, f"output_{kind}_tokens") for kind in _KINDS), start=0)),
        "cache_read_tokens": count(values, "input_cached_tokens"),
        "cache_write_tokens": written,
        "input_audio_tokens": kinds[1],
        "input_image_tokens": kinds[2],
        "cache_audio_read_tokens": count(values, "input_cached_audio_tokens"),
        "cache_image_read_tokens": count(values, "input_cached_image_tokens"),
        "output_audio_tokens": count(values, "output_audio_tokens"),
        "output_image_tokens": count(values, "output_image_tokens"),
    }
    return nonzero(usage, "input_tokens", "output_tokens")


def _one(meter: str, key: str) -> Callable[[Values], Usage]:
    return lambda values: {meter: count(values, key)}


def _unknown(_: Values) -> Usage:
    msg = "it is no usage of OpenAI's that we know"
    raise MistakeError(msg)


def _storage(_: Values) -> Usage:
    msg = "bytes of a vector store are billed by the day: import the costs instead"
    raise MistakeError(msg)


_KINDS: Final = ("text", "audio", "image")
_MARKS: Final[tuple[tuple[str, str, Callable[[Values], Usage]], ...]] = (
    ("output_tokens", "chat", _completions),
    ("images", "image_generation", _one("output_images", "images")),
    ("characters", "speech", _one("input_characters", "characters")),
    ("seconds", "transcription", _one("input_audio_seconds", "seconds")),
    ("num_sessions", "code_interpreter", _one("code_executions", "num_sessions")),
    ("usage_bytes", "vector_store", _storage),
    ("context_level", "web_search", _one("web_searches", "num_requests")),
    ("vector_store_id", "file_search", _one("file_searches", "num_requests")),
    ("input_tokens", "embeddings", _one("input_tokens", "input_tokens")),
)
"""The column that only this kind of usage has, what was done, and how it is counted."""


def _kind(values: Values) -> tuple[str, Callable[[Values], Usage]] | None:
    if str(values.get("object")) == "organization.usage.web_searches.result":
        return "web_search", _one("web_searches", "num_requests")
    if str(values.get("object")) == "organization.usage.file_searches.result":
        return "file_search", _one("file_searches", "num_requests")
    return next(((operation, usage) for mark, operation, usage in _MARKS if mark in values), None)


def _conditions(values: Values) -> Conditions:
    found: dict[str, str] = {}
    if (text(values, "batch") or "").lower() == "true":
        found["processing"] = "batch"
    tier = text(values, "service_tier")
    if tier and tier not in {"default", "auto", "standard", "batch"}:
        found["service_tier"] = tier
    size = text(values, "size")
    if size:
        found["size"] = size
    return found or NO_CONDITIONS
