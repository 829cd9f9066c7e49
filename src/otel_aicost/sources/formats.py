"""The formats of files, recognised by what is in them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_aicost.errors import AICostError
from otel_aicost.sources import anthropic_costs, anthropic_usage, openai_costs, openai_usage, own_export
from otel_aicost.sources.line import Found, Line, MistakeError, Values, told
from otel_aicost.sources.rows import Source, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class UnknownFormatError(AICostError):
    """Nobody knows what a file is."""


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file. `read` may raise `MistakeError`, and gives `None` for a line that counts nothing."""

    name: str
    recognises: Callable[[Values], bool]
    read: Callable[[Values, int], Found | None]


FORMATS: Final = tuple(
    Format(source.NAME, source.recognises, source.read)
    for source in (own_export, openai_costs, openai_usage, anthropic_usage, anthropic_costs)
)
BY_NAME: Final = {each.name: each for each in FORMATS}


def lines(source: Source, name: str | None = None, now_ns: int | None = None) -> Iterator[tuple[str, Line]]:
    """Every line of a file, with the name of its format: that of its first readable row, unless `name` says it.

    Raises `UnknownFormatError` when no row is of any format.
    """
    form = BY_NAME[name] if name is not None else None
    now = time.time_ns() if now_ns is None else now_ns
    seen: Counter[tuple[str, ...]] = Counter()
    for number, values, mistake in rows(source):
        if form is None and not mistake:
            form = next((each for each in FORMATS if each.recognises(values)), None)
            if form is None:
                raise UnknownFormatError(_unknown(values))
        if mistake or form is None:
            yield "", Line(number, refused=mistake)
        else:
            yield form.name, _line(form, number, values, now, seen)


def _line(form: Format, number: int, values: Values, now_ns: int, seen: Counter[tuple[str, ...]]) -> Line:
    if not form.recognises(values):
        return Line(number, refused=f"it is no line of {form.name}")
    try:
        found = form.read(values, now_ns)
    except MistakeError as error:
        return Line(number, refused=str(error))
    if found is None:
        return Line(number)
    key = tuple(found.key)
    again = seen[key] if key else 0
    if key:
        seen[key] += 1
    return Line(number, told(form.name, found, again))


def _unknown(values: Values) -> str:
    keys = ", ".join(list(map(str, values))[:8]) or "none"
    return f"nobody knows what it is: its columns are {keys}; it may be {', '.join(BY_NAME)} (--format)"
