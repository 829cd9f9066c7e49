"""The same call told twice without a word of the one about the other: callbacks make spans that have no parent.

Two tellers mean the same call if they name the same model and the same tokens, and the time of one lies within that of
the other. Two calls that agree in all of this, of which each teller saw another one, would be taken for one.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from otel_aicost.model import Usage

USAGES: Final = 16_384
"""So many different usages are remembered, the latest ones."""
EACH: Final = 64
SLACK_NS: Final = 20_000_000


class Sighting(NamedTuple):
    """Who told of a call, when it ran, and the names of its model."""

    teller: str
    started_ns: int
    ended_ns: int
    models: frozenset[str]

    def same(self, other: Sighting) -> bool:
        """Whether another teller means the same call."""
        return (
            self.teller != other.teller
            and bool(self.models & other.models)
            and (self._within(other) or other._within(self))
        )

    def _within(self, other: Sighting) -> bool:
        return other.started_ns - SLACK_NS <= self.started_ns and self.ended_ns <= other.ended_ns + SLACK_NS


class Sightings:
    """Calls that were told of lately, by their tokens."""

    def __init__(self) -> None:
        self._by_usage: OrderedDict[tuple[object, object], deque[Sighting]] = OrderedDict()

    def add(self, usage: Usage, sighting: Sighting) -> None:
        """A call was told of."""
        key = _key(usage)
        if key not in self._by_usage and len(self._by_usage) >= USAGES:
            self._by_usage.popitem(last=False)
        self._by_usage.setdefault(key, deque(maxlen=EACH)).append(sighting)

    def holds(self, usage: Usage, sighting: Sighting) -> bool:
        """Whether somebody else has told of this call."""
        return any(sighting.same(other) for other in self._by_usage.get(_key(usage), ()))


def models(*named: str | None) -> frozenset[str]:
    """The names of a model that are known."""
    return frozenset(name.lower() for name in named if name)


def _key(usage: Usage) -> tuple[object, object]:
    return usage.get("input_tokens"), usage.get("output_tokens")
