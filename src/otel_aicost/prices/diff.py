"""What a change of prices makes of calls that were made: their usage priced at two catalogues, as of one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from otel_aicost.model import NANO_DIGITS, Cost
from otel_aicost.prices.changes import RateChange, rate_changes, resolved, same
from otel_aicost.prices.rates import EXACT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otel_aicost.model import Conditions, Usage
    from otel_aicost.prices.catalogue import Catalogue

Usages: TypeAlias = "Iterable[tuple[Usage, int]]"
"""Usages, and how many calls had each."""


class Kind(NamedTuple):
    """Calls that find the same price."""

    provider: str
    models: tuple[str, ...]
    """The names to look up, in this order."""
    conditions: Conditions
    calls: int


@dataclass(slots=True)
class Difference:
    """What the calls to one model under the same conditions cost at the old prices and at the new ones."""

    provider: str
    model: str
    conditions: Mapping[str, str]
    changes: Sequence[RateChange] = ()
    calls: int = 0
    old_nano: int = 0
    """Of the calls that have a price there."""
    new_nano: int = 0
    old_unpriced: int = 0
    """Calls without a price there: they are in no sum."""
    new_unpriced: int = 0
    difference_nano: int = 0
    """Of the calls that have a price at both."""
    compared_nano: int = 0
    """What those cost at the old prices."""

    @property
    def percent(self) -> Decimal | None:
        """By how much; `None` where there is nothing to hold it against."""
        if not self.compared_nano:
            return None
        return EXACT.divide(Decimal(self.difference_nano * 100), Decimal(self.compared_nano))

    def add(self, usages: Usages, old: Catalogue, new: Catalogue, kind: Kind, at_ns: int) -> None:
        """Price calls at both."""
        for usage, count in usages:
            before, after = (
                catalogue.price(kind.provider, kind.models, usage, kind.conditions, at_ns) for catalogue in (old, new)
            )
            self.calls += count
            was, is_now = _nano(before) * count, _nano(after) * count
            self.old_nano += was
            self.new_nano += is_now
            self.old_unpriced += 0 if isinstance(before, Cost) else count
            self.new_unpriced += 0 if isinstance(after, Cost) else count
            if isinstance(before, Cost) and isinstance(after, Cost):
                self.difference_nano += is_now - was
                self.compared_nano += was


@dataclass(slots=True)
class Comparison:
    """All that differs, the largest difference first, and how many calls find the same price at both."""

    differences: list[Difference] = field(default_factory=list)
    same_calls: int = 0
    same_models: int = 0


def differ(
    kinds: Iterable[Kind], usages_of: Callable[[int], Usages], old: Catalogue, new: Catalogue, at_ns: int
) -> Comparison:
    """Compare two catalogues over calls, each priced as if it were made at `at_ns`.

    `usages_of` gives the usages of the n-th kind; it is asked only where the prices differ.
    """
    found: dict[tuple[object, ...], Difference] = {}
    unchanged: set[tuple[str, str]] = set()
    told = Comparison()
    for number, kind in enumerate(kinds):
        before, after = (resolved(each, kind.provider, kind.models, at_ns, kind.conditions) for each in (old, new))
        model = kind.models[0] if kind.models else ""
        if same(before, after):
            told.same_calls += kind.calls
            unchanged.add((kind.provider, model))
            continue
        key = (kind.provider, model, *sorted(kind.conditions.items()))
        if key not in found:
            found[key] = Difference(kind.provider, model, kind.conditions, rate_changes(before, after))
        found[key].add(usages_of(number), old, new, kind, at_ns)
    told.same_models = len(unchanged)
    told.differences = sorted(
        found.values(), key=lambda each: (-abs(each.difference_nano), -each.calls, each.provider, each.model)
    )
    return told


def unused(models: Iterable[tuple[str, str]], old: Catalogue, new: Catalogue, at_ns: int) -> list[Difference]:
    """The models whose standard prices differ, without any call."""
    found = []
    for provider, model in models:
        before, after = (resolved(each, provider, (model,), at_ns) for each in (old, new))
        if not same(before, after):
            found.append(Difference(provider, model, {}, rate_changes(before, after)))
    return found


def _nano(answer: object) -> int:
    return int(EXACT.scaleb(answer.total, NANO_DIGITS)) if isinstance(answer, Cost) else 0
