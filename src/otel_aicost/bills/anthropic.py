"""Anthropic's cost report and usage report: https://platform.claude.com/docs/en/api/admin/cost_report."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from otel_aicost.bills.bill import Bill, Billed, BillError, Used, amount_of, count_of, day_of_instant, unexpected
from otel_aicost.bills.fetching import Access, Door

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from otel_aicost.bills.bill import Days

PROVIDER: Final = "anthropic"
BASE_URL: Final = "https://api.anthropic.com"
VARIABLE: Final = "ANTHROPIC_ADMIN_KEY"
VERSION: Final = "2023-06-01"
COSTS: Final = "/v1/organizations/cost_report"
USAGE: Final = "/v1/organizations/usage_report/messages"
MOST_DAYS: Final = 31
"""Of a page, in both reports."""
CENTS: Final = 2
"""Amounts are decimal text in cents: "123.45" is $1.2345."""


def access(key: str, base_url: str = BASE_URL) -> Access:
    """How to ask with an admin key."""
    where = "https://platform.claude.com/settings/admin-keys"
    return Access(base_url, "x-api-key", "", key, VARIABLE, where, {"anthropic-version": VERSION})


def bill(door: Door, days: Days) -> Bill:
    """What `days` cost by description, and what was used by model and tier."""
    billed = tuple(_billed(door, days))
    try:
        return Bill(billed, tuple(_used(door, days)))
    except BillError as error:  # the costs are what was asked for
        return Bill(billed, gap=str(error))


def _billed(door: Door, days: Days) -> Iterator[Billed]:
    for day, result in _results(door.buckets(COSTS, [*_range(days), ("group_by[]", "description")])):
        currency = str(result.get("currency") or "USD")
        if currency.upper() != "USD":
            msg = f"Anthropic bills in {currency[:10]}, and the ledger is in US dollars"
            raise BillError(msg)
        model = result.get("model")
        item = str(result.get("description") or result.get("cost_type") or "(not itemized)")
        yield Billed(
            day, model if isinstance(model, str) else None, item, amount_of(result.get("amount")).scaleb(-CENTS)
        )


def _used(door: Door, days: Days) -> Iterator[Used]:
    groups = [("group_by[]", "model"), ("group_by[]", "service_tier")]
    sums: dict[tuple[date, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for day, result in _results(door.buckets(USAGE, [*_range(days), *groups])):
        model, tier = result.get("model"), result.get("service_tier")
        if not isinstance(model, str) or not model:
            continue
        total = sums[day, model, tier if isinstance(tier, str) and tier != "standard" else ""]
        written = result.get("cache_creation")
        total[0] += count_of(result, "uncached_input_tokens", "cache_read_input_tokens")
        if isinstance(written, dict):
            total[0] += count_of(written, "ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens")
        total[1] += count_of(result, "output_tokens")
    for (day, model, tier), (sent, received) in sums.items():
        yield Used(day, model, tier, None, sent, received)


def _results(buckets: Iterator[Mapping[str, Any]]) -> Iterator[tuple[date, Mapping[str, Any]]]:
    for bucket in buckets:
        results = bucket.get("results")
        if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
            msg = "a bucket has no list of results"
            raise unexpected(msg)
        day = day_of_instant(bucket.get("starting_at"))
        yield from ((day, result) for result in results)


def _range(days: Days) -> list[tuple[str, str]]:
    after = days.last + timedelta(days=1)
    return [
        ("starting_at", f"{days.first}T00:00:00Z"),
        ("ending_at", f"{after}T00:00:00Z"),
        ("bucket_width", "1d"),
        ("limit", str(min(days.count, MOST_DAYS))),
    ]
