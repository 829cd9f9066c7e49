"""OpenAI's organization costs, and the usage of its models: https://platform.openai.com/docs/api-reference/usage."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from otel_aicost.bills.bill import (
    Bill,
    Billed,
    BillError,
    Used,
    amount_of,
    count_of,
    day_of_seconds,
    unexpected,
)
from otel_aicost.bills.fetching import Access, Door

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from otel_aicost.bills.bill import Days

PROVIDER: Final = "openai"
BASE_URL: Final = "https://api.openai.com"
VARIABLE: Final = "OPENAI_ADMIN_KEY"
COSTS: Final = "/v1/organization/costs"
USAGE: Final = "/v1/organization/usage/completions"
COST_DAYS: Final = 180
"""The most days of a page, and below for usage."""
USAGE_DAYS: Final = 31


def access(key: str, base_url: str = BASE_URL) -> Access:
    """How to ask with an admin key."""
    where = "https://platform.openai.com/settings/organization/admin-keys"
    return Access(base_url, "Authorization", "Bearer ", key, VARIABLE, where, {})


def bill(door: Door, days: Days) -> Bill:
    """What `days` cost by line item, and what was used by model, batch and tier."""
    billed = tuple(_billed(door, days))
    try:
        return Bill(billed, tuple(_used(door, days)))
    except BillError as error:  # the costs are what was asked for
        return Bill(billed, gap=str(error))


def model_of(item: str) -> str | None:
    """The model of a line item such as `gpt-4o-2024-08-06, input`; others are for tools and storage."""
    model, comma, _ = item.rpartition(", ")
    return model if comma and model and " " not in model else None


def _billed(door: Door, days: Days) -> Iterator[Billed]:
    asked = [*_range(days), ("group_by", "line_item"), ("limit", str(min(days.count, COST_DAYS)))]
    for day, result in _results(door.buckets(COSTS, asked)):
        amount = result.get("amount")
        if not isinstance(amount, dict):
            continue  # nothing was billed
        currency = str(amount.get("currency") or "usd")
        if currency.lower() != "usd":
            msg = f"OpenAI bills in {currency[:10]}, and the ledger is in US dollars"
            raise BillError(msg)
        item = str(result.get("line_item") or "(not itemized)")
        yield Billed(day, model_of(item), item, amount_of(amount.get("value") or 0))


def _used(door: Door, days: Days) -> Iterator[Used]:
    groups = [("group_by", name) for name in ("model", "batch", "service_tier")]
    asked = [*_range(days), *groups, ("limit", str(min(days.count, USAGE_DAYS)))]
    sums: dict[tuple[date, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for day, result in _results(door.buckets(USAGE, asked)):
        model = result.get("model")
        if isinstance(model, str) and model:
            total = sums[day, model, _tier(result)]
            for place, key in enumerate(("num_model_requests", "input_tokens", "output_tokens")):
                total[place] += count_of(result, key)
    for (day, model, tier), (requests, sent, received) in sums.items():
        yield Used(day, model, tier, requests, sent, received)


def _tier(result: Mapping[str, Any]) -> str:
    if result.get("batch") is True:
        return "batch"
    tier = result.get("service_tier")
    return tier if isinstance(tier, str) and tier not in {"default", "auto", "standard"} else ""


def _results(buckets: Iterator[Mapping[str, Any]]) -> Iterator[tuple[date, Mapping[str, Any]]]:
    for bucket in buckets:
        results = bucket.get("results", bucket.get("result"))
        if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
            msg = "a bucket has no list of results"
            raise unexpected(msg)
        day = day_of_seconds(bucket.get("start_time"))
        yield from ((day, result) for result in results)


def _range(days: Days) -> list[tuple[str, str]]:
    start = int(datetime.combine(days.first, datetime.min.time(), UTC).timestamp())
    end = int(datetime.combine(days.last + timedelta(days=1), datetime.min.time(), UTC).timestamp())
    return [("start_time", str(start)), ("end_time", str(end)), ("bucket_width", "1d")]
