"""What a provider file is made of: hosts, endpoints, and how the usage of a response is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from otel_aicost.model import NO_CONDITIONS, NO_USAGE, Conditions, Quantity, Reading, Usage

Json: TypeAlias = Mapping[str, Any]
Path: TypeAlias = tuple[str, ...]
Fields: TypeAlias = tuple[tuple[str, Path], ...]
"""Meter and where it stands in a provider's usage object; the first path of a meter that holds a value wins."""

LARGEST = 10**10
"""More of any meter in one call is taken for garbage."""
YEAR_2100 = 4_102_444_800
"""In seconds since the epoch: what is later is no time, and would not fit into a ledger."""


class AbsurdUsageError(ValueError):
    """A usage that cannot be believed: negative, not a number, or beyond all measure."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What the application asks for: the JSON body of the request, as the SDK was given it."""

    body: Json
    stream: bool = False
    path: str = ""
    """The path of its URL: some providers have the model there."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of its headers those that an endpoint may ask for, by their names in lower case. There may be none at all."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a request tells before the response comes: never any content."""

    model: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    usage: Usage = field(default_factory=lambda: NO_USAGE)
    conditions: Conditions = field(default_factory=lambda: NO_CONDITIONS)


def same(body: Json) -> Json:
    """A body that needs no adapting."""
    return body


def nothing(_: Sent) -> Description:
    """The description of a request that is not understood."""
    return Description()


@dataclass(frozen=True, slots=True)
class UsageRequest:
    """How to ask for the usage of a stream, and how to hide from the application that we did."""

    ask: Callable[[Json], Json | None]
    """The request body with the question in it, or `None` when the application asks already."""
    undo: Callable[[bytes], bytes]
    """A raw event as it would be if nobody had asked; empty if it would not be there."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One kind of call. A streamed response is folded into the shape of the body, and both are read by `read`."""

    operation: str
    """`gen_ai.operation.name`."""
    read: Callable[[Json], Reading]
    describe: Callable[[Sent], Description] = nothing
    fragment: Callable[[Json], Json] = same
    """Stream event -> the part of the body it stands for, maybe empty; later fragments win, mappings are merged."""
    free: bool = False
    marks: tuple[bytes, ...] = (b'"usage"',)
    """Only stream events that hold one of these with a value other than null are parsed."""
    ends: tuple[bytes, ...] = ()
    """What the last event of a whole stream holds."""
    text: tuple[str, ...] = ()
    """Keys under which a stream carries generated text: the ground of an estimate when no usage comes."""
    usage_request: UsageRequest | None = None
    """How to ask for the usage of a stream, where it does not come by itself."""
    body: bool = True
    """The response has a body to read a usage from; otherwise all is known from the request."""
    only_with_usage: bool = False
    """Not known to be billable: recorded only when the response holds a usage."""
    past: bool = False
    """It fetches what was spent before (a poll, a download of results), and is recorded only with a usage."""
    lines: bool = False
    """The body is JSON Lines, whatever its content type says, and as long as it likes; `read` gets `{"lines": [...]}`
    with those that hold one of `marks`, a few at a time. A body whose first line holds none is something else."""
    adds: bool = False
    """What the request tells is billed beside what the response tells, and not only where that tells nothing."""
    headers: Callable[[Mapping[str, str]], Json] | None = None
    """What the headers of a response tell, laid under its body; their names are in lower case."""
    asked: Callable[[Json], Json] | None = None
    """What the body of the request alone tells of what the response will cost, laid under its body."""
    place: Callable[[str], Json] | None = None
    """What the path of the request tells, laid under the body of the response."""


def poll(operation: str, read: Callable[[Json], Reading], **more: Any) -> Endpoint:  # noqa: ANN401 - of `Endpoint`
    """What fetches something made before: recorded only where it says what was spent."""
    return Endpoint(operation, read, past=True, only_with_usage=True, **more)


@dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """Who is paid: `name` as in the GenAI semantic conventions, found by the host of the request."""

    name: str
    hosts: tuple[str, ...] = ()
    """Host names, as shell patterns."""
    ports: tuple[int, ...] = ()
    """Ports on this machine or a private network where such a server listens by default."""
    adapt: Callable[[Json], Json] = same
    """Brings a body, or a fragment of a stream, of this provider's own into the shape its endpoints read."""
    priced_by_request: bool = False
    """The model of the request decides the price (a region, a profile) rather than the one of the response."""
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """What a POST means at this provider: the end of its path (`/v2/chat`, `/model/*/converse`, `:predict`, where `*`
    is any one segment) -> endpoint. Asked before the dialects that many providers speak."""
    closed: bool = False
    """Its own endpoints are all that count; no dialect is asked."""
    polls: Mapping[str, Endpoint] = field(default_factory=dict)
    """The same of GETs: most of them fetch what was spent before (`Endpoint.past`), some cost money themselves."""
    regional: str | None = None
    """The host that a region stands before, where that changes prices: `eu.` before `api.openai.com`."""


def quantities(usage: Json, fields: Fields) -> dict[str, Quantity]:
    """The meters that `usage` holds a number for; of zeros only totals are kept. Raises `AbsurdUsageError`."""
    found: dict[str, Quantity] = {}
    for meter, path in fields:
        value: Any = usage
        for key in path:  # a dict, as all JSON is: asking for a Mapping takes ten times as long
            value = value.get(key) if isinstance(value, dict) else None
            if value is None:
                break
        if value is not None and meter not in found:
            amount = quantity(value, path[-1])
            if amount or len(path) == 1:
                found[meter] = amount
    return found


def quantity(value: object, key: str) -> Quantity:
    """`value` as a count or a number of seconds. Raises `AbsurdUsageError` for anything else."""
    if type(value) is int:
        number: Quantity = value
    elif isinstance(value, (float, Decimal)):
        exact = Decimal(repr(value)) if isinstance(value, float) else value
        if not exact.is_finite():
            msg = f"{key} is {value!r}"
            raise AbsurdUsageError(msg)
        number = int(exact) if exact == exact.to_integral_value() else exact
    else:
        msg = f"{key} is {type(value).__name__}, not a number"
        raise AbsurdUsageError(msg)
    if not 0 <= number <= LARGEST:
        msg = f"{key} is {number}"
        raise AbsurdUsageError(msg)
    return number


def seconds(value: object) -> object:
    """`value` as a number, where a provider writes a duration as text; anything else as it is."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def moment(value: object) -> int | None:
    """Seconds since the epoch, as providers state times, in nanoseconds; `None` for what cannot be a time."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < YEAR_2100:
        return None
    return int(value * 1_000_000_000)


def made(body: Json) -> int | None:
    """When something was done, or else begun, in nanoseconds since the epoch, as OpenAI states it."""
    return moment(body.get("completed_at")) or moment(body.get("created_at")) or moment(body.get("created"))


def once(reading: Reading, key: str) -> Reading:
    """The same, billed once under `key`, and each of its parts under a key of its own."""
    others = tuple(once(part, part.once or f"{key}:{number}") for number, part in enumerate(reading.others))
    return replace(reading, once=key, others=others)


def dated(reading: Reading, at_ns: int | None) -> Reading:
    """The same, and its parts, billed at that time."""
    return replace(reading, at_ns=at_ns, others=tuple(replace(part, at_ns=at_ns) for part in reading.others))


def parameters(body: Json, wanted: Mapping[str, str]) -> dict[str, object]:
    """The numbers and words of a request under the keys of `wanted`, by their `gen_ai.request.*` names."""
    return {
        name: body[key]
        for key, name in wanted.items()
        if isinstance(body.get(key), (int, float, str)) and not isinstance(body.get(key), bool)
    }


def dollars(value: object) -> Decimal | None:
    """A cost the provider states, in dollars, or `None` when it is not a finite amount of zero or more."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount <= LARGEST else None


def text(value: object) -> str | None:
    """`value` if it is a string that says something."""
    return value if isinstance(value, str) and value else None


def mapping(value: object) -> Json:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Json]:
    """The JSON objects of a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
