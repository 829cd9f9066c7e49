"""Alerts that others raised, filed next to our own. Every function is a step of a transaction."""

from __future__ import annotations

import json
import math
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_aicost.alerts.alert import BUDGET_EXCEEDED, OWN, THRESHOLD_REACHED
from otel_aicost.ledger.alerts import raise_alert

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.alerts.alert import AlertRow
    from otel_aicost.ledger.store import Connection

SKEW_NS: Final = 60 * 10**9
"""So much later than an alert that it stands for may a row of ours have been raised: clocks differ."""
LOOKED_AT: Final = 200
"""Of the newest rows of a budget and key, how many may be the one."""
_SECOND: Final = 10**9
_DAY_NS: Final = 86_400 * _SECOND
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


class Own(NamedTuple):
    """One of our own alerts that says as much as a crossing, or more."""

    id: str
    same: bool
    """It is of that very threshold; a call that passes several raises an alert of the highest only."""


def own_alerts(connection: Connection, crossing: Crossing, at_ns: int) -> list[Own]:
    """Our own alerts of that threshold or a higher one, in the window that held `at_ns`."""
    rows = connection.execute(_OWN, (crossing.budget, crossing.key, at_ns + SKEW_NS, LOOKED_AT)).fetchall()
    found = []
    for identifier, raised_ns, kind, window, details in rows:
        told = json.loads(details)
        share = Decimal(told.get("share", 1))
        least = Decimal(1) if crossing.threshold is None else crossing.threshold
        if share >= least and at_ns < _end_ns(raised_ns, window or "", told):
            found.append(Own(identifier, share == least or (crossing.threshold is None and kind == BUDGET_EXCEEDED)))
    return found


def resolve(connection: Connection, identifier: str, now_ns: int) -> None:
    """Make an alert resolved, unless it is."""
    connection.execute(_RESOLVE, (now_ns, identifier))


def _end_ns(raised_ns: int, window: str, told: Mapping[str, Any]) -> float:
    """When the window ends that one of our alerts is about."""
    if window.startswith(_ROLLING):
        return raised_ns + int(window.split()[1].removesuffix("s")) * _SECOND
    if "share" not in told:  # of a single call: said once a day
        return raised_ns + _DAY_NS
    resets_at = told.get("resets_at")
    return math.inf if resets_at is None else datetime.fromisoformat(resets_at).timestamp() * _SECOND


_RESOLVE: Final = "UPDATE alerts SET state = 'resolved', state_at_ns = ? WHERE id = ? AND state <> 'resolved'"
_RESOLVE_WITH: Final = """
    UPDATE alerts SET state = 'resolved', details = ?, state_at_ns = ? WHERE fingerprint = ? AND state <> 'resolved'
"""
_OWN: Final = f"""
    SELECT id, at_ns, kind, window_id, details FROM alerts
    WHERE source = '{OWN}' AND kind IN ('{BUDGET_EXCEEDED}', '{THRESHOLD_REACHED}')
          AND budget = ? AND coalesce(key, '') = ? AND at_ns <= ?
    ORDER BY at_ns DESC LIMIT ?
"""  # noqa: S608 - constants
