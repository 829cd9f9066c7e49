"""How documents leave: JSON and CSV to a stream, tables to the screen."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.console import RenderableType


@dataclass(frozen=True, slots=True)
class Answer:
    """The same answer in three shapes; only the one asked for is made."""

    tables: Callable[[], Iterable[RenderableType]]
    document: Callable[[], object]
    rows: Callable[[], Iterable[Mapping[str, Any]]]
    fields: Sequence[str]
    """The columns of the rows."""


def emit(form: str, answer: Answer) -> None:
    """Print the answer as `table`, `json` or `csv`."""
    if form == "json":
        write_json(answer.document())
    elif form == "csv":
        write_csv(sys.stdout, answer.fields, answer.rows())
    else:
        show(answer.tables())


def show(parts: Iterable[RenderableType]) -> None:
    """Print tables and lines for a person."""
    from otel_aicost.report.screen import render  # noqa: PLC0415 - rich takes 0.1 s, --help needs none of it

    sys.stdout.write(render(parts, sys.stdout))


def write_json(document: object) -> None:
    """Print one JSON document."""
    sys.stdout.write(json_text(document, indent=2) + "\n")


def write_csv(stream: TextIO, fields: Sequence[str], documents: Iterable[Mapping[str, Any]]) -> None:
    """Write a line of headings and one line for each document: RFC 4180 with Unix line ends."""
    from otel_aicost.report.documents import flat  # noqa: PLC0415

    writer = csv.DictWriter(stream, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(flat, documents))


def json_text(document: object, indent: int | None = None) -> str:
    """JSON that any encoding can carry: what is not ASCII is escaped."""
    separators = (",", ": ") if indent else (",", ":")
    return json.dumps(document, indent=indent, separators=separators, allow_nan=False)
