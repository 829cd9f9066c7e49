"""What this process knows of the balances by itself: how it holds budgets while the ledger does not answer."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_aicost.budgets.budget import Amounts, exceeded
from otel_aicost.budgets.window import counts_until
from otel_aicost.ledger.balances import Refusal, with_limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_aicost.budgets.budget import Limits, Line

KEPT: Final = 4096
"""Of how many windows a count is kept; of those looked at longest ago it begins anew."""

_lock = threading.Lock()


def _begin() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have had it
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin)


class _Count(NamedTuple):
    limits: Limits
    """As the ledger last had them."""
    taken: dict[int | None, Amounts]
    """By when it stops to count, seconds since the epoch: the steps of a rolling window leave it one by one."""


class LocalCounts:
    """The last balance seen of each window, and what this process admitted and settled since. For any thread.

    Only the lines of budgets with `on_store_down: local` are counted; the others are passed over.
    """

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str, str], _Count] = OrderedDict()

    def saw(self, line: Line, taken: Amounts) -> None:
        """So much was spent and reserved, by all processes, when the ledger last told."""
        if line.budget.counted_here:
            with _lock:
                self._keep(line, _Count(line.limits, {counts_until(line.budget.period, line.window): taken}))

    def admitted(self, lines: Iterable[Line]) -> None:
        """The ledger admitted a call that may take so much."""
        with _lock:
            for line in lines:
                self._add(line, line.amounts)

    def admit(self, lines: Iterable[Line]) -> Refusal | None:
        """Count a call that the ledger was not asked about in all windows, or in none: then why it does not fit."""
        with _lock:
            counted = [line for line in lines if line.budget.counted_here]
            for line in counted:
                refusal = self._refusal(line)
                if refusal is not None:
                    return refusal
            for line in counted:
                self._add(line, line.amounts)
        return None

    def settled(self, foreseen: Sequence[Line], really: Sequence[Line]) -> None:
        """A call took what stands in `really`; `foreseen` is what was counted for it, nothing if it was not."""
        with _lock:
            for line in foreseen:
                self._add(line, Amounts(*(-amount for amount in line.amounts)))
            for line in really:
                self._add(line, line.amounts)

    def _refusal(self, line: Line) -> Refusal | None:
        limits, held = self._count(line)
        line = line if limits is line.limits else with_limits(line, limits)
        taken = Amounts(*(max(0, sum(amounts)) for amounts in zip(Amounts(), *held.values(), strict=True)))
        unit = None if line.passes else exceeded(line.checked, taken, line.amounts)
        if unit is None:
            return None
        known = [until for until in held if until is not None]
        return Refusal(line, unit, taken, Amounts(), min(known, default=counts_until(line.budget.period, line.window)))

    def _add(self, line: Line, amounts: Amounts) -> None:
        if not line.budget.counted_here or not any(amounts):
            return
        until = counts_until(line.budget.period, line.window)
        limits, held = self._count(line)
        total = Amounts(*(one + other for one, other in zip(held.get(until, Amounts()), amounts, strict=True)))
        self._keep(line, _Count(limits, {**held, until: total}))

    def _count(self, line: Line) -> _Count:
        """What still counts when the window of the line begins."""
        known = self._counts.get(_place(line))
        if known is None:
            return _Count(line.limits, {})
        start = line.window.start or 0
        return _Count(
            known.limits, {until: held for until, held in known.taken.items() if until is None or until > start}
        )

    def _keep(self, line: Line, count: _Count) -> None:
        self._counts[_place(line)] = count
        self._counts.move_to_end(_place(line))
        if len(self._counts) > KEPT:
            self._counts.popitem(last=False)


def _place(line: Line) -> tuple[str, str, str]:
    """The window, or all steps of a rolling one."""
    return line.budget.name, line.key, line.window.group or line.window.id
