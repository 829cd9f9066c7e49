"""Slices of budgets, leased by a process so that it can admit calls without asking the ledger each time.

A slice is reserved like a call, so what all processes hold and have spent together never passes a limit. It is for a
few calls, a small part of what is left, and a second; close to the limit there are none, and every call is decided in
the ledger. What a call costs beyond what was expected of it is taken from the slice, too.

Of a ledger that is near a slice is used only while nobody else has written (its stamp is that of the ledger as it is
now), or what others wrote leaves room for the call; so a changed limit holds for the next call there as well.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from otel_aicost.budgets.budget import Amounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_aicost.budgets.budget import Line

CALLS: Final = 16
"""For how many calls like the one at hand a slice is asked."""
PART: Final = 32
"""A slice is at most one part of so many of what is left."""
SECONDS: Final = 1.0
"""How long a slice is used; then what is left of it is given back."""
REMEMBERED: Final = 4096
"""Of how many windows it is known when they were asked about last."""


def slice_name(identifier: str) -> str:
    """The name of the slices that are asked for together with a reservation."""
    return f"slice {identifier}"


NOTHING: Final = Amounts()


class Share(NamedTuple):
    """A part of a slice: what a call was admitted with, or what is given back."""

    slice_id: str
    line: Line
    """Its amounts are those of the part."""


Stamp: TypeAlias = tuple[int, int] | None
"""How a ledger was when somebody looked, if it can tell: another one whenever others have written."""


class _Slice:
    __slots__ = ("id", "left", "line", "rest", "stamp", "until")

    def __init__(self, identifier: str, line: Line, granted: Amounts, stamp: Stamp) -> None:
        self.id = identifier
        self.stamp = stamp
        self.line = line
        self.left = granted
        """What calls may still be admitted with: less than `rest` where some cost more than was expected of them."""
        self.rest = granted
        """What no call holds."""
        self.until = time.monotonic() + SECONDS

    def is_for(self, line: Line) -> bool:
        """Whether it is of the same window, and was granted under the same limits."""
        mine = self.line
        return mine.limits == line.limits and mine.checked == line.checked and mine.window.id == line.window.id


class Slices:
    """The slices of this process. Any thread may use them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slices: dict[tuple[str, str, str], _Slice] = {}
        self._taken: dict[str, tuple[Share, ...]] = {}
        self._expected: dict[str, Sequence[Line]] = {}
        self._asked_at: dict[tuple[str, str, str], float] = {}

    def take(self, identifier: str, lines: Sequence[Line], stamp: Stamp = None) -> bool:
        """Admit a call with what is held here, in all of its budgets or in none; microseconds."""
        with self._lock:
            found = self._fitting(lines)
            if found is None or any(one.stamp != stamp for one in found):
                return False
            for line, one in zip(lines, found, strict=True):
                one.left, one.rest = _less(one.left, line.amounts), _less(one.rest, line.amounts)
                if stamp is not None:  # what was right just now may go on until it is used up
                    one.until = time.monotonic() + SECONDS
            self._taken[identifier] = tuple(map(Share, [one.id for one in found], lines))
        return True

    def fitting(self, lines: Sequence[Line]) -> list[str] | None:
        """The ids of the slices that a call fits in, one for each line, whatever their stamps."""
        with self._lock:
            found = self._fitting(lines)
        return None if found is None else [one.id for one in found]

    def stamped(self, lines: Sequence[Line], stamp: Stamp) -> None:
        """Those of these lines may be used while the ledger is as it was then."""
        with self._lock:
            for line in lines:
                if (one := self._slices.get(_place(line))) is not None:
                    one.stamp = stamp

    def asked_often(self, lines: Sequence[Line]) -> bool:
        """Whether the call before, in each of these, was so lately that a slice would have been of use to this one."""
        now = time.monotonic()
        if len(self._asked_at) > REMEMBERED:
            self._asked_at.clear()
        places = [_place(line) for line in lines]
        often = all(now - self._asked_at.get(place, -SECONDS) < SECONDS for place in places)
        self._asked_at.update(dict.fromkeys(places, now))
        return often

    def granted(self, identifier: str, grants: Iterable[tuple[Line, Amounts]], stamp: Stamp = None) -> list[Share]:
        """Use these from now on; returns what is left of those they replace."""
        with self._lock:
            old = []
            for line, amounts in grants:
                if amounts.calls:
                    old.append(self._slices.pop(_place(line), None))
                    self._slices[_place(line)] = _Slice(identifier, line, amounts, stamp)
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

    def asked(self, identifier: str, lines: Sequence[Line]) -> None:
        """A call was admitted by the ledger."""
        self._expected[identifier] = lines

    def settled(self, identifier: str | None, really: Sequence[Line]) -> tuple[Share, ...]:
        """A call ended: the shares it was admitted with, none if it was admitted by the ledger.

        What it took beyond what was expected of it (all, where nothing was) is taken from the slice that is in use now.
        """
        shares = self._taken.pop(identifier or "", ())
        lines = self._expected.pop(identifier or "", ()) or [share.line for share in shares]
        expected = {_place(line): line.amounts for line in lines}
        with self._lock:
            for line in really:
                place = _place(line)
                if (one := self._slices.get(place)) is not None:
                    one.left = _less(one.left, _beyond(line.amounts, expected.get(place, NOTHING)))
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

    def _fitting(self, lines: Sequence[Line]) -> list[_Slice] | None:
        now = time.monotonic()
        found = []
        for line in lines:
            one = self._slices.get(_place(line))
            if one is None or one.until < now or not one.is_for(line) or not _fits(one.left, line.amounts):
                return None
            found.append(one)
        return found


def _place(line: Line) -> tuple[str, str, str]:
    """The window, or all steps of a rolling one: spend of each counts in the next."""
    return line.budget.name, line.key, line.window.group or line.window.id


# Written out, as they are on the way of every call: a generator over the three takes four times as long.


def _fits(left: Amounts, asked: Amounts) -> bool:
    return left[0] >= asked[0] and left[1] >= asked[1] and left[2] >= asked[2]


def _less(amounts: Amounts, by: Amounts) -> Amounts:
    return Amounts(amounts[0] - by[0], amounts[1] - by[1], amounts[2] - by[2])


def _beyond(amounts: Amounts, expected: Amounts) -> Amounts:
    return Amounts(*(max(0, took - was) for took, was in zip(amounts, expected, strict=True)))


def _rests(over: list[_Slice | None]) -> list[Share]:
    return [Share(one.id, one.line._replace(amounts=one.rest)) for one in over if one is not None and any(one.rest)]
