"""Ledgers for tests: real files, written by the real store."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from otel_aicost.ledger.posting import Posted, post
from otel_aicost.ledger.row import row
from otel_aicost.ledger.store import FileStore
from otel_aicost.model import CostPart, Record, Unpriced
from records import cost, record

if TYPE_CHECKING:
    from pathlib import Path

    from otel_aicost.ledger.store import Store


BILL = replace(
    cost("0.02325"),
    parts=tuple(
        CostPart(meter, quantity, Decimal(price), 1_000_000, quantity * Decimal(price) / 1_000_000)
        for meter, quantity, price in (
            ("input_tokens", 1100, "2.50"),
            ("cache_read_tokens", 400, "1.25"),
            ("output_tokens", 2000, "10.00"),
        )
    ),
)
"""0.00275 + 0.0005 + 0.02 dollars."""

TOTAL_TAGS = ("feature", "team", "job")
"""The tags that running totals are kept apart by, unless the user names others."""


def at(instant: str) -> int:
    """Nanoseconds of a UTC day or instant in ISO form."""
    return int(datetime.fromisoformat(instant).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def write(path: Path, *records: Record, fold_before: str | None = None) -> Path:
    """Make a ledger of these records; calls before the day `fold_before` are folded into daily totals."""
    with closing(FileStore(path)) as store:
        fill(store, *records, fold_before=fold_before)
    return path


def fill(store: Store, *records: Record, fold_before: str | None = None) -> None:
    """Write these records into an open ledger, as `write` does."""
    with store.transaction() as connection:
        post(store, connection, [Posted(row(each), None) for each in records], tags=TOTAL_TAGS)
    if fold_before is not None:
        store.fold(at(fold_before), len(records) + 1)


def sample() -> list[Record]:
    """Ten calls of three days: priced, free, unpriced, failed, estimated, partial, unread; with and without tags."""
    first, second, third = "2026-11-18", "2026-11-19", "2026-11-21"
    claude: dict[str, Any] = {
        "provider": "anthropic",
        "request_model": "claude-3-5-haiku",
        "response_model": "claude-3-5-haiku-20241022",
        "host": "api.anthropic.com",
    }
    tokens = {"input_tokens": 1500, "cache_read_tokens": 400, "output_tokens": 2000}
    return [
        record(started_ns=at(f"{first}T00:00:00"), cost=BILL, usage=tokens),
        record(started_ns=at(f"{first}T23:59:59"), cost=cost("1.5"), tags={"feature": "pitch", "user": "u2"}),
        record(started_ns=at(f"{second}T08:00:00"), cost=cost("0.000000001"), tags={}),
        record(started_ns=at(f"{second}T09:00:00"), cost=cost("0"), operation="moderation", tags={"user": "u1"}),
        record(started_ns=at(f"{second}T10:00:00"), **claude, cost=cost("0.3"), tags={"team.name": "red"}),
        record(started_ns=at(f"{third}T01:00:00"), **claude, cost=cost("0.05"), estimated=True, usage_state="missing"),
        record(
            started_ns=at(f"{third}T02:00:00"),
            cost=None,
            unpriced=Unpriced("unknown_model", "no price for gpt-9"),
            request_model="gpt-9",
            response_model=None,
        ),
        record(
            started_ns=at(f"{third}T03:00:00"),
            cost=None,
            usage={},
            usage_state="none",
            status="error",
            error_type="RateLimitError",
        ),
        record(started_ns=at(f"{third}T04:00:00"), cost=cost("0.01"), status="partial", service="jobs"),
        record(
            started_ns=at(f"{third}T05:00:00"),
            cost=None,
            usage={},
            usage_state="unread",
            unpriced=Unpriced("no_usage", "the body was never read"),
        ),
    ]


SAMPLE_TOTAL = Decimal("1.883250001")
"""What `sample` costs, added by hand: 0.02325 + 1.5 + 0.000000001 + 0 + 0.3 + 0.05 + 0.01."""
