"""`aicost reprice`, and where it shows what a call cost before."""

from __future__ import annotations

import json
import os
import pty
import select
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

import pricelists
from ledgers import at, write
from price_lists import call, catalogue, text

SOURCE = Path(__file__).parents[2] / "src"
OLD = catalogue(("gpt-8", "5.00"))


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """Calls with a wrong price and without one; a price file that knows one of the models."""
    path = write(
        tmp_path / "ledger.db",
        call(id="01990000-aaaa", started_ns=at("2026-11-20")),
        call("gpt-8", id="01990000-bbbb", started_ns=at("2026-11-21"), by=OLD),
        call("gpt-7", started_ns=at("2026-11-21")),
    )
    prices = tmp_path / "prices.yaml"
    prices.write_text(text(("gpt-9", "3.00"), ("gpt-8", "2.00")))
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(path))
    monkeypatch.setenv("OTEL_AICOST_PRICES", str(prices))
    return path


def rows(path, sql="SELECT id, cost_nano FROM calls ORDER BY id"):
    with closing(sqlite3.connect(path)) as raw:
        return raw.execute(sql).fetchall()


def words(result):
    return [line.split() for line in result.stdout.splitlines()]


def test_a_dry_run_shows_what_would_change(ledger, aicost):
    """By model what it was, what it would be, and what has no price still and why; nothing is written."""
    before = ledger.read_bytes()
    result = aicost("reprice", "--dry-run")
    assert result.exit_code == 0
    lines = words(result)
    assert ["openai", "gpt-9", "1", "1", "-", "$3.00", "+$3.00"] in lines
    assert ["openai", "gpt-8", "1", "1", "$5.00", "$2.00", "-$3.00"] in lines
    assert ["openai", "gpt-7", "1", "0", "-", "-", "-", "1", "unknown_model"] in lines
    assert ["total", "3", "2", "$5.00", "$5.00", "$0.00", "1", "unknown_model"] in lines
    assert result.stdout.splitlines()[-1] == "2 calls would be repriced; nothing was changed"
    assert ledger.read_bytes() == before


def test_a_run_shows_the_same_and_does_it(ledger, aicost):
    """The table of the dry run, and where to find what was done; reports say what the calls cost now."""
    dry = aicost("reprice", "--dry-run")
    result = aicost("reprice", "--reason", "new contract")
    assert result.stdout.splitlines()[:-1] == dry.stdout.splitlines()[:-1]
    run = rows(ledger, "SELECT DISTINCT run FROM adjustments")[0][0]
    assert result.stdout.splitlines()[-1] == f"repriced 2 calls (run {run})"
    history = json.loads(aicost("budgets", "history", "--json").stdout)["events"]
    assert [(event["kind"], event["budget"], event["key"]) for event in history] == [("calls_repriced", "reprice", run)]
    assert json.loads(aicost("report", "--format", "json").stdout)["total"]["cost_nano"] == 5 * 10**9
    assert aicost("ledger", "verify").exit_code == 0
    again = aicost("reprice")
    assert again.stdout.splitlines()[-1] == "repriced 0 calls: there was nothing to change"


def test_json_has_exact_amounts(ledger, aicost):
    """Every model, exact dollars and nano-dollars, null where no cost is known."""
    told = json.loads(aicost("reprice", "--dry-run", "--json").stdout)
    assert (told["dry_run"], told["run"]) == (True, None)
    assert [group["model"] for group in told["groups"]] == ["gpt-7", "gpt-8", "gpt-9"]
    assert told["groups"][0]["was_usd"] is None
    assert told["groups"][0]["unpriced_reasons"] == {"unknown_model": 1}
    assert told["groups"][1]["difference_usd"] == "-3.00"
    assert told["total"]["difference_nano"] == 0
    done = json.loads(aicost("reprice", "--json").stdout)
    assert done["groups"] == told["groups"]
    assert (done["dry_run"], [done["run"]]) == (
        False,
        [run for (run,) in rows(ledger, "SELECT run FROM adjustments LIMIT 1")],
    )


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (["--unpriced"], 1),
        (["--model", "GPT-8"], 1),
        (["--model", "gpt-?"], 2),
        (["--provider", "groq"], 0),
        (["--since", "2026-11-21"], 1),
        (["--until", "2026-11-20"], 1),
        (["--since", "2026-11-20", "--until", "2026-11-21"], 2),
    ],
)
def test_only_the_calls_asked_for(ledger, aicost, options, changed):
    """Each option leaves the other calls alone."""
    assert json.loads(aicost("reprice", "--json", *options).stdout)["total"]["repriced_calls"] == changed
    assert rows(ledger, "SELECT count(*) FROM adjustments") == [(changed,)]


def test_a_call_shows_what_it_cost_before(ledger, aicost):
    """`aicost calls --id` and `aicost prices explain` tell each change: when, who, from what to what, and why."""
    aicost("reprice", "--reason", "new contract")
    for command in (["calls", "--id", "01990000-bbbb"], ["prices", "explain", "01990000-bbbb"]):
        shown = aicost(*command).stdout
        assert "Repriced" in shown
        line = next(line for line in shown.splitlines() if "new contract" in line)
        assert "$5.00 by openai/gpt-8 of user (v1)" in line
        assert "$2.00 by openai/gpt-8 of user (" in line
    told = json.loads(aicost("prices", "explain", "01990000-aaaa", "--json").stdout)
    (change,) = told["adjustments"]
    assert (change["reason"], change["was"]["cost_usd"], change["became"]["cost_usd"]) == ("new contract", None, "3.00")
    assert change["was"]["unpriced"] == "unknown_model"
    assert change["became"]["parts"][0]["amount_usd"] == "3.00"
    assert json.loads(aicost("calls", "--id", "01990000-aaaa", "--format", "json").stdout)["adjustments"] == [change]


def test_a_call_that_was_never_repriced_shows_nothing_of_it(ledger, aicost):
    """Without a change there is no table of changes."""
    assert "Repriced" not in aicost("calls", "--id", "01990000-bbbb").stdout


def test_a_price_file_with_a_mistake_ends_it(ledger, aicost, tmp_path):
    """Without the file other prices would be taken: nothing is read or written."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("schema: 1\nmodel: []\n")
    result = aicost("reprice", "--prices", wrong)
    assert result.exit_code == 1
    assert "wrong.yaml:2" in result.stderr
    assert rows(ledger, "SELECT count(*) FROM adjustments") == [(0,)]


def test_daily_totals_are_told(tmp_path, aicost, ledger):
    """Calls that cannot be repriced any more are counted, with those that have no price."""
    path = write(tmp_path / "old.db", call(started_ns=at("2026-11-01")), call(started_ns=at("2026-11-20")), fold_before="2026-11-10")  # fmt: skip
    result = aicost("reprice", "--ledger", path)
    assert "In daily totals by now, and not to be repriced: 1 calls, 1 of them unpriced." in result.stdout
    assert json.loads(aicost("reprice", "--ledger", path, "--json").stdout)["in_daily_totals"]["calls"] == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--since", "soon"], "is not a date"),
        (["--since", "2026-11-21", "--until", "2026-11-20"], "is after"),
        (["--reason", "x" * 501], "longer than 500"),
    ],
)
def test_wrong_usage_is_one_line(ledger, aicost, arguments, told):
    """What is wrong, on stderr, with exit code 2."""
    result = aicost("reprice", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_without_a_ledger_it_says_so(aicost, tmp_path):
    """There is nothing to be repriced, and none is made."""
    result = aicost("reprice", "--ledger", tmp_path / "none.db")
    assert result.exit_code == 3
    assert not (tmp_path / "none.db").exists()


def on_a_terminal(answer, *arguments):
    """Run it on a terminal of its own and type: what it said, and its exit code."""
    ours, its = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "otel_aicost.cli", "reprice", *arguments],
        stdin=its, stdout=its, stderr=its, env={**os.environ, "PYTHONPATH": str(SOURCE), "TERM": "dumb"},
    )  # fmt: skip
    os.close(its)
    said = b""
    try:
        while select.select([ours], [], [], 30)[0]:
            try:
                some = os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            if not some:
                break
            said += some
            if b"[y/N]" in said and answer is not None:
                os.write(ours, answer)
                answer = None
    finally:
        code = child.wait(30)
        os.close(ours)
    return said.decode(), code


def test_on_a_terminal_it_asks_first(ledger):
    """It shows what would change; only a yes does it, and --yes does not ask."""
    said, code = on_a_terminal(b"n\n")
    assert ("gpt-8" in said, "Reprice 2 calls? [y/N]" in said, "nothing was changed" in said, code) == (
        True,
        True,
        True,
        0,
    )
    assert rows(ledger, "SELECT count(*) FROM adjustments") == [(0,)]
    said, code = on_a_terminal(b"y\n")
    assert ("repriced 2 calls" in said, code) == (True, 0)
    said, code = on_a_terminal(None)
    assert ("[y/N]" in said, "0 calls would be repriced" in said, code) == (False, True, 0)


def test_yes_does_not_ask(ledger):
    """With --yes a terminal is no reason to wait."""
    said, code = on_a_terminal(None, "--yes")
    assert ("[y/N]" in said, "repriced 2 calls" in said, code) == (False, True, 0)


def test_fetched_prices_are_in_force(tmp_path, monkeypatch, aicost):
    """What `aicost prices update` stored prices the calls since then, and older ones of a model that had no price."""
    path = tmp_path / "ledger.db"
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(path))
    data = pricelists.published()
    pricelists.model(data, "openai", "gpt-4o")["prices"]["input_mtok"] = 7
    owner = next(each for each in data if each["id"] == "openai")
    owner["models"].append({"id": "brand-new", "match": {"equals": "brand-new"}, "prices": {"input_mtok": 3}})
    (tmp_path / "data.json").write_bytes(pricelists.raw(data))
    assert aicost("prices", "update", "--from", str(tmp_path / "data.json")).exit_code == 0
    write(
        path,
        call("gpt-4o", id="a since then", started_ns=time.time_ns()),
        call("gpt-4o", id="b before it", started_ns=at("2026-11-01")),
        call("brand-new", id="c before it", started_ns=at("2026-11-01")),
    )
    assert aicost("reprice", "--yes").exit_code == 0
    assert rows(path) == [("a since then", 7 * 10**9), ("b before it", 25 * 10**8), ("c before it", 3 * 10**9)]


def test_a_fetched_price_file_is_in_force(tmp_path, ledger, monkeypatch, aicost):
    """Where the user names none; one that cannot be used is an error."""
    monkeypatch.delenv("OTEL_AICOST_PRICES")
    fetched = tmp_path / "fetched.yaml"
    fetched.write_text(text(("gpt-8", "4.00")))
    assert aicost("prices", "update", "--from", str(fetched)).exit_code == 0
    assert aicost("reprice", "--model", "gpt-8").exit_code == 0
    assert dict(rows(ledger))["01990000-bbbb"] == 4 * 10**9
    (tmp_path / "state" / "aicost" / "prices" / "prices.yaml").write_text("nonsense")
    broken = aicost("reprice")
    assert broken.exit_code == 1
    assert "prices.yaml" in broken.stderr
