"""What a channel is sent: one message for everything that is due, as plain text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from otel_aicost.alerts.alert import DAILY_SUMMARY, SEVERITIES, TEST, AlertRow, Severity, alert, plain
from otel_aicost.alerts.summary import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHOWN: Final = 25
"""Alerts that are written out in one message."""
_SECOND: Final = 10**9


class Message(NamedTuple):
    """A title and a body of plain text."""

    severity: Severity
    """The worst of what is in it."""
    title: str
    body: str


def message(rows: Sequence[AlertRow], zone: str) -> Message:
    """One message of some alerts, the worst first; times are those of `zone`."""
    rows = sorted(rows, key=lambda row: (-SEVERITIES.index(row.severity), row.at_ns))
    worst = rows[0].severity
    if len(rows) == 1:
        (row,) = rows
        return Message(worst, f"{_mark(row)}{row.title}", "\n".join(_lines(row, zone)))
    parts = ["\n".join((f"{_mark(row)}{row.title}", *_lines(row, zone))) for row in rows[:SHOWN]]
    if len(rows) > SHOWN:
        parts.append(f"... and {len(rows) - SHOWN} more: aicost alerts")
    return Message(worst, f"{len(rows)} alerts of otel-aicost, the worst is {worst}", "\n\n".join(parts))


def trial_alert(channel: str, now_ns: int) -> AlertRow:
    """What `aicost alerts test` sends."""
    title = f"This is a test of the channel {channel}: alerts of otel-aicost arrive here"
    return alert(TEST, "info", title, once=(channel, str(now_ns)), at_ns=now_ns, details={})


def _mark(row: AlertRow) -> str:
    return "" if row.kind in {DAILY_SUMMARY, TEST} else f"[{row.severity}] "


def _lines(row: AlertRow, zone: str) -> Iterator[str]:
    details: dict[str, Any] = json.loads(row.details)
    if row.kind == DAILY_SUMMARY:
        yield from _summary(details)
    at = datetime.fromtimestamp(row.at_ns // _SECOND, UTC).astimezone(ZoneInfo(zone))
    yield f"{row.kind}, {at:%Y-%m-%d %H:%M} {zone}, {row.id[:8]}"


def _summary(details: dict[str, Any]) -> Iterator[str]:
    for part, heading in PARTS.items():
        if details.get(part):
            yield f"{heading}:"
            yield from (f"  {plain(each['name'])}: {each['spent']} USD" for each in details[part])
