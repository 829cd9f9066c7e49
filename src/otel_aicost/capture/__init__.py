"""How a call is seen, one file an SDK family. Nothing here knows what a provider's bytes mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from otel_aicost.config import Settings
    from otel_aicost.errors import BudgetExceeded
    from otel_aicost.model import Call, Outcome


class OpenCall(Protocol):
    """A call that was begun. Exactly one of `finish` and `abandon` ends it; `finish` may come once a response."""

    call: Call

    @property
    def awaits_budget(self) -> bool:
        """Whether `admit` has to be asked before the call is sent."""

    def admit(self) -> BudgetExceeded | None:
        """Reserve in the budgets of the call. If they refuse: the exception to raise; the call has ended then."""

    async def admit_async(self) -> BudgetExceeded | None:
        """As `admit`, without blocking the event loop."""

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

    def begin(self, call: Call, body: Mapping[str, Any]) -> OpenCall:
        """A call with this JSON body is about to be sent."""

    def later(self, work: Callable[[], None]) -> None:
        """Do `work` in the background, in the order it was put."""
