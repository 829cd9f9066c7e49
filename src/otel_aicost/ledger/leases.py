"""The leases of this process: what it reserved stays reserved while it lives, and not for long after."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from otel_aicost.ledger import balances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otel_aicost.budgets.budget import Line
    from otel_aicost.ledger.store import Store

EXPIRE_SECONDS: Final = 600.0
"""How often leases of others that ran out are given back when nobody asks for what they hold."""


class Leases:
    """The open reservations of a process; `keep` is called with the ledger's turn, the rest from anywhere."""

    def __init__(self, lease_ns: int, more: Callable[[], Iterable[str]], grace_ns: int = 0) -> None:
        """`more`: other reservations to be renewed; `grace_ns` is that of `balances.expire`."""
        self._lease_ns = lease_ns
        self._grace_ns = grace_ns
        self._more = more
        self._open: dict[str, Sequence[Line]] = {}
        self._renew_at = self._expire_at = 0.0
        self.used = False
        """Whether anybody ever asked for a reservation."""

    @property
    def renew_seconds(self) -> float:
        """How often open reservations are renewed."""
        return self._lease_ns / 3e9

    def opened(self, identifier: str, lines: Sequence[Line]) -> None:
        """A reservation was made."""
        if not self._open:
            self._renew_at = time.monotonic() + self.renew_seconds
        self._open[identifier] = lines

    def closed(self, identifier: str) -> Sequence[Line]:
        """It is settled: what was reserved; nothing, where that is not known."""
        return self._open.pop(identifier, ())

    def due(self) -> bool:
        """Whether there is anything to do."""
        now = time.monotonic()
        return self.used and (now >= self._expire_at or (now >= self._renew_at and bool(self._all())))

    def keep(self, store: Store) -> None:
        """Renew the open ones, and give back now and then what others left."""
        now = time.monotonic()
        with store.transaction() as connection:
            balances.renew(connection, sorted(self._all()), time.time_ns() + self._lease_ns)
        self._renew_at = now + self._lease_ns / 4e9
        if now >= self._expire_at:
            with store.transaction() as connection:
                store.lock(balances.expired_keys(connection, time.time_ns()))
                balances.expire(connection, time.time_ns(), self._grace_ns)
            self._expire_at = now + (self._grace_ns / 1e9 or EXPIRE_SECONDS)

    def _all(self) -> set[str]:
        return {*list(self._open), *self._more()}
