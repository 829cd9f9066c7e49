"""What an observer is: told of every finished record. Each is one small file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from otel_aicost.ledger.balances import Settlement
    from otel_aicost.model import Record


class Observer(Protocol):
    """The moments of an observer. An exception out of any of them is reported and goes no further."""

    def after(self, record: Record, settlement: Settlement | None) -> None:
        """A call ended, and took this of its budgets (`None`: it is in none, or has cost nothing)."""

    def flush(self, timeout: float) -> bool:
        """Wait until all is handed on; `False` if `timeout` seconds did not suffice."""

    def close(self, timeout: float) -> bool:
        """As `flush`, for the last time."""
