"""The ledger's running totals, read at one moment and summed up by the label sets that are served."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_aicost.exporter.labels import Cap, label_names
from otel_aicost.ledger.schema import BUCKET_SECONDS, TOTAL_KEY, TOTAL_LAST, TOTAL_SUMS
from otel_aicost.names import SERIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_aicost.ledger.store import Connection

_COLUMNS: Final = (*TOTAL_KEY, "first_ns", *TOTAL_SUMS, *TOTAL_LAST)
_AT: Final = {column: index for index, column in enumerate(_COLUMNS)}
_READ: Final = f"SELECT {', '.join(_COLUMNS)} FROM totals"  # noqa: S608 - constants
# What repricing added to costs counts like a total without calls: no counter falls, whatever was lowered.
_RAISED: Final = {
    "unpriced": "''",
    "cost_nano": "raised_nano",
    **{column: column for column in (*TOTAL_KEY[:-2], "tags", "first_ns")},
    **{column: column for column in ("estimated_nano", "cache_saved_nano", "batch_saved_nano")},
    **dict.fromkeys(TOTAL_LAST, "NULL"),
}
_REPRICED: Final = (*_COLUMNS, "reason", "repriced", "lowered_nano")
_READ_REPRICED: Final = f"""
    SELECT {", ".join(_RAISED.get(column, "0") for column in _COLUMNS)}, unpriced, calls, lowered_nano FROM repriced
"""  # noqa: S608 - constants
_BUCKETS: Final = len(BUCKET_SECONDS) + 1
TOKEN_TYPES: Final = ("input", "cache_read", "cache_write", "output", "reasoning")
NEVER: Final = 2**63 - 1


class Trace(NamedTuple):
    """The last call of a label set that was part of a trace."""

    at_ns: int
    trace_id: str
    cost_nano: int
    duration_ns: int


@dataclass(slots=True)
class Count:
    """So many calls since then, what they cost, and the last that was traced."""

    calls: int = 0
    nano: int = 0
    first_ns: int = NEVER
    last: Trace | None = None

    def add(self, calls: int, nano: int, first_ns: int, last: Trace | None) -> None:
        self.calls += calls
        self.nano += nano
        self.first_ns = min(self.first_ns, first_ns)
        self.last = max(self.last, last) if self.last and last else self.last or last


@dataclass(slots=True)
class Times:
    """Calls by how long something took, not cumulative, and the nanoseconds of all of them."""

    buckets: list[int] = field(default_factory=lambda: [0] * _BUCKETS)
    total_ns: int = 0

    def add(self, row: Sequence[Any], what: str) -> None:
        first = _AT[f"{what}_0"]
        for index in range(_BUCKETS):
            self.buckets[index] += row[first + index]
        self.total_ns += row[_AT[f"{what}_ns"]]


@dataclass(slots=True)
class Total:
    """What a label set has come to."""

    all: Count = field(default_factory=Count)
    priced: Count = field(default_factory=Count)
    """Those that no price is missing for."""
    calls: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    """By status."""
    costs: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    """By status, those that no price is missing for."""
    unpriced: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    """By reason."""
    repriced: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    """By why they had no price, '' where they had one; `nano` is what they cost less."""
    estimated_nano: int = 0
    cache_saved_nano: int = 0
    batch_saved_nano: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOKEN_TYPES, 0))
    durations: Times = field(default_factory=Times)
    first_chunks: Times = field(default_factory=Times)

    def add(self, row: Sequence[Any]) -> None:
        calls, nano, first_ns = row[_AT["calls"]], row[_AT["cost_nano"]], row[_AT["first_ns"]]
        status, reason = row[_AT["status"]], row[_AT["unpriced"]]
        count = (calls, nano, first_ns, _last(row))
        self.all.add(*count)
        self.calls[status].add(*count)
        if reason:
            self.unpriced[reason].add(*count)
        if not reason or nano:
            self.priced.add(*count)
            self.costs[status].add(*count)
        self.estimated_nano += row[_AT["estimated_nano"]]
        self.cache_saved_nano += row[_AT["cache_saved_nano"]]
        self.batch_saved_nano += row[_AT["batch_saved_nano"]]
        self._count_tokens(row)
        self.durations.add(row, "duration")
        self.first_chunks.add(row, "first_chunk")

    def add_repriced(self, row: Sequence[Any]) -> None:
        """Add a row of `repriced`; what costs were raised by is added like a total."""
        *total, reason, calls, lowered = row
        self.add(total)
        self.repriced[reason].add(calls, lowered, total[_AT["first_ns"]], None)

    def _count_tokens(self, row: Sequence[Any]) -> None:
        # The ledger's sums include each other; added up, these must be all input and all output.
        read, written, reasoning = (row[_AT[f"{name}_tokens"]] for name in ("cache_read", "cache_write", "reasoning"))
        disjoint = (
            max(0, row[_AT["input_tokens"]] - read - written),
            read,
            written,
            max(0, row[_AT["output_tokens"]] - reasoning),
            reasoning,
        )
        for kind, count in zip(TOKEN_TYPES, disjoint, strict=True):
            self.tokens[kind] += count


@dataclass(frozen=True, slots=True)
class Totals:
    """All running totals at one moment."""

    tags: tuple[str, ...]
    """The labels of tags."""
    by_labels: dict[tuple[str, ...], Total]
    """Values of `SERIES` and `tags` -> what they have come to."""
    calls: int
    nano: int
    """What the calls cost now: less than the counters, where a cost was lowered."""
    overflow: dict[str, int]
    """Label -> how many of its values are `other`."""
    repriced: int = 0
    """How often a call was repriced."""


def read_totals(connection: Connection, cap: Cap) -> Totals:
    """Sum up the tables `totals` and `repriced` by what is served."""
    rows = connection.execute(_READ).fetchall()
    written, repriced = len(rows), connection.execute(_READ_REPRICED).fetchall()
    rows += repriced
    parsed: dict[str, dict[str, str]] = {text: json.loads(text) for text in {row[_AT["tags"]] for row in rows}}
    names = label_names({key for tags in parsed.values() for key in tags})
    labels = {text: {names[key]: str(value) for key, value in tags.items()} for text, tags in parsed.items()}
    shown = (*SERIES, *names.values())
    overflow = {
        label: cap.admit(label, seen) for label, seen in zip(shown, _first_seen(rows, shown, labels), strict=True)
    }
    found: dict[tuple[str, ...], Total] = defaultdict(Total)
    for index, (row, values) in enumerate(zip(rows, _values(rows, shown, labels), strict=True)):
        total = found[tuple(cap.shown(label, value) for label, value in zip(shown, values, strict=True))]
        (total.add if index < written else total.add_repriced)(row)
    calls, nano = (sum(row[_AT[column]] for row in rows) for column in ("calls", "cost_nano"))
    lowered, times = (sum(row[_REPRICED.index(column)] for row in repriced) for column in ("lowered_nano", "repriced"))
    return Totals(tuple(names.values()), dict(found), calls, nano - lowered, overflow, times)


def _values(
    rows: Sequence[Sequence[Any]], shown: Sequence[str], labels: dict[str, dict[str, str]]
) -> Iterator[tuple[str, ...]]:
    tags = shown[len(SERIES) :]
    for row in rows:
        own = labels[row[_AT["tags"]]]
        yield (*(row[_AT[label]] for label in SERIES), *(own.get(tag, "") for tag in tags))


def _first_seen(
    rows: Sequence[Sequence[Any]], shown: Sequence[str], labels: dict[str, dict[str, str]]
) -> list[dict[str, int]]:
    """For each label its values, the empty one left out, and when each was first seen."""
    seen: list[dict[str, int]] = [{} for _ in shown]
    for row, values in zip(rows, _values(rows, shown, labels), strict=True):
        first = row[_AT["first_ns"]]
        for known, value in zip(seen, values, strict=True):
            if value and first < known.get(value, NEVER):
                known[value] = first
    return seen


def _last(row: Sequence[Any]) -> Trace | None:
    trace_id, at_ns, nano, duration_ns = row[_AT["last_trace_id"] : len(_COLUMNS)]
    return Trace(at_ns or 0, trace_id, nano or 0, duration_ns or 0) if trace_id else None
