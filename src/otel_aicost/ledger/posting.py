"""What is written of a call: its row, the totals it counts in, and what it takes of its budgets, in one transaction."""

from __future__ import annotations

import time
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from otel_aicost.ledger import balances, totals

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
    store: Store,
    connection: Connection,
    held: Sequence[Posted],
    more: Sequence[tuple[str, str]] = (),
    tags: Sequence[str] | None = (),
) -> list[Alert]:
    """Write rows and settle them; `more` are balances that will be looked at in the same transaction.

    `tags` are those that are totalled apart; `None`: nothing is totalled, where calls only wait to be sent on.
    """
    rows = [posted.row for posted in held if posted.row is not None]
    new = store.insert(rows) if rows else set()
    settled = [(posted.row, posted.settlement) for posted in held if posted.settlement is not None]
    store.lock({*more, *chain.from_iterable(settlement.places() for _, settlement in settled)})
    now, alerts = time.time_ns(), []
    for row, settlement in settled:
        alerts += balances.settle(connection, None if row is None else str(row[0]), settlement, now)
    if new and tags is not None:
        fresh: dict[str, Row] = {}
        for row in rows:
            if row[0] in new:
                fresh.setdefault(str(row[0]), row)  # of what comes twice, the first is kept
        totals.add(connection, fresh.values(), tags, now)
        refused = {row[0]: settlement for row, settlement in settled if row is not None and row[0] in new}
        totals.add_refusals(connection, refused.values(), now)
    return alerts
