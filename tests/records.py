"""Records for tests: a priced chat call, any field of which a test can replace."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

from otel_aicost.model import Cost, CostPart, Record

STARTED_NS = 1_790_000_000_000_000_000
"""2026-09-21T14:13:20Z."""

_numbers = count(1)


def cost(total: str = "0.00625") -> Cost:
    """A cost of `total` dollars with one part that holds all of it."""
    amount = Decimal(total)
    part = CostPart("input_tokens", 2500, Decimal("2.50"), 1_000_000, amount)
    return Cost(
        total=amount,
        parts=(part,),
        source="genai-prices",
        price_id="openai/gpt-4o",
        price_date="2024-10-02",
        catalogue="genai-prices 0.2.3",
    )


def record(**overrides: Any) -> Record:
    """A successful OpenAI chat call of $0.00625 with an id of its own; `overrides` are fields of `Record`."""
    number = next(_numbers)
    base = Record(
        id=f"01990000-0000-7000-8000-{number:012x}",
        started_ns=STARTED_NS + number,
        duration_ns=840_000_000,
        provider="openai",
        operation="chat",
        status="ok",
        usage_state="reported",
        service="shop",
        request_model="gpt-4o",
        response_model="gpt-4o-2024-08-06",
        response_id=f"chatcmpl-{number}",
        usage={"input_tokens": 2500, "output_tokens": 0},
        cost=cost(),
        tags={"feature": "search", "user": "u1"},
        host="api.openai.com",
        port=443,
        sdk="openai 3.54.0",
    )
    return replace(base, **overrides)
