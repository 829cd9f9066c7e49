"""The queue of messages in a ledger: which alert goes to which channel, when, and how that went.

An alert is its own place in the queue: `enqueue` makes the rows of those that have none, whoever raised them. So
nothing is lost between an alert and its messages, also where the process that raised it knows no channel. A message is
taken by moving its next try into the future: two processes never send it at the same time, and if the one that has
it is killed, it is sent again when that time comes. Every function is a step of a transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from otel_aicost.alerts.alert import DAILY_SUMMARY, OWN, AlertRow
from otel_aicost.ledger.alerts import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_aicost.alerts.settings import Channel
    from otel_aicost.ledger.store import Connection

_SECOND: Final = 10**9
KEPT_NS: Final = 7 * 86_400 * _SECOND
"""An alert that could not be sent for so long, or that someone resolved, is sent no more."""
LEASE_NS: Final = 120 * _SECOND
"""How long a message that was taken is left to whoever took it."""
FIRST_PAUSE_NS: Final = 30 * _SECOND
LONGEST_PAUSE_NS: Final = 86_400 * _SECOND
MOST: Final = 100
"""Alerts that are taken for a channel at once; they become one message."""
_DOUBLINGS: Final = 20


class Taken(NamedTuple):
    """An alert that is to be sent now, by whoever took it."""

    alert: AlertRow
    attempt: int
    """From 1."""


class Delivery(NamedTuple):
    """How it stands with an alert and a channel."""

    channel: str
    attempts: int
    next_ns: int
    sent_ns: int | None
    error: str | None


def deliveries(connection: Connection, ids: Sequence[str]) -> dict[str, list[Delivery]]:
    """What was, or is to be, sent of these alerts, by their ids."""
    found: dict[str, list[Delivery]] = {}
    for identifier in ids:
        rows = connection.execute(_OF, (identifier,)).fetchall()
        found[identifier] = [Delivery(*row) for row in rows]
    return found


def enqueue(connection: Connection, channels: Iterable[Channel], now_ns: int) -> int:
    """Put every alert that a channel wants and is not in its queue yet there; how many that were.

    Those that Alertmanager sent us are left out: it has sent its messages of them itself.
    """
    added = 0
    for channel in channels:
        severities = (*channel.severities, *[channel.severities[-1]] * (3 - len(channel.severities)))
        parameters = (channel.name, now_ns, now_ns - KEPT_NS, int(channel.daily_summary), *severities, channel.name)
        added += connection.execute(_ENQUEUE, parameters).rowcount
    return added


def take(connection: Connection, channel: str, now_ns: int) -> list[Taken]:
    """Take what is due for a channel: it is the caller's for `LEASE_NS`, and to be sent after the transaction."""
    rows = connection.execute(_DUE, (channel, now_ns, now_ns - KEPT_NS, MOST)).fetchall()
    taken = []
    for attempts, due_ns, *columns in rows:
        row = AlertRow(*columns)
        # On PostgreSQL another one may have seen the same row: whoever moves it has it.
        if connection.execute(_TAKE, (now_ns + LEASE_NS, row.id, channel, due_ns)).rowcount:
            taken.append(Taken(row, attempts + 1))
    return taken


def sent(connection: Connection, channel: str, taken: Iterable[Taken], now_ns: int) -> None:
    """These have arrived."""
    for each in taken:
        connection.execute(_SENT, (now_ns, each.alert.id, channel))


def failed(connection: Connection, channel: str, taken: Iterable[Taken], error: str, now_ns: int) -> None:
    """These have not: they are tried again after a pause that doubles, up to a day. `error` holds no secret."""
    for each in taken:
        connection.execute(_FAILED, (error, now_ns + pause_ns(each.attempt), each.alert.id, channel, each.attempt))


def next_ns(connection: Connection, channels: Sequence[str], now_ns: int) -> int | None:
    """When the next message of these channels is due; `None`: there is none."""
    if not channels:
        return None
    sql = f"{_NEXT} AND d.channel IN ({', '.join('?' * len(channels))})"
    found = connection.execute(sql, (now_ns - KEPT_NS, *channels)).fetchone()[0]
    return None if found is None else int(found)


def pause_ns(attempt: int) -> int:
    """The pause after so many tries: 30 s, 1 min, 2 min ... a day."""
    return min(FIRST_PAUSE_NS << min(attempt - 1, _DOUBLINGS), LONGEST_PAUSE_NS)


_OF: Final = """
    SELECT channel, attempts, next_ns, sent_ns, error FROM deliveries WHERE alert_id = ? ORDER BY channel
"""
_ENQUEUE: Final = f"""
    INSERT INTO deliveries (alert_id, channel, attempts, next_ns)
    SELECT a.id, CAST(? AS TEXT), 0, CAST(? AS BIGINT)
    FROM alerts a
    WHERE a.at_ns >= ? AND a.state <> 'resolved' AND a.source = '{OWN}'
          AND CASE WHEN a.kind = '{DAILY_SUMMARY}' THEN CAST(? AS INTEGER) = 1 ELSE a.severity IN (?, ?, ?) END
          AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.alert_id = a.id AND d.channel = ?)
    ON CONFLICT (alert_id, channel) DO NOTHING
"""  # noqa: S608 - constants
_DUE: Final = f"""
    SELECT d.attempts, d.next_ns, {", ".join(f"a.{column}" for column in COLUMNS)}
    FROM alerts a JOIN deliveries d ON d.alert_id = a.id
    WHERE d.channel = ? AND d.sent_ns IS NULL AND d.next_ns <= ? AND a.at_ns >= ? AND a.state <> 'resolved'
    ORDER BY a.at_ns, a.id LIMIT ?
"""  # noqa: S608 - constants
_TAKE: Final = """
    UPDATE deliveries SET next_ns = ?, attempts = attempts + 1
    WHERE alert_id = ? AND channel = ? AND sent_ns IS NULL AND next_ns = ?
"""
_SENT: Final = "UPDATE deliveries SET sent_ns = ?, error = NULL WHERE alert_id = ? AND channel = ?"
_FAILED: Final = """
    UPDATE deliveries SET error = ?, next_ns = ?
    WHERE alert_id = ? AND channel = ? AND attempts = ? AND sent_ns IS NULL
"""
_NEXT: Final = """
    SELECT min(d.next_ns) FROM alerts a JOIN deliveries d ON d.alert_id = a.id
    WHERE d.sent_ns IS NULL AND a.at_ns >= ? AND a.state <> 'resolved'
"""
