"""Heartbeats of the processes that make calls: who writes to this ledger, and what they could not write.

Every function is a step of a transaction. A row holds what a process has counted so far, so that the sum over all rows
never falls; rows of the dead are folded into one per service.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otel_aicost.ledger.store import Connection

SILENT_SECONDS: Final = 3600.0
"""A process that was silent for longer goes on in a row of its own, as its old one may have been folded."""
DEAD_SECONDS: Final = 7200.0
"""A row that did not say that its process ended is dead after so long; more than `SILENT_SECONDS`, by the clocks'
differences."""
KEPT_SECONDS: Final = 86_400.0
"""How long the rows of the dead are kept before some process folds them."""
TIDY_SECONDS: Final = 3600.0
"""How often the processes of a ledger fold them."""
STEP: Final = 500
"""Rows folded in one transaction."""
_SECOND: Final = 10**9


class Counts(NamedTuple):
    """What a process has counted; each only grows."""

    written: int = 0
    lost: int = 0
    errors: int = 0
    """Tries to write to the ledger that failed."""
    internal_errors: int = 0

    def plus(self, other: Counts) -> Counts:
        """The sums of both."""
        return Counts(*(mine + its for mine, its in zip(self, other, strict=True)))

    def minus(self, other: Counts) -> Counts:
        """What came since `other` was counted."""
        return Counts(*(max(0, mine - its) for mine, its in zip(self, other, strict=True)))


class Outbox(NamedTuple):
    """What waits on a host for the server."""

    calls: int
    oldest_ns: int | None
    """Since when the oldest waits."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a process says of itself, at `seen_ns`. Nanoseconds since the epoch; counts of calls."""

    id: str
    host: str
    pid: int
    service: str
    version: str
    """Of otel-aicost."""
    sdks: Mapping[str, str]
    """Package -> version of the SDKs that are wrapped in it."""
    started_ns: int
    seen_ns: int
    ended: bool
    """It said that it ends; one that was killed says nothing."""
    queued: int
    """In its memory, not written."""
    counts: Counts
    outbox: Outbox | None = None
    """Of its host, where the ledger is a server."""


def beat(connection: Connection, heartbeat: Heartbeat) -> None:
    """Put down what a process says of itself, in place of what it said before."""
    outbox = heartbeat.outbox or (None, None)
    sdks = json.dumps(dict(heartbeat.sdks), sort_keys=True)
    connection.execute(
        _BEAT,
        (
            *(heartbeat.id, heartbeat.host, heartbeat.pid, heartbeat.service, heartbeat.version, sdks),
            *(heartbeat.started_ns, heartbeat.seen_ns, int(heartbeat.ended), heartbeat.queued),
            *(*heartbeat.counts, *outbox),
        ),
    )


def seen(connection: Connection, now_ns: int, within_seconds: float) -> list[Heartbeat]:
    """The processes that said something within so many seconds before `now_ns`, the latest first."""
    since = now_ns - int(within_seconds * _SECOND)
    return [_heartbeat(row) for row in connection.execute(_SEEN, (since,)).fetchall()]


def living(connection: Connection, now_ns: int, within_seconds: float) -> list[Heartbeat]:
    """As `seen`, without those that have ended. One that makes no calls says nothing, and is not among them."""
    return [each for each in seen(connection, now_ns, within_seconds) if not each.ended]


def outboxes(heartbeats: Iterable[Heartbeat]) -> dict[str, Outbox]:
    """Host -> what waits there, by the latest that was said of it."""
    found: dict[str, tuple[int, Outbox]] = {}
    for each in heartbeats:
        if each.outbox is not None and found.get(each.host, (-1,))[0] < each.seen_ns:
            found[each.host] = (each.seen_ns, each.outbox)
    return {host: outbox for host, (_, outbox) in sorted(found.items())}


def sums(connection: Connection) -> dict[str, Counts]:
    """Service -> what its processes have counted, those that are gone included; it never falls."""
    return {str(service): Counts(*map(int, counts)) for service, *counts in connection.execute(_SUMS).fetchall()}


def dead(connection: Connection, before_ns: int, now_ns: int) -> int:
    """How many rows `prune` would fold."""
    found = connection.execute(f"SELECT count(*) FROM processes WHERE {_DEAD}", _died(before_ns, now_ns))  # noqa: S608
    return int(found.fetchone()[0])


def prune(connection: Connection, before_ns: int, now_ns: int) -> int:
    """Fold up to `STEP` processes that are dead, and said nothing since `before_ns`, into their services' sums.

    How many those were. One that may still go on with its row is not dead (`DEAD_SECONDS`).
    """
    rows = connection.execute(_TAKE, (*_died(before_ns, now_ns), STEP)).fetchall()
    past: dict[str, list[Any]] = {}
    for service, started_ns, seen_ns, *counts in rows:
        was = past.setdefault(service, [started_ns, seen_ns, Counts()])
        past[service] = [min(was[0], started_ns), max(was[1], seen_ns), was[2].plus(Counts(*counts))]
    for service, (started_ns, seen_ns, counts) in sorted(past.items()):
        connection.execute(_FOLD, (f"past {service}", service, started_ns, seen_ns, *counts))
    return len(rows)


def tidy(connection: Connection, now_ns: int) -> int:
    """Fold the long dead, unless another process did so within `TIDY_SECONDS`; how many."""
    until = str(now_ns + int(TIDY_SECONDS * _SECOND))
    if connection.execute(_CLAIM, (until, now_ns)).rowcount != 1:
        return 0
    return prune(connection, now_ns - int(KEPT_SECONDS * _SECOND), now_ns)


def _died(before_ns: int, now_ns: int) -> tuple[int, int]:
    return before_ns, now_ns - int(DEAD_SECONDS * _SECOND)


def _heartbeat(row: Sequence[Any]) -> Heartbeat:
    identifier, host, pid, service, version, sdks, started_ns, seen_ns, ended, queued, *counts = row
    *counts, calls, oldest_ns = counts
    return Heartbeat(
        id=identifier,
        host=host,
        pid=pid,
        service=service,
        version=version,
        sdks=json.loads(sdks),
        started_ns=started_ns,
        seen_ns=seen_ns,
        ended=bool(ended),
        queued=queued,
        counts=Counts(*counts),
        outbox=None if calls is None else Outbox(calls, oldest_ns),
    )


_COLUMNS: Final = (
    *("id", "host", "pid", "service", "version", "sdks", "started_ns", "seen_ns", "ended", "queued"),
    *(*Counts._fields, "outbox_calls", "outbox_oldest_ns"),
)
_BEAT: Final = f"""
    INSERT INTO processes ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
    ON CONFLICT (id) DO UPDATE SET {", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[1:])}
"""  # noqa: S608 - constants
# A row of the past is of no process: its pid is 0.
_SEEN: Final = f"""
    SELECT {", ".join(_COLUMNS)} FROM processes WHERE seen_ns >= ? AND pid > 0 ORDER BY seen_ns DESC, id
"""  # noqa: S608 - constants
_SUMS: Final = f"""
    SELECT service, {", ".join(f"CAST(sum({column}) AS BIGINT)" for column in Counts._fields)} FROM processes
    GROUP BY service ORDER BY service
"""  # noqa: S608 - constants
_DEAD: Final = "seen_ns < ? AND (ended = 1 OR seen_ns < ?) AND pid > 0"
# Taken out and read in one step, so that two that prune at once never count a row twice.
_TAKE: Final = f"""
    DELETE FROM processes WHERE id IN (SELECT id FROM processes WHERE {_DEAD} ORDER BY seen_ns LIMIT ?)
    RETURNING service, started_ns, seen_ns, {", ".join(Counts._fields)}
"""  # noqa: S608 - constants
_FOLD: Final = f"""
    INSERT INTO processes (id, host, pid, service, version, sdks, started_ns, seen_ns, ended, queued,
                           {", ".join(Counts._fields)})
    VALUES (?, '', 0, ?, '', '{{}}', ?, ?, 1, 0, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
        started_ns = CASE WHEN excluded.started_ns < processes.started_ns THEN excluded.started_ns
                          ELSE processes.started_ns END,
        seen_ns = CASE WHEN excluded.seen_ns > processes.seen_ns THEN excluded.seen_ns ELSE processes.seen_ns END,
        {", ".join(f"{column} = processes.{column} + excluded.{column}" for column in Counts._fields)}
"""  # noqa: S608 - constants
_CLAIM: Final = """
    INSERT INTO meta (key, value) VALUES ('processes', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value
    WHERE CAST(meta.value AS BIGINT) < ?
"""
