"""A process of a fleet tells the server how it fares, and what waits in the outbox of its host."""

from __future__ import annotations

import time
from contextlib import closing

from fleet.load import until
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.outbox import OutboxStore, Shelf
from otel_aicost.ledger.processes import Counts, Outbox, seen
from otel_aicost.ledger.row import row
from otel_aicost.observers.heartbeats import Heartbeats
from otel_aicost.observers.ledger import LedgerObserver
from records import record


def said(place):
    with looking(place) as connection:
        return seen(connection, time.time_ns(), 3600)


def test_its_row_is_on_the_server(fleet, place, ask):
    """And not in the outbox, though every call passes there."""
    observer = LedgerObserver(fleet, Heartbeats(fleet))
    observer.after(record(), None)
    until(lambda: ask("SELECT count(*) FROM pg_tables WHERE tablename = 'processes'") == [(1,)])
    until(lambda: said(place))
    assert observer.close(10)
    (one,) = said(place)
    assert (one.ended, one.counts, one.outbox) == (True, Counts(written=1), Outbox(0, None))
    with closing(OutboxStore(place.outbox)) as store:
        assert store.connection.execute("SELECT count(*) FROM processes").fetchone() == (0,)


def test_the_lag_is_of_calls_that_nobody_is_about_to_send(fleet, place):
    """One that was put just now is on its way; one that waits for longer counts, and since when."""
    assert fleet.lag() == Outbox(0, None)
    with closing(OutboxStore(place.outbox)) as store:
        store.insert([row(record()), row(record())])
        assert fleet.lag() == Outbox(0, None)
        store.connection.execute("UPDATE parcels SET at_ns = 5 WHERE number = 1")
        assert fleet.lag() == Outbox(1, 5)
    assert Shelf(place.outbox).count() == 2
