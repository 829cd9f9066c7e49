"""What repricing did to running totals, as totals of its own: those that were written with the calls never change.

A call stays in the total that it was first counted in. What it costs more or less since, and that it has a price now,
is added up here, under its kind as it was before: together they come to what `spend` says (`verify`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_aicost.ledger import schema
from otel_aicost.ledger.totals import MARGIN_NS, identity, kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_aicost.ledger.adjustments import Change
    from otel_aicost.ledger.store import Connection


def add(connection: Connection, changes: Iterable[Change], tags: Sequence[str], now_ns: int) -> None:
    """Add what becomes of calls, `tags` apart; in the order of the ids, so that two processes wait in no circle."""
    sums: dict[tuple[Any, ...], list[int]] = {}
    for change in changes:
        call = change.call
        kind = (*(getattr(call, column) for column in schema.TOTAL_KEY[:-2]), call.unpriced or "")
        amounts = sums.setdefault((*kind, kept(call.tags, tuple(tags))), [0] * len(schema.REPRICED_SUMS))
        for index, amount in enumerate(_amounts(change)):
            amounts[index] += amount
    for identifier, key in sorted((identity(key), key) for key in sums):
        connection.execute(_ADD, (identifier, *key, now_ns - MARGIN_NS, *sums[key]))


def how_many(connection: Connection) -> int:
    """How often a call was repriced: another number whenever one was."""
    return int(connection.execute("SELECT coalesce(sum(calls), 0) FROM repriced").fetchone()[0])


def _amounts(change: Change) -> tuple[int, ...]:
    call = change.call
    raised, lowered = _apart(change.cost_nano - (call.cost_nano or 0))
    return (
        1,
        call.input_tokens,
        call.output_tokens,
        call.cache_read_tokens,
        call.cache_write_tokens,
        raised,
        lowered,
        raised if call.estimated else 0,
        *_apart(change.cache_saved_nano - call.cache_saved_nano),
        *_apart(change.batch_saved_nano - call.batch_saved_nano),
    )


def _apart(difference: int) -> tuple[int, int]:
    """How much more, and how much less."""
    return max(0, difference), max(0, -difference)


_NAMES: Final = ("id", *schema.TOTAL_KEY, "first_ns", *schema.REPRICED_SUMS)
_ADD: Final = f"""
    INSERT INTO repriced ({", ".join(_NAMES)}) VALUES ({", ".join("?" * len(_NAMES))})
    ON CONFLICT (id) DO UPDATE SET
    {", ".join(f"{column} = repriced.{column} + excluded.{column}" for column in schema.REPRICED_SUMS)}
"""  # noqa: S608 - constants
