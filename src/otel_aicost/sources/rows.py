"""Files as rows: CSV and TSV, JSON, JSON lines, each gzipped or not, read as they go; a bad row is one row."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections import deque
from decimal import Decimal
from itertools import chain, islice
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_aicost.sources.line import Values

GZIP: Final = b"\x1f\x8b"
UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
LONGEST: Final = 1024 * 1024 * 1024
"""Characters of a JSON document."""
MOST_LINES: Final = 50
"""Lines of one row of a table: text in quotes may hold line ends."""
DELIMITERS: Final = ("\t", ";", ",")


class Row(NamedTuple):
    """One row, with the number of its line (or of its entry, in a JSON document), or why it cannot be read."""

    number: int
    values: Values
    mistake: str = ""


def rows(source: Source) -> Iterator[Row]:
    """The rows of a file, in the format that its beginning shows."""
    lines = _Lines(source)
    number, first = next(((number, line) for number, line in enumerate(lines, 1) if line.strip()), (0, ""))
    if first.lstrip()[:1] in {"{", "["}:
        yield from _json(number, first, lines)
    elif first:
        yield from _table(number, first, lines)
    if lines.broken:
        yield Row(lines.count + 1, {}, f"the compressed file is broken from here on: {lines.broken}")


class Source(io.RawIOBase):
    """A file of somebody else's, which is not closed with what reads it; `done` counts the bytes that were read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:  # noqa: ANN401 - a buffer
        read = self._stream.read(len(into))
        into[: len(read)] = read
        self.done += len(read)
        return len(read)


class _Lines:
    """The lines of a file as text. One that breaks off while it is decompressed ends there: `broken` says why."""

    def __init__(self, source: Source) -> None:
        self.broken = ""
        self.count = 0
        self._lines = _decoded(source)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.broken = str(error)
            raise StopIteration from None
        self.count += 1
        return line


def _decoded(source: Source) -> Iterator[str]:
    buffered: Any = io.BufferedReader(source)
    if buffered.peek(2)[:2] == GZIP:
        buffered = io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=buffered)))
    encoding = "utf-16" if buffered.peek(2)[:2] in UTF_16 else "utf-8-sig"
    yield from io.TextIOWrapper(buffered, encoding, errors="replace", newline="")


def _table(number: int, first: str, lines: Iterator[str]) -> Iterator[Row]:
    """The rows under a line of headings. One that is no CSV takes no other with it, whatever its quotes say."""
    delimiter = max(DELIMITERS, key=first.count)
    names = [name.strip() for name in _cells(first, delimiter) or ()]
    waiting: deque[str] = deque()
    while True:
        waiting.extend(islice(lines, 0 if waiting else 1))
        if not waiting:
            return
        number += 1
        size = _size(waiting, lines)
        cells = _cells("".join(islice(waiting, size)), delimiter)
        good = cells is not None and len(cells) == len(names)
        blank = not waiting[0].strip(f"{delimiter} \r\n")
        for _ in range(size if good else 1):
            waiting.popleft()
        if blank:
            continue
        if cells is None:
            yield Row(number, {}, "it is no CSV: a quote in the wrong place")
        elif not good:
            yield Row(number, {}, f"it has {len(cells)} cells, and there are {len(names)} columns")
        else:
            yield Row(number, dict(zip(names, cells, strict=True)))
            number += size - 1


def _size(waiting: deque[str], lines: Iterator[str]) -> int:
    """How many lines the row that begins in the first line takes: it goes on while a quote is open."""
    quotes = 0
    for place in range(MOST_LINES):
        if place == len(waiting):
            line = next(lines, None)
            if line is None:
                break
            waiting.append(line)
        quotes += waiting[place].count('"')
        if quotes % 2 == 0:
            return place + 1
    return 1


def _cells(said: str, delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader(io.StringIO(said, newline=""), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def _json(number: int, first: str, lines: Iterator[str]) -> Iterator[Row]:
    """JSON lines if the first line is a whole value, else one document."""
    try:
        loads(first)
    except ValueError:
        rest = list(lines)
        try:
            document = loads("".join([first, *rest]))
        except ValueError:
            yield from _json_lines(number, chain([first], rest))
            return
        yield from (Row(place, values) for place, values in enumerate(unfolded(document), 1))
        return
    yield from _json_lines(number, chain([first], lines))


def _json_lines(first: int, lines: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        try:
            values = loads(line)
        except ValueError as error:
            yield Row(number, {}, f"it is no JSON: {error}")
            continue
        yield from (Row(number, each) for each in unfolded(values))


def loads(said: str) -> Any:  # noqa: ANN401 - whatever it is
    """JSON with exact decimals. Raises `ValueError` for anything that is none, also where Python would take it."""
    if len(said) > LONGEST:
        msg = "it is too long"
        raise ValueError(msg)
    try:
        return json.loads(said, parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        msg = "it is nested too deeply"
        raise ValueError(msg) from None


def _no_number(said: str) -> None:
    msg = f"{said} is no number"
    raise ValueError(msg)


def unfolded(value: object) -> Iterator[Values]:
    """The rows of a document: its objects, those of lists in it, the results of the buckets of pages."""
    if isinstance(value, list):
        for each in value:
            yield from unfolded(each)
    elif not isinstance(value, dict):
        yield {}
    elif isinstance(value.get("data"), list):
        yield from unfolded(value["data"])
    elif isinstance(results := value.get("results", value.get("result")), list):
        bucket = {key: inner for key, inner in value.items() if key not in {"object", "results", "result"}}
        for result in results:
            yield {**bucket, **result} if isinstance(result, dict) else {}
    else:
        yield value
