"""A process tells its ledger that it makes calls, and how writing them fares; one without calls says nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from otel_aicost import __version__, faults
from otel_aicost.ledger.opening import NoLedgerYetError, looking
from otel_aicost.ledger.processes import Counts, Heartbeat, living, seen, sums
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.ticker import NEVER
from otel_aicost.ledger.writer import Writer
from otel_aicost.observers.heartbeats import Heartbeats
from otel_aicost.observers.ledger import LedgerObserver
from otel_aicost.testing import FakeProvider
from records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TESTS = Path(__file__).parents[1]
COMMAND = str(Path(sys.executable).with_name("opentelemetry-instrument"))
HOUR = 3600.0
QUICK = 0.02


@pytest.fixture(autouse=True)
def _fresh_faults() -> Iterator[None]:
    faults.reset()
    yield
    faults.reset()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def observer(ledger: Path) -> Iterator[LedgerObserver]:
    """As the instrumentor makes it."""
    writer = Writer.of_file(ledger)
    made = LedgerObserver(writer, Heartbeats(writer, lambda: {"openai": "3.54.0"}))
    yield made
    made.close(5)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats as often as the tests have patience."""
    monkeypatch.setattr("otel_aicost.observers.heartbeats.SECONDS", QUICK)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.01)


def said(ledger: Path) -> list[Heartbeat]:
    """What the ledger knows of processes."""
    try:
        with looking(ledger) as connection:
            return seen(connection, time.time_ns(), HOUR)
    except NoLedgerYetError:
        return []


def quiet(observer: LedgerObserver) -> bool:
    """Whether nothing of it will wake the process again."""
    heartbeats = observer._heartbeats
    return heartbeats is not None and not heartbeats._looking and heartbeats._ticker._at == NEVER


def test_the_first_call_brings_the_first_heartbeat(observer: LedgerObserver, ledger: Path) -> None:
    """It comes in the background, without being asked for, and says who and how many."""
    before = time.time_ns()
    observer.after(record(service="checkout"), None)
    until(lambda: said(ledger))
    (one,) = said(ledger)
    assert (one.pid, one.service, one.version) == (os.getpid(), "checkout", __version__)
    assert (one.sdks, one.counts, one.queued, one.outbox) == ({"openai": "3.54.0"}, Counts(written=1), 0, None)
    assert one.started_ns <= before <= one.seen_ns <= time.time_ns()
    assert not one.ended


def test_without_a_call_nothing_is_said(observer: LedgerObserver, ledger: Path) -> None:
    """Not at the end either: there is not even a ledger."""
    threads = threading.active_count()
    assert observer.close(5)
    assert not ledger.exists()
    assert threading.active_count() == threads


def test_the_last_heartbeat_says_that_it_ends(observer: LedgerObserver, ledger: Path) -> None:
    """It counts every call, and what is done after it is told nobody."""
    for _ in range(7):
        observer.after(record(), None)
    assert observer.close(5)
    (one,) = said(ledger)
    assert (one.ended, one.counts, one.queued) == (True, Counts(written=7), 0)
    observer.after(record(), None)
    assert said(ledger) == [one]


@pytest.mark.usefixtures("quick")
def test_later_calls_are_told_and_then_it_is_quiet(observer: LedgerObserver, ledger: Path) -> None:
    """What came after a heartbeat is in the next one; with nothing new to say, no timer is left to wake it."""
    for number in range(1, 4):
        observer.after(record(), None)
        until(lambda number=number: [each.counts.written for each in said(ledger)] == [number])  # type: ignore[misc]
        until(lambda: quiet(observer))


@pytest.mark.usefixtures("quick")
def test_a_ledger_that_failed_is_told_of_when_it_is_back(observer: LedgerObserver, ledger: Path) -> None:
    """Nobody has to make another call for it; meanwhile no heartbeats pile up."""
    ledger.parent.write_text("in the way")
    observer.after(record(), None)
    until(lambda: int(observer.writer.stats()["errors"]) >= 3)
    time.sleep(5 * QUICK)
    assert len(observer.writer._jobs) == 1  # type: ignore[union-attr]
    ledger.parent.unlink()
    until(lambda: said(ledger))
    (one,) = said(ledger)
    assert one.counts.written == 1
    assert one.counts.errors == one.counts.internal_errors >= 3
    assert one.counts.lost == 0


@pytest.mark.usefixtures("quick")
def test_lost_calls_are_told(observer: LedgerObserver, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that found no room while the ledger could not be written."""
    monkeypatch.setattr("otel_aicost.ledger.writer.KEPT", 2)
    ledger.parent.write_text("in the way")
    observer.after(record(), None)
    until(lambda: int(observer.writer.stats()["errors"]))
    for _ in range(4):
        observer.after(record(), None)
    ledger.parent.unlink()
    until(lambda: said(ledger))
    (one,) = said(ledger)
    assert (one.counts.lost, one.counts.written) == (int(observer.writer.stats()["lost"]), 5 - one.counts.lost)
    assert one.counts.lost >= 2


@pytest.mark.usefixtures("quick")
def test_one_that_was_silent_for_long_goes_on_in_a_new_row(
    observer: LedgerObserver, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old row may have been folded by then; the sums are those of the process all the same."""
    monkeypatch.setattr("otel_aicost.observers.heartbeats.SILENT_SECONDS", 0.0)
    faults.report("elsewhere", ValueError("before the process made a call"))
    for number in range(1, 4):
        observer.after(record(), None)
        until(lambda number=number: len(said(ledger)) == number)  # type: ignore[misc]
        until(lambda: quiet(observer))
    with looking(ledger) as connection:
        assert sums(connection) == {"shop": Counts(3, 0, 0, 1)}
    assert [each.counts.written for each in said(ledger)] == [1, 1, 1]


def test_a_heartbeat_that_fails_harms_nothing(observer: LedgerObserver, ledger: Path) -> None:
    """Calls are written to a ledger that takes no heartbeats; it is reported."""
    with closing(FileStore(ledger)) as store:
        store.connection.execute("CREATE TRIGGER no BEFORE INSERT ON processes BEGIN SELECT RAISE(ABORT, 'no'); END")
        for number in range(1, 21):
            observer.after(record(), None)
            until(lambda number=number: int(observer.writer.stats()["written"]) == number)  # type: ignore[misc]
        observer.close(5)
        assert store.connection.execute("SELECT count(*) FROM calls").fetchone() == (20,)
    assert faults.counts()
    assert said(ledger) == []


# --- processes as they are in the field ---------------------------------------------------------------------------

ASK = """
import os, sys, time
import openai
def ask():
    # A connection of a client must not be shared with the child of a fork.
    openai.OpenAI(max_retries=0, timeout=20).chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])
"""
WAIT = """
print("asked", flush=True)
sys.stdin.readline()
"""
FORK = """
ask()
children = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        ask()
        sys.exit(0)
    children.append(pid)
print([os.waitpid(pid, 0)[1] for pid in children], flush=True)
ask()
"""
FORK_AND_BE_SILENT = """
ask()
pid = os.fork()
if pid == 0:
    sys.exit(0)
print([os.waitpid(pid, 0)[1]], flush=True)
sys.stdin.readline()
"""
POOL = """
import multiprocessing
context = multiprocessing.get_context("fork")
children = [context.Process(target=ask) for _ in range(2)]
for child in children:
    child.start()
for child in children:
    child.join()
print([child.exitcode for child in children], flush=True)
"""


@pytest.fixture
def start(tmp_path: Path, ledger: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start an instrumented program that asks a fake provider; killed at the end."""
    started: list[subprocess.Popen[str]] = []
    with FakeProvider() as provider:

        def run(code: str, **environ: str) -> subprocess.Popen[str]:
            app = tmp_path / "app.py"
            app.write_text(ASK + code)
            child = subprocess.Popen(
                [COMMAND, sys.executable, "-W", "ignore::DeprecationWarning", str(app)],
                env={
                    **os.environ,
                    **provider.environ,
                    "OTEL_AICOST_LEDGER": str(ledger),
                    "OTEL_SERVICE_NAME": "field",
                    **environ,
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # its children are killed with it
            )
            started.append(child)
            return child

        yield run
        for child in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.communicate(timeout=10)


def test_a_script_leaves_a_heartbeat_that_says_it_ended(start: Any, ledger: Path) -> None:
    """With the version of the SDK that it used, and of no other that is installed."""
    child = start("ask()\nask()\nprint(openai.__version__)\n")
    out, err = child.communicate(timeout=60)
    assert err == ""
    (one,) = said(ledger)
    assert (one.pid, one.service, one.ended, one.counts) == (child.pid, "field", True, Counts(written=2))
    assert one.sdks == {"openai": out.strip()}


def test_a_killed_process_ages_out(start: Any, ledger: Path) -> None:
    """After kill -9 its row never says that it ended; it counts as living for as long as is asked, and no longer."""
    child = start(f"ask()\n{WAIT}")
    assert child.stdout.readline() == "asked\n"
    until(lambda: said(ledger))
    child.kill()
    child.wait(30)
    (one,) = said(ledger)
    assert (one.pid, one.ended, one.counts) == (child.pid, False, Counts(written=1))
    with looking(ledger) as connection:
        assert living(connection, one.seen_ns + 300 * 10**9, 300) == [one]
        assert living(connection, one.seen_ns + 301 * 10**9, 300) == []
        assert sums(connection) == {"field": Counts(written=1)}


def test_each_side_of_a_fork_speaks_for_itself(start: Any, ledger: Path) -> None:
    """Children have rows of their own, in which the parent's calls are not counted again."""
    child = start(FORK)
    out, err = child.communicate(timeout=60)
    assert (out, err) == ("[0, 0]\n", "")
    rows = said(ledger)
    assert len({each.id for each in rows}) == len({each.pid for each in rows}) == 3
    assert {each.pid: each.counts for each in rows}[child.pid] == Counts(written=2)
    assert all(each.ended for each in rows)
    with looking(ledger) as connection:
        assert sums(connection) == {"field": Counts(written=4)}


def test_a_child_that_makes_no_call_does_not_speak_for_its_parent(start: Any, ledger: Path) -> None:
    """Its end is not the parent's."""
    child = start(FORK_AND_BE_SILENT)
    assert child.stdout.readline() == "[0]\n"
    until(lambda: said(ledger))
    (one,) = said(ledger)
    assert (one.pid, one.ended) == (child.pid, False)
    child.communicate("\n", timeout=60)
    (one,) = said(ledger)
    assert one.ended


def test_children_of_multiprocessing_say_that_they_end(start: Any, ledger: Path) -> None:
    """They leave without `atexit`; the parent made no call, and says nothing."""
    out, err = start(POOL).communicate(timeout=60)
    assert (out, err) == ("[0, 0]\n", "")
    assert [(each.ended, each.counts) for each in said(ledger)] == [(True, Counts(written=1))] * 2


@pytest.mark.parametrize("setting", [{"OTEL_AICOST_LEDGER": "off"}, {"OTEL_AICOST_ENABLED": "false"}])
def test_nothing_beats_without_a_ledger(start: Any, ledger: Path, setting: dict[str, str]) -> None:
    """Nor is a thread of it there."""
    code = 'ask()\nimport threading\nprint([t.name for t in threading.enumerate() if "heartbeat" in t.name])\n'
    assert start(code, **setting).communicate(timeout=60) == ("[]\n", "")
    assert not ledger.exists()
