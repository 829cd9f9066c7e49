"""`aicost budgets set | unset | history`."""

from __future__ import annotations

import getpass
import json
import socket
from contextlib import closing

import pytest

from budgets.lines import line
from otel_aicost.budgets.budget import Limits, Plan
from otel_aicost.budgets.reading import parse
from otel_aicost.ledger.limits import limits_set, note_definitions
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer

FILE = b"""budgets:
  - {name: user-day, per: [user], limit: 50 USD, period: day}
  - {name: month, limit: 9 USD, period: month}
"""


@pytest.fixture
def defined(ledger):
    """A ledger that knows two budgets."""
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        note_definitions(connection, Plan(parse(FILE, "x").budgets), "aicost.yaml (me)", 1)
    return ledger


def _set(path):
    with looking(path) as connection:
        return [(row.budget, row.key, row.limits) for row in limits_set(connection)]


@pytest.mark.parametrize(
    ("words", "row", "said"),
    [
        (
            ["user-day", "alice", "100 USD"],
            ("user-day", "alice", Limits(10**11)),
            "user-day of alice: 50.00 USD (as defined) -> 100.00 USD",
        ),
        (
            ["user-day", "alice", "100", "USD"],
            ("user-day", "alice", Limits(10**11)),
            "user-day of alice: 50.00 USD (as defined) -> 100.00 USD",
        ),
        (
            ["user-day", "alice", "$0.5"],
            ("user-day", "alice", Limits(5 * 10**8)),
            "user-day of alice: 50.00 USD (as defined) -> 0.50 USD",
        ),
        (
            ["user-day", "0"],
            ("user-day", "*", Limits(0)),
            "user-day (every key without a limit of its own): 50.00 USD (as defined) -> 0.00 USD",
        ),
        (["month", "15", "usd"], ("month", "", Limits(15 * 10**9)), "month: 9.00 USD (as defined) -> 15.00 USD"),
        (
            ["user-day", "alice", "--tokens", "7"],
            ("user-day", "alice", Limits(None, 7)),
            "user-day of alice: 50.00 USD (as defined) -> 50.00 USD, 7 tokens",
        ),
        (
            ["month", "--calls", "7", "--tokens", "0"],
            ("month", "", Limits(None, 0, 7)),
            "month: 9.00 USD (as defined) -> 9.00 USD, 0 tokens, 7 calls",
        ),
        (
            ["month", "12", "--calls", "7"],
            ("month", "", Limits(12 * 10**9, None, 7)),
            "month: 9.00 USD (as defined) -> 12.00 USD, 7 calls",
        ),
        (
            ["user-day", "42", "--key", "17"],
            ("user-day", "17", Limits(42 * 10**9)),
            "user-day of 17: 50.00 USD (as defined) -> 42.00 USD",
        ),
        (
            ["user-day", "--key", "17", "--calls", "1"],
            ("user-day", "17", Limits(None, None, 1)),
            "user-day of 17: 50.00 USD (as defined) -> 50.00 USD, 1 call",
        ),
        (
            ["user-day", "a/b", "3"],
            ("user-day", "a/b", Limits(3 * 10**9)),
            "user-day of a/b: 50.00 USD (as defined) -> 3.00 USD",
        ),
    ],
)
def test_a_limit_is_set(aicost, defined, words, row, said):
    """Every way to write it means one row, and tells what was and what is."""
    result = aicost("budgets", "set", *words)
    assert (result.exit_code, result.stdout.strip(), result.stderr) == (0, said, "")
    assert _set(defined) == [row]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["month"], "Missing argument 'LIMIT'"),
        (["month", "alice"], "must be an amount of dollars"),
        (["month", "-3"], "No such option"),
        (["user-day", "alice", "much"], "not 'much'"),
        (["user-day", "alice", "3 EUR"], "not '3 EUR'"),
        (["user-day", "alice", "bob", "3"], "expected [KEY] LIMIT and found 'alice bob 3'"),
        (["user-day", "alice", "3", "--key", "bob"], "expected [KEY] LIMIT"),
        (["user-day", "alice", "--tokens", "-1"], "--tokens"),
        (["user-day", "alice", "default", "--tokens", "1"], "leave --tokens and --calls out"),
        (["user-day", "9999999999"], "must be an amount of dollars"),
    ],
)
def test_what_is_no_limit(aicost, defined, words, said):
    """A limit that cannot be is refused in one line, and nothing is set."""
    result = aicost("budgets", "set", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert _set(defined) == []


def test_taking_it_back(aicost, defined):
    """`unset`, or `default` for a limit, brings back what is defined; taking back nothing says so."""
    for words in (["unset", "user-day", "alice"], ["set", "user-day", "alice", "default"]):
        aicost("budgets", "set", "user-day", "alice", "3")
        assert aicost("budgets", *words).stdout == "user-day of alice: 3.00 USD -> 50.00 USD (as defined)\n"
        assert _set(defined) == []
    assert aicost("budgets", "unset", "user-day", "alice").stdout == "user-day of alice: nothing was set\n"
    aicost("budgets", "set", "month", "1")
    aicost("budgets", "set", "user-day", "1")
    assert "-> 9.00 USD (as defined)" in aicost("budgets", "unset", "month").stdout
    assert "-> 50.00 USD (as defined)" in aicost("budgets", "set", "user-day", "default").stdout
    assert _set(defined) == []


def test_names_nobody_knows(aicost, defined, tmp_path):
    """A budget that neither file nor ledger know is set all the same, with a warning; so is a key where there is none."""
    result = aicost("budgets", "set", "mnoth", "3")
    assert result.exit_code == 0
    assert "neither the file nor the ledger knows a budget 'mnoth'" in result.stderr
    file = tmp_path / "aicost.yaml"
    file.write_text("budgets: [{name: mnoth, calls: 3, period: day}]")
    assert aicost("budgets", "set", "mnoth", "3", "--config", file).stderr == ""
    assert _set(defined) == [("mnoth", "", Limits(3 * 10**9)), ("mnoth", "*", Limits(3 * 10**9))]
    result = aicost("budgets", "set", "month", "alice", "3")
    assert "budget month has one window for all" in result.stderr


def test_a_running_program_obeys(aicost, defined):
    """What the command sets holds for the next call of a program that runs, and the list shows it."""
    writer = Writer.of_file(defined)
    try:
        one = line(3 * 10**9, limit=5 * 10**9, name="user-day", key="alice")
        assert writer.reserve("1", [one]) is None
        assert writer.reserve("2", [one]) is not None
        aicost("budgets", "set", "user-day", "alice", "6")
        assert writer.reserve("3", [one]) is None
        aicost("budgets", "set", "user-day", "alice", "default")
        assert writer.reserve("4", [one]) is not None
    finally:
        writer.close(5)


def test_history(aicost, defined):
    """The newest change first, with who made it, what was and what became of it."""
    me = f"{getpass.getuser()}@{socket.gethostname()}"
    aicost("budgets", "set", "month", "15")
    aicost("budgets", "unset", "month")
    told = json.loads(aicost("budgets", "history", "--json").stdout)
    assert told["more"] is False
    assert [
        (event["who"], event["kind"], event["budget"], event["was"], event["became"]) for event in told["events"]
    ] == [
        (me, "limit_unset", "month", "15.00 USD", "9.00 USD (as defined)"),
        (me, "limit_set", "month", "9.00 USD (as defined)", "15.00 USD"),
        *(
            ("aicost.yaml (me)", "definition_added", event["budget"], None, event["became"])
            for event in told["events"][2:]
        ),
    ]
    shown = aicost("budgets", "history", "month", "--limit", "2").stdout.splitlines()
    assert "limit unset" in shown[2]
    assert "limit set" in shown[3]
    assert shown[4] == "The newest 2; there are more: --limit N."
    assert len(json.loads(aicost("budgets", "history", "user-day", "--json").stdout)["events"]) == 1
    assert aicost("budgets", "history", "nobody").stdout == "Nothing was changed yet.\n"


@pytest.mark.parametrize(
    "command", [["set", "b", "3"], ["unset", "b"], ["history"], ["explain", "0199000000"], ["list"]]
)
def test_no_ledger(aicost, tmp_path, command):
    """Without a ledger: exit code 3, and none is made."""
    result = aicost("budgets", *command, "--ledger", tmp_path / "none" / "ledger.db")
    assert result.exit_code == 3
    assert "there is no ledger at" in result.stderr
    assert list(tmp_path.iterdir()) == []
