"""The balances of budgets: what is spent and reserved in each window. Every function is a step of a transaction.

A balance is the sum of its entries, one for each call and budget: whoever settles a call a second time finds its entry
and changes nothing. The transaction has the balances to itself (`Store.transaction`, `Store.lock`), so that nobody else
spends between the look at one and the reservation. Money is whole nano-dollars, times are nanoseconds or, of windows,
seconds since the epoch.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from operator import le
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from otel_aicost import faults
from otel_aicost.alerts.of_budgets import budget_alert
from otel_aicost.budgets.budget import Amounts, Limits, crossed, exceeded
from otel_aicost.budgets.window import counts_until
from otel_aicost.ledger.alerts import raise_alert
from otel_aicost.ledger.slices import CALLS, PART

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otel_aicost.budgets.budget import Line
    from otel_aicost.budgets.window import Window
    from otel_aicost.ledger.slices import Share
    from otel_aicost.ledger.store import Connection

    Seen: TypeAlias = Callable[[Line, Amounts], object]

EXPIRED_AT_ONCE: Final = 200
ANY_KEY: Final = "*"
"""In the limits that were set: whatever has none of its own."""
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
    """What a call really took of its budgets; nothing, where it failed."""

    reservation: str | None
    """What it frees, if anything was reserved."""
    lines: tuple[Line, ...]
    shares: tuple[Share, ...] = ()
    """Parts of slices that it frees."""
    refused: Line | None = None
    """What did not let the call be sent, with what it was expected to take."""

    def within(self, reserved: Iterable[Line]) -> bool:
        """Whether it takes no more than was reserved, so that to write it later refuses nobody too late."""
        held = {_key(line): line.amounts for line in (*reserved, *(share.line for share in self.shares))}
        return all((was := held.get(_key(line))) is not None and all(map(le, line.amounts, was)) for line in self.lines)

    def places(self) -> set[tuple[str, str]]:
        """The (budget, key) of all balances that it changes."""
        return {(line.budget.name, line.key) for line in (*self.lines, *(share.line for share in self.shares))}


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
    limited: bool
    """Whether any limits at all were set in the ledger."""


def look(connection: Connection, lines: Sequence[Line], now_ns: int, grace_ns: int = 0) -> Refusal | None:
    """Why a call would not be admitted now; each line is of another budget."""
    decided = _decide(connection, lines, now_ns, grace_ns)
    return decided if isinstance(decided, Refusal) else None


def reserve(  # noqa: PLR0913, PLR0917 - of a reservation
    connection: Connection,
    identifier: str,
    lines: Sequence[Line],
    now_ns: int,
    until_ns: int,
    grace_ns: int = 0,
    seen: Seen | None = None,
) -> Refusal | None:
    """Reserve for all lines until `until_ns`, or for none: then why not.

    `grace_ns` is that of `expire`; `seen` is told how each window stood.
    """
    if not _taken_at_once(connection, lines, seen):
        decided = _decide(connection, lines, now_ns, grace_ns, seen)
        if isinstance(decided, Refusal):
            return decided
        for line in decided:
            _add(connection, line, reserved=line.amounts)
    for line in lines:
        connection.execute(_RESERVE, (identifier, *_key(line), *line.amounts, until_ns))
    return None


def grant(connection: Connection, identifier: str, line: Line, until_ns: int) -> Amounts:
    """Reserve a slice for calls like `line`; nothing where little is left."""
    if line.passes:  # the slice would be for calls that do not, as well
        return Amounts()
    balance = _balance(connection, line)
    granted = []
    for unit, amount in enumerate(line.amounts):
        limit, wanted = line.checked[unit], amount * CALLS
        if limit is not None:
            wanted = min(wanted, (limit - balance.spent[unit] - balance.reserved[unit]) // PART)
        if wanted < amount:
            return Amounts()
        granted.append(wanted)
    line = line._replace(amounts=Amounts(*granted))
    _add(connection, line, reserved=line.amounts)
    connection.execute(_RESERVE, (identifier, *_key(line), *line.amounts, until_ns))
    return line.amounts


def still_holds(connection: Connection, identifier: str, told: Line) -> bool:
    """Whether a call may be admitted from a slice that was reserved before; see `grant`. One look, no transaction."""
    place = (identifier, *_key(told))
    row = connection.execute(_STILL, (*place, told.budget.name, told.key, *_span(told.window))).fetchone()
    line = with_limits(told, limits_now(connection, told)) if row[3] else told
    # What is reserved holds the slice, and so the call.
    others = Amounts(*(taken - mine for taken, mine in zip(row[:3], line.amounts, strict=True)))
    return bool(row[4]) and (line.passes or exceeded(line.checked, others, line.amounts) is None)


def settle(connection: Connection, call_id: str | None, settlement: Settlement, now_ns: int) -> list[Alert]:
    """Free what was reserved and enter what was spent, once; the shares of limits that were reached by it.

    Without a `call_id` nothing is entered: there was nothing to pay.
    """
    alerts = []
    for share in settlement.shares:
        _give_back(connection, share)
    if settlement.refused is not None and call_id is not None:
        _entered(
            connection, call_id, settlement.refused._replace(amounts=Amounts()), settlement.refused.amounts, now_ns
        )
    for line in settlement.lines:
        held = _freed(connection, settlement.reservation, line)
        fresh = call_id is not None and any(line.amounts) and _entered(connection, call_id, line, held, now_ns)
        if not fresh and held is None:
            continue
        _add(connection, line, spent=line.amounts if fresh else Amounts(), freed=held or Amounts())
        if fresh:
            alerts += reached(connection, line, now_ns)
    return alerts


def expire(connection: Connection, now_ns: int, grace_ns: int = 0, only: Sequence[tuple[str, str]] = ()) -> int:
    """Give back what is reserved by leases that ran out (their process was killed, or stopped): how many.

    With `grace_ns`, a lease that ran out is marked first, and given back when it was not renewed for so long after
    that: where a server was away, its processes could not renew. `only` these (budget, key), if there are any.
    """
    found: list[Sequence[Any]] = []
    for budget, key in only:
        found += connection.execute(f"{_EXPIRED} AND budget = ? AND key = ? {_SOME}", (now_ns, budget, key)).fetchall()
    if not only:
        found = connection.execute(f"{_EXPIRED} {_SOME}", (now_ns,)).fetchall()
    given_back = 0
    for until_ns, identifier, *rest in found:
        place, held = rest[:3], rest[3:]
        if grace_ns and until_ns > 0:
            connection.execute(_MARK, (-now_ns, identifier, *place, until_ns))
            continue
        over = not grace_ns or now_ns + until_ns >= grace_ns  # marked at -until_ns
        # Whoever deletes it gives it back: another may have seen it too.
        if over and connection.execute(_EXPIRE, (identifier, *place, until_ns)).rowcount:
            connection.execute(_GIVE_BACK, (*_twice(held), *place))
            given_back += 1
    return given_back


def expired_keys(connection: Connection, now_ns: int) -> set[tuple[str, str]]:
    """The (budget, key) of all leases that ran out."""
    query = "SELECT DISTINCT budget, key FROM reservations WHERE lease_until_ns <= ?"
    return {(budget, key) for budget, key in connection.execute(query, (now_ns,)).fetchall()}


def renew(connection: Connection, identifiers: Iterable[str], until_ns: int) -> None:
    """Hold open reservations until `until_ns`."""
    for identifier in identifiers:
        connection.execute("UPDATE reservations SET lease_until_ns = ? WHERE id = ?", (until_ns, identifier))


def limits_now(connection: Connection, line: Line) -> Limits:
    """The limits of the line's budget, with those instead that were set in the ledger."""
    row = connection.execute(_SET, (line.budget.name, line.key, ANY_KEY, line.key)).fetchone()
    return line.limits if row is None else Limits(*row).over(line.limits)


def with_limits(line: Line, limits: Limits) -> Line:
    """The line with other limits; what is not checked on purpose (an unknown price that is allowed) stays so."""
    both = zip(line.checked, line.limits, strict=True)
    skipped = [checked is None and limit is not None for checked, limit in both]
    checked = Limits(*(None if skip else limit for skip, limit in zip(skipped, limits, strict=True)))
    return line._replace(limits=limits, checked=checked)


def _taken_at_once(connection: Connection, lines: Sequence[Line], seen: Seen | None) -> bool:
    """Reserve in windows that are there and have room, a statement each; nothing is changed where one has not."""
    for index, line in enumerate(lines):
        limited = [limit for limit in zip(line.amounts, line.checked, strict=True) if limit[1] is not None]
        values = (*line.limits, *line.amounts, *_key(line), *(value for both in limited for value in (*both, both[1])))
        unchecked = tuple(limit is None for limit in line.checked)
        rows = () if line.window.group else connection.execute(_take(unchecked), values).fetchall()
        if not rows:
            for done in lines[:index]:
                connection.execute(_GIVE_BACK, (*_twice(done.amounts), *_key(done)))
            return False
        if seen is not None:
            seen(line, Amounts(*(now - mine for now, mine in zip(rows[0], line.amounts, strict=True))))
    return True


def _decide(
    connection: Connection, lines: Sequence[Line], now_ns: int, grace_ns: int, seen: Seen | None = None
) -> list[Line] | Refusal:
    """The lines with the limits that hold now, if all of them fit."""
    decided = _fitting(connection, lines, seen)
    # In a fleet those of these budgets only: nobody else changes them meanwhile.
    only = [(line.budget.name, line.key) for line in lines] if grace_ns else ()
    if isinstance(decided, Refusal) and expire(connection, now_ns, grace_ns, only):
        decided = _fitting(connection, lines, seen)
    return decided


def _fitting(connection: Connection, lines: Sequence[Line], seen: Seen | None) -> list[Line] | Refusal:
    fitting = []
    for told in lines:
        balance = _balance(connection, told)
        line = with_limits(told, limits_now(connection, told)) if balance.limited else told
        taken = Amounts(*(one + other for one, other in zip(balance.spent, balance.reserved, strict=True)))
        if seen is not None:
            seen(line, taken)
        unit = None if line.passes else exceeded(line.checked, taken, line.amounts)
        if unit is not None:
            return Refusal(line, unit, balance.spent, balance.reserved, balance.resets_at)
        fitting.append(line)
    return fitting


def _key(line: Line) -> tuple[str, str, str]:
    return line.budget.name, line.key, line.window.id


def _span(window: Window) -> tuple[str, str, int]:
    """The first and the last id of the windows that count, and the instant they have to count until."""
    first, last = (window.group, window.group + AFTER_DIGITS) if window.group else (window.id, window.id)
    return first, last, window.start or 0


def _balance(connection: Connection, line: Line) -> _Balance:
    """How the window stands; a rolling one is the sum of its steps that still count."""
    row = connection.execute(_BALANCE, (line.budget.name, line.key, *_span(line.window))).fetchone()
    until = row[6] if row[6] is not None else counts_until(line.budget.period, line.window)
    return _Balance(Amounts(*row[:3]), Amounts(*row[3:6]), until, Decimal(str(row[7] or 0)), bool(row[8]))


def _freed(connection: Connection, reservation: str | None, line: Line) -> Amounts | None:
    if reservation is None:
        return None
    rows = connection.execute(_FREE, (reservation, *_key(line))).fetchall()
    return Amounts(*rows[0]) if rows else None


def _give_back(connection: Connection, share: Share) -> None:
    """Take a part off a slice; one whose lease ran out holds nothing any more."""
    place = (share.slice_id, *_key(share.line))
    row = connection.execute(_SLICE, place).fetchone()
    if row is None:
        return
    freed = [min(held, amount) for held, amount in zip(row, share.line.amounts, strict=True)]
    left = [held - amount for held, amount in zip(row, freed, strict=True)]
    connection.execute(_GIVE_BACK, (*_twice(freed), *place[1:]))
    if any(left):
        connection.execute(_SHRINK, (*left, *place))
    else:
        connection.execute(_FORGET, place)


def _entered(connection: Connection, call_id: str, line: Line, held: Amounts | None, now_ns: int) -> bool:
    values = (call_id, *_key(line), *line.amounts, *(held or Amounts()), now_ns)
    return connection.execute(_ENTER, values).rowcount == 1


def _add(
    connection: Connection,
    line: Line,
    spent: Amounts = Amounts(),  # noqa: B008 - frozen
    reserved: Amounts = Amounts(),  # noqa: B008
    freed: Amounts = Amounts(),  # noqa: B008
) -> None:
    window = line.window
    values = (*_key(line), window.start, counts_until(line.budget.period, window), *line.limits, *spent, *reserved)
    connection.execute(_ADD, (*values, *_twice(freed)))


def _twice(amounts: Iterable[int]) -> list[int]:
    return [amount for one in amounts for amount in (one, one)]


def reached(connection: Connection, line: Line, now_ns: int) -> list[Alert]:
    """Raise the alert of the highest share of the line's limits that is reached now and was not before."""
    balance = _balance(connection, line)
    if balance.limited:
        line = line._replace(limits=limits_now(connection, line))
    shares = crossed(line.budget, line.limits, balance.spent, balance.said)
    if not shares:
        return []
    connection.execute(_SAID, (str(shares[-1]), *_key(line)))
    alert = Alert(line, shares[-1], balance.spent)
    try:
        row = budget_alert(alert, now_ns)
    except Exception as error:  # noqa: BLE001 - what a call cost is written whatever its alert is like
        faults.report("alerts", error)
        return []
    return [alert] if raise_alert(connection, row) else []


_UNITS: Final = ("nano", "tokens", "calls")
_SAME: Final = "budget = ? AND key = ? AND window_id = ?"
_COUNTING: Final = """
    FROM budget_windows
    WHERE budget = ? AND key = ? AND window_id >= ? AND window_id <= ?
          AND (counts_until IS NULL OR counts_until > ?)
"""
_BALANCE: Final = f"""
    SELECT {", ".join(f"CAST(coalesce(sum({kind}_{unit}), 0) AS BIGINT)" for kind in ("spent", "reserved") for unit in _UNITS)},
           min(CASE WHEN spent_calls + reserved_calls > 0 THEN counts_until END), max(CAST(alerted AS REAL)),
           EXISTS (SELECT 1 FROM budget_limits)
    {_COUNTING}
"""  # noqa: S608, E501 - constants
_STILL: Final = f"""
    SELECT {", ".join(f"CAST(coalesce(sum(spent_{unit} + reserved_{unit}), 0) AS BIGINT)" for unit in _UNITS)},
           EXISTS (SELECT 1 FROM budget_limits), EXISTS (SELECT 1 FROM reservations WHERE id = ? AND {_SAME})
    {_COUNTING}
"""  # noqa: S608 - constants
_LEFT: Final = "CASE WHEN budget_windows.reserved_{unit} > ? THEN budget_windows.reserved_{unit} - ? ELSE 0 END"
_ADD: Final = f"""
    INSERT INTO budget_windows (budget, key, window_id, starts_at, counts_until, limit_nano, limit_tokens, limit_calls,
           spent_nano, spent_tokens, spent_calls, reserved_nano, reserved_tokens, reserved_calls)
    VALUES ({", ".join("?" * 14)})
    ON CONFLICT (budget, key, window_id) DO UPDATE SET
    {", ".join(f"limit_{unit} = excluded.limit_{unit}" for unit in _UNITS)},
    {", ".join(f"spent_{unit} = budget_windows.spent_{unit} + excluded.spent_{unit}" for unit in _UNITS)},
    {", ".join(f"reserved_{unit} = excluded.reserved_{unit} + {_LEFT.format(unit=unit)}" for unit in _UNITS)}
"""  # noqa: S608 - constants


@cache
def _take(unchecked: tuple[bool, ...]) -> str:
    """Reserve if nothing was set by hand and there is room, as `exceeded` has it; what is taken then is returned."""
    limited = [unit for unit, skipped in zip(_UNITS, unchecked, strict=True) if not skipped]
    room = [f"spent_{unit} + reserved_{unit} + ? <= ? AND spent_{unit} + reserved_{unit} < ?" for unit in limited]
    return f"""
        UPDATE budget_windows SET {", ".join(f"limit_{unit} = ?" for unit in _UNITS)},
               {", ".join(f"reserved_{unit} = reserved_{unit} + ?" for unit in _UNITS)}
        WHERE {" AND ".join([_SAME, *room, "NOT EXISTS (SELECT 1 FROM budget_limits)"])}
        RETURNING {", ".join(f"spent_{unit} + reserved_{unit}" for unit in _UNITS)}
    """  # noqa: S608 - constants


_GIVE_BACK: Final = f"""
    UPDATE budget_windows SET {", ".join(f"reserved_{unit} = {_LEFT.format(unit=unit)}" for unit in _UNITS)}
    WHERE {_SAME}
"""  # noqa: S608 - constants
_SET: Final = """
    SELECT limit_nano, limit_tokens, limit_calls FROM budget_limits
    WHERE budget = ? AND (key = ? OR key = ?) ORDER BY CASE WHEN key = ? THEN 0 ELSE 1 END LIMIT 1
"""
_RESERVE: Final = f"INSERT INTO reservations VALUES ({', '.join('?' * 8)})"  # noqa: S608 - constants
_SLICE: Final = f"SELECT nano, tokens, calls FROM reservations WHERE id = ? AND {_SAME}"  # noqa: S608 - constants
_SHRINK: Final = f"UPDATE reservations SET nano = ?, tokens = ?, calls = ? WHERE id = ? AND {_SAME}"  # noqa: S608 - constants
_FREE: Final = f"DELETE FROM reservations WHERE id = ? AND {_SAME} RETURNING nano, tokens, calls"  # noqa: S608 - constants
_FORGET: Final = f"DELETE FROM reservations WHERE id = ? AND {_SAME}"  # noqa: S608 - constants
_ENTER: Final = f"INSERT INTO budget_entries VALUES ({', '.join('?' * 11)}) ON CONFLICT DO NOTHING"  # noqa: S608 - constants
_EXPIRED: Final = """
    SELECT lease_until_ns, id, budget, key, window_id, nano, tokens, calls FROM reservations WHERE lease_until_ns <= ?
"""
_SOME: Final = f"ORDER BY lease_until_ns, id, budget, key, window_id LIMIT {EXPIRED_AT_ONCE}"
_EXPIRE: Final = f"{_FORGET} AND lease_until_ns = ?"
_MARK: Final = f"UPDATE reservations SET lease_until_ns = ? WHERE id = ? AND {_SAME} AND lease_until_ns = ?"  # noqa: S608
_SAID: Final = f"UPDATE budget_windows SET alerted = ? WHERE {_SAME}"  # noqa: S608 - constants
