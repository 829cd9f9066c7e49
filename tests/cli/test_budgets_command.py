"""`aicost budgets`: windows as they stand, and files with mistakes."""

from __future__ import annotations

import json
import time

import pytest

from budgets.lines import line, settle, taking
from otel_aicost.budgets.window import Period, Window
from otel_aicost.ledger.writer import Writer

NOW = int(time.time())
TODAY = Window("today", NOW - 1000, NOW + 1000)


@pytest.fixture
def standing(ledger):
    """A ledger with budgets: one spent and reserved, one of yesterday, one that rolls, one without an end."""
    writer = Writer.of_file(ledger)
    day = line(10**9, limit=5 * 10**9, name="user-day", key="alice", window=TODAY, calls=7)
    writer.reserve("1", [day])
    settle(writer, "1", taking(day, 1_500_000_000))
    writer.reserve("2", [day])
    old = line(name="user-day", key="alice", window=Window("yesterday", NOW - 2000, NOW - 1000))
    settle(writer, "3", taking(old, 7))
    rolling = Period("rolling", rolling_seconds=6000)
    for number in range(3):
        start = NOW - 300 + 100 * number
        step = line(
            name="roll",
            limit=10**9,
            window=Window(f"rolling 6000s {start}", start, start + 100, "rolling 6000s "),
            period=rolling,
        )
        settle(writer, f"r{number}", taking(step, 10**8))
    settle(writer, "4", taking(line(name="work", limit=10, window=Window("forever", None, None)), 30))
    silent = Writer.of_file(ledger, lease_seconds=0.01)
    silent._tick_later = lambda _: None
    silent.reserve("killed", [day])
    time.sleep(0.05)
    assert writer.flush(10)
    yield ledger
    silent.close(5)
    writer.close(5)


def test_every_window_is_listed(aicost, standing):
    """The command shows what is spent, reserved, allowed and left; killed reservations and past windows are not there."""
    for arguments in (["budgets"], ["budgets", "list"]):
        result = aicost(*arguments)
        assert result.exit_code == 0, result.output
        lines = [row.split() for row in result.stdout.splitlines()]
        assert ["user-day", "alice", "today", "$1.50", "$1.00", "$5.00", "$2.50"] in [row[:7] for row in lines]
        assert ["1", "calls", "1", "calls", "7", "calls", "5", "calls"] in [row[3:11] for row in lines]
        assert "yesterday" not in result.stdout
        assert any(row[0] == "work" and row[-1] == "never" for row in lines if row)


def test_json_is_exact(aicost, standing):
    """Dollars are decimal text; a rolling window is one; what is passed has nothing left."""
    told = json.loads(aicost("budgets", "--json").stdout)["budgets"]
    assert told == json.loads(aicost("budgets", "list", "--json").stdout)["budgets"]
    by_name = {(each["budget"], each["unit"]): each for each in told}
    assert len(by_name) == len(told) == 4
    rolling, work = by_name["roll", "USD"], by_name["work", "USD"]
    assert (rolling["window"], rolling["spent"], rolling["remaining"]) == ("rolling 6000s", "0.30", "0.70")
    assert (work["spent"], work["remaining"], work["resets_at"], work["key"]) == ("0.00000003", "0.00", None, None)
    assert by_name["user-day", "calls"]["remaining"] == 5


def test_a_ledger_without_budgets_says_so(aicost, ledger):
    """No window is no error."""
    result = aicost("budgets")
    assert (result.exit_code, result.stdout.split(":")[0]) == (0, "No budget has a window yet")


def test_a_file_is_checked(aicost, tmp_path):
    """A right file is counted; a wrong one ends with 1 and every mistake."""
    file = tmp_path / "aicost.yaml"
    file.write_text(
        "budgets: [{name: a, limit: 1 USD, period: day, on_exceed: block}, {name: b, calls: 2, period: hour}]"
    )
    good = aicost("budgets", "check", file)
    assert (good.exit_code, good.stdout) == (0, f"{file}: 2 budgets, 1 of them may block a call\n")
    file.write_text("budgets:\n  - {name: a, limit: x, period: day}\n  - {name: b, calls: 2}\n")
    bad = aicost("budgets", "check", file)
    assert bad.exit_code == 1
    assert f"{file}:2: budgets[0].limit: " in bad.stderr
    assert f"{file}:3: budgets[1].period: is missing" in bad.stderr
