"""What the monitors look at: sums over the calls of a stretch of time. All of it is read, none of it holds a lock.

Times are nanoseconds since the epoch, from `start` (inclusive) to `end` (exclusive); money is nano-dollars. Only single
calls are summed: of calls that were folded into daily totals nobody knows the hour.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

from otel_aicost.alerts.monitors import CacheUse, ModelSpend, UnpricedCalls
from otel_aicost.alerts.summary import TOP, DaySpend

if TYPE_CHECKING:
    from otel_aicost.ledger.store import Connection

LEAST_CACHEABLE: Final = 1024
"""Tokens a prompt must have before the providers cache it."""
CACHEABLE: Final = ("chat", "generate_content", "text_completion")


def first_call_ns(connection: Connection) -> int | None:
    """When the oldest single call began; `None`: there is none."""
    found = connection.execute("SELECT min(started_ns) FROM calls").fetchone()[0]
    return None if found is None else int(found)


def spent(connection: Connection, start: int, end: int) -> DaySpend:
    """What the calls cost that were sent, how many they are, and how many have no known cost."""
    sql = f"SELECT {_NANO}, count(*), {_UNPRICED} FROM calls {_WHEN} AND status <> 'blocked'"  # noqa: S608 - constants
    row = connection.execute(sql, (start, end)).fetchone()
    return DaySpend(*map(int, row))


def by_model(connection: Connection, start: int, end: int) -> list[ModelSpend]:
    """What each model cost."""
    sql = f"SELECT provider, model, {_NANO}, count(*) FROM calls {_WHEN} GROUP BY provider, model"  # noqa: S608 - as above
    return [ModelSpend(*row) for row in connection.execute(sql, (start, end)).fetchall()]


def cache_use(connection: Connection, start: int, end: int) -> list[CacheUse]:
    """The calls of each model whose prompts a provider could have cached."""
    sql = f"""
        SELECT provider, model, count(*), CAST(sum(input_tokens) AS BIGINT), CAST(sum(cache_read_tokens) AS BIGINT)
        FROM calls {_WHEN} AND input_tokens >= ? AND operation IN (?, ?, ?) AND status <> 'blocked'
        GROUP BY provider, model
    """  # noqa: S608 - as above
    rows = connection.execute(sql, (start, end, LEAST_CACHEABLE, *CACHEABLE))
    return [CacheUse(*row) for row in rows.fetchall()]


def unpriced(connection: Connection, start: int, end: int) -> list[UnpricedCalls]:
    """The calls without a known cost, by model and reason."""
    sql = f"""
        SELECT provider, model, unpriced, count(*) FROM calls {_WHEN} AND unpriced IS NOT NULL
        GROUP BY provider, model, unpriced
    """  # noqa: S608 - as above
    return [UnpricedCalls(*row) for row in connection.execute(sql, (start, end)).fetchall()]


def catalogues(connection: Connection, start: int, end: int) -> list[str]:
    """The price catalogues that calls were priced with."""
    sql = f"SELECT DISTINCT catalogue FROM calls {_WHEN} AND catalogue IS NOT NULL"  # noqa: S608 - as above
    return [name for (name,) in connection.execute(sql, (start, end)).fetchall()]


def by_budget(connection: Connection, start: int, end: int) -> list[tuple[str, int]]:
    """What the calls took of each budget that they were held against, the dearest first."""
    sql = """
        SELECT e.budget, CAST(sum(e.nano) AS BIGINT) FROM calls c JOIN budget_entries e ON e.call_id = c.id
        WHERE c.started_ns >= ? AND c.started_ns < ?
        GROUP BY e.budget ORDER BY 2 DESC, 1
    """
    return [(name, int(nano)) for name, nano in connection.execute(sql, (start, end)).fetchall()]


def by_tags(connection: Connection, start: int, end: int, keys: tuple[str, ...]) -> dict[str, list[tuple[str, int]]]:
    """For each key the `TOP` values of that tag whose calls cost the most."""
    sums: dict[str, Counter[str]] = {key: Counter() for key in keys}
    sql = f"SELECT tags, {_NANO} FROM calls {_WHEN} GROUP BY tags"  # noqa: S608 - as above
    rows = connection.execute(sql, (start, end))
    while (row := rows.fetchone()) is not None:
        tags = json.loads(row[0])
        for key in keys:
            if key in tags:
                sums[key][tags[key]] += int(row[1])
    return {key: sorted(found.items(), key=lambda each: (-each[1], each[0]))[:TOP] for key, found in sums.items()}


_WHEN: Final = "WHERE started_ns >= ? AND started_ns < ?"
_NANO: Final = "CAST(coalesce(sum(cost_nano), 0) AS BIGINT)"
_UNPRICED: Final = "CAST(coalesce(sum(CASE WHEN unpriced IS NULL THEN 0 ELSE 1 END), 0) AS BIGINT)"
