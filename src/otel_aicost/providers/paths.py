"""Finds what stands for the end of a path: `/chat/completions`, `/batches/*`, `:generateContent`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

_tables: dict[int, tuple[object, list[tuple[str, re.Pattern[str]]]]] = {}
"""The patterns of each mapping that was asked, by its identity; the mapping is held, so that no other one gets that."""


def find(table: Mapping[str, T], path: str) -> T | None:
    """The value whose key is an end of `path`: an exact one first, the longest, then those with a `*` or a `:`."""
    parts = path.split("/")
    for start in range(1, len(parts)):
        found = table.get("/" + "/".join(parts[start:]))
        if found is not None:
            return found
    return next((table[key] for key, pattern in _patterns(table) if pattern.search(path)), None)


def _patterns(table: Mapping[str, T]) -> list[tuple[str, re.Pattern[str]]]:
    kept = _tables.get(id(table))
    if kept is None:
        keys = [key for key in table if "*" in key or key.startswith(":")]
        kept = (table, [(key, re.compile(_expression(key))) for key in sorted(keys, key=len, reverse=True)])
        _tables[id(table)] = kept
    return kept[1]


def _expression(key: str) -> str:
    return re.escape(key).replace(r"\*", "[^/]+") + "$"
