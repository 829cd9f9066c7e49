"""What is written of a call: its row, and what it takes of its budgets, in one transaction."""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from otel_aicost.ledger import balances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_aicost.ledger.balances import Alert, Settlement
    from otel_aicost.ledger.row import Row
    from otel_aicost.ledger.store import Connection, Store


class Posted(NamedTuple):
    """A record as a row, with what it takes of its budgets; without a row there is only a reservation to free."""

    row: Row | None
    settlement: Settlement | None


def post(
    store: Store, connection: Connection, held: Sequence[Posted], more: Sequence[tuple[str, str]] = ()
) -> list[Alert]:
    """Write rows and settle them; `more` are balances that will be looked at in the same transaction."""
    rows = [posted.row for posted in held if posted.row is not None]
    if rows:
        store.insert(rows)
    settled = [(posted.row, posted.settlement) for posted in held if posted.settlement is not None]
    store.lock({*more, *chain.from_iterable(settlement.places() for _, settlement in settled)})
    now, alerts = time.time_ns(), []
    for row, settlement in settled:
        alerts += balances.settle(connection, None if row is None else str(row[0]), settlement, now)
    return alerts
