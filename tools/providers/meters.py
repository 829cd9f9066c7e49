"""Which meters an endpoint can tell: found in the code that reads its requests and responses, without running it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING

from otel_aicost.model import METERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_aicost.providers.base import Endpoint

_ROOM = "otel_aicost.providers"


def meters_of(endpoint: Endpoint) -> tuple[str, ...]:
    """The names of meters among the constants of whatever `read` and `describe` call, in the order of `METERS`."""
    seen: set[int] = set()
    found: set[str] = set()
    kept = list(_told(endpoint))
    while kept:
        each = kept.pop()
        if isinstance(each, str):
            found.add(each)
        elif id(each) not in seen:
            seen.add(id(each))
            kept.extend(_inside(each))
    return tuple(meter for meter in METERS if meter in found or any(_fills(meter, form, found) for form in found))


def _fills(meter: str, form: str, words: set[str]) -> bool:
    """Whether a meter is one of the words put into a form such as `input_{}_tokens`."""
    before, hole, after = form.partition("{}")
    return bool(hole) and any(meter == f"{before}{word.lower()}{after}" for word in words)


def _told(endpoint: Endpoint) -> Iterator[object]:
    yield endpoint.describe
    if endpoint.body:
        yield from (endpoint.read, endpoint.fragment, endpoint.headers)


def _inside(value: object) -> Iterator[object]:
    """The values that a value is made of, as far as they are of the room of providers."""
    if isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, FunctionType):
        if value.__module__.startswith(_ROOM):
            yield from _of_code(value.__code__, value.__globals__)
            yield from (cell.cell_contents for cell in value.__closure__ or ())
    elif isinstance(value, Mapping):
        yield from (*value, *value.values())
    elif isinstance(value, (tuple, list, set, frozenset)):
        yield from value
    else:
        yield getattr(value, "__wrapped__", ())


def _of_code(code: CodeType, names: Mapping[str, object]) -> Iterator[object]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant, names)
        else:
            yield constant
    for name in code.co_names:
        named = names.get(name)
        if isinstance(named, ModuleType):
            if named.__name__.startswith(_ROOM):
                yield from (vars(named)[other] for other in code.co_names if other in vars(named))
        else:
            yield named
