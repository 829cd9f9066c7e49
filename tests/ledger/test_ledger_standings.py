"""How budgets stand, as the ledger and the file tell."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import pytest

from budgets.lines import DAY, line, settle, taking
from otel_aicost.budgets.budget import Limits, Plan
from otel_aicost.budgets.reading import parse
from otel_aicost.budgets.window import Period, Window
from otel_aicost.ledger.limits import note_definitions, set_limits
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.standings import Standing, standings, untouched
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer

NOON = DAY.start + 43_200
FILE = b"""
timezone: Europe/Berlin
budgets:
  - {name: b, limit: 5 USD, period: day, alert_at: [0.5]}
  - {name: each, per: [user], tokens: 9, period: month, overrides: {alice: {tokens: 3}}}
  - {name: one, limit: 1 USD, period: call}
  - {name: roll, calls: 4, period: rolling 60m}
"""
BUDGETS = parse(FILE, "x").budgets


@pytest.fixture
def writer(ledger):
    made = Writer.of_file(ledger)
    made.warm()
    yield made
    made.close(5)


@pytest.fixture
def stand(ledger, writer):
    def found(*budgets, at=NOON, **which):
        assert writer.flush(10)
        with looking(ledger) as connection:
            return list(standings(connection, at * 10**9, budgets, **which))

    return found


def _spend(writer, number, one, nano, tokens=0):
    settle(writer, str(number), taking(one, nano, tokens))


@pytest.mark.parametrize(
    ("spent", "alert_at", "state"),
    [
        (0, "0.5", "ok"),
        (4, "0.5", "ok"),
        (5, "0.5", "warned"),
        (9, "0.5", "warned"),
        (10, "0.5", "exceeded"),
        (9, "1", "ok"),
    ],
)
def test_states(writer, stand, spent, alert_at, state):
    """Warned from the least share of alert_at on, exceeded when all is spent; what is reserved does not count."""
    one = line(limit=10, alert_at=(Decimal(alert_at), Decimal(1)))
    if spent:
        _spend(writer, 1, one, spent)
    writer.reserve("r", [one._replace(amounts=one.amounts._replace(nano=10 - spent))])
    (standing,) = stand()
    assert (standing.state, standing.spent, standing.remaining) == (state, spent, 0)


def test_the_last_call_or_the_definition_or_the_hand(ledger, writer, stand):
    """The limit is that of the last call, unless the budget is defined, unless one was set; all of them are told apart."""
    _spend(writer, 1, line(limit=10), 6)
    assert [(one.limit, one.source, one.state) for one in stand()] == [(10, "last call", "ok")]
    assert [(one.limit, one.source) for one in stand(BUDGETS[0], name="b")] == [(5 * 10**9, "definition")]
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        note_definitions(connection, Plan((replace(BUDGETS[0], limits=Limits(8)),)), "x", 1)
        set_limits(connection, "b", "*", Limits(None, 100), "me", 1)
    assert [(one.unit, one.limit, one.source, one.state) for one in stand()] == [
        ("USD", 8, "definition", "warned"),
        ("tokens", 100, "set", "ok"),
    ]
    assert [one.limit for one in stand(BUDGETS[0], name="b")] == [
        8,
        100,
    ]  # the file has changed, no program has read it


def test_a_budget_without_a_window_stands_at_nothing(writer, stand):
    """Budgets of the file that no call was held against are there, with their window and where it ends."""
    each, one = stand(*BUDGETS, name="each"), stand(*BUDGETS, name="one")
    assert [(s.key, s.window, s.spent, s.limit, s.timezone) for s in each] == [(None, "2026-11", 0, 9, "Europe/Berlin")]
    assert each[0].resets_at == 1_796_079_600  # 2026-12-01 in Berlin
    assert [(s.window, s.resets_at, s.gone) for s in one] == [("each call", None, None)]
    assert [(s.window, s.gone) for s in stand(*BUDGETS, name="roll")] == [("rolling 3600s", None)]
    assert [s.budget for s in stand(*BUDGETS)] == ["b", "each", "one", "roll"]


def test_one_key(writer, stand):
    """A key chooses its windows; one without a window stands with the limit that it would have."""
    assert [(s.key, s.limit) for s in stand(*BUDGETS, key="alice")] == [("alice", 3)]
    one = line(limit=None, tokens=9, name="each", key="alice")
    _spend(writer, 1, one, 0, 2)
    _spend(writer, 2, one._replace(key="bob"), 0, 4)
    assert [(s.key, s.spent, s.state) for s in stand(*BUDGETS, key="alice")] == [("alice", 2, "ok")]
    assert [s.key for s in stand(name="each")] == ["alice", "bob"]


def test_definitions_are_known_without_the_file(ledger, stand):
    """What programs started with stands there too, on a machine that has no file of budgets."""
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        note_definitions(connection, Plan(BUDGETS), "x", 1)
    assert [s.budget for s in stand()] == ["b", "each", "one", "roll"]


def test_a_window_that_rolls_is_one(writer, stand):
    """Its steps are summed up, those that count no longer are left out, and it begins to be free with the oldest."""
    period = Period("rolling", rolling_seconds=3600)
    for number, start in enumerate((NOON - 4000, NOON - 1200, NOON - 600)):
        window = Window(f"rolling 3600s {start}", start, start + 60, "rolling 3600s ")
        _spend(writer, number, line(name="roll", limit=10, window=window, period=period), 2)
    (standing,) = stand()
    assert (standing.window, standing.spent, standing.gone) == ("rolling 3600s", 4, None)
    assert standing.resets_at == NOON - 1200 + 60 + 3600


def _standing(gone, spent=3, limit=10):
    return Standing("b", "", "w", "USD", spent, 0, limit, "set", 0, 100, None, gone, "ok")


@pytest.mark.parametrize(
    ("gone", "projected"), [(None, None), ("0.0499", None), ("0.05", 60), ("0.5", 6), ("0.9", 3), ("1", 3)]
)
def test_projections(gone, projected):
    """Nothing is projected before a twentieth of the window is gone."""
    assert _standing(None if gone is None else Decimal(gone)).projected == projected


@pytest.mark.parametrize(
    ("spent", "limit", "share", "reached"),
    [(0, 0, Decimal(0), False), (1, 0, None, True), (5, 10, Decimal("0.5"), True), (4, 10, Decimal("0.4"), False)],
)
def test_shares(spent, limit, share, reached):
    """Of a limit of 0 nothing is reached while nothing is spent."""
    standing = _standing(None, spent, limit)
    assert (standing.share, standing.reached(Decimal("0.5"))) == (share, reached)


def test_before_the_first_call():
    """Where there is no ledger yet, budgets stand at nothing all the same."""
    told = list(untouched(BUDGETS, NOON * 10**9, "b"))
    assert [(s.window, s.spent, s.limit, s.gone.quantize(Decimal("0.01"))) for s in told] == [
        ("2026-11-21", 0, 5 * 10**9, Decimal("0.54"))
    ]
