"""What an application asks its budgets: how they stand, and whether a call would be sent."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

import otel_aicost
from otel_aicost import BudgetExceeded, LedgerError, budget_status, can_call, faults, instrumentor
from otel_aicost.config import Settings
from otel_aicost.ledger.store import FileStore
from otel_aicost.model import Call

FILE = """
timezone: Europe/Berlin
budgets:
  - {name: user-day, per: [user], limit: 1 USD, tokens: 50000, period: day, on_exceed: block, mode: strict}
  - {name: month, limit: 100 USD, period: month, alert_at: [0.001]}
  - {name: one, limit: 0.50 USD, period: call, on_exceed: block, match: {model: gpt-4o}}
  - {name: claude, match: {provider: anthropic}, calls: 2, period: forever, on_exceed: block}
"""
PROMPT = 4 * 1000 * 2500
"""Nano-dollars that a prompt of 1000 tokens may cost at the most: a token for each byte."""


@pytest.fixture
def start(tmp_path):
    """Start a pipeline with a file of budgets and a ledger of its own."""
    faults.reset()

    def begin(text=FILE, **settings):
        (tmp_path / "aicost.yaml").write_text(text)
        settings = {"ledger": tmp_path / "ledger.db", "config": tmp_path / "aicost.yaml", **settings}
        return instrumentor.start(Settings(**settings))

    yield begin
    instrumentor.stop()


def _record(dollars, **tags):
    with otel_aicost.tags(**tags):
        otel_aicost.record("openai", "gpt-4o", {"input_tokens": 100}, cost=dollars)


def _by(statuses):
    return {(status.budget, status.key, status.currency): status for status in statuses}


# --- budget_status -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b""])
def test_before_the_first_call(tmp_path, monkeypatch, content):
    """All budgets stand with nothing spent, and asking makes no ledger."""
    (tmp_path / "aicost.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(tmp_path / "state" / "ledger.db"))
    if content is not None:  # another program is about to make it
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "ledger.db").write_bytes(content)
    assert [(each.budget, each.key, each.window) for each in budget_status()][-2:] == [
        ("one", "", "each call"),
        ("claude", "", "forever"),
    ]
    told = _by(budget_status("user-day"))
    assert set(told) == {("user-day", None, "USD"), ("user-day", None, "tokens")}
    assert {each.spent for each in told.values()} == {0}
    assert (tmp_path / "state").exists() is (content is not None)


def test_how_budgets_stand(start):
    """What calls took is told in dollars, tokens and calls, with what is left and when it resets."""
    start()
    _record("0.25", user="alice")
    _record("0.5", user="bob")
    assert otel_aicost.flush()
    told = _by(budget_status())
    alice = told["user-day", "alice", "USD"]
    assert (alice.spent, alice.reserved, alice.limit, alice.remaining) == (Decimal("0.25"), 0, 1, Decimal("0.75"))
    assert (alice.share, alice.state) == (Decimal("0.25"), "ok")
    midnight = alice.resets_at.astimezone(ZoneInfo("Europe/Berlin"))
    assert (midnight.hour, midnight.minute) == (0, 0)
    assert alice.starts_at <= datetime.now(UTC) < alice.resets_at <= alice.starts_at + timedelta(hours=25)
    assert told["user-day", "bob", "tokens"].remaining == 49_900
    month = told["month", "", "USD"]
    assert (month.spent, month.state) == (Decimal("0.75"), "warned")
    with pytest.raises(dataclasses.FrozenInstanceError):
        month.spent = 0


def test_one_budget_and_one_key(start):
    """A name and a key choose; a key without a window stands with what it may spend; an unknown name is nothing."""
    start(FILE.replace("mode: strict", "overrides: {carol: 3 USD}"))
    _record("0.25", user="alice")
    assert otel_aicost.flush()
    assert set(_by(budget_status("user-day", "alice"))) == {
        ("user-day", "alice", "USD"),
        ("user-day", "alice", "tokens"),
    }
    carol = _by(budget_status("user-day", "carol"))["user-day", "carol", "USD"]
    assert (carol.spent, carol.limit) == (0, 3)
    assert budget_status("nobody") == []


def test_what_is_on_its_way_is_reserved(start):
    """A call that was admitted and has not ended shows as reserved."""
    pipeline = start()
    opened = pipeline.begin(_call())
    assert opened.admit() is None
    alice = _by(budget_status("user-day", "alice"))["user-day", "alice", "USD"]
    assert alice.reserved > 0
    assert alice.remaining == 1 - alice.reserved
    opened.abandon()
    assert otel_aicost.flush()
    assert _by(budget_status("user-day", "alice"))["user-day", "alice", "USD"].reserved == 0


def _call(tokens=10, user="alice"):
    return Call(
        "openai",
        "chat",
        "gpt-4o",
        time.time_ns(),
        time.perf_counter_ns(),
        {"user": user},
        parameters={"gen_ai.request.max_tokens": tokens},
    )


def test_without_a_ledger(start):
    """Where there is none, nobody knows what is spent."""
    start(ledger=None)
    with pytest.raises(LedgerError, match="switched off"):
        budget_status()


@pytest.mark.parametrize("content", [b"no database" * 500, None])
def test_a_ledger_that_cannot_be_read(start, tmp_path, content):
    """Another file, or a newer ledger, in its place is an error, and it is left as it is."""
    start()
    path = tmp_path / "other.db"
    if content is None:
        FileStore(path).close()
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("PRAGMA user_version = 99")
    else:
        path.write_bytes(content)
    instrumentor.running().settings = Settings(ledger=path)
    with pytest.raises(LedgerError, match=str(path)):
        budget_status()


def test_a_program_that_counts_nothing(start, tmp_path, monkeypatch):
    """A program that is not instrumented sees the budgets of the ledger that its environment names."""
    start()
    _record("0.25", user="alice")
    instrumentor.stop()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(tmp_path / "ledger.db"))
    assert _by(budget_status())["month", "", "USD"].spent == Decimal("0.25")
    assert instrumentor.running() is None


def test_asking_from_many_threads_and_forks(start):
    """Threads may ask at once, and a child forked meanwhile can ask and write too."""
    start()
    _record("0.25", user="alice")
    assert otel_aicost.flush()
    stop, errors = threading.Event(), []

    def ask():
        while not stop.is_set():
            try:
                budget_status()
            except Exception as error:  # noqa: BLE001 - told at the end
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    codes = []
    for _ in range(8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads; that is what is tried
            child = os.fork()
        if not child:
            try:
                _record("0.25", user="alice")
                told = otel_aicost.flush(10) and _by(budget_status())["month", "", "USD"].spent >= Decimal("0.5")
                os._exit(0 if told else 1)
            finally:
                os._exit(2)
        codes.append(os.waitpid(child, 0)[1])
    stop.set()
    for thread in threads:
        thread.join()
    assert (codes, errors) == ([0] * 8, [])
    assert otel_aicost.flush()
    assert _by(budget_status())["month", "", "USD"].spent == Decimal("2.25")


# --- can_call ------------------------------------------------------------------------------------------------------


def test_a_call_that_fits_and_one_that_does_not(start):
    """The answer is true or false like the admission, with what is needed and what is left; nothing is reserved."""
    start(FILE.replace("limit: 1 USD", f"limit: {PROMPT / 1e9} USD"))
    fits = can_call("openai", "gpt-4o", input_tokens=900, max_output_tokens=10, tags={"user": "alice"})
    assert fits
    assert (fits.allowed, fits.reason, fits.budget, fits.needed > 0) == (True, None, None, True)
    long = can_call("openai", "gpt-4o", input_tokens=1000, max_output_tokens=10, tags={"user": "alice"})
    assert not long
    assert (long.budget, long.key, long.currency) == ("user-day", "alice", "USD")
    assert (long.needed, long.remaining) == (Decimal(PROMPT + 10 * 10_000) / 10**9, Decimal(PROMPT) / 10**9)
    assert "budget user-day of alice" in long.reason
    assert long.resets_at > datetime.now(UTC)
    assert can_call("openai", "gpt-4o", input_tokens=1000, max_output_tokens=10)  # nobody's
    assert can_call("openai", "gpt-4o", input_tokens=900, max_output_tokens=10, tags={"user": "alice"})
    assert budget_status("user-day", "alice")[0].reserved == 0


def test_it_decides_as_a_call_is_decided(start):
    """For prompts around the limit, `can_call` says what then happens to the call itself."""
    pipeline = start(FILE.replace("limit: 1 USD", "limit: 0.01 USD"))
    said, done = [], []
    for tokens in range(990, 1010):
        said.append(can_call("openai", "gpt-4o", max_output_tokens=tokens, tags={"user": f"u{tokens}"}).reason)
        refused = pipeline.begin(_call(tokens=tokens, user=f"u{tokens}")).admit()
        done.append(None if refused is None else str(refused))
    assert said == done
    assert {reason is None for reason in done} == {True, False}


def test_tags_in_force(start):
    """Tags of the block and the tags given count, the given ones first."""
    start()
    _record("1", user="alice")
    assert otel_aicost.flush()
    with otel_aicost.tags(user="alice"):
        assert not can_call("openai", "gpt-4o-mini")
        assert can_call("openai", "gpt-4o-mini", tags={"user": "bob"}, max_output_tokens=10)
    assert can_call("openai", "gpt-4o-mini", max_output_tokens=10)


def test_single_calls_and_counts(start):
    """A limit of single calls, and one of calls, are asked too; a budget that only warns never says no."""
    start()
    dear = can_call("openai", "gpt-4o", max_output_tokens=60_000)
    assert (dear.budget, dear.needed, dear.remaining) == ("one", Decimal("0.6"), Decimal("0.5"))
    assert can_call("openai", "o1", max_output_tokens=60_000)
    for _ in range(2):
        assert can_call("anthropic", "claude-haiku-4-5")
        otel_aicost.record("anthropic", "claude-haiku-4-5", {"input_tokens": 1})
    otel_aicost.flush()
    third = can_call("anthropic", "claude-haiku-4-5")
    assert (third.allowed, third.currency, third.needed, third.remaining) == (False, "calls", 1, 0)
    assert third.resets_at is None


def test_models_without_a_price(start):
    """What on_unpriced says of a call, it says of the question."""
    start("budgets: [{name: a, limit: 1 USD, period: day, on_exceed: block, on_unpriced: block}]")
    answer = can_call("openai", "no-such-model-1")
    assert (answer.allowed, answer.budget, answer.needed, answer.remaining) == (False, "a", None, None)
    assert "has no price" in answer.reason


@pytest.mark.parametrize(("down", "allowed"), [("open", True), ("closed", False)])
@pytest.mark.parametrize("ledger", ["off", "unusable"])
def test_a_ledger_that_does_not_answer(start, tmp_path, down, allowed, ledger):
    """on_store_down decides, as it would of the call."""
    path = None
    if ledger == "unusable":
        path = tmp_path / "no" / "ledger.db"
        (tmp_path / "no").write_text("a file, not a directory")
    start(
        f"budgets: [{{name: a, limit: 1 USD, period: day, on_exceed: block, on_store_down: {down}}}]",
        ledger=path,
    )
    answer = can_call("openai", "gpt-4o", max_output_tokens=10)
    assert answer.allowed is allowed
    assert (answer.reason is None) is allowed
    faults.reset()


def test_without_budgets(start):
    """Where there is no budget every call would be sent."""
    start("budgets: []")
    assert can_call("openai", "gpt-4o") == otel_aicost.Admission(allowed=True)


@pytest.mark.parametrize(
    "wrong", [{"input_tokens": "many"}, {"input_tokens": None}, {"tags": {"a b": 1}}, {"operation": 7}]
)
def test_nothing_is_raised(start, wrong):
    """A question that makes no sense is reported at the most, and stops nothing."""
    start()
    assert can_call("openai", "gpt-4o-mini", **{"max_output_tokens": 5, **wrong}).allowed
    faults.reset()


def test_a_call_that_was_refused_is_refused_by_both(start):
    """After the limit, the exception of a call and the answer agree."""
    pipeline = start()
    _record("1", user="alice")
    otel_aicost.flush()
    refused = pipeline.begin(_call()).admit()
    answer = can_call("openai", "gpt-4o", max_output_tokens=10, tags={"user": "alice"})
    assert isinstance(refused, BudgetExceeded)
    assert (answer.budget, answer.key, answer.remaining) == (refused.budget, refused.key, 0)


def test_an_application_loads_nothing_of_the_command(start, tmp_path):
    """Asking for the budgets loads neither SQLAlchemy nor click nor rich."""
    start()
    _record("0.25", user="alice")
    instrumentor.stop()
    code = (
        "import sys, otel_aicost; print(len(otel_aicost.budget_status())); "
        "print([n for n in ('sqlalchemy', 'click', 'rich', 'jsonschema') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "OTEL_AICOST_LEDGER": str(tmp_path / "ledger.db")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["5", "[]"]
