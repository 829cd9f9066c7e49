"""How the budgets in a ledger stand: every window that counts now, with what is spent, reserved and left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection

UNITS: Final = ("USD", "tokens", "calls")


@dataclass(frozen=True, slots=True)
class Standing:
    """One window of one budget in one unit."""

    budget: str
    key: str
    window: str
    unit: str
    """`USD` (then amounts are nano-dollars), `tokens` or `calls`."""
    spent: int
    reserved: int
    """What calls on their way may still cost; reservations of killed processes are left out."""
    limit: int
    """The one of the last decision."""
    resets_at: int | None
    """Seconds since the epoch; of a rolling window, when the oldest of its spend stops to count."""

    @property
    def remaining(self) -> int:
        """What is left, 0 when the limit is passed."""
        return max(0, self.limit - self.spent - self.reserved)


def standings(connection: Connection, now_ns: int) -> list[Standing]:
    """Every window that counts at `now_ns`, by budget and key; the steps of a rolling window are one."""
    found: dict[tuple[str, str, str], list[int | None]] = {}
    limits: dict[tuple[str, str, str], list[int | None]] = {}
    for row in connection.execute(_WINDOWS, {"now": now_ns // 10**9, "now_ns": now_ns}):
        budget, key, window, until, *amounts = row
        name = window.rpartition(" ")[0] if window.startswith("rolling ") else window
        place = (budget, key, name)
        limits[place] = amounts[:3]  # the rows are in the order of time: those of the newest step hold
        sums = found.setdefault(place, [until, 0, 0, 0, 0, 0, 0])
        for index, amount in enumerate(amounts[3:], 1):
            sums[index] = (sums[index] or 0) + amount
    return [
        Standing(*place, unit, sums[index + 1] or 0, sums[index + 4] or 0, limit, sums[0])
        for place, sums in found.items()
        for index, unit in enumerate(UNITS)
        if (limit := limits[place][index]) is not None
    ]


_WINDOWS: Final = text("""
    SELECT w.budget, w.key, w.window_id, w.counts_until, w.limit_nano, w.limit_tokens, w.limit_calls,
           w.spent_nano, w.spent_tokens, w.spent_calls,
           coalesce(sum(r.nano), 0), coalesce(sum(r.tokens), 0), coalesce(sum(r.calls), 0)
    FROM budget_windows w LEFT JOIN reservations r
         ON r.budget = w.budget AND r.key = w.key AND r.window_id = w.window_id
            AND r.lease_until_ns > :now_ns
    WHERE (w.counts_until IS NULL OR w.counts_until > :now) AND (w.starts_at IS NULL OR w.starts_at <= :now)
    GROUP BY w.budget, w.key, w.window_id, w.counts_until, w.starts_at, w.limit_nano, w.limit_tokens, w.limit_calls,
             w.spent_nano, w.spent_tokens, w.spent_calls
    ORDER BY w.budget, w.key, w.starts_at, w.window_id
""")
