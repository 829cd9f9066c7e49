"""`aicost budgets explain`: one call and its budgets."""

from __future__ import annotations

import json
import time
from contextlib import closing

import pytest

from budgets.lines import line, settle, taking
from ledgers import write
from otel_aicost.budgets.budget import Plan
from otel_aicost.budgets.reading import parse
from otel_aicost.budgets.window import Period, Window
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.limits import note_definitions
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer
from records import cost, record

NOW = int(time.time())
TODAY = Window("today", NOW - 100_000, NOW + 100_000)
CALL = "01990000-0000-7000-8000-00000000abcd"
FILE = """budgets:
  - {name: user-day, per: [user], limit: 5 USD, period: day, on_exceed: block}
  - {name: claude, match: {provider: anthropic}, limit: 5 USD, period: day}
  - {name: teams, per: [team], calls: 5, period: day}
  - {name: one, limit: 1 USD, period: call, on_exceed: block}
  - {name: late, limit: 1 USD, period: forever}
"""


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "budgets.yaml"
    made.write_text(FILE)
    return made


@pytest.fixture
def told(ledger):
    """A call that was held against a window of today and one that rolls, with others in them."""
    writer = Writer.of_file(ledger)
    day = line(10**9, limit=5 * 10**9, name="user-day", key="u1", window=TODAY)
    steps = [
        line(
            name="roll",
            limit=10**9,
            window=Window(f"rolling 6000s {start}", start, start + 100, "rolling 6000s "),
            period=Period("rolling", rolling_seconds=6000),
        )
        for start in (NOW - 7000, NOW - 300, NOW - 100)
    ]
    for number, step in enumerate(steps[:2]):
        settle(writer, f"before-{number}", taking(step, 6_250_000, 2500))
    writer.reserve(CALL, [day])
    lines = (taking(day, 6_250_000, 2500), taking(steps[2], 6_250_000, 2500))
    writer.put(record(id=CALL), Settlement(CALL, lines))
    settle(writer, "after", taking(day, 6_250_000, 2500))
    assert writer.close(10)
    return ledger


def test_a_call_and_its_budgets(aicost, told, file):
    """What was reserved, what it took, how the windows stand now, and why it is not in the others."""
    document = json.loads(aicost("budgets", "explain", CALL, "--config", file, "--json").stdout)
    assert (document["call"]["id"], document["blocked"]) == (CALL, False)
    taken = {"usd": "0.00625", "tokens": 2500, "calls": 1}
    roll, day = document["budgets"]
    assert day == {
        "budget": "user-day",
        "key": "u1",
        "window": "today",
        "refused": False,
        "reserved": {"usd": "1.00", "tokens": 0, "calls": 1},
        "settled": taken,
        "spent": {"usd": "0.0125", "tokens": 5000, "calls": 2},
        "limit": {"usd": "5.00", "tokens": None, "calls": None},
    }
    assert (roll["window"], roll["settled"], roll["reserved"]["calls"]) == ("rolling 6000s", taken, 0)
    assert roll["spent"] == {"usd": "0.0125", "tokens": 5000, "calls": 2}  # of two steps: the oldest counts no more
    assert [(other["budget"], other["concerned"], other["reason"]) for other in document["others"]] == [
        ("claude", False, "its provider is openai, not anthropic"),
        ("teams", False, "it has no tag team"),
        ("one", True, "it is about each call by itself: 1.00 USD at the most"),
        (
            "late",
            True,
            "it is about the call, which has no entry: the budget came later, or its program had another file",
        ),
    ]


def test_for_a_person(aicost, told, file):
    """The same as lines: the call, a table, the others; a unique prefix is enough."""
    result = aicost("budgets", "explain", CALL[:-4].upper() + "AB", "--config", file)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        f"{CALL}  2026-09-21 14:13:20 UTC  openai  gpt-4o  chat  ok  $0.00625  feature=search user=u1"
    )
    day = next(row for row in lines if row.startswith("user-day"))
    assert day.split("  ")[0:1] == ["user-day"]
    for part in ("today", "1.00 USD, 1 call", "0.00625 USD, 2500 tokens, 1 call", "0.0125 USD", "5.00 USD"):
        assert part in day
    assert "rolling 100m" in result.stdout
    assert "claude  its provider is openai, not anthropic" in lines[-4].replace("    ", "  ").replace("   ", "  ")


def test_definitions_are_enough(aicost, told):
    """Without the file, what programs started with tells why not."""
    with closing(FileStore(told)) as store, store.transaction() as connection:
        note_definitions(connection, Plan(parse(FILE.encode(), "x").budgets), "x", 1)
    document = json.loads(aicost("budgets", "explain", CALL, "--json").stdout)
    assert [other["budget"] for other in document["others"]] == ["claude", "late", "one", "teams"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cost": cost("0")}, "it is about the call, which was free"),
        (
            {"cost": None, "status": "error", "usage_state": "none", "usage": {}},
            "it is about the call, which cost nothing",
        ),
        (
            {"cost": None, "status": "blocked", "usage_state": "none", "usage": {}},
            "it is about the call, which was blocked: nothing was spent, nothing is reserved",
        ),
    ],
)
def test_a_call_without_an_entry(aicost, ledger, file, changes, reason):
    """Free, failed and blocked calls have none, and it is said why."""
    write(ledger, record(id=CALL, **changes))
    result = aicost("budgets", "explain", CALL, "--config", file)
    assert f"user-day  {reason}" in result.stdout
    assert ("It was blocked." in result.stdout) is ("blocked" in reason)
    assert ("It is in no budget." in result.stdout) is ("blocked" not in reason)


def test_who_refused(aicost, ledger, file):
    """Where the refusal is in the ledger, the budget, and what the call was expected to take."""
    write(ledger, record(id=CALL, cost=None, status="blocked", usage_state="none", usage={}))
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        connection.execute(
            "INSERT INTO budget_entries VALUES (?, 'user-day', 'u1', 'today', 0, 0, 0, 7, 8, 1, 9)", (CALL,)
        )
    document = json.loads(aicost("budgets", "explain", CALL, "--config", file, "--json").stdout)
    assert document["blocked"] is True
    assert [(each["budget"], each["refused"], each["needed"]) for each in document["budgets"]] == [
        ("user-day", True, {"usd": "0.000000007", "tokens": 8, "calls": 1})
    ]
    assert "refused by" in aicost("budgets", "explain", CALL).stdout


@pytest.mark.parametrize(
    ("call_id", "said"),
    [
        ("0199000", "give 8 characters"),
        ("not-an-id-at-all", "is no id of a call"),
        ("%%%%%%%%", "is no id of a call"),
        ("0199ffff", "there is no call '0199ffff'"),
        ("01990000-0000-7000-8000-00000000abce", "there is no call"),
        ("01990000", "several calls begin with '01990000', give more of it: 01990000-"),
    ],
)
def test_ids_that_do_not_do(aicost, ledger, call_id, said):
    """Too short, no id, unknown, or of several calls: one line, exit code 2."""
    result = aicost("budgets", "explain", call_id)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
