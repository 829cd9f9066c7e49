"""The balances of budgets: what is spent and reserved in each window. Every function is a step of a transaction.

The transaction holds the write lock from its beginning, so that nobody else spends between the look at a balance and
the reservation. Money is whole nano-dollars, times are nanoseconds or, of windows, seconds since the epoch.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_aicost.budgets.budget import Amounts, crossed, exceeded
from otel_aicost.budgets.window import counts_until

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from otel_aicost.budgets.budget import Line

EXPIRED_AT_ONCE: Final = 200
KEPT_NS: Final = 3600 * 10**9
"""How long a settled reservation is remembered, so that settling it again does nothing."""
AFTER_DIGITS: Final = ":"
"""Sorts after every digit: the ids of the steps of a rolling window lie between its group and this."""


class Refusal(NamedTuple):
    """Why a call does not fit: the line, which of the amounts, and how the window stands."""

    line: Line
    unit: int
    """0: nano-dollars, 1: tokens, 2: calls."""
    spent: Amounts
    reserved: Amounts
    resets_at: int | None
    """When spend stops to count in this window, seconds since the epoch; for a rolling one, the oldest of it."""


class Settlement(NamedTuple):
    """What a call really took, by the id of its reservation; nothing, where it failed."""

    id: str
    lines: tuple[Line, ...]


class Alert(NamedTuple):
    """A share of a limit that was reached just now, for the first time in this window."""

    line: Line
    share: Decimal
    spent: Amounts


class _Balance(NamedTuple):
    spent: Amounts
    reserved: Amounts
    resets_at: int | None
    said: Decimal


def reserve(
    connection: sqlite3.Connection, identifier: str, lines: Sequence[Line], now_ns: int, until_ns: int
) -> Refusal | None:
    """Reserve for all lines until `until_ns`, or for none: then why not. Each line is of another budget."""
    expire(connection, now_ns)
    for line in lines:
        balance = _balance(connection, line)
        taken = Amounts(*(one + other for one, other in zip(balance.spent, balance.reserved, strict=True)))
        unit = exceeded(line.checked, taken, line.amounts)
        if unit is not None:
            return Refusal(line, unit, balance.spent, balance.reserved, balance.resets_at)
    for line in lines:
        _add(connection, line, reserved=line.amounts)
        connection.execute(_RESERVATION, (identifier, *_key(line), *line.amounts, "open", until_ns))
    return None


def settle(connection: sqlite3.Connection, settlement: Settlement, now_ns: int) -> list[Alert]:
    """Turn what was reserved into what was spent, once: a second time changes nothing."""
    alerts = []
    for line in settlement.lines:
        row = connection.execute(_FOUND, (settlement.id, *_key(line))).fetchone()
        if row is None and not any(line.amounts):
            continue
        state, held = (row[0], Amounts(*row[1:])) if row else (None, Amounts())
        if state == "settled":
            continue
        _add(connection, line, spent=line.amounts, freed=held if state == "open" else Amounts())
        connection.execute(_RESERVATION, (settlement.id, *_key(line), *line.amounts, "settled", now_ns))
        if any(line.amounts):
            alerts += _alerts(connection, line)
    return alerts


def expire(connection: sqlite3.Connection, now_ns: int) -> None:
    """Give back what is reserved by leases that ran out: their process was killed, or stopped."""
    found = connection.execute(_EXPIRED, (now_ns, EXPIRED_AT_ONCE)).fetchall()
    for identifier, *rest in found:
        key, held = rest[:3], rest[3:]
        connection.execute(_GIVE_BACK, (*held, *key))
        connection.execute(_EXPIRE, (identifier, *key))


def renew(connection: sqlite3.Connection, identifiers: Iterable[str], until_ns: int) -> None:
    """Hold open reservations until `until_ns`."""
    connection.executemany(
        "UPDATE reservations SET lease_until_ns = ? WHERE id = ? AND state = 'open'",
        [(until_ns, identifier) for identifier in identifiers],
    )


def forget(connection: sqlite3.Connection, now_ns: int) -> None:
    """Delete reservations that were settled, or expired, long ago."""
    for state in ("settled", "expired"):
        connection.execute(_FORGET, (state, now_ns - KEPT_NS))


def _key(line: Line) -> tuple[str, str, str]:
    return line.budget.name, line.key, line.window.id


def _balance(connection: sqlite3.Connection, line: Line) -> _Balance:
    """How the window stands; a rolling one is the sum of its steps that still count."""
    window = line.window
    first, last = (window.group, window.group + AFTER_DIGITS) if window.group else (window.id, window.id)
    row = connection.execute(_BALANCE, (line.budget.name, line.key, first, last, window.start or 0)).fetchone()
    until = row[6] if row[6] is not None else counts_until(line.budget.period, window)
    return _Balance(Amounts(*row[:3]), Amounts(*row[3:6]), until, Decimal(row[7] or 0))


def _add(
    connection: sqlite3.Connection,
    line: Line,
    spent: Amounts = Amounts(),  # noqa: B008 - frozen
    reserved: Amounts = Amounts(),  # noqa: B008
    freed: Amounts = Amounts(),  # noqa: B008
) -> None:
    window = line.window
    values = (*_key(line), window.start, counts_until(line.budget.period, window), *line.limits, *spent, *reserved)
    connection.execute(_ADD, (*values, *freed))


def _alerts(connection: sqlite3.Connection, line: Line) -> list[Alert]:
    balance = _balance(connection, line)
    shares = crossed(line.budget, line.limits, balance.spent, balance.said)
    if not shares:
        return []
    connection.execute(_SAID, (str(shares[-1]), *_key(line)))
    return [Alert(line, shares[-1], balance.spent)]


_UNITS: Final = ("nano", "tokens", "calls")
_SAME: Final = "budget = ? AND key = ? AND window_id = ?"
_BALANCE: Final = f"""
    SELECT {", ".join(f"coalesce(sum({kind}_{unit}), 0)" for kind in ("spent", "reserved") for unit in _UNITS)},
           min(CASE WHEN spent_calls + reserved_calls > 0 THEN counts_until END), max(CAST(alerted AS REAL))
    FROM budget_windows
    WHERE budget = ? AND key = ? AND window_id >= ? AND window_id <= ?
          AND (counts_until IS NULL OR counts_until > ?)
"""  # noqa: S608 - constants
_ADD: Final = f"""
    INSERT INTO budget_windows (budget, key, window_id, starts_at, counts_until, limit_nano, limit_tokens, limit_calls,
           spent_nano, spent_tokens, spent_calls, reserved_nano, reserved_tokens, reserved_calls)
    VALUES ({", ".join("?" * 14)})
    ON CONFLICT (budget, key, window_id) DO UPDATE SET
    {", ".join(f"limit_{unit} = excluded.limit_{unit}" for unit in _UNITS)},
    {", ".join(f"spent_{unit} = spent_{unit} + excluded.spent_{unit}" for unit in _UNITS)},
    {", ".join(f"reserved_{unit} = max(0, reserved_{unit} + excluded.reserved_{unit} - ?)" for unit in _UNITS)}
"""  # noqa: S608 - constants
_GIVE_BACK: Final = f"""
    UPDATE budget_windows SET {", ".join(f"reserved_{unit} = max(0, reserved_{unit} - ?)" for unit in _UNITS)}
    WHERE {_SAME}
"""  # noqa: S608 - constants
_RESERVATION: Final = f"INSERT OR REPLACE INTO reservations VALUES ({', '.join('?' * 9)})"  # noqa: S608 - constants
_FOUND: Final = f"SELECT state, nano, tokens, calls FROM reservations WHERE id = ? AND {_SAME}"  # noqa: S608 - constants
_EXPIRED: Final = """
    SELECT id, budget, key, window_id, nano, tokens, calls FROM reservations
    WHERE state = 'open' AND lease_until_ns <= ? LIMIT ?
"""
_EXPIRE: Final = f"UPDATE reservations SET state = 'expired' WHERE id = ? AND {_SAME}"  # noqa: S608 - constants
_SAID: Final = f"UPDATE budget_windows SET alerted = ? WHERE {_SAME}"  # noqa: S608 - constants
_FORGET: Final = "DELETE FROM reservations WHERE state = ? AND lease_until_ns < ?"
