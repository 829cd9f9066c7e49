"""What a question to the ledger and its answer are made of: values, without any database."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import date

DIMENSIONS: Final = (
    "model",
    "provider",
    "operation",
    "day",
    "service",
    "status",
    "usage_state",
    "unpriced",
    "estimated",
    "cost_source",
)
"""What sums can be grouped by besides tags. A tag of the same name is written `tag:NAME`."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which calls; everything that is set must hold. Days are inclusive and of UTC."""

    since: date | None = None
    until: date | None = None
    provider: str | None = None
    model: str | None = None
    """May hold `*` (anything) and `?` (one character); upper and lower case are the same."""
    operation: str | None = None
    service: str | None = None
    status: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    unpriced: bool = False
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Sums:
    """What a set of calls adds up to: counts of calls, nano-dollars, tokens, nanoseconds."""

    calls: int = 0
    priced: int = 0
    """Calls whose cost is known, a cost of 0 included."""
    unpriced: int = 0
    """Calls that cost something nobody knows; a failed call is neither priced nor unpriced."""
    errors: int = 0
    cost_nano: int = 0
    """The cost of the priced calls."""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    duration_ns: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) + getattr(other, name) for name in SUMS))

    def __sub__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) - getattr(other, name) for name in SUMS))


@dataclass(frozen=True, slots=True)
class Doubts:
    """Counts of calls whose cost is not simply reported usage times a known price. They overlap."""

    calls: int = 0
    """All calls, the ones without any doubt included."""
    unpriced: int = 0
    estimated: int = 0
    partial: int = 0
    missing: int = 0
    unread: int = 0
    invalid: int = 0


SUMS: Final = tuple(field.name for field in fields(Sums))
DOUBTS: Final = tuple(field.name for field in fields(Doubts))


@dataclass(frozen=True, slots=True)
class Group:
    """The calls that share `keys`, one for each dimension asked for; `None` where a call has no such tag."""

    keys: tuple[str | None, ...]
    sums: Sums


def like(glob: str) -> str:
    """A pattern with `*` and `?` as one of LIKE, in lower case; a backslash is before what is meant as it stands."""
    pattern = glob.lower()
    for plain, special in (("\\", "\\\\"), ("%", "\\%"), ("_", "\\_"), ("*", "%"), ("?", "_")):
        pattern = pattern.replace(plain, special)
    return pattern


def tag_name(dimension: str) -> str | None:
    """The tag that a dimension means, or `None` when it is one of `DIMENSIONS`."""
    return None if dimension in DIMENSIONS else dimension.removeprefix("tag:")
