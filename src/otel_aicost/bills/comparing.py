"""The ledger beside a bill, day by day and model by model, and the likely reason where the two differ; pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_aicost.bills.bill import undated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from otel_aicost.bills.bill import Bill

Place = tuple["date", str]
"""A day, and a model without its date (or what else the bill has a line for)."""

CENT: Final = Decimal("0.01")
"""Less than this is no difference: bills are rounded."""
SAME: Final = Decimal("0.01")
"""Tokens that differ by less than this share are the same."""
BALANCED: Final = Decimal("0.25")
"""A difference that the day next to it makes up for, but for this share of it, went over midnight."""


class Reason(NamedTuple):
    """Why the two may differ: a code, and a sentence for people."""

    code: str
    text: str


@dataclass(slots=True)
class Ours:
    """What the ledger holds of a place."""

    amount: Decimal = Decimal(0)
    calls: int = 0
    unpriced: int = 0
    estimated: int = 0
    tokens: int = 0


@dataclass(slots=True)
class Theirs:
    """What the bill holds of it."""

    amount: Decimal = Decimal(0)
    lines: int = 0
    model: bool = True
    used: bool = False
    """Whether its usage is known: only then can tokens be held against one another."""
    requests: int | None = None
    tokens: int = 0
    tiers: dict[str, int] = field(default_factory=dict)
    """Tokens of each tier that is not the standard one."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One place in both. `reasons` is empty where they agree."""

    day: date
    name: str
    ours: Ours
    theirs: Theirs
    reasons: tuple[Reason, ...] = ()

    @property
    def difference(self) -> Decimal:
        """Dollars that the ledger has more than the bill."""
        return self.ours.amount - self.theirs.amount


def percent(difference: Decimal, of: Decimal) -> Decimal | None:
    """The difference in percent of the bill, to two places; `None` where the bill is zero."""
    return (difference / of * 100).quantize(CENT) if of else None


def compared(ours: Mapping[Place, Ours], bill: Bill, tolerance: Decimal) -> list[Pair]:
    """Every place that either knows, by day and then by what is billed. `tolerance` is a share of the bill."""
    theirs = _theirs(bill)
    pairs = [
        Pair(day, name, ours.get((day, name), Ours()), theirs.get((day, name), Theirs()))
        for day, name in sorted({*ours, *theirs})
    ]
    return [_explained(pair, pairs, tolerance) for pair in pairs]


def agree(difference: Decimal, billed: Decimal, tolerance: Decimal) -> bool:
    """Whether a difference is none: less than a cent, or within the tolerance."""
    return abs(difference) < CENT or abs(difference) <= abs(billed) * tolerance


def _theirs(bill: Bill) -> dict[Place, Theirs]:
    found: dict[Place, Theirs] = defaultdict(Theirs)
    for line in bill.billed:
        entry = found[line.day, undated(line.model) if line.model else line.item]
        entry.amount += line.amount
        entry.lines += 1
        entry.model = line.model is not None
    for use in bill.used:
        entry = found[use.day, undated(use.model)]
        entry.used = True
        entry.tokens += use.input_tokens + use.output_tokens
        if use.requests is not None:
            entry.requests = (entry.requests or 0) + use.requests
        if use.tier:
            entry.tiers[use.tier] = entry.tiers.get(use.tier, 0) + use.input_tokens + use.output_tokens
    return {place: entry for place, entry in found.items() if entry.amount or entry.lines or entry.tokens}


def _explained(pair: Pair, pairs: Sequence[Pair], tolerance: Decimal) -> Pair:
    if agree(pair.difference, pair.theirs.amount, tolerance):
        return pair
    found = tuple(_reasons(pair, pairs))
    return Pair(pair.day, pair.name, pair.ours, pair.theirs, found or (UNKNOWN,))


def _reasons(pair: Pair, pairs: Sequence[Pair]) -> Iterator[Reason]:
    ours, theirs = pair.ours, pair.theirs
    if not theirs.model:
        yield FEE
        return
    less = pair.difference < 0
    if ours.unpriced and less:
        yield Reason("unpriced", f"{ours.unpriced:,} of {ours.calls:,} calls have no price here")
    if _over_midnight(pair, pairs):
        yield DAY
    if not ours.calls:
        yield ABSENT
    elif not theirs.lines:
        yield ELSEWHERE
    elif theirs.used:
        yield from _by_tokens(ours, theirs)
    if ours.estimated:
        yield Reason("estimated", f"the usage of {ours.estimated:,} of {ours.calls:,} calls is estimated")
    if theirs.tiers and ours.calls:
        yield Reason("tier", f"part of it is billed as {', '.join(sorted(theirs.tiers))}")


def _by_tokens(ours: Ours, theirs: Theirs) -> Iterator[Reason]:
    counted = f"they count {theirs.tokens:,} tokens, the ledger {ours.tokens:,}"
    if theirs.requests is not None:
        counted += f" (requests: {theirs.requests:,}, calls: {ours.calls:,})"
    if abs(ours.tokens - theirs.tokens) <= theirs.tokens * SAME:
        if not ours.unpriced:
            yield Reason("price", "the same tokens at other prices: a tier, a discount, or a price list that is stale")
    elif ours.tokens < theirs.tokens:
        yield Reason("not_instrumented", f"{counted}: another key, project or program, or one not instrumented")
    else:
        yield Reason("elsewhere", f"{counted}: a key of another organization, or not billed yet")


def _over_midnight(pair: Pair, pairs: Iterable[Pair]) -> bool:
    """Whether the day before or after has the same difference the other way round."""
    for other in pairs:
        if other.name == pair.name and abs((other.day - pair.day).days) == 1:
            left = pair.difference + other.difference
            opposite = pair.difference * other.difference < 0
            if opposite and abs(left) <= abs(pair.difference) * BALANCED:
                return True
    return False


FEE: Final = Reason("fee", "a line of its own in the bill; the ledger has it in the cost of the calls, if it saw them")
ABSENT: Final = Reason(
    "not_instrumented", "no such call in the ledger: another key, project or program, or one not instrumented"
)
ELSEWHERE: Final = Reason("elsewhere", "not in the bill: a key of another organization, or not billed yet")
DAY: Final = Reason("day_boundary", "the day next to it differs the other way: calls that ran over midnight UTC")
UNKNOWN: Final = Reason("unknown", "no reason found: `aicost prices explain` shows how a call was priced")
