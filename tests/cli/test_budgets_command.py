"""`aicost budgets`: windows as they stand, and files with mistakes."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress

import pytest

from budgets.lines import line, settle, taking
from otel_aicost.budgets.window import Period, Window
from otel_aicost.ledger.writer import Writer

NOW = int(time.time())
TODAY = Window("today", NOW - 100_000, NOW + 100_000)


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
        rows = {(*row.split()[:2], "calls" in row): row for row in result.stdout.splitlines()}
        day = rows["user-day", "alice", False]
        assert day.split()[2:9] == ["today", "████▒▒▒░░░░░", "30.0%", "ok", "$1.50", "$1.00", "$5.00"]
        assert day.split()[9] == "$2.50"
        assert rows["user-day", "alice", True].split()[6:14] == ["1", "calls", "1", "calls", "7", "calls", "5", "calls"]
        assert "yesterday" not in result.stdout
        work = rows["work", "forever", False]
        assert "████████████" in work
        assert "exceeded" in work
        assert work.endswith("never")


def test_json_is_exact(aicost, standing):
    """Dollars are decimal text; a rolling window is one; what is passed has nothing left."""
    told = json.loads(aicost("budgets", "--json").stdout)["budgets"]
    assert [each["spent"] for each in json.loads(aicost("budgets", "list", "--json").stdout)["budgets"]] == [
        each["spent"] for each in told
    ]
    by_name = {(each["budget"], each["unit"]): each for each in told}
    assert len(by_name) == len(told) == 4
    rolling, work = by_name["roll", "USD"], by_name["work", "USD"]
    assert (rolling["window"], rolling["spent"], rolling["remaining"]) == ("rolling 6000s", "0.30", "0.70")
    assert (rolling["window_gone"], rolling["projected"], rolling["starts_at"]) == (None, None, None)
    assert (work["spent"], work["remaining"], work["resets_at"], work["key"]) == ("0.00000003", "0.00", None, None)
    assert (work["share"], work["state"], work["limit_from"]) == ("3", "exceeded", "last call")
    day = by_name["user-day", "USD"]
    assert (day["share"], day["reserved"], day["state"]) == ("0.3", "1.00", "ok")
    assert 0.5 <= float(day["window_gone"]) < 0.6
    assert 2.5 < float(day["projected"]) <= 3
    assert by_name["user-day", "calls"]["remaining"] == 5


def test_a_ledger_without_budgets_says_so(aicost, ledger):
    """No window is no error."""
    result = aicost("budgets")
    assert (result.exit_code, result.stdout.split(":")[0]) == (0, "No budget has a window yet")


FILE = """
timezone: Asia/Tokyo
budgets:
  - {name: user-day, per: [user], limit: 4 USD, calls: 7, period: day, alert_at: [0.2]}
  - {name: quiet, limit: 9 USD, period: month}
"""


@pytest.mark.parametrize("way", ["option", "variable", "directory"])
def test_the_file_is_found(aicost, standing, tmp_path, monkeypatch, way):
    """The file of budgets is that of the option, the variable, or the directory: its limits, zone and quiet budgets show."""
    file = tmp_path / ("aicost.yaml" if way == "directory" else "other.yaml")
    file.write_text(FILE)
    monkeypatch.chdir(tmp_path)
    if way == "variable":
        monkeypatch.setenv("OTEL_AICOST_CONFIG", str(file))
    result = aicost("budgets", "list", *(["--config", file] if way == "option" else []))
    assert result.exit_code == 0, result.output
    day, quiet = (
        next(row for row in result.stdout.splitlines() if row.startswith(name)) for name in ("user-day", "quiet")
    )
    assert "warned" in day
    assert "$4.00" in day
    assert day.endswith("JST")
    assert "$9.00" in quiet
    assert quiet.split()[2:5] == ["░░░░░░░░░░░░", "0.0%", "ok"]


def test_mistakes_of_the_file(aicost, standing, tmp_path, monkeypatch):
    """A file that is asked for has to be right; one that merely lies there is complained about and left out."""
    file = tmp_path / "aicost.yaml"
    file.write_text("budgets: [{name: a}]")
    result = aicost("budgets", "list", "--config", file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{file}:1: budgets[0].period: is missing" in result.stderr
    monkeypatch.chdir(tmp_path)
    result = aicost("budgets")
    assert result.exit_code == 0
    assert "period: is missing" in result.stderr


def test_one_budget_and_key(aicost, standing):
    """A name and a key choose; a name that nobody knows is a misspelt one."""
    told = json.loads(aicost("budgets", "list", "user-day", "--key", "alice", "--json").stdout)["budgets"]
    assert {(each["budget"], each["key"]) for each in told} == {("user-day", "alice")}
    assert json.loads(aicost("budgets", "list", "user-day", "--key", "bob", "--json").stdout)["budgets"] == []
    result = aicost("budgets", "list", "user-dya")
    assert result.exit_code == 2
    assert "there are roll, user-day, work" in result.stderr


def test_the_worst_of_many(aicost, tmp_path):
    """Of 60 users the 50 that have spent most of their limit are shown, in order, and how many more there are."""
    path = tmp_path / "many.db"
    writer = Writer.of_file(path)
    for number in range(60):
        settle(writer, f"c{number}", taking(line(limit=100, name="u", key=f"u{number:02}", window=TODAY), 100 - number))
    writer.close(10)
    result = aicost("budgets", "--ledger", path)
    shown = [row.split()[1] for row in result.stdout.splitlines() if row.startswith("u ")]
    assert shown == [f"u{number:02}" for number in range(50)]
    assert "10 more: --all" in result.stdout
    assert json.loads(aicost("budgets", "--ledger", path, "--json").stdout)["more"] == 10
    assert len(json.loads(aicost("budgets", "list", "--all", "--ledger", path, "--json").stdout)["budgets"]) == 60


def _on_a_terminal(process, *arguments, **environment):
    ours, theirs = os.openpty()
    started = process(*arguments, stdout=theirs, env={"TERM": "xterm-256color", "NO_COLOR": "", **environment})
    os.close(theirs)
    seen = b""
    with suppress(OSError):
        while chunk := os.read(ours, 65536):
            seen += chunk
    os.close(ours)
    assert started.wait(timeout=60) == 0
    return seen.decode()


def test_colour_is_not_the_only_sign(standing, process):
    """On a terminal states have a colour and stay words; with NO_COLOR they are words."""
    coloured = _on_a_terminal(process, "budgets", "--ledger", standing)
    assert "\x1b[1;31mexceeded" in coloured
    assert "\x1b[32mok" in coloured
    plain = _on_a_terminal(process, "budgets", "--ledger", standing, NO_COLOR="1")
    assert "\x1b" not in plain
    assert "exceeded" in plain


@pytest.mark.parametrize(
    ("arguments", "code", "lines"),
    [
        ([], 1, ["work (forever): $0.00000003 of $0.00000001 (300.0%), never resets"]),
        (["--fail-at", "0.301", "--budget", "user-day"], 0, ["none of 2 limits has reached 30.1%"]),
        (["--budget", "roll"], 0, ["none of 1 limits has reached 100.0%"]),
        (["--budget", "user-day", "--key", "nobody"], 0, ["none of 0 limits has reached 100.0%"]),
        (["--fail-at", "4", "--budget", "work"], 0, ["none of 1 limits has reached 400.0%"]),
        (
            ["--fail-at", "3", "--budget", "work"],
            1,
            ["work (forever): $0.00000003 of $0.00000001 (300.0%), never resets"],
        ),
    ],
)
def test_checks(aicost, standing, arguments, code, lines):
    """The exit code tells whether a share is reached, and a line each what has reached it."""
    result = aicost("budgets", "check", *arguments)
    assert (result.exit_code, result.stdout.splitlines(), result.stderr) == (code, lines, "")


def test_a_check_of_just_the_share(aicost, standing):
    """A window that has reached exactly the share is told."""
    result = aicost("budgets", "check", "--fail-at", "0.3", "--budget", "user-day", "--key", "alice")
    assert result.exit_code == 1
    assert result.stdout.startswith("user-day of alice (today): $1.50 of $5.00 (30.0%), resets 20")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--budget", "nobody"], 2, "neither the ledger nor the file knows a budget 'nobody'"),
        (["--fail-at", "0"], 2, "--fail-at"),
        (["--fail-at", "much"], 2, "--fail-at"),
        (["aicost.yaml"], 2, "unexpected extra argument"),
        (["--ledger", "nowhere.db"], 3, "there is no ledger at nowhere.db"),
    ],
)
def test_checks_that_cannot_be(aicost, standing, arguments, code, said):
    """A check that would never fail is refused: a wrong name, share or ledger."""
    result = aicost("budgets", "check", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr


def test_options_before_the_command_are_not_passed_over(aicost, standing, tmp_path):
    """An option of the list is not silently ignored where a command follows it."""
    result = aicost("budgets", "--ledger", tmp_path / "other.db", "check")
    assert result.exit_code == 2
    assert "options go after the command" in result.stderr


def test_a_file_is_validated(aicost, tmp_path):
    """A right file is counted; a wrong one ends with 1 and every mistake."""
    file = tmp_path / "aicost.yaml"
    file.write_text(
        "budgets: [{name: a, limit: 1 USD, period: day, on_exceed: block}, {name: b, calls: 2, period: hour}]"
    )
    good = aicost("budgets", "validate", file)
    assert (good.exit_code, good.stdout) == (0, f"{file}: 2 budgets, 1 of them may block a call\n")
    file.write_text("budgets:\n  - {name: a, limit: x, period: day}\n  - {name: b, calls: 2}\n")
    bad = aicost("budgets", "validate", file)
    assert bad.exit_code == 1
    assert f"{file}:2: budgets[0].limit: " in bad.stderr
    assert f"{file}:3: budgets[1].period: is missing" in bad.stderr
