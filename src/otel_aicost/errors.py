"""The tree of errors.

AICostError
├── ConfigError         settings or a file are wrong; lists every mistake
│   ├── PriceFileError  a price file is wrong; each mistake names file, line and key
│   ├── BudgetFileError a file of budgets is wrong; as above
│   └── ScenarioFileError a file of scenarios is wrong; as above
├── PriceDataError      price data cannot be fetched, read or used; what was in force stays so
├── LedgerError         the ledger cannot be opened, read or migrated
└── BudgetExceeded      a call was not sent: a budget with `on_exceed: block` or `fallback` does not allow it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from decimal import Decimal


class AICostError(Exception):
    """Any error of otel-aicost."""


class ConfigError(AICostError):
    """Settings that cannot be used. `mistakes` holds one sentence each: what, where and how to mend it."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class PriceFileError(ConfigError):
    """A price file that cannot be used; each mistake reads `FILE:LINE: KEY: what is wrong`."""


class BudgetFileError(ConfigError):
    """A file of budgets that cannot be used; each mistake reads `FILE:LINE: KEY: what is wrong`."""


class ScenarioFileError(ConfigError):
    """A file of scenarios that cannot be used; each mistake reads `FILE:LINE: KEY: what is wrong`."""


class PriceDataError(AICostError):
    """Price data that cannot be fetched, read or used. What was in force before stays in force."""


class LedgerError(AICostError):
    """The ledger cannot be opened, read or migrated."""


class BudgetExceeded(AICostError):  # noqa: N818 - the name users catch; it is no failure of anything
    """A call was not sent, because a budget with `on_exceed: block` does not allow it.

    Or one with `on_exceed: fallback`, whose model cannot take the place of the call's own.
    The only exception that otel-aicost ever raises into an application, and only where a budget asks for it.
    """

    def __init__(  # noqa: PLR0913 - keyword arguments, each a fact of the refusal
        self,
        reason: str,
        *,
        budget: str,
        key: str = "",
        spent: Decimal | None = None,
        reserved: Decimal | None = None,
        needed: Decimal | None = None,
        limit: Decimal | None = None,
        currency: str = "USD",
        resets_at: datetime | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        """The whole sentence."""
        self.budget = budget
        self.key = key
        """The value of `per`, empty where the budget has one window for all."""
        self.spent = spent
        """What the window holds, in `currency`; `None` where nobody knows, because the ledger cannot be reached."""
        self.reserved = reserved
        """What calls on their way may still cost."""
        self.needed = needed
        """What this call was expected to take."""
        self.limit = limit
        self.currency = currency
        """`USD`, `tokens` or `calls`: the unit of the four amounts."""
        self.resets_at = resets_at
        """When the window ends (UTC); `None`: never, or the limit is one of a single call."""

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle it: work queues carry exceptions from one process to another."""
        return _unpickled, (self.reason, {key: value for key, value in vars(self).items() if key != "reason"})


def _unpickled(reason: str, facts: dict[str, str]) -> BudgetExceeded:
    return BudgetExceeded(reason, **facts)  # type: ignore[arg-type]  # what `__reduce__` put there
