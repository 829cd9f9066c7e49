"""A Record as a row of the `calls` table; pure. What could corrupt a total does not get past here."""

from __future__ import annotations

from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from functools import lru_cache
from json import JSONEncoder
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from otel_aicost.model import UNPRICED_FAILED, UNPRICED_INVALID, Unpriced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.model import Cost, CostPart, Quantity, Record, Usage

Value: TypeAlias = str | int | None
Row: TypeAlias = tuple[Value, ...]

LARGEST = 2**63 - 1
"""What an INTEGER column holds: 292 years of nanoseconds."""
PLAUSIBLE = 10**16
"""The most that one call may count or cost (ten million dollars): the sum of many still fits a column."""
FINEST = -18
"""The smallest exponent of a quantity."""

# A context of our own: the application may have made its decimals short or its signals silent.
_EXACT = Context(prec=40, traps=[Inexact, InvalidOperation])
_BILLION = Decimal(1_000_000_000)
_PLAIN_TYPES = frozenset({str, int, type(None)})
_encode = JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str).encode


class Bill(NamedTuple):
    """The usage and the money of a record, as far as they can be believed."""

    usage: Usage
    usage_state: str
    unpriced: Unpriced | None = None
    cost: Cost | None = None
    nano: int | None = None
    parts: tuple[tuple[CostPart, int], ...] = ()
    """Each part with its amount in nano-dollars."""


def row(record: Record) -> Row:
    """The values of `schema.CALL_COLUMNS` for `record`.

    A cost that is not a whole, plausible number of nano-dollars becomes an unpriced call, and usage with a
    quantity that is not plausible becomes `invalid`: both stay visible, neither gets into a sum. Raises
    `TypeError` or `ValueError` for a record that is no call at all (no provider, a negative time).
    """
    usage, usage_state, unpriced, cost, nano, parts = bill(record)
    values = (
        record.id,
        _time(record.started_ns),
        _time(record.duration_ns),
        None if record.first_chunk_ns is None else _time(record.first_chunk_ns),
        record.provider,
        record.operation,
        record.response_model or record.request_model or "",
        record.request_model,
        record.response_model,
        record.response_id,
        record.status,
        usage_state,
        1 if record.estimated else 0,
        record.error_type,
        nano,
        cost.source if cost else None,
        cost.price_id if cost else None,
        cost.price_date if cost else None,
        cost.catalogue if cost else None,
        unpriced.reason if unpriced else None,
        unpriced.detail if unpriced else None,
        int(usage.get("input_tokens", 0)),
        int(usage.get("output_tokens", 0)),
        int(usage.get("cache_read_tokens", 0)),
        int(usage.get("cache_write_tokens", 0)),
        _usage_json(usage),
        parts_json(parts),
        _mapping_json(record.conditions),
        _mapping_json(record.tags),
        record.service,
        record.host,
        1 if record.stream else 0,
        record.sdk,
        record.trace_id,
        record.span_id,
        record.asked_model,
        cost.cache_saved_nano if cost else 0,
        cost.batch_saved_nano if cost else 0,
    )
    return _writable(values, (record.id, record.provider, record.operation, record.status, record.service))


def bill(record: Record) -> Bill:
    """What `record` used and costs; what cannot be believed is replaced by the reason why."""
    for meter, quantity in record.usage.items():
        if not _plausible(quantity):
            return Bill({}, "invalid", Unpriced(UNPRICED_INVALID, f"{meter} was {_short(quantity)}"))
    cost = record.cost
    if cost is None:
        return Bill(record.usage, record.usage_state, record.unpriced)
    try:
        nano = nano_dollars(cost.total)
        parts = tuple([(part, nano_dollars(part.amount)) for part in cost.parts])
    except ValueError as error:
        return Bill(record.usage, record.usage_state, Unpriced(UNPRICED_FAILED, str(error)))
    return Bill(record.usage, record.usage_state, record.unpriced, cost, nano, parts)


def nano_dollars(amount: Decimal) -> int:
    """Dollars as whole nano-dollars. Raises `ValueError` unless finite, whole, and from 0 to `PLAUSIBLE`."""
    try:
        if isinstance(amount, Decimal) and amount.is_finite():
            nano = _EXACT.multiply(amount, _BILLION)
            if 0 <= nano <= PLAUSIBLE and nano == (whole := int(nano)):
                return whole
    except DecimalException:
        pass  # more digits than money has
    msg = f"a cost of {_short(amount)} is no whole number of nano-dollars from 0 to {PLAUSIBLE}"
    raise ValueError(msg)


def plain(quantity: Quantity) -> int | str:
    """A quantity for JSON: a whole one as it is, a `Decimal` as text, so that no float rounds it."""
    return f"{quantity:f}" if isinstance(quantity, Decimal) else quantity


def _plausible(quantity: object) -> bool:
    if type(quantity) is int:
        return 0 <= quantity <= PLAUSIBLE
    if not isinstance(quantity, Decimal) or not quantity.is_finite():
        return False
    return 0 <= quantity <= PLAUSIBLE and int(quantity.as_tuple().exponent) >= FINEST


def _time(value: int) -> int:
    if not 0 <= value <= LARGEST:
        msg = f"{_short(value)} is no time: a column holds whole nanoseconds from 0"
        raise ValueError(msg)
    return int(value)


def _short(value: object) -> str:
    try:
        return str(value)[:60]
    except ValueError:  # a whole number of too many digits
        return "a number of thousands of digits"


def _writable(values: Row, required: tuple[str, ...]) -> Row:
    """`values` as SQLite takes them; all of it is checked at once, as hardly a call needs more."""
    text = "".join(required)  # a TypeError if one is no text
    if _PLAIN_TYPES.issuperset(map(type, values)):
        text = "".join([value for value in values if type(value) is str])
        if text.isascii() and "\0" not in text:
            return values
    return tuple([_mended(value) for value in values])


def _mended(value: Value) -> Value:
    if not isinstance(value, str):
        if value is None or isinstance(value, int):
            return value
        msg = f"{type(value).__name__} cannot be in a row"
        raise TypeError(msg)
    # Half a surrogate pair cannot be written, and a NUL ends the text for most readers of the file.
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


# --- JSON, put together from cached pieces: half the time of an encoder -----------------------------------


@lru_cache(maxsize=1024)
def _quoted(text: str) -> str:
    return _encode(text)


@lru_cache(maxsize=1024)
def _dollars(price: Decimal) -> str:
    """With cents at the least: the same text for equal prices, which share a place in the cache."""
    whole, _, decimals = f"{price:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"


@lru_cache(maxsize=1024)
def _items_json(items: tuple[tuple[str, str], ...]) -> str:
    return _encode(dict(items))


def _mapping_json(mapping: Mapping[str, str]) -> str:
    if not mapping:
        return "{}"
    try:
        return _items_json(tuple(mapping.items()))
    except TypeError:  # a value that cannot be a key of a cache is no text either, but may be shown as one
        return _encode(dict(mapping))


def _number(quantity: Quantity) -> str:
    return f'"{quantity:f}"' if isinstance(quantity, Decimal) else str(quantity)


def _usage_json(usage: Usage) -> str:
    return "{" + ",".join([f"{_quoted(meter)}:{_number(usage[meter])}" for meter in sorted(usage)]) + "}"


def parts_json(parts: tuple[tuple[CostPart, int], ...]) -> str:
    """The parts of a cost, each with its nano-dollars, as a row has them."""
    lines = [
        f'[{_quoted(part.meter)},{_number(part.quantity)},"{_dollars(part.price)}",{part.per},{nano}]'
        for part, nano in parts
    ]
    return "[" + ",".join(lines) + "]"
