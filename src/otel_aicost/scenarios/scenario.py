"""What a scenario is: the calls of a session, and how many sessions a month has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otel_aicost.model import NO_CONDITIONS, NO_TAGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.model import Conditions, Usage


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call that a session makes `count` times, each with this usage."""

    name: str
    provider: str
    model: str
    usage: Usage
    count: int = 1
    conditions: Conditions = field(default_factory=lambda: NO_CONDITIONS)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One variant of a file."""

    name: str
    sessions: int
    """A month."""
    calls: tuple[PlannedCall, ...]
    date: str | None = None
    """The ISO date (UTC) whose prices hold; `None`: today's."""
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    """What its calls are tagged with in production; the recommended budget is for these."""
