"""Limits set by hand and definitions: they hold for the next call, and every change is an event."""

from __future__ import annotations

from contextlib import closing

import pytest

from budgets.lines import line
from otel_aicost.budgets.budget import Limits, Plan
from otel_aicost.budgets.reading import parse
from otel_aicost.ledger import events
from otel_aicost.ledger.limits import (
    definitions,
    guessed,
    holding,
    known_names,
    limits_set,
    note_definitions,
    set_limits,
    told,
    unset_limits,
)
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer

FILE = b"budgets: [{name: user-day, per: [user], limit: 50 USD, tokens: 9, period: day, overrides: {alice: 100 USD}}]"
PLAN = Plan(parse(FILE, "x").budgets)


@pytest.fixture
def store(ledger):
    with closing(FileStore(ledger)) as opened:
        yield opened


@pytest.fixture
def change(store):
    def run(function, *arguments):
        with store.transaction() as connection:
            return function(connection, *arguments)

    return run


def _trail(change):
    return [(event.kind, event.subject, event.was, event.became, event.who) for event in change(events.listed)][::-1]


def test_a_limit_is_set_and_told(change):
    """Each change returns what was and what is, and leaves an event with both; the same again changes nothing."""
    assert change(set_limits, "b", "alice", Limits(5), "me", 1) == (None, Limits(5))
    assert change(set_limits, "b", "alice", Limits(None, 7), "you", 2) == (Limits(5), Limits(5, 7))
    assert change(set_limits, "b", "alice", Limits(5), "nobody", 3) == (Limits(5, 7), Limits(5, 7))
    assert [tuple(row) for row in change(limits_set)] == [("b", "alice", Limits(5, 7), 2, "you")]
    assert change(unset_limits, "b", "alice", "me", 4) == Limits(5, 7)
    assert change(unset_limits, "b", "alice", "me", 5) is None
    assert change(limits_set) == []
    assert _trail(change) == [
        ("limit_set", "b alice", None, "0.000000005 USD", "me"),
        ("limit_set", "b alice", "0.000000005 USD", "0.000000005 USD, 7 tokens", "you"),
        ("limit_unset", "b alice", "0.000000005 USD, 7 tokens", None, "me"),
    ]


def test_events_tell_what_holds(change):
    """Where the budget is defined, the trail has the limits that held and hold, those of the file included."""
    change(note_definitions, PLAN, "aicost.yaml (me)", 1)
    change(set_limits, "user-day", "alice", Limits(None, 5), "me", 2)
    change(set_limits, "user-day", "*", Limits(60 * 10**9), "me", 3)
    change(unset_limits, "user-day", "*", "me", 4)
    assert [(was, became) for _, _, was, became, _ in _trail(change)[1:]] == [
        ("100.00 USD, 9 tokens (as defined)", "100.00 USD, 5 tokens"),
        ("50.00 USD, 9 tokens (as defined)", "60.00 USD, 9 tokens"),
        ("60.00 USD, 9 tokens", "50.00 USD, 9 tokens (as defined)"),
    ]
    assert change(told, "stranger", "", None) is None


def test_a_change_that_fails_leaves_no_event(store, change):
    """The limit and its event are there together, or neither."""

    def fail():
        with store.transaction() as connection:
            set_limits(connection, "b", "", Limits(5), "me", 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (change(limits_set), _trail(change)) == ([], [])


@pytest.mark.parametrize(("key", "at"), [("alice", "alice"), ("alice", "*"), ("", ""), ("", "*")])
def test_it_holds_for_the_next_call(ledger, change, key, at):
    """A limit that is set, for a key or for every key, decides on the next call of a program that runs."""
    writer = Writer.of_file(ledger)
    try:
        one = line(6, limit=10, key=key)
        assert writer.reserve("1", [one]) is None
        assert writer.reserve("2", [one]) is not None
        change(set_limits, "b", at, Limits(12), "me", 1)
        assert writer.reserve("3", [one]) is None
        change(set_limits, "b", at, Limits(11), "me", 2)
        assert writer.look([one]) is not None
        change(unset_limits, "b", at, "me", 3)
        assert writer.look([one]).line.limits == Limits(10)
    finally:
        writer.close(5)


def test_what_holds():
    """A key's own limit wins over that of every key; an amount that is not set is as defined."""
    chosen = {("b", "alice"): Limits(None, 5), ("b", "*"): Limits(7)}
    usual = Limits(1, 2, 3)
    assert holding(chosen, "b", "alice", usual) == Limits(1, 5, 3)
    assert holding(chosen, "b", "bob", usual) == Limits(7, 2, 3)
    assert holding(chosen, "c", "bob", usual) == usual


def test_definitions_are_noted_once(change):
    """Each start with the same file changes nothing; a new limit is an event with what changed and by whom."""
    assert change(note_definitions, PLAN, "aicost.yaml (me)", 1) == 1
    assert change(note_definitions, PLAN, "aicost.yaml (you)", 2) == 0
    dearer = Plan(parse(FILE.replace(b"50 USD", b"75 USD"), "x").budgets)
    assert change(note_definitions, dearer, "aicost.yaml (you)", 3) == 1
    assert change(definitions) == {"user-day": dearer.budgets[0]}
    assert _trail(change)[1] == (
        "definition_changed",
        "user-day",
        "limit: 50.00 USD",
        "limit: 75.00 USD",
        "aicost.yaml (you)",
    )
    assert change(note_definitions, Plan(), "x", 4) == 0
    assert len(change(definitions)) == 1


def test_a_definition_nobody_can_read_is_left_out(change):
    """One of a newer version is passed over, and written anew by the next start."""
    change(lambda connection: connection.execute("INSERT INTO budget_definitions VALUES ('user-day', '{]', 1, 'x')"))
    assert change(definitions) == {}
    assert change(note_definitions, PLAN, "x", 2) == 1
    assert change(definitions) == {"user-day": PLAN.budgets[0]}


def test_events_of_one_budget(change):
    """A name chooses its own events, those of its keys included, and none of a name that begins like it; newest first."""
    for at, (name, key) in enumerate((("a", ""), ("a", "x"), ("a-b", ""), ("ab", "a"))):
        change(set_limits, name, key, Limits(1), "me", at)
    assert [event.subject for event in change(events.listed, "a")] == ["a x", "a"]
    assert [event.subject for event in change(events.listed)] == ["ab a", "a-b", "a x", "a"]
    assert [event.subject for event in change(events.listed, None, 2)] == ["ab a", "a-b"]


def test_what_is_known_of_a_budget(ledger, change):
    """Names come from definitions, set limits and windows; a window with a key shows that there is one for each."""
    assert (change(known_names), change(guessed, "b")) == (set(), None)
    writer = Writer.of_file(ledger)
    writer.reserve("1", [line(), line(name="each", key="alice")])
    writer.close(5)
    change(set_limits, "s", "", Limits(1), "me", 1)
    change(note_definitions, PLAN, "x", 1)
    assert change(known_names) == {"b", "each", "s", "user-day"}
    assert [bool(change(guessed, name).per) for name in ("b", "each", "user-day")] == [False, True, True]
    assert change(guessed, "s") is None


def test_who_it_was(monkeypatch):
    """The user and the machine; a user without a name by number."""
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    monkeypatch.setattr("socket.gethostname", lambda: "build-7")
    assert events.whoami() == "alice@build-7"

    def nameless():
        raise OSError

    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert events.whoami() == "uid 4711@build-7"
