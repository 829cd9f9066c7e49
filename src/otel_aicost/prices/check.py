"""What `aicost prices check` has to say of a price file that can be read: stale, strange and idle entries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from otel_aicost.alerts.settings import STALE_DAYS
from otel_aicost.model import METERS, NO_CONDITIONS
from otel_aicost.prices.files import ANY
from otel_aicost.prices.meters import DIMENSIONS, lies_within, overlap
from otel_aicost.prices.rates import EXACT, Price, Query

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from otel_aicost.prices.catalogue import Catalogue
    from otel_aicost.prices.files import Entry, Period, PriceFile
    from otel_aicost.prices.rates import Rate

FAR_OFF = 20
"""A price is suspect when it is more than so many times the catalogue's, or less than one such part."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something to look at: where, and what."""

    line: int
    key: str
    text: str


def doubts_of(file: PriceFile, below: Catalogue, today: date, stale_days: int | None = STALE_DAYS) -> list[Doubt]:
    """Look a price file over. `below`: the catalogue without it, to hold its prices against.

    A price still in force is stale when it was last checked more than `stale_days` ago; `None`: never.
    """
    found = [
        *_strangers(file, below),
        *_shadows(file),
        *(doubt for entry in file.entries for doubt in _stale(entry, today, stale_days)),
        *(doubt for entry in file.entries for doubt in _meters(entry)),
        *(doubt for entry in file.entries for doubt in _far_off(entry, below, today)),
    ]
    return sorted(found, key=lambda doubt: (doubt.line, doubt.key))


def _strangers(file: PriceFile, below: Catalogue) -> Iterator[Doubt]:
    known = {ANY, *below.providers(), "gcp.vertex_ai", "gcp.gen_ai", "azure.ai.inference"}
    for entry in file.entries:
        if entry.provider not in known:
            yield Doubt(
                entry.line,
                entry.label,
                f"no other price list has a provider {entry.provider!r}: is the name right?",
            )


def _shadows(file: PriceFile) -> Iterator[Doubt]:
    """Entries that never decide, because one before them has the same models, from as early a day."""
    for index, entry in enumerate(file.entries):
        for earlier in file.entries[:index]:
            if _shadowed(entry, earlier):
                text = f"never decides: {earlier.label} on line {earlier.line} is asked first, at any time"
                yield Doubt(entry.line, entry.label, text)
                break


def _shadowed(entry: Entry, by: Entry) -> bool:
    if entry.add or by.add or by.provider not in (ANY, entry.provider):
        return False
    if by.periods[0].start_ns > entry.periods[0].start_ns:
        return False
    if entry.model == by.model:
        return by.provider == entry.provider or entry.model.kind != "exact"
    if entry.model.kind == "exact":  # asked before any pattern
        return False
    if by.model.kind == entry.model.kind == "prefix":
        return entry.model.text.lower().startswith(by.model.text.lower())
    return by.model.kind == "regex" and by.model.text == ".*"


def _stale(entry: Entry, today: date, days: int | None) -> Iterator[Doubt]:
    if days is None or not entry.periods[-1].rates:  # free, or of the past
        return
    if entry.checked is None:
        yield Doubt(entry.line, entry.label, "has no `checked` date: nobody can tell when it is stale")
        return
    age = (today - date.fromisoformat(entry.checked)).days
    if age > days:
        yield Doubt(entry.line, entry.label, f"is stale: checked {age} days ago, more than {days}")


def _meters(entry: Entry) -> Iterator[Doubt]:
    for period in entry.periods:
        meters = {rate.meter for rate in period.rates}
        where = f"{entry.label} from {period.date}"
        for rate in period.rates:
            for meter in filter(None, (rate.meter, rate.unless)):
                if meter not in METERS and meter not in DIMENSIONS:
                    text = f"{meter} is not a meter we know: only `record(...)` can report it"
                    yield Doubt(period.line, where, text)
        yield from _gaps(period, meters, where, add=entry.add)


def _gaps(period: Period, meters: set[str], where: str, *, add: bool) -> Iterator[Doubt]:
    """Warn of meters whose whole, or whose overlap, has no price: calls that state it will be unpriced."""
    if add:
        return
    for one in sorted(meters):
        for other in sorted(meters):
            both = overlap(one, other)
            if one < other and both is not None and both not in meters:
                text = f"{one} and {other} have a price, {both}, which is both, has none"
                yield Doubt(period.line, where, text)
        whole = {"input_tokens", "output_tokens"} - meters
        for total in sorted(whole):
            if lies_within(one, total):
                yield Doubt(period.line, where, f"{one} has a price, {total}, which hold them, have none")


def _far_off(entry: Entry, below: Catalogue, today: date) -> Iterator[Doubt]:
    if entry.model.kind != "exact" or entry.add:
        return
    now = datetime.combine(today, datetime.min.time(), UTC)
    for index, period in enumerate(entry.periods):
        following = entry.periods[index + 1 : index + 2]
        ended = bool(following) and following[0].start_ns <= now.timestamp() * 1e9
        at_ns = period.start_ns if ended else max(period.start_ns, int(now.timestamp()) * 10**9)
        other, _ = below.resolve(Query(entry.provider, (entry.model.text,), NO_CONDITIONS, at_ns))
        if isinstance(other, Price):
            theirs = {rate.meter: rate for rate in other.rates}
            for rate in period.rates:
                if rate.meter in theirs and not rate.when:
                    yield from _compare(entry, period, rate, theirs[rate.meter])


def _compare(entry: Entry, period: Period, ours: Rate, theirs: Rate) -> Iterator[Doubt]:
    mine, other = _unit_price(ours), _unit_price(theirs)
    if not mine or not other:
        return
    ratio = EXACT.divide(mine, other)
    if not EXACT.divide(1, FAR_OFF) <= ratio <= FAR_OFF:
        text = (
            f"{ours.meter}: {ours.price} per {ours.per} is {_share(ratio)} the catalogue's "
            f"{theirs.price} per {theirs.per}: is `per` right?"
        )
        yield Doubt(period.line, f"{entry.label} from {period.date}", text)


def _unit_price(rate: Rate) -> Decimal:
    return EXACT.divide(rate.price, rate.per)


def _share(ratio: Decimal) -> str:
    return f"{ratio:,.1f} times" if ratio > 1 else f"one part in {EXACT.divide(1, ratio):,.1f} of"
