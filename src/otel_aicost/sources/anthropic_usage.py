"""Anthropic's usage of messages: pages of its usage report, and the CSV file of the console.

https://platform.claude.com/docs/en/api/admin/usage_report
"""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING, Any, Final

from otel_aicost.model import NO_CONDITIONS
from otel_aicost.sources.line import DAY_NS, Found, Values, count, made, middle, moment, nonzero, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.model import Conditions, Quantity, Usage

NAME: Final = "anthropic-usage"
PROVIDER: Final = "anthropic"
LONG: Final = 200_000
"""Requests with more input tokens are billed at other rates; a line says in its `context_window` which they were."""
GROUPS: Final = (
    "workspace_id",
    "workspace",
    "api_key_id",
    "api_key",
    "model",
    "model_version",
    "service_tier",
    "usage_type",
    "context_window",
    "inference_geo",
    "speed",
    "account_id",
    "service_account_id",
)


def recognises(values: Values) -> bool:
    """Whether this is a line of it."""
    return {"usage_date_utc", "usage_output_tokens"} <= values.keys() or {
        "starting_at",
        "uncached_input_tokens",
    } <= values.keys()


def read(values: Values, now_ns: int) -> Found | None:
    """A bucket of time (a day, in the file of the console) and its groups."""
    start, end = bucket(values)
    usage = _usage(values)
    if not any(usage.values()):
        return None
    record = made(
        NAME,
        started_ns=middle(start, end, now_ns),
        provider=PROVIDER,
        operation="chat",
        request_model=text(values, "model", "model_version"),
        usage=usage,
        conditions=conditions(values),
    )
    key = (str(start), str(end), *(text(values, name) or "" for name in GROUPS))
    return Found(record, key, scale=_scale(values, int(usage["input_tokens"])))


def bucket(values: Values) -> tuple[int, int]:
    """When the time of a line begins and ends."""
    if "usage_date_utc" in values:
        start = moment(values, "usage_date_utc")
        return start, start + DAY_NS
    return moment(values, "starting_at"), moment(values, "ending_at")


def conditions(values: Values) -> Conditions:
    """Tier, speed and place, where they are not the standard ones."""
    found: dict[str, str] = {}
    tier = (text(values, "service_tier", "usage_type") or "standard").lower()
    if tier == "batch":
        found["processing"] = "batch"
    elif tier not in {"standard", "message", "messages"}:
        found["service_tier"] = tier
    if (text(values, "speed") or "").lower() == "fast":
        found["speed"] = "fast"
    place = (text(values, "inference_geo") or "").lower()
    if place and place not in {"global", "not_available"}:
        found["inference_geo"] = place
    return found or NO_CONDITIONS


def _usage(values: Values) -> Usage:
    written: Mapping[str, Any] = values.get("cache_creation") if isinstance(values.get("cache_creation"), dict) else {}  # type: ignore[assignment]
    tools: Mapping[str, Any] = values.get("server_tool_use") if isinstance(values.get("server_tool_use"), dict) else {}  # type: ignore[assignment]
    read_again = count(values, "usage_input_tokens_cache_read", "cache_read_input_tokens")
    short = count({**values, **written}, "usage_input_tokens_cache_write_5m", "ephemeral_5m_input_tokens")
    long = count({**values, **written}, "usage_input_tokens_cache_write_1h", "ephemeral_1h_input_tokens")
    plain = count(values, "usage_input_tokens_no_cache", "uncached_input_tokens")
    usage: dict[str, Quantity] = {
        "input_tokens": plain + read_again + short + long,
        "output_tokens": count(values, "usage_output_tokens", "output_tokens"),
        "cache_read_tokens": read_again,
        "cache_write_tokens": short + long,
        "cache_write_5m_tokens": short,
        "cache_write_1h_tokens": long,
        "web_searches": count({**values, **tools}, "web_search_count", "web_search_requests"),
    }
    return nonzero(usage, "input_tokens", "output_tokens")


def _scale(values: Values, tokens: int) -> int:
    """So many powers of ten that one of them is a request of the line's own context window."""
    if tokens <= LONG:
        return 0
    window = text(values, "context_window") or ""
    if window.startswith((">", "200k")):
        return int(log10(tokens / (LONG + 1)))
    return int(log10(tokens / LONG)) + 1
