"""Marking entries of a price file as checked: only their `checked` dates change, every other byte stays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import yaml

from otel_aicost.errors import PriceDataError
from otel_aicost.prices.editions import replace_file
from otel_aicost.prices.reading import parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from otel_aicost.prices.files import Entry, PriceFile

BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Marked:
    """An entry that was looked at."""

    entry: Entry
    before: str | None
    """Its date until now."""
    changed: bool
    """`False`: it was checked on that day, or a later one, already."""


def chosen(file: PriceFile, names: Sequence[str]) -> tuple[list[Entry], list[str]]:
    """The entries that are meant by `MODEL` or `PROVIDER/MODEL`, which may hold `*` and `?`; and names of none."""
    found: list[Entry] = []
    unknown = []
    for name in names:
        meant = [entry for entry in file.entries if _is_meant(entry, name.lower())]
        found += [entry for entry in meant if entry not in found]
        if not meant:
            unknown.append(name)
    return found, unknown


def mark(path: Path, entries: Sequence[Entry], day: date) -> list[Marked]:
    """Set the date of these entries of the file, as it was read. Nothing is written where nothing changes.

    Raises `PriceDataError` if the file cannot be edited without touching anything else: it is left as it is.
    """
    raw = path.read_bytes()
    told = [Marked(entry, entry.checked, (entry.checked or "") < day.isoformat()) for entry in entries]
    lines = {each.entry.line for each in told if each.changed}
    if lines:
        edited = _edited(raw, lines, day.isoformat(), path)
        replace_file(path.resolve(), edited)
    return told


def _is_meant(entry: Entry, name: str) -> bool:
    labels = (entry.label.lower(), entry.model.label.lower())
    return name in labels or any(fnmatchcase(label, name) for label in labels)


def _edited(raw: bytes, lines: set[int], day: str, path: Path) -> bytes:
    mark_bytes = BOM if raw.startswith(BOM) else b""
    try:
        text = raw.removeprefix(BOM).decode()
    except UnicodeDecodeError:
        msg = f"{path} is not UTF-8: set the `checked` dates by hand"
        raise PriceDataError(msg) from None
    # Python's own loader: its marks are positions in this text.
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None  # noqa: S101 - entries were read from it
    for start, end, new in sorted(_edits(root, lines, day, "\r\n" if "\r\n" in text else "\n"), reverse=True):
        text = text[:start] + new + text[end:]
    edited = mark_bytes + text.encode()
    before, after = parse(raw, str(path)), parse(edited, str(path))
    wanted = [replace(each, checked=day) if each.line in lines else each for each in before.entries]
    if [_bare(each) for each in wanted] != [_bare(each) for each in after.entries] or [
        replace(each, line=0) for each in before.adjustments
    ] != [replace(each, line=0) for each in after.adjustments]:
        msg = f"{path} is written in a way that its dates cannot be changed in place: set `checked: {day}` by hand"
        raise PriceDataError(msg)
    return edited


def _edits(root: yaml.Node, lines: set[int], day: str, newline: str) -> set[tuple[int, int, str]]:
    """Where the text is to be replaced, and by what."""
    models = next((value for key, value in root.value if key.value == "models"), None)
    found = set()
    for node in models.value if models is not None else ():
        if node.start_mark.line + 1 not in lines:
            continue
        keys = {key.value: (key, value) for key, value in node.value}
        if "checked" in keys:
            old = keys["checked"][1]
            found.add((old.start_mark.index, old.end_mark.index, day))
        else:
            at = keys["periods"][0].start_mark
            between = ", " if node.flow_style else newline + " " * at.column
            found.add((at.index, at.index, f"checked: {day}{between}"))
    return found


def _bare(entry: Entry) -> Entry:
    """Without the lines, which may have moved."""
    return replace(entry, line=0, periods=tuple(replace(period, line=0) for period in entry.periods))
