"""OpenAI's organization costs: pages of its cost API, and the CSV file of the console, which has the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_aicost.sources.line import Found, MistakeError, Values, count, dollars, made, middle, moment, stated, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.model import Usage

NAME: Final = "openai-costs"
PROVIDER: Final = "openai"
GROUPS: Final = ("organization_id", "project_id", "user_id", "api_key_id", "line_item", "api_source")


def recognises(values: Values) -> bool:
    """Whether this is a line of it."""
    return values.get("object") == "organization.costs.result" or {"start_time", "amount_value"} <= values.keys()


def read(values: Values, now_ns: int) -> Found | None:
    """What a line item cost in a bucket of time; `None` where it is empty."""
    start = moment(values, "start_time")
    at = middle(start, moment(values, "end_time"), now_ns)
    amount = values.get("amount")
    money: Mapping[str, Any] = amount if isinstance(amount, dict) else values
    if text(money, "amount_value", "value") is None:
        return None
    if (text(money, "amount_currency", "currency") or "usd").lower() != "usd":
        msg = "it is not in US dollars"
        raise MistakeError(msg)
    item = text(values, "line_item") or ""
    model, _, what = item.rpartition(", ")
    record = made(
        NAME,
        started_ns=at,
        provider=PROVIDER,
        operation=item if not model else "other",
        request_model=model or None,
        usage=_usage(values, what) if model else {},
        cost=stated(dollars(money, "amount_value", "value")),
    )
    key = (str(start), text(values, "end_time") or "", *(text(values, name) or "" for name in GROUPS))
    return Found(record, key, priced=True)


def _usage(values: Values, what: str) -> Usage:
    """The tokens that the line is for, where it says so."""
    if text(values, "quantity_unit") not in {None, "tokens"}:
        return {}
    tokens = count(values, "quantity")
    kind = what.replace("_", " ").lower()
    if not tokens:
        return {}
    if kind in {"output", "output tokens"}:
        return {"output_tokens": tokens}
    if kind.startswith("cached input"):
        return {"input_tokens": tokens, "cache_read_tokens": tokens}
    return {"input_tokens": tokens} if kind in {"input", "input tokens"} else {}
