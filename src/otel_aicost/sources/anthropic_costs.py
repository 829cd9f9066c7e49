"""Anthropic's costs: pages of its cost report, and the CSV file of the console."""

from __future__ import annotations

import re
from typing import Final

from otel_aicost.sources.anthropic_usage import GROUPS, bucket, conditions
from otel_aicost.sources.line import Found, MistakeError, Values, dollars, made, middle, stated, text

NAME: Final = "anthropic-costs"
PROVIDER: Final = "anthropic"
CENTS: Final = 2
"""The cost report is in cents, the file of the console in dollars."""


def recognises(values: Values) -> bool:
    """Whether this is a line of it."""
    return {"usage_date_utc", "cost_usd"} <= values.keys() or {"starting_at", "amount", "currency"} <= values.keys()


def read(values: Values, now_ns: int) -> Found | None:
    """What one kind of token, or tool, of a model cost in a bucket of time."""
    start, end = bucket(values)
    if (text(values, "currency") or "USD").upper() != "USD":
        msg = "it is not in US dollars"
        raise MistakeError(msg)
    report = "amount" in values
    if text(values, "amount", "cost_usd") is None:
        return None
    amount = dollars(values, "amount").scaleb(-CENTS) if report else dollars(values, "cost_usd")
    model = text(values, "model")
    record = made(
        NAME,
        started_ns=middle(start, end, now_ns),
        provider=PROVIDER,
        operation="chat" if model else text(values, "cost_type", "description") or "other",
        request_model=_model(model) if model else None,
        conditions=conditions(values),
        cost=stated(amount),
    )
    said = (text(values, name) or "" for name in (*GROUPS, "token_type", "cost_type", "description"))
    return Found(record, (str(start), str(end), *said), priced=True)


def _model(name: str) -> str:
    """The console calls models by their display names: `Claude Haiku 4.5` is `claude-haiku-4-5`."""
    dashed = re.sub(r"[\s.]+", "-", name.strip().lower()) if " " in name.strip() else name.strip()
    return re.sub(r"-(\d{4})-(\d{2})-(\d{2})$", r"-\1\2\3", dashed)
