"""The rows of `aicost export`: every call as it was recorded, under its own id and at the cost it had."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, get_args

from otel_aicost.model import NANO, Cost, CostPart, PriceSource, Record, Status, Unpriced, UsageState
from otel_aicost.sources.line import Found, MistakeError, Values, count, dollars, moment, text

if TYPE_CHECKING:
    from otel_aicost.model import Quantity

NAME: Final = "aicost"
_METER: Final = re.compile(r"[\w.\-]{1,64}")
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def recognises(values: Values) -> bool:
    """Whether this is a line of it."""
    return {"kind", "id", "started_ns", "provider", "cost_nano", "usage_state"} <= values.keys()


def read(values: Values, _now_ns: int) -> Found | None:
    """The record of a row."""
    if values.get("kind") != "call":
        msg = f"it is the sum of {text(values, 'calls') or 'some'} calls of a day, which are no single calls any more"
        raise MistakeError(msg)
    identifier = text(values, "id") or ""
    if not _ID.fullmatch(identifier):
        msg = f"its id is {identifier[:40]!r}"
        raise MistakeError(msg)
    unpriced = text(values, "unpriced")
    record = Record(
        id=identifier,
        started_ns=_nanoseconds(values, "started_ns") or moment(values, "started"),
        duration_ns=_nanoseconds(values, "duration_ns"),
        first_chunk_ns=_nanoseconds(values, "first_chunk_ns") or None,
        provider=_needed(values, "provider"),
        operation=_needed(values, "operation"),
        status=_one_of(values, "status", get_args(Status)),
        usage_state=_one_of(values, "usage_state", get_args(UsageState)),
        service=_needed(values, "service"),
        request_model=text(values, "request_model"),
        response_model=text(values, "response_model"),
        asked_model=text(values, "asked_model"),
        response_id=text(values, "response_id"),
        usage={meter: _quantity(meter, amount) for meter, amount in _object(values, "usage").items()},
        conditions=_strings(values, "conditions"),
        cost=_cost(values),
        unpriced=None if unpriced is None else Unpriced(unpriced, text(values, "unpriced_detail") or ""),
        estimated=_truth(values, "estimated"),
        error_type=text(values, "error_type"),
        tags=_strings(values, "tags"),
        host=text(values, "host"),
        stream=_truth(values, "stream"),
        sdk=text(values, "sdk"),
        trace_id=text(values, "trace_id"),
        span_id=text(values, "span_id"),
    )
    return Found(record, priced=True)


def _cost(values: Values) -> Cost | None:
    nano = text(values, "cost_nano")
    if nano is None:
        return None
    parts = []
    for part in _list(values, "parts"):
        meter = _needed(part, "meter")
        amount = dollars(part, "amount_usd").quantize(NANO)
        per = int(count(part, "per")) or 1
        parts.append(CostPart(meter, _quantity(meter, part.get("quantity")), dollars(part, "price"), per, amount))
    return Cost(
        total=Decimal(int(count(values, "cost_nano"))) * NANO,
        parts=tuple(parts),
        source=_one_of(values, "cost_source", get_args(PriceSource)),
        price_id=text(values, "price_id"),
        price_date=text(values, "price_date"),
        catalogue=text(values, "catalogue"),
    )


def _nanoseconds(values: Values, key: str) -> int:
    said = text(values, key)
    if said is None:
        return 0
    if not said.isdecimal() or not 0 <= int(said[:20]) < 2**63:
        msg = f"{key} is {said[:40]!r}"
        raise MistakeError(msg)
    return int(said)


def _quantity(meter: str, amount: object) -> Quantity:
    if not _METER.fullmatch(meter):
        msg = f"{meter[:40]!r} is no meter"
        raise MistakeError(msg)
    return count({meter: amount}, meter)


def _needed(values: Values, key: str) -> str:
    said = text(values, key)
    if said is None:
        msg = f"{key} is empty"
        raise MistakeError(msg)
    return said


def _one_of(values: Values, key: str, names: tuple[str, ...]) -> Any:  # noqa: ANN401 - one of a Literal
    said = text(values, key)
    if said not in names:
        msg = f"{key} is {said!r:.40}; it is one of {', '.join(names)}"
        raise MistakeError(msg)
    return said


def _truth(values: Values, key: str) -> bool:
    return str(values.get(key)).lower() in {"true", "1", "yes"}


def _object(values: Values, key: str) -> dict[str, Any]:
    found = _unpacked(values, key, "{}")
    if not isinstance(found, dict):
        msg = f"{key} is no object"
        raise MistakeError(msg)
    return found


def _list(values: Values, key: str) -> list[dict[str, Any]]:
    found = _unpacked(values, key, "[]")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        msg = f"{key} is no list of objects"
        raise MistakeError(msg)
    return found


def _strings(values: Values, key: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in _object(values, key).items()}


def _unpacked(values: Values, key: str, empty: str) -> Any:  # noqa: ANN401 - whatever it holds
    """CSV has objects and lists as JSON text."""
    value = values.get(key)
    if isinstance(value, (dict, list)):
        return value
    try:
        return json.loads(str(value) if value else empty, parse_float=Decimal)
    except (ValueError, RecursionError):
        msg = f"{key} is no JSON"
        raise MistakeError(msg) from None
