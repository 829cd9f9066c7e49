"""Alerts that others raised, filed next to our own. Every function is a step of a transaction."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_aicost.alerts.alert import BUDGET_EXCEEDED, THRESHOLD_REACHED
from otel_aicost.ledger.alerts import raise_alert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_aicost.alerts.alert import AlertRow
    from otel_aicost.ledger.store import Connection

SKEW_NS: Final = 60 * 10**9
"""So much later than an alert that it stands for may a row of ours have been raised: clocks differ."""
LOOKED_AT: Final = 200
"""Of the newest rows of a budget and key, how many may be the one."""
_DAY_NS: Final = 86_400 * 10**9
_ROLLING: Final = "rolling "


class Crossing(NamedTuple):
    """What an alert says of a budget, where it says the same as one of ours."""

    budget: str
    key: str
    threshold: Decimal | None
    """`None`: the limit is used up."""


def file_alert(connection: Connection, row: AlertRow) -> bool:
    """File the alert as it is now: `True` if it is new. One that is resolved stays so; what was read stays read."""
    if raise_alert(connection, row):
        return True
    if row.state == "resolved":
        connection.execute(_RESOLVE_WITH, (row.details, row.state_at_ns, row.fingerprint))
    return False


def own_alerts(connection: Connection, crossing: Crossing, at_ns: int) -> list[str]:
    """The ids of our own alerts of the same crossing in the window that held `at_ns`."""
    kind = BUDGET_EXCEEDED if crossing.threshold is None else THRESHOLD_REACHED
    parameters = (kind, crossing.budget, crossing.key, at_ns + SKEW_NS, LOOKED_AT)
    rows = connection.execute(_OWN, parameters).fetchall()
    return [str(row[0]) for row in rows if _stands_at(row, at_ns) and _is_of(row, crossing.threshold)]


def resolve(connection: Connection, identifier: str, now_ns: int) -> None:
    """Make an alert resolved, unless it is."""
    connection.execute(_RESOLVE, (now_ns, identifier))


def _is_of(row: Sequence[Any], threshold: Decimal | None) -> bool:
    share = json.loads(row[3]).get("share")
    return threshold is None or (share is not None and Decimal(share) == threshold)


def _stands_at(row: Sequence[Any], at_ns: int) -> bool:
    """Whether the window of one of our alerts goes on at that time."""
    _, raised_ns, window, details = row
    if window is not None and window.startswith(_ROLLING):
        return bool(at_ns < raised_ns + int(window.split()[1].removesuffix("s")) * 10**9)
    told = json.loads(details)
    if "share" not in told:  # of a single call: said once a day
        return bool(at_ns < raised_ns + _DAY_NS)
    resets_at = told.get("resets_at")
    return resets_at is None or at_ns < datetime.fromisoformat(resets_at).timestamp() * 10**9


_RESOLVE: Final = "UPDATE alerts SET state = 'resolved', state_at_ns = ? WHERE id = ? AND state <> 'resolved'"
_RESOLVE_WITH: Final = """
    UPDATE alerts SET state = 'resolved', details = ?, state_at_ns = ? WHERE fingerprint = ? AND state <> 'resolved'
"""
_OWN: Final = """
    SELECT id, at_ns, window_id, details FROM alerts
    WHERE source = 'aicost' AND kind = ? AND budget = ? AND coalesce(key, '') = ? AND at_ns <= ?
    ORDER BY at_ns DESC LIMIT ?
"""
