"""What a source makes of one line of a file, and how its values are read: a mistake is of that line alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from otel_aicost.ids import stable_id
from otel_aicost.ledger.row import PLAUSIBLE
from otel_aicost.model import NANO, Cost, Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_aicost.model import Quantity, Usage

Values: TypeAlias = "Mapping[str, Any]"
"""A line: a row of a table, whose values are text, or an object of JSON."""

NS: Final = 10**9
DAY_NS: Final = 86_400 * NS


class MistakeError(ValueError):
    """What is wrong with a line."""


class Found(NamedTuple):
    """A record that a line tells of. It is not priced yet, unless `priced`."""

    record: Record
    key: Sequence[str] = ()
    """What tells the line from every other one of its kind: the id is made of it. Empty: the record has its own."""
    priced: bool = False
    """The line says what it cost, or why nobody knows: it is taken as it is."""
    scale: int = 0
    """The line is the sum of many calls: one like 10**`scale` of them is taken to look for tiers of its price."""
    fallback: Cost | None = None
    """What another program takes it to cost: better than nothing where no price is known."""
    session: str | None = None
    """The session it is of: what another source tells of the same one is the same money."""


class Line(NamedTuple):
    """One line of a file: what was found there, or why it is refused. Neither: there is nothing to count."""

    number: int
    found: Found | None = None
    refused: str = ""


def told(source: str, found: Found, again: int = 0) -> Found:
    """With the id of its line; `again`: how often the same key came before in the file."""
    if not found.key:
        return found
    more = (str(again),) if again else ()
    return found._replace(record=replace(found.record, id=stable_id(source, *found.key, *more)))


def made(source: str, **facts: Any) -> Record:  # noqa: ANN401 - the fields of a Record
    """A record as a source makes it; the rest of its fields are the usual ones."""
    usual: dict[str, Any] = {
        "id": "",
        "duration_ns": 0,
        "operation": "other",
        "status": "ok",
        "usage_state": "reported",
        "service": source,
        "sdk": source,
    }
    return Record(**{**usual, **facts})


def stated(amount: Decimal) -> Cost:
    """The cost that the provider itself states, in dollars."""
    return Cost(amount.quantize(NANO), (), "provider")


def text(values: Values, *keys: str) -> str | None:
    """The first of `keys` that says something."""
    for key in keys:
        value = values.get(key)
        if value is not None and not isinstance(value, (dict, list)) and (said := str(value).strip()):
            return said
    return None


def count(values: Values, *keys: str) -> Quantity:
    """The quantity under the first of `keys` that has one; 0 where it is left empty."""
    said = text(values, *keys)
    if said is None:
        return 0
    number = _number(said, keys[0])
    if not 0 <= number <= PLAUSIBLE:
        msg = f"{keys[0]} is {said[:40]}"
        raise MistakeError(msg)
    return int(number) if number == number.to_integral_value() else number


def dollars(values: Values, *keys: str) -> Decimal:
    """An amount of money, of zero or more."""
    said = text(values, *keys)
    if said is None:
        msg = f"{keys[0]} is empty"
        raise MistakeError(msg)
    amount = _number(said.removeprefix("$"), keys[0])
    if not 0 <= amount <= PLAUSIBLE * NANO:
        reason = "a credit, which is no cost of a call" if amount < 0 else "beyond belief"
        msg = f"{keys[0]} is {said[:40]}: {reason}"
        raise MistakeError(msg)
    return amount


def _number(said: str, key: str) -> Decimal:
    try:
        number = Decimal(said.replace(",", ""))
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        msg = f"{key} is {said[:40]!r}, not a number"
        raise MistakeError(msg)
    return number


def moment(values: Values, *keys: str) -> int:
    """A time in nanoseconds since the epoch: Unix seconds, or ISO 8601 (UTC, unless it says otherwise)."""
    said = text(values, *keys)
    if said is None:
        msg = f"{keys[0]} is empty"
        raise MistakeError(msg)
    if said.isdecimal():
        found = int(said[:20]) * NS
    else:
        try:
            at = datetime.fromisoformat(said)
            aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
            since = aware - datetime(1970, 1, 1, tzinfo=UTC)
        except (ValueError, OverflowError):
            msg = f"{keys[0]} is {said[:40]!r}, not a time"
            raise MistakeError(msg) from None
        found = (since.days * 86_400 + since.seconds) * NS + since.microseconds * 1000
    if not 0 < found < 2**63:
        msg = f"{keys[0]} is {said[:40]!r}, out of range"
        raise MistakeError(msg)
    return found


def middle(start_ns: int, end_ns: int, now_ns: int) -> int:
    """When a bucket of time counts: in its middle, which is the same day in most time zones. It must be over."""
    if end_ns <= start_ns:
        msg = "it ends before it begins"
        raise MistakeError(msg)
    if end_ns > now_ns:
        msg = "its time is not over yet, so its numbers are not final; export it again when it is"
        raise MistakeError(msg)
    return (start_ns + end_ns) // 2


def nonzero(usage: Usage, *always: str) -> dict[str, Quantity]:
    """The meters that counted something, and those that are `always` told."""
    return {meter: amount for meter, amount in usage.items() if amount or meter in always}
