"""Tables and text for a person: as wide as the terminal, uncut on a pipe, coloured on a terminal only."""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import ConsoleOptions, RenderableType, RenderResult

UNCUT = 10_000
"""Columns of a pipe: more than any table needs."""
FOLDED = 12
"""The least width of a column that may fold."""
GAP = 3
"""Characters between two columns."""
EDGES = 2
"""Characters that rich sets aside for the edges of a table, also where it has none."""
PLAIN = str.maketrans({"█": "#", "─": "-", "≈": "~", "…": ".", "▒": "~", "░": "."})
"""What stands in for drawing characters where the encoding has none."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading, its cells, and under the line the total, if there is one."""

    heading: str
    cells: Sequence[str]
    total: str = ""
    right: bool = True
    fold: bool = False
    """May go on in the next line on a narrow terminal."""
    spare: int = 0
    """On a terminal too narrow for all, columns with the highest number are left out first; 0 is never left out."""
    styles: Mapping[str, str] = field(default_factory=dict)
    """How to colour some words."""

    @property
    def least(self) -> int:
        """The characters it needs."""
        natural = max(map(cell_len, (self.heading, self.total, *self.cells)))
        return min(natural, FOLDED) if self.fold else natural


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of columns, with their totals under a line if `totals`; as many of them as there is room for."""

    columns: Sequence[Column]
    totals: bool = False

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        columns = self.fitting(options.max_width)
        yield self._table(columns, fits=_width(columns) <= options.max_width)

    def fitting(self, width: int) -> list[Column]:
        """The columns that have room in `width` characters."""
        columns = list(self.columns)
        while _width(columns) > width:
            first = max(columns, key=lambda column: column.spare)
            if not first.spare:
                break
            columns.remove(first)
        return columns

    def _table(self, columns: Sequence[Column], *, fits: bool) -> Table:
        made = Table(box=box.SIMPLE, show_edge=False, show_footer=self.totals, pad_edge=False)
        made.header_style = made.footer_style = "bold"
        for column in columns:
            made.add_column(
                Text(column.heading),
                footer=Text(column.total),
                justify="right" if column.right else "left",
                no_wrap=not column.fold,
                overflow="fold",
                min_width=column.least if fits else None,
            )
        for cells in zip(*(column.cells for column in columns), strict=True):
            styled = zip(columns, cells, strict=True)
            made.add_row(*(Text(harmless(cell), column.styles.get(cell, "")) for column, cell in styled))
        return made


def _width(columns: Sequence[Column]) -> int:
    return sum(column.least for column in columns) + GAP * (len(columns) - 1) + EDGES


def render(parts: Iterable[RenderableType], stream: TextIO) -> str:
    """The parts as text that fits `stream`: its width, its colours, its encoding."""
    terminal = stream.isatty()
    plain = not terminal or bool(os.environ.get("NO_COLOR"))
    console = Console(
        file=io.StringIO(),
        width=shutil.get_terminal_size().columns if terminal else UNCUT,
        force_terminal=terminal,
        color_system=None if plain else "auto",
        highlight=False,
    )
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    text = "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    return encodable(text, stream.encoding or "utf-8")


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Names and values under one another."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        made.add_row(Text(name), Text(harmless(value)))
    return made


def heading(text: str) -> Text:
    """A line that opens a section."""
    return Text(harmless(text), style="bold")


def harmless(text: str) -> str:
    """Without control characters: a model name or a tag must not be able to steer the terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def encodable(text: str, encoding: str) -> str:
    """`text` with stand-ins for what `encoding` cannot write."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(PLAIN).encode(encoding, "replace").decode(encoding)
    return text
