"""What one call has to do with budgets: its entries, and how the windows stand that they are in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_aicost.budgets.budget import Amounts, Limits, Subject
from otel_aicost.ledger.balances import AFTER_DIGITS
from otel_aicost.ledger.limits import definitions, holding, limits_set
from otel_aicost.ledger.schema import CALL_COLUMNS
from otel_aicost.ledger.standings import ROLLING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.ledger.store import Connection

WHOLE: Final = 36
"""Characters of an id."""


class Entry(NamedTuple):
    """A call in one window of a budget."""

    budget: str
    key: str
    window: str
    reserved: Amounts
    """Before it was sent; nothing, where the budget only warns."""
    settled: Amounts
    """What it was found to take."""
    spent: Amounts | None
    """What the window holds by now; `None`: there is none: it is pruned, or each call is by itself."""
    limits: Limits
    """Those that hold now."""


def calls_beginning(connection: Connection, prefix: str, most: int) -> list[dict[str, Any]]:
    """At most `most` calls whose ids begin so, with all their columns, the oldest first."""
    where = "id = ?" if len(prefix) >= WHOLE else "substr(id, 1, ?) = ?"
    parameters = (prefix,) if len(prefix) >= WHOLE else (len(prefix), prefix)
    rows = connection.execute(
        f"SELECT {', '.join(CALL_COLUMNS)} FROM calls WHERE {where} ORDER BY id LIMIT {int(most)}",  # noqa: S608
        parameters,
    ).fetchall()
    return [dict(zip(CALL_COLUMNS, row, strict=True)) for row in rows]


def entries_of(connection: Connection, call_id: str, now_ns: int) -> list[Entry]:
    """The entries of a call, by budget and key; a window that rolls is told as it stands at `now_ns`."""
    defined = definitions(connection)
    by_hand = {(row.budget, row.key): row.limits for row in limits_set(connection)}
    entries = []
    for row in connection.execute(_ENTRIES, (call_id,)).fetchall():
        budget, key, window = row[:3]
        known = defined.get(budget)
        usual = Limits(*row[12:15]) if known is None else known.limits_of(key)
        spent = None if row[9] is None else Amounts(*row[9:12])
        if window.startswith(ROLLING):
            window = window.rpartition(" ")[0]
            place = (budget, key, f"{window} ", f"{window} {AFTER_DIGITS}", now_ns // 10**9)
            spent = Amounts(*connection.execute(_STEPS, place).fetchone())
        limits = holding(by_hand, budget, key, usual)
        entries.append(Entry(budget, key, window, Amounts(*row[6:9]), Amounts(*row[3:6]), spent, limits))
    return entries


def subject_of(call: Mapping[str, Any]) -> Subject:
    """The call as budgets see it."""
    return Subject(
        call["provider"],
        call["request_model"] or "",
        call["operation"],
        call["service"],
        json.loads(call["tags"]),
        call["trace_id"],
    )


_STEPS: Final = """
    SELECT CAST(coalesce(sum(spent_nano), 0) AS BIGINT), CAST(coalesce(sum(spent_tokens), 0) AS BIGINT),
           CAST(coalesce(sum(spent_calls), 0) AS BIGINT)
    FROM budget_windows
    WHERE budget = ? AND key = ? AND window_id >= ? AND window_id <= ? AND (counts_until IS NULL OR counts_until > ?)
"""
_ENTRIES: Final = """
    SELECT e.budget, e.key, e.window_id, e.nano, e.tokens, e.calls, e.reserved_nano, e.reserved_tokens,
           e.reserved_calls, w.spent_nano, w.spent_tokens, w.spent_calls, w.limit_nano, w.limit_tokens, w.limit_calls
    FROM budget_entries e LEFT JOIN budget_windows w
         ON w.budget = e.budget AND w.key = e.key AND w.window_id = e.window_id
    WHERE e.call_id = ? ORDER BY e.budget, e.key, e.window_id
"""
