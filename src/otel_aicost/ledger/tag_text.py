"""How each database takes the value of a tag out of a row, as text of a statement (with SQLAlchemy: `dialects.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_aicost.config import Server

if TYPE_CHECKING:
    from pathlib import Path


def tag_text(ledger: Path | Server, key: str) -> str:
    """An expression: the value of a tag of the row, '' where it has none. Raises `ValueError` for what is no key."""
    if any(character in key for character in "'\"\\?%"):  # `tags.KEY` has none of them
        msg = f"is no key of a tag: {key!r}"
        raise ValueError(msg)
    if isinstance(ledger, Server):
        return f"coalesce(CAST(tags AS json) ->> '{key}', '')"
    return f"""coalesce(json_extract(tags, '$."{key}"'), '')"""
