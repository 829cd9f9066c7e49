"""How the budgets in a ledger stand: every window that counts now, with what is spent, reserved and left."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from otel_aicost.budgets.budget import Amounts, Limits
from otel_aicost.budgets.window import FOREVER, counts_until, window_at
from otel_aicost.ledger.balances import ANY_KEY
from otel_aicost.ledger.limits import definitions, holding, limits_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from otel_aicost.budgets.budget import Budget
    from otel_aicost.ledger.store import Connection

UNITS: Final = ("USD", "tokens", "calls")
ROLLING: Final = "rolling "
"""What the ids of the steps of rolling windows begin with."""
EARLY: Final = Decimal("0.05")
"""Before this share of a window is gone, nothing is projected from it."""

State = Literal["ok", "warned", "exceeded"]
Source = Literal["set", "definition", "last call"]


@dataclass(frozen=True, slots=True)
class Standing:
    """One window of one budget in one unit."""

    budget: str
    key: str | None
    """`None`: the budget has a window for each key, and none yet."""
    window: str
    unit: str
    """`USD` (then amounts are nano-dollars), `tokens` or `calls`."""
    spent: int
    reserved: int
    """What calls on their way may still cost; reservations of killed processes are left out."""
    limit: int
    """The one that holds now."""
    source: Source
    """Where the limit is from: set by hand, the definition, or the last call that was held against it."""
    starts_at: int | None
    """Seconds since the epoch; `None` for rolling windows and those that have always been."""
    resets_at: int | None
    """Seconds since the epoch; of a rolling window, when the oldest of its spend stops to count."""
    timezone: str | None
    """The budget's, where its definition is known."""
    gone: Decimal | None
    """The share of the window that is over; `None` where it has no beginning or end of its own."""
    state: State
    """`exceeded`: all is spent; `warned`: a share of `alert_at` is reached."""

    @property
    def remaining(self) -> int:
        """What is left, 0 when the limit is passed."""
        return max(0, self.limit - self.spent - self.reserved)

    @property
    def share(self) -> Decimal | None:
        """The share of the limit that is spent, 1 for all; `None` where the limit is 0 and something is spent."""
        if self.limit:
            return Decimal(self.spent) / self.limit
        return None if self.spent else Decimal(0)

    @property
    def projected(self) -> int | None:
        """What will be spent at the end of the window if it goes on so; `None` where that is too early to say."""
        return None if self.gone is None or self.gone < EARLY else int(self.spent / self.gone)

    def reached(self, share: Decimal) -> bool:
        """Whether so much of the limit is spent."""
        return self.share is None or self.share >= share

    @property
    def rank(self) -> Decimal:
        """What the worst are found by."""
        return Decimal("Infinity") if self.share is None else self.share


class _Known(NamedTuple):
    """What is known of the budgets besides their windows."""

    budgets: Mapping[str, Budget]
    set_by_hand: Mapping[tuple[str, str], Limits]
    reserved: Mapping[tuple[str, str, str], Amounts]
    now: int


def standings(  # noqa: PLR0913, PLR0917 - each chooses
    connection: Connection,
    now_ns: int,
    budgets: Iterable[Budget] = (),
    name: str | None = None,
    key: str | None = None,
    only: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Iterator[Standing]:
    """Every window that counts at `now_ns`, by budget and key; the steps of a rolling window are one.

    `budgets`: those of a file, or none: then those that programs started with. One that has no window yet stands with
    nothing spent. `name` and `key` choose; `only`: of these budgets these keys, of the others all.
    """
    stored = definitions(connection)  # what programs hold calls to; the file may have changed since they started
    own = {budget.name: budget for budget in budgets} or stored
    known = _Known(
        {**own, **stored},
        {(row.budget, row.key): row.limits for row in limits_set(connection)},
        _reserved(connection, now_ns),
        now_ns // 10**9,
    )
    seen = set()
    for (budget, its_key, _), rows in groupby(_chosen(connection, known.now, (name, key), only), _place):
        seen.add(budget)
        yield from _standing(budget, its_key, list(rows), known)
    for budget_name, defined in sorted(own.items()):
        if budget_name not in seen and name in (None, budget_name):
            yield from _untouched(defined, key, known)


def how_many(connection: Connection, now_ns: int) -> dict[str, int]:
    """Budget -> how many of its windows count at `now_ns`; one that rolls is one, whatever its steps."""
    found: dict[str, int] = {}
    now = now_ns // 10**9
    for budget, count, rolls in connection.execute(_HOW_MANY, (now, now)).fetchall():
        if rolls:
            count = connection.execute(_KEYS, (now, now, budget)).fetchone()[0]  # noqa: PLW2901 - steps, so far
        found[budget] = int(count)
    return found


def nearest(connection: Connection, now_ns: int, budget: str, most: int) -> list[str]:
    """The keys of a budget whose windows are the nearest to their limits, as far as the last calls knew these."""
    now = now_ns // 10**9
    return [key for key, _ in connection.execute(_NEAREST, (now, now, budget, most)).fetchall()]


def untouched(
    budgets: Iterable[Budget], now_ns: int, name: str | None = None, key: str | None = None
) -> Iterator[Standing]:
    """How budgets stand where there is no ledger yet."""
    for budget in budgets:
        if name in (None, budget.name):
            yield from _untouched(budget, key, _Known({}, {}, {}, now_ns // 10**9))


def _reserved(connection: Connection, now_ns: int) -> dict[tuple[str, str, str], Amounts]:
    rows = connection.execute(_RESERVED, (now_ns,)).fetchall()
    return {(row[0], row[1], row[2]): Amounts(*row[3:6]) for row in rows}


def _chosen(
    connection: Connection, now: int, place: tuple[str | None, str | None], only: Mapping[str, Sequence[str]]
) -> Iterator[Sequence[Any]]:
    for budget, keys in only.items():
        for each in keys:
            yield from _windows(connection, now, budget, each, ())
    yield from _windows(connection, now, *place, tuple(only))


def _windows(
    connection: Connection, now: int, name: str | None, key: str | None, without: tuple[str, ...]
) -> Iterator[Sequence[Any]]:
    where = ""
    parameters: list[Any] = [now, now, *without]
    if without:
        where += f" AND budget NOT IN ({', '.join('?' * len(without))})"
    for column, value in (("budget", name), ("key", key)):
        if value is not None:
            where += f" AND {column} = ?"
            parameters.append(value)
    cursor = connection.execute(_WINDOWS.format(where=where), parameters)
    while (row := cursor.fetchone()) is not None:  # there may be millions
        yield row


def _place(row: Sequence[Any]) -> tuple[str, str, str]:
    budget, key, window = row[:3]
    return budget, key, window.rpartition(" ")[0] if window.startswith(ROLLING) else window


def _standing(budget: str, key: str, rows: list[Sequence[Any]], known: _Known) -> Iterator[Standing]:
    window, rolling = _place(rows[0])[2], rows[0][2].startswith(ROLLING)
    last, defined = rows[-1], known.budgets.get(budget)
    ends = [row[4] for row in rows if row[4] is not None and (any(row[8:11]) or _place_of(row) in known.reserved)]
    starts_at = None if rolling else last[3]
    resets_at = min(ends, default=rows[0][4])
    held = [known.reserved.get(_place_of(row), Amounts()) for row in rows]
    limits = Limits(*last[5:8]) if defined is None else defined.limits_of(key)
    now = holding(known.set_by_hand, budget, key, limits)
    source: Source = "last call" if defined is None else "definition"
    said = max(_share(row[11]) for row in rows)
    for index, unit in enumerate(UNITS):
        limit = now[index]
        if limit is None:
            continue
        spent = sum(row[8 + index] for row in rows)
        yield Standing(
            budget,
            key,
            window,
            unit,
            spent,
            sum(amounts[index] for amounts in held),
            limit,
            source if limits[index] == limit else "set",
            starts_at,
            resets_at,
            None if defined is None else defined.timezone,
            _gone(starts_at, resets_at, known.now),
            _state(spent, limit, said, defined),
        )


def _untouched(budget: Budget, key: str | None, known: _Known) -> Iterator[Standing]:
    """A budget of the file that no call was held against in this window."""
    zone = ZoneInfo(budget.timezone)
    its_key = key if budget.per else ""
    if key is not None and its_key != key:
        return
    limits = budget.limits if its_key is None else budget.limits_of(its_key)
    now = holding(known.set_by_hand, budget.name, ANY_KEY if its_key is None else its_key, limits)
    call = budget.period.kind == "call"
    window = FOREVER if call else window_at(budget.period, known.now, zone)
    rolling = bool(window.group)
    start = None if rolling else window.start
    end = None if rolling else counts_until(budget.period, window)
    shown = "each call" if call else window.group.strip() or window.id
    for index, unit in enumerate(UNITS):
        limit = now[index]
        if limit is not None:
            source: Source = "definition" if limits[index] == limit else "set"
            gone = _gone(start, end, known.now)
            yield Standing(
                budget.name, its_key, shown, unit, 0, 0, limit, source, start, end, budget.timezone, gone, "ok"
            )


def _place_of(row: Sequence[Any]) -> tuple[str, str, str]:
    return row[0], row[1], row[2]


def _share(text: str | None) -> Decimal:
    return Decimal(text or 0)


def _gone(start: int | None, end: int | None, now: int) -> Decimal | None:
    return None if start is None or end is None or end <= start else Decimal(now - start) / (end - start)


def _state(spent: int, limit: int, said: Decimal, defined: Budget | None) -> State:
    if spent and spent >= limit:
        return "exceeded"
    warned = [said, *(() if defined is None else defined.alert_at)]
    return "warned" if any(share and spent >= share * limit for share in warned) and spent else "ok"


_RESERVED: Final = """
    SELECT budget, key, window_id, CAST(sum(nano) AS BIGINT), CAST(sum(tokens) AS BIGINT), CAST(sum(calls) AS BIGINT)
    FROM reservations
    WHERE lease_until_ns > ? GROUP BY budget, key, window_id
"""
_COUNTS: Final = "(counts_until IS NULL OR counts_until > ?) AND (starts_at IS NULL OR starts_at <= ?)"
_COLUMNS: Final = """budget, key, window_id, starts_at, counts_until, limit_nano, limit_tokens, limit_calls,
    spent_nano, spent_tokens, spent_calls, alerted"""
_WINDOWS: Final = f"""
    SELECT {_COLUMNS} FROM budget_windows
    WHERE {_COUNTS}{{where}}
    ORDER BY budget, key, window_id
"""  # noqa: S608 - constants
_HOW_MANY: Final = f"""
    SELECT budget, count(*), max(CASE WHEN window_id LIKE '{ROLLING}%' THEN 1 ELSE 0 END) FROM budget_windows
    WHERE {_COUNTS} GROUP BY budget ORDER BY budget
"""  # noqa: S608 - constants
_KEYS: Final = f"SELECT count(DISTINCT key) FROM budget_windows WHERE {_COUNTS} AND budget = ?"  # noqa: S608 - constants
_SHARES: Final = ", ".join(
    f"coalesce(sum(spent_{unit}) * 1.0 / max(CASE WHEN limit_{unit} > 0 THEN limit_{unit} END), 0) AS {unit}"
    for unit in ("nano", "tokens", "calls")
)
_NEAREST: Final = f"""
    SELECT key, CASE WHEN nano >= tokens AND nano >= calls THEN nano WHEN tokens >= calls THEN tokens ELSE calls END
    FROM (SELECT key, {_SHARES} FROM budget_windows WHERE {_COUNTS} AND budget = ? GROUP BY key) AS shares
    ORDER BY 2 DESC, 1 LIMIT ?
"""  # noqa: S608 - constants
