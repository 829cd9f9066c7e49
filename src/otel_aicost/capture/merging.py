"""Lays the fragments of a stream over each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_aicost.providers.base import Json


def merge(into: dict[str, Any], fragment: Json) -> None:
    """Lay a later fragment over an earlier one: mappings are merged, a later value wins unless it is null."""
    for key, value in fragment.items():
        old = into.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            merged = dict(old)
            merge(merged, value)
            into[key] = merged
        elif value is not None or key not in into:
            into[key] = value
