"""A settlement as JSON: what waits in an outbox says which budgets it concerns, whoever sends it on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from otel_aicost.budgets.budget import Amounts, Budget, Limits, Line, Match
from otel_aicost.budgets.window import Period, Window
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.slices import Share

_KINDS: Final[Mapping[str, type[Any]]] = {
    kind.__name__: kind for kind in (Settlement, Share, Line, Budget, Match, Period, Window, Limits, Amounts)
}
_KIND: Final = "is"


def encoded(settlement: Settlement) -> str:
    """The settlement as JSON. Raises `TypeError` for a value of a kind that is not ours."""
    return json.dumps(_plain(settlement), separators=(",", ":"))


def decoded(text: str) -> Settlement:
    """The settlement again. What a newer otel-aicost adds to a budget is passed over.

    Raises `ValueError` when the text is none, or needs what this version does not know.
    """
    try:
        found = _value(json.loads(text))
    except (KeyError, TypeError, ArithmeticError) as error:
        msg = f"a settlement of another version: {error}"
        raise ValueError(msg) from error
    if not isinstance(found, Settlement):
        msg = "no settlement"
        raise ValueError(msg)  # noqa: TRY004 - of the text
    return found


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Decimal):
        return {_KIND: "Decimal", "text": str(value)}
    if dataclasses.is_dataclass(value) or hasattr(value, "_fields"):
        fields = _fields(type(value))
        # What is as usual is left out.
        return {_KIND: type(value).__name__} | {
            name: _plain(given) for name, usual in fields.items() if (given := getattr(value, name)) != usual
        }
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {_KIND: "Mapping", "items": [[key, _plain(each)] for key, each in value.items()]}
    msg = f"{type(value).__name__} is of no kind that an outbox knows"
    raise TypeError(msg)


def _value(plain: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(plain, list):
        return tuple(_value(each) for each in plain)
    if not isinstance(plain, dict):
        return plain
    kind = plain[_KIND]
    if kind == "Decimal":
        return Decimal(plain["text"])
    if kind == "Mapping":
        return MappingProxyType({key: _value(each) for key, each in plain["items"]})
    known = _fields(_KINDS[kind])
    return _KINDS[kind](**{name: _value(each) for name, each in plain.items() if name in known})


_REQUIRED: Final = object()


def _fields(kind: type[Any]) -> dict[str, object]:
    """The fields of one of our kinds, each with its usual value."""
    if kind.__name__ not in _KINDS:
        msg = f"{kind.__name__} is of no kind that an outbox knows"
        raise TypeError(msg)
    if not dataclasses.is_dataclass(kind):
        return {name: kind._field_defaults.get(name, _REQUIRED) for name in kind._fields}
    return {
        field.name: _REQUIRED if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(kind)
    }
