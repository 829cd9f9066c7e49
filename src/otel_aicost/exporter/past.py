"""The sums of the past, kept: exact at every look, however late a call arrives, without reading all of it again.

The time since the beginning of last year is cut into blocks, of which the sums are known: days, and hours where it
matters. A look sums up what is after the last block, and adds all of it up. If that is what the ledger's running
totals come to, no block has changed; if it is not, blocks are summed up again, the newest first, until it is.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from otel_aicost.exporter.ranges import LAST_NS, NS, Range, Sum, midnight, next_midnight, total

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from zoneinfo import ZoneInfo

    from otel_aicost.exporter.ranges import Summing

HOUR_NS: Final = 3600 * NS
SETTLED_NS: Final = HOUR_NS
"""An hour that ended so long ago becomes a block: most calls that began in it have ended."""
_FIRST_STEP: Final = 8
"""So many blocks are looked at first when something has changed; then twice as many, and so on."""


class Past:
    """Knows the sum from the beginning of any block to any moment. One thread at a time."""

    def __init__(self) -> None:
        self._zone: ZoneInfo | None = None
        self._edges: list[int] = []
        """Block `n` is from edge `n` to edge `n + 1`; before the first edge is a block too."""
        self._sums: list[Sum] = []
        self._strays: Sum | None = None
        """What the running totals have more than all calls: nothing, unless somebody wrote past them."""
        self._repriced = 0

    def look(  # noqa: PLR0913, PLR0917 - each a fact of the moment
        self, summing: Summing, zone: ZoneInfo, first_ns: int, now_ns: int, totals: Sum, repriced: int = 0
    ) -> None:
        """Bring all sums up to the moment of `summing`; `totals` are the ledger's running ones.

        `first_ns`: a local midnight, the earliest moment that will be asked about. `repriced`: how often a call was
        repriced, which may have changed any sum and left the totals as they were.
        """
        if zone != self._zone or not self._edges or self._edges[0] != first_ns or repriced != self._repriced:
            self._repriced = repriced
            self._begin(zone, first_ns, now_ns)
        new = self._advance(now_ns)
        self._sums += summing.sums(new)
        self._check(summing, totals)

    def between(self, summing: Summing, wanted: Sequence[Range]) -> list[Sum]:
        """The sums of ranges that begin at a midnight."""
        for one in wanted:
            self._split(summing, one.end)
        # A day that has just begun has no block yet.
        rests = [Range(max(one.start, self._edge_before(one.end)), one.end) for one in wanted]
        parts = summing.sums(rests)
        return [
            total(self._blocks(one.start, rest.start)).plus(part)
            for one, rest, part in zip(wanted, rests, parts, strict=True)
        ]

    def _begin(self, zone: ZoneInfo, first_ns: int, now_ns: int) -> None:
        self._zone, self._strays = zone, None
        self._edges, self._sums = [first_ns], []
        today = midnight(zone, now_ns)
        while (following := next_midnight(zone, self._edges[-1])) <= today:
            self._edges.append(following)

    def _advance(self, now_ns: int) -> list[Range]:
        """Cut off the hours that are settled by now; the blocks without a sum, the one before all of them too."""
        assert self._zone is not None  # noqa: S101 - `look` has seen to it
        while True:
            last = self._edges[-1]
            following = min(last + HOUR_NS, next_midnight(self._zone, last))
            if following > now_ns - SETTLED_NS:
                break
            self._edges.append(following)
        edges = [0, *self._edges]
        return [Range(*pair) for pair in itertools.pairwise(edges)][len(self._sums) :]

    def _check(self, summing: Summing, totals: Sum) -> None:
        tail = summing.sums([Range(self._edges[-1], LAST_NS)])[0]
        missing = self._missing(tail, totals)
        if self._strays in {None, missing}:
            self._strays = missing
            return
        edges = [0, *self._edges]
        done, step = len(self._sums), _FIRST_STEP
        while done > 0:
            start = max(0, done - step)
            ranges = [Range(edges[at], edges[at + 1]) for at in range(start, done)]
            self._sums[start:done] = summing.sums(ranges)
            done, step = start, step * 2
            if self._missing(tail, totals) == (self._strays or Sum()):
                break
        self._strays = self._missing(tail, totals)

    def _missing(self, tail: Sum, totals: Sum) -> Sum:
        known = total([*self._sums, tail])
        return Sum(totals.calls - known.calls, totals.nano - known.nano)

    def _split(self, summing: Summing, at_ns: int) -> None:
        """Cut the block that holds a moment into hours, so that little is left to sum up at each look."""
        place = bisect_right(self._edges, at_ns)
        if place in {0, len(self._edges)} or self._edges[place - 1] == at_ns:
            return
        if self._edges[place] - self._edges[place - 1] <= HOUR_NS:
            return
        start, end = self._edges[place - 1], self._edges[place]
        inner = list(range(start + HOUR_NS, end, HOUR_NS))
        edges = [start, *inner, end]
        sums = summing.sums([Range(*pair) for pair in itertools.pairwise(edges)])
        self._edges[place:place] = inner
        self._sums[place : place + 1] = sums  # the sum of the block before all of them is the first

    def _edge_before(self, at_ns: int) -> int:
        return self._edges[max(0, bisect_right(self._edges, at_ns) - 1)]

    def _blocks(self, start: int, end: int) -> Iterable[Sum]:
        first, last = (bisect_right(self._edges, at) for at in (start, end))
        return self._sums[first:last]
