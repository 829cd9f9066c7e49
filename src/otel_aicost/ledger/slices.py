"""Slices of budgets, leased by a process so that it can admit calls without asking the ledger each time.

A slice is reserved like a call, so what all processes hold and have spent together never passes a limit. It is for a
few calls, a small part of what is left, and a second; close to the limit there are none, and every call is decided in
the ledger. What a call costs beyond what was expected of it is taken from the slice, too.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_aicost.budgets.budget import Amounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_aicost.budgets.budget import Limits, Line

CALLS: Final = 16
"""For how many calls like the one at hand a slice is asked."""
PART: Final = 32
"""A slice is at most one part of so many of what is left."""
SECONDS: Final = 1.0
"""How long a slice is used; then what is left of it is given back."""


def slice_name(identifier: str) -> str:
    """The name of the slices that are asked for together with a reservation."""
    return f"slice {identifier}"


class Share(NamedTuple):
    """A part of a slice: what a call was admitted with, or what is given back."""

    slice_id: str
    line: Line
    """Its amounts are those of the part."""


class _Slice:
    __slots__ = ("id", "left", "limits", "line", "rest", "until")

    def __init__(self, identifier: str, line: Line, granted: Amounts) -> None:
        self.id = identifier
        self.line = line
        self.limits: Limits = line.limits
        self.left = granted
        """What calls may still be admitted with: less than `rest` where some cost more than was expected of them."""
        self.rest = granted
        """What no call holds."""
        self.until = time.monotonic() + SECONDS


class Slices:
    """The slices of this process. Any thread may use them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slices: dict[tuple[str, str, str], _Slice] = {}
        self._taken: dict[str, tuple[Share, ...]] = {}

    def take(self, identifier: str, lines: Sequence[Line]) -> bool:
        """Admit a call with what is held here, in all of its budgets or in none; microseconds."""
        now = time.monotonic()
        with self._lock:
            found = [self._slices.get(_place(line)) for line in lines]
            for line, one in zip(lines, found, strict=True):
                if one is None or one.until < now or one.limits != line.limits or not _fits(one, line):
                    return False
            shares = []
            for line, one in zip(lines, found, strict=True):
                if one is not None:
                    one.left, one.rest = _less(one.left, line.amounts), _less(one.rest, line.amounts)
                    shares.append(Share(one.id, line))
            self._taken[identifier] = tuple(shares)
        return True

    def granted(self, identifier: str, grants: Iterable[tuple[Line, Amounts]]) -> list[Share]:
        """Use these from now on; returns what is left of those they replace."""
        with self._lock:
            old = []
            for line, amounts in grants:
                if amounts.calls:
                    old.append(self._slices.pop(_place(line), None))
                    self._slices[_place(line)] = _Slice(identifier, line, amounts)
            return _rests(old)

    def dropped(self, lines: Sequence[Line]) -> list[Share]:
        """Stop to use those of these budgets; returns what is left of them."""
        with self._lock:
            return _rests([self._slices.pop(_place(line), None) for line in lines])

    def held(self) -> set[str]:
        """The slices that are in use, or hold what a call on its way may cost."""
        with self._lock:
            shares = [share.slice_id for taken in self._taken.values() for share in taken]
            return {*shares, *(one.id for one in self._slices.values())}

    def settled(self, identifier: str | None, really: Sequence[Line]) -> tuple[Share, ...]:
        """A call ended: the shares it was admitted with, none if it was admitted by the ledger."""
        shares = self._taken.pop(identifier or "", ())
        held = {_place(share.line): share.line.amounts for share in shares}
        with self._lock:
            for line in really:
                one = self._slices.get(_place(line))
                expected = held.get(_place(line))
                if one is not None and expected is not None:
                    more = (max(0, took - was) for took, was in zip(line.amounts, expected, strict=True))
                    one.left = _less(one.left, Amounts(*more))
        return shares

    def stale(self, *, every: bool = False) -> list[Share]:
        """Stop to use those whose time is over, or all; returns what is left of them."""
        now = time.monotonic()
        with self._lock:
            over = [place for place, one in self._slices.items() if every or one.until < now]
            return _rests([self._slices.pop(place) for place in over])

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self._slices)


def _place(line: Line) -> tuple[str, str, str]:
    return line.budget.name, line.key, line.window.id


def _fits(one: _Slice, line: Line) -> bool:
    return all(left >= amount for left, amount in zip(one.left, line.amounts, strict=True))


def _less(amounts: Amounts, by: Amounts) -> Amounts:
    return Amounts(*(amount - other for amount, other in zip(amounts, by, strict=True)))


def _rests(over: list[_Slice | None]) -> list[Share]:
    return [Share(one.id, one.line._replace(amounts=one.rest)) for one in over if one is not None and any(one.rest)]
