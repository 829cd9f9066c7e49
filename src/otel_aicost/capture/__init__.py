"""How a call is seen, one file an SDK family. Nothing here knows what a provider's bytes mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.config import Settings
    from otel_aicost.model import Call, Outcome


class OpenCall(Protocol):
    """A call that was begun. Exactly one of `finish` and `abandon` ends it; `finish` may come once a response."""

    call: Call

    def enter(self) -> None:
        """The request is being made here and now: its span is the current one until `leave`."""

    def leave(self) -> None: ...

    def responding(self) -> None:
        """The headers of a response are here."""

    def finish(self, outcome: Outcome) -> None:
        """A billable response ended."""

    def abandon(self) -> None:
        """There was nothing to bill after all."""

    def later(self, work: Callable[[], None]) -> None:
        """Do `work` in the background: this is a place where no lock may be taken."""


class Sink(Protocol):
    """Where captured calls go."""

    settings: Settings

    def begin(self, call: Call) -> OpenCall:
        """A call is about to be sent."""
