"""The section `apis:` of `aicost.yaml`: paid APIs called with httpx or requests, and what is counted of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from otel_aicost.yaml_file import WrongError, flag, line_of, pairs, scalar, text_of

if TYPE_CHECKING:
    import yaml

    from otel_aicost.yaml_file import Reader

Source: TypeAlias = Literal["number", "request", "response", "header"]
Measure: TypeAlias = Literal["value", "count", "characters"]

_HOST: Final = re.compile(r"[A-Za-z0-9*?\[\].\-]+")
_PATH: Final = re.compile(r"/\S*")
_METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")
_PLACE: Final = r"(?P<source>request|response|header)\.(?P<path>[A-Za-z0-9_*\-]+(?:\.[A-Za-z0-9_*\-]+)*)"
_AMOUNT: Final = re.compile(rf"(?:(?P<measure>count|characters)\(\s*)?{_PLACE}(?P<closed>\s*\))?")
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")
_EXPECTED: Final = (
    "must be a number, or a place such as response.usage.units, request.text or header.x-units, "
    "or count(...) or characters(...) of one"
)


@dataclass(frozen=True, slots=True)
class Told:
    """Where a fact of a call stands: a constant, or a path into its request, its response or the response's headers."""

    source: Source
    path: tuple[str, ...] = ()
    """Keys from the outside in; `*` stands for every item of a list."""
    measure: Measure = "value"
    number: Decimal = Decimal(0)

    def found(self, document: Any) -> list[Any]:  # noqa: ANN401 - JSON
        """All values at the path."""
        values = [document]
        for key in self.path:
            nested = [value if key == "*" else [value.get(key)] for value in values if _fits(value, key)]
            values = [item for items in nested for item in items if item is not None]
        return values


def _fits(value: object, key: str) -> bool:
    return isinstance(value, list) if key == "*" else isinstance(value, Mapping)


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One kind of call: what it is, and what of it is billed."""

    path: str
    """The end of the path; `*` is any one segment."""
    operation: str
    method: str | None = None
    """`None`: any."""
    model: Told | str | None = None
    meters: Mapping[str, Told] = field(default_factory=lambda: MappingProxyType({}))
    cost: Told | None = None
    """Dollars, where the response states them."""
    free: bool = False


@dataclass(frozen=True, slots=True)
class Api:
    """A host and the calls of it that count; without `calls`, what is known of its provider."""

    host: str
    """A shell pattern."""
    provider: str | None = None
    calls: tuple[ApiCall, ...] = ()


def read_apis(reader: Reader, fields: Mapping[str, yaml.Node]) -> tuple[Api, ...]:
    """What the section says; its mistakes are the reader's."""
    return tuple(_api(reader, node, f"apis[{index}]") for index, node in reader.items(fields, "", "apis"))


def _api(reader: Reader, node: yaml.Node, at: str) -> Api:
    fields = reader.fields(node, at, ("host",), ("provider", "calls"))
    calls = [_call(reader, each, f"{at}.calls[{index}]") for index, each in reader.items(fields, at, "calls")]
    if calls and "provider" not in fields:
        reader.say(line_of(node), at, "needs `provider`: who is paid for these calls")
    return Api(
        reader.value(fields, at, "host", _host) or "",
        reader.value(fields, at, "provider", text_of),
        tuple(calls),
    )


def _call(reader: Reader, node: yaml.Node, at: str) -> ApiCall:
    fields = reader.fields(node, at, ("path", "operation"), ("method", "model", "meters", "cost", "free"))
    free = reader.value(fields, at, "free", flag) or False
    if not free and not {"meters", "cost"} & fields.keys():
        reader.say(line_of(node), at, "needs `meters`, `cost` or `free: true`: otherwise nothing of it can be priced")
    return ApiCall(
        reader.value(fields, at, "path", _path) or "",
        reader.value(fields, at, "operation", text_of) or "",
        reader.value(fields, at, "method", _method),
        reader.value(fields, at, "model", _model),
        reader.value(fields, at, "meters", _meters) or MappingProxyType({}),
        reader.value(fields, at, "cost", _told),
        free,
    )


def _meters(node: yaml.Node) -> Mapping[str, Told]:
    return MappingProxyType({meter: _told(value) for meter, value in pairs(node)})


def _told(node: yaml.Node) -> Told:
    text = scalar(node, ("str", "int", "float"), _EXPECTED.removeprefix("must be ")).strip()
    if _NUMBER.fullmatch(text):
        return Told("number", number=Decimal(text))
    place = _AMOUNT.fullmatch(text)
    if place is None or (place["measure"] is None) != (place["closed"] is None):
        msg = f"{_EXPECTED}, and not {text!r}"
        raise WrongError(msg)
    path = (place["path"].lower(),) if place["source"] == "header" else tuple(place["path"].split("."))
    return Told(place["source"], path, place["measure"] or "value")  # type: ignore[arg-type]  # as the pattern has them


def _model(node: yaml.Node) -> Told | str:
    text = text_of(node)
    return _told(node) if text.startswith(("request.", "response.", "header.")) else text


def _host(node: yaml.Node) -> str:
    text = text_of(node).lower()
    if not _HOST.fullmatch(text):
        msg = f"must be a host such as api.example.com or *.example.com, without scheme and path, and not {text!r}"
        raise WrongError(msg)
    return text


def _path(node: yaml.Node) -> str:
    text = text_of(node)
    if not _PATH.fullmatch(text):
        msg = f"must be the end of a path such as /v2/translate, and not {text!r}"
        raise WrongError(msg)
    return text


def _method(node: yaml.Node) -> str:
    text = text_of(node).upper()
    if text not in _METHODS:
        msg = f"must be one of {', '.join(_METHODS)}, and not {text!r}"
        raise WrongError(msg)
    return text
