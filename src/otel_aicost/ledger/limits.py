"""Limits that were set by hand, and the definitions that programs started with; every change is an event.

Each function is a step of a transaction: the change and its event are there together or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from otel_aicost.budgets.budget import Budget, Limits
from otel_aicost.budgets.definitions import canonical, differences, limits_text, recalled
from otel_aicost.budgets.window import Period
from otel_aicost.ledger import events
from otel_aicost.ledger.balances import ANY_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.budgets.budget import Plan
    from otel_aicost.ledger.store import Connection


class SetLimit(NamedTuple):
    """A row of `budget_limits`. An amount that is `None` is as the budget is defined."""

    budget: str
    key: str
    limits: Limits
    at_ns: int
    who: str


def set_limits(  # noqa: PLR0913, PLR0917 - each a fact of the change
    connection: Connection, budget: str, key: str, limits: Limits, who: str, now_ns: int
) -> tuple[Limits | None, Limits]:
    """Let `limits` hold from the next call on; what is `None` in them stays as it was set before.

    Returns what was set before (`None`: nothing) and what is set now. Nothing happens where both are the same.
    """
    was = _row(connection, budget, key)
    became = limits.over(was or Limits())
    if became == was:
        return was, became
    connection.execute(_SET, (budget, key, *became, now_ns, who))
    before, after = (told(connection, budget, key, limits) for limits in (was, became))
    events.add(connection, who, events.LIMIT_SET, events.subject(budget, key), was=before, became=after, now_ns=now_ns)
    return was, became


def unset_limits(connection: Connection, budget: str, key: str, who: str, now_ns: int) -> Limits | None:
    """Take back what was set: the budget holds as it is defined. Returns what was set, `None` if nothing was."""
    was = _row(connection, budget, key)
    if was is not None:
        connection.execute("DELETE FROM budget_limits WHERE budget = ? AND key = ?", (budget, key))
        before, after = (told(connection, budget, key, limits) for limits in (was, None))
        events.add(
            connection, who, events.LIMIT_UNSET, events.subject(budget, key), was=before, became=after, now_ns=now_ns
        )
    return was


def limits_set(connection: Connection) -> list[SetLimit]:
    """All limits that were set by hand, by budget and key."""
    rows = connection.execute(
        "SELECT budget, key, limit_nano, limit_tokens, limit_calls, at_ns, who FROM budget_limits ORDER BY budget, key"
    ).fetchall()
    return [SetLimit(row[0], row[1], Limits(*row[2:5]), row[5], row[6]) for row in rows]


def holding(found: Mapping[tuple[str, str], Limits], budget: str, key: str, otherwise: Limits) -> Limits:
    """The limits that hold for a key: those set for it, else those set for every key, else `otherwise`."""
    own = found.get((budget, key)) or found.get((budget, ANY_KEY))
    return otherwise if own is None else own.over(otherwise)


def note_definitions(connection: Connection, plan: Plan, who: str, now_ns: int) -> int:
    """Store each budget of the plan whose definition is new or has changed; returns how many that were.

    A budget that is no longer in the plan is left: another program may still have it.
    """
    known = dict(connection.execute("SELECT budget, definition FROM budget_definitions").fetchall())
    changed = 0
    for budget in plan.budgets:
        text, stored = canonical(budget), known.get(budget.name)
        if text == stored:
            continue
        changed += 1
        connection.execute(_DEFINE, (budget.name, text, now_ns, who))
        was, became = differences(stored, text)
        kind = events.DEFINITION_ADDED if stored is None else events.DEFINITION_CHANGED
        events.add(connection, who, kind, events.subject(budget.name), was=was, became=became, now_ns=now_ns)
    return changed


def definitions(connection: Connection) -> dict[str, Budget]:
    """The budgets that programs started with last, by name; one that this version cannot read is left out."""
    rows = connection.execute("SELECT budget, definition FROM budget_definitions ORDER BY budget").fetchall()
    return {name: budget for name, text in rows if (budget := recalled(name, text)) is not None}


def known_names(connection: Connection) -> set[str]:
    """The names of all budgets that the ledger knows: defined, set, or with a window."""
    rows = connection.execute(
        "SELECT budget FROM budget_definitions UNION SELECT budget FROM budget_limits "
        "UNION SELECT DISTINCT budget FROM budget_windows"
    ).fetchall()
    return {row[0] for row in rows}


def guessed(connection: Connection, name: str) -> Budget | None:
    """The budget as it was defined, or as its windows show that it must be; `None` if nothing is known of it."""
    defined = definitions(connection).get(name)
    if defined is not None:
        return defined
    row = connection.execute("SELECT min(key), max(key) FROM budget_windows WHERE budget = ?", (name,)).fetchone()
    if row is None or row[0] is None:
        return None
    return Budget(name, Period("forever"), Limits(), per=("key",) if row[1] else ())


def _row(connection: Connection, budget: str, key: str) -> Limits | None:
    row = connection.execute(
        "SELECT limit_nano, limit_tokens, limit_calls FROM budget_limits WHERE budget = ? AND key = ?", (budget, key)
    ).fetchone()
    return None if row is None else Limits(*row)


def told(connection: Connection, budget: str, key: str, chosen: Limits | None) -> str | None:
    """The limits that hold with those chosen, for a person; of a budget nobody has defined, the chosen ones alone."""
    known = definitions(connection).get(budget)
    if known is None:
        return None if chosen is None else limits_text(chosen)
    usual = known.limits if key == ANY_KEY else known.limits_of(key)
    if chosen is None:
        return f"{limits_text(usual)} (as defined)"
    return limits_text(holding({(budget, key): chosen}, budget, key, usual))


_SET: Final = """
    INSERT INTO budget_limits (budget, key, limit_nano, limit_tokens, limit_calls, at_ns, who)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (budget, key) DO UPDATE SET limit_nano = excluded.limit_nano, limit_tokens = excluded.limit_tokens,
        limit_calls = excluded.limit_calls, at_ns = excluded.at_ns, who = excluded.who
"""
_DEFINE: Final = """
    INSERT INTO budget_definitions (budget, definition, at_ns, who) VALUES (?, ?, ?, ?)
    ON CONFLICT (budget) DO UPDATE SET definition = excluded.definition, at_ns = excluded.at_ns, who = excluded.who
"""
