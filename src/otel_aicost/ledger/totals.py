"""Running totals over all time: kept in the transaction that writes the calls, and never made smaller.

What a scrape shows as counters. A call counts once, when its row is new; what tags are totalled apart is decided by the
process that writes it.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from otel_aicost.ledger import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_aicost.ledger.balances import Settlement
    from otel_aicost.ledger.row import Row, Value
    from otel_aicost.ledger.store import Connection

MARGIN_NS: Final = 10**6
"""A total begins so long before it is first written: a scrape then knows that it was 0."""
_AT: Final = {column: index for index, column in enumerate(schema.CALL_COLUMNS)}
_BUCKETS_NS: Final = tuple(round(bound * 1e9) for bound in schema.BUCKET_SECONDS)
_REASONING: Final = re.compile(r'"reasoning_tokens":"?(\d+)')


def add(connection: Connection, rows: Iterable[Row], tags: Sequence[str], now_ns: int) -> None:
    """Add calls that are new in the ledger to the totals of their kind, `tags` apart.

    Totals are written in the order of their ids: two processes that write the same ones wait for each other, and not
    in a circle.
    """
    totals: dict[tuple[Value, ...], dict[str, Any]] = {}
    shown = tuple(tags)
    for row in rows:
        _count(totals.setdefault(_key(row, shown), {}), row)
    for identifier, key in sorted((identity(key), key) for key in totals):
        changed = totals[key]
        connection.execute(_upsert(tuple(changed)), (identifier, *key, now_ns - MARGIN_NS, *changed.values()))


@lru_cache(maxsize=4096)
def identity(key: tuple[Value, ...]) -> str:
    """The id of a total, made of its `schema.TOTAL_KEY`: a server's index does not take labels of any length."""
    return hashlib.blake2b(json.dumps(key).encode(), digest_size=16).hexdigest()


def add_refusals(connection: Connection, settlements: Iterable[Settlement], now_ns: int) -> None:
    """Count calls that a budget refused, and what they were expected to cost."""
    refused: dict[str, list[int]] = {}
    for settlement in settlements:
        if settlement.refused is not None:
            counts = refused.setdefault(settlement.refused.budget.name, [0, 0])
            counts[0] += 1
            counts[1] += settlement.refused.amounts.nano
    for budget in sorted(refused):
        connection.execute(_REFUSED, (budget, now_ns - MARGIN_NS, *refused[budget]))


def _key(row: Row, tags: tuple[str, ...]) -> tuple[Value, ...]:
    return (*_NAMED(row), row[_UNPRICED] or "", kept(str(row[_TAGS]), tags))


@lru_cache(maxsize=4096)
def kept(text: str, tags: tuple[str, ...]) -> str:
    """The tags of a call that are totalled apart, as JSON."""
    if not tags or text == "{}":
        return "{}"
    found = json.loads(text)
    some = {tag: found[tag] for tag in sorted(tags) if tag in found}
    return json.dumps(some, ensure_ascii=False, separators=(",", ":"))


def _count(total: dict[str, Any], row: Row) -> None:
    """Add one call to a total. Only what is not 0 is mentioned: of sixty columns a call changes a dozen."""
    _add(total, "calls", 1)
    for column, amount in zip(_COPIED, _AMOUNTS(row), strict=True):
        if amount:
            _add(total, column, amount)
    cost, duration, first_chunk = row[_COST] or 0, int(row[_DURATION] or 0), row[_FIRST_CHUNK]
    if cost and row[_ESTIMATED]:
        _add(total, "estimated_nano", cost)
    if reasoning := _REASONING.search(str(row[_USAGE])):
        _add(total, "reasoning_tokens", int(reasoning[1]))
    if row[_STATUS] != "blocked":
        _add(total, "duration_ns", duration)
        _add(total, _DURATIONS[bisect_left(_BUCKETS_NS, duration)], 1)
    if isinstance(first_chunk, int):
        _add(total, "first_chunk_ns", first_chunk)
        _add(total, _FIRST_CHUNKS[bisect_left(_BUCKETS_NS, first_chunk)], 1)
    if row[_TRACE] is not None:
        total.update(zip(schema.TOTAL_LAST, (row[_TRACE], row[_STARTED], cost, duration), strict=True))


def _add(total: dict[str, Any], column: str, amount: Any) -> None:  # noqa: ANN401 - a whole number
    total[column] = total.get(column, 0) + amount


_NAMED: Final = itemgetter(*(_AT[column] for column in schema.TOTAL_KEY[:-2]))
_COPIED: Final = (
    "cost_nano",
    "cache_saved_nano",
    "batch_saved_nano",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
)
_AMOUNTS: Final = itemgetter(*(_AT[column] for column in _COPIED))
_UNPRICED, _TAGS, _COST, _DURATION, _FIRST_CHUNK, _ESTIMATED, _USAGE, _STATUS, _TRACE, _STARTED = (
    _AT[column]
    for column in (
        "unpriced",
        "tags",
        "cost_nano",
        "duration_ns",
        "first_chunk_ns",
        "estimated",
        "usage",
        "status",
        "trace_id",
        "started_ns",
    )
)
_DURATIONS: Final = tuple(f"duration_{bucket}" for bucket in range(len(_BUCKETS_NS) + 1))
_FIRST_CHUNKS: Final = tuple(f"first_chunk_{bucket}" for bucket in range(len(_BUCKETS_NS) + 1))


@lru_cache(maxsize=512)
def _upsert(changed: tuple[str, ...]) -> str:
    columns = ("id", *schema.TOTAL_KEY, "first_ns", *changed)
    sets = [
        f"{column} = excluded.{column}"
        if column in schema.TOTAL_LAST
        else f"{column} = totals.{column} + excluded.{column}"
        for column in changed
    ]
    return f"""
        INSERT INTO totals ({", ".join(columns)}) VALUES ({", ".join("?" * len(columns))})
        ON CONFLICT (id) DO UPDATE SET {", ".join(sets)}
    """  # noqa: S608 - constants


_REFUSED: Final = """
    INSERT INTO refusals (budget, first_ns, calls, avoided_nano) VALUES (?, ?, ?, ?) ON CONFLICT (budget) DO UPDATE SET
    calls = refusals.calls + excluded.calls, avoided_nano = refusals.avoided_nano + excluded.avoided_nano
"""
