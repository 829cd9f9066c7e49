"""Whether the numbers can be trusted: the ledger itself, who writes to it, what waits, and the alerts that are open."""

from __future__ import annotations

import socket
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from otel_aicost.config import Server
from otel_aicost.errors import LedgerError
from otel_aicost.exporter.families import counter, gauge, seconds
from otel_aicost.ledger import processes
from otel_aicost.ledger.facts import bytes_of
from otel_aicost.ledger.outbox import lag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from prometheus_client import Metric

    from otel_aicost.ledger.store import Connection

DAY_SECONDS: Final = 86_400
SEEN_SECONDS: Final = 300
"""An instrumented process that says nothing for so long is gone, or has made no calls."""


def ledger(connection: Connection, place: Path | Server, calls: int) -> Iterator[Metric]:
    """How many calls there are, how much room they take, when the first and the last one began."""
    yield _one("aicost_ledger_calls", calls)
    size = connection.execute(_SIZE).fetchone()[0] if isinstance(place, Server) else bytes_of(place)
    yield _one("aicost_ledger_size_bytes", int(size or 0))
    yield _one("aicost_ledger_first_call_timestamp_seconds", _first(connection))
    last = connection.execute("SELECT max(started_ns) FROM calls").fetchone()[0]
    yield _one("aicost_ledger_last_call_timestamp_seconds", None if last is None else seconds(last))


def _first(connection: Connection) -> float | None:
    """When the oldest call began; of daily totals, when their day did."""
    at_ns = connection.execute("SELECT min(started_ns) FROM calls").fetchone()[0]
    day = connection.execute("SELECT min(day) FROM rollups").fetchone()[0]
    found = [] if at_ns is None else [seconds(at_ns)]
    if day is not None:
        found.append(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
    return min(found, default=None)


def prices(stale_days: int | None) -> Iterator[Metric]:
    """How old price data may be; no sample where the user does not want to be told."""
    yield _one("aicost_price_table_max_age_seconds", None if stale_days is None else stale_days * DAY_SECONDS)


def alerts(connection: Connection) -> Iterator[Metric]:
    """Alerts that nobody has resolved."""
    family = gauge("aicost_open_alerts")
    for *labels, count in connection.execute(_ALERTS).fetchall():
        family.add_metric(labels, count)
    yield family


def writers(connection: Connection, now_ns: int) -> Iterator[Metric]:
    """The instrumented processes that were seen of late, and what all there ever were have lost."""
    found, queued = gauge("aicost_writers"), gauge("aicost_writer_queued_calls")
    alive = processes.living(connection, now_ns, SEEN_SECONDS)
    for labels, count in Counter((one.service, one.version, _listed(one.sdks)) for one in alive).items():
        found.add_metric(labels, count)
    waiting: Counter[str] = Counter()
    for one in alive:
        waiting[one.service] += one.queued
    for service, calls in waiting.items():
        queued.add_metric((service,), calls)
    yield found
    yield queued
    lost, errors, internal = (
        counter(name) for name in ("aicost_writer_lost_calls", "aicost_writer_errors", "aicost_internal_errors")
    )
    for service, first_ns, *counts in connection.execute(_FAILED).fetchall():
        for family, count in zip((lost, errors, internal), counts, strict=True):
            family.add_metric((service,), count, created=seconds(first_ns))
    yield from (lost, errors, internal)


def outboxes(connection: Connection, place: Path | Server, now_ns: int) -> Iterator[Metric]:
    """What waits on each host: on others as they said last, here as it is."""
    waiting = processes.outboxes(processes.seen(connection, now_ns, SEEN_SECONDS))
    if isinstance(place, Server):
        with suppress(LedgerError):  # no process of this host made calls, or it has a newer version
            waiting[socket.gethostname()] = lag(place.outbox, now_ns)
    count, oldest = gauge("aicost_outbox_calls"), gauge("aicost_outbox_oldest_timestamp_seconds")
    for host, outbox in sorted(waiting.items()):
        count.add_metric((host,), outbox.calls)
        if outbox.oldest_ns is not None and outbox.calls:
            oldest.add_metric((host,), seconds(outbox.oldest_ns))
    yield count
    yield oldest


def _listed(sdks: Mapping[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in sorted(sdks.items()))


def _one(name: str, value: float | None) -> Metric:
    family = gauge(name)
    if value is not None:
        family.add_metric((), value)
    return family


_SIZE: Final = """
    SELECT CAST(sum(pg_total_relation_size(c.oid)) AS BIGINT) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'aicost' AND c.relkind = 'r'
"""
_ALERTS: Final = """
    SELECT kind, severity, source, state, count(*) FROM alerts WHERE state <> 'resolved'
    GROUP BY kind, severity, source, state ORDER BY kind, severity, source, state
"""
_FAILED: Final = """
    SELECT service, min(started_ns), CAST(sum(lost) AS BIGINT), CAST(sum(errors) AS BIGINT),
           CAST(sum(internal_errors) AS BIGINT)
    FROM processes GROUP BY service ORDER BY service
"""
