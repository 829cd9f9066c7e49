"""`on_store_down`: what becomes of calls while the ledger does not answer, and when it does again."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from budgets.lines import line
from capture.holding import starting
from capture.scenarios import CHAT_ASKED
from otel_aicost import BudgetExceeded
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import WAIT_SECONDS, StoreDownError, Writer
from otel_aicost.testing import Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from capture.world import Counting
    from otel_aicost.testing import FakeProvider

ASKED = {**CHAT_ASKED, "max_tokens": 100}
EXACT = Usage(input_tokens=32, output_tokens=100)
COST = 32 * 2500 + 100 * 10_000
"""Nano-dollars of each call, at the most and really."""
ROOM = 4
"""For so many calls there is room in the budget."""
TRIED = 6
FREEZER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("frozen", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "there" / "ledger.db"


@pytest.fixture
def held(provider: FakeProvider, ledger: Path) -> Iterator[Callable[..., Counting]]:
    provider.always(Reply(usage=EXACT))
    yield from starting(provider, ledger)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For each time a call asked the ledger: how long it would have waited at the most."""
    waits: list[float] = []
    answer, wait = Writer._answer, FileStore.wait_at_most

    def counted(self: Writer, *args: Any) -> Any:
        waits.append(0.0)
        return answer(self, *args)

    def noted(self: FileStore, seconds: float) -> None:
        if waits:
            waits[-1] = max(waits[-1], seconds)
        wait(self, seconds)

    monkeypatch.setattr(Writer, "_answer", counted)
    monkeypatch.setattr(FileStore, "wait_at_most", noted)
    return waits


@contextmanager
def frozen(ledger: Path) -> Iterator[None]:
    """Another process holds the write lock of the ledger."""
    child = subprocess.Popen(
        [sys.executable, "-c", FREEZER, str(ledger)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "frozen\n"
    try:
        yield
    finally:
        child.communicate("", timeout=30)


@contextmanager
def unreadable(ledger: Path) -> Iterator[None]:
    """There is a file where the ledger's directory should be."""
    ledger.parent.write_text("")
    yield
    ledger.parent.unlink()


def budget(policy: str, mode: str, more: str = "") -> str:
    limit = f"{ROOM * COST / 1e9:.9f}"
    return (
        f"{{name: b, limit: {limit} USD, period: day, on_exceed: block, mode: {mode}, on_store_down: {policy}{more}}}"
    )


def tries(gpt: Any, count: int = TRIED) -> tuple[int, list[BudgetExceeded]]:
    """How many of so many calls were sent, and why the others were not."""
    refused = []
    for _ in range(count):
        try:
            gpt.chat.completions.create(**ASKED)
        except BudgetExceeded as error:
            refused.append(error)
    return count - len(refused), refused


def breaker(counting: Counting) -> Writer:
    observer = counting.pipeline._budgets
    assert observer is not None
    assert observer.writer is not None
    return observer.writer


def look(ledger: Path) -> list[tuple[int, int, int]]:
    with closing(sqlite3.connect(ledger, timeout=10)) as connection:
        return connection.execute("SELECT spent_nano, reserved_nano, spent_calls FROM budget_windows").fetchall()


def as_documented(policy: str, known: int, sent: int, refused: list[BudgetExceeded]) -> None:
    """What docs/budgets.md says of this policy, where so many calls were known to be spent."""
    assert sent == {"open": TRIED, "closed": 0, "local": ROOM - known}[policy]
    for error in refused:
        assert (error.limit, error.budget) == (Decimal(ROOM * COST).scaleb(-9), "b")
        assert error.spent == (None if policy == "closed" else error.limit)
        assert ("by this process alone" if policy == "local" else "cannot be looked up") in str(error)


POLICIES = pytest.mark.parametrize("policy", ["open", "closed", "local"])
MODES = pytest.mark.parametrize("mode", ["strict", "balanced"])


@POLICIES
@MODES
def test_a_frozen_ledger(
    provider: FakeProvider,
    held: Callable[..., Counting],
    gpt: Any,
    ledger: Path,
    asked: list[float],
    policy: str,
    mode: str,
) -> None:
    """One call waits for it, the others do not; whoever counts alone begins where all processes had come to."""
    counting = held(budget(policy, mode))
    assert tries(gpt, 1)[0] == 1
    assert counting.pipeline.flush(10)
    with closing(sqlite3.connect(ledger, timeout=10)) as other, other:
        other.execute("UPDATE budget_windows SET spent_nano = spent_nano + ?", (COST,))  # another process's call
    assert tries(gpt, 1)[0] == 1
    assert counting.pipeline.flush(10)
    asked.clear()
    with frozen(ledger):
        sent, refused = tries(gpt)
        assert breaker(counting)._failing
        assert len(asked) == 1
        assert asked[0] <= WAIT_SECONDS
    as_documented(policy, 3, sent, refused)

    # --- and when it answers again: all is written, and the ledger decides
    assert counting.pipeline.flush(20)
    assert not breaker(counting)._failing
    assert look(ledger) == [((3 + sent) * COST, 0, 2 + sent)]
    again, refused = tries(gpt, 2)
    assert again == max(0, ROOM - 3 - sent)
    assert refused[-1].spent == Decimal(max(ROOM, 3 + sent) * COST).scaleb(-9)
    assert "alone" not in str(refused[-1])
    assert len(asked) == 3


@POLICIES
@MODES
def test_a_ledger_that_cannot_be_opened(
    provider: FakeProvider,
    held: Callable[..., Counting],
    gpt: Any,
    ledger: Path,
    asked: list[float],
    policy: str,
    mode: str,
) -> None:
    """Nothing was ever seen of it: whoever counts alone begins at nothing."""
    with unreadable(ledger):
        counting = held(budget(policy, mode))
        sent, refused = tries(gpt)
        assert breaker(counting)._failing
        assert len(asked) <= 1  # none, where it was found out in the background before
    as_documented(policy, 0, sent, refused)
    assert counting.pipeline.flush(20)
    assert look(ledger) == ([(sent * COST, 0, sent)] if sent else [])
    again, _ = tries(gpt, TRIED)
    assert again == max(0, ROOM - sent)


@POLICIES
@MODES
def test_no_ledger_at_all(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, policy: str, mode: str
) -> None:
    """With OTEL_AICOST_LEDGER=off a process that counts alone holds its own calls to the limit, for good."""
    counting = held(budget(policy, mode), path=None)
    as_documented(policy, 0, *tries(gpt))
    assert [record.status for record in counting.records].count("blocked") == {"open": 0, "closed": 6, "local": 2}[
        policy
    ]


@pytest.fixture
def writer(ledger: Path) -> Iterator[Writer]:
    made = Writer.of_file(ledger)
    assert made.reserve("1", [line(1)]) is None
    made.warm()
    assert made.flush(20)  # nothing is left to be written, nor to be looked after
    yield made
    assert made.close(20)


def test_a_breaker_is_not_closed_by_having_nothing_to_write(writer: Writer, ledger: Path, asked: list[float]) -> None:
    """Where nothing waits to be written, the ledger is probed all the same, and not by a call."""
    with frozen(ledger):
        with pytest.raises(StoreDownError):
            writer.reserve("2", [line(1)])
        asked.clear()
        for _ in range(3):
            assert not writer.flush(20)  # a probe: it does not answer yet
            with pytest.raises(StoreDownError):
                writer.reserve("2", [line(1)])
        assert asked == []
    assert writer.flush(20)
    assert writer.reserve("2", [line(1)]) is None


def test_a_call_that_waited_too_long_for_its_turn_is_no_reason_to_be_down_for_good(writer: Writer) -> None:
    """Where others were only faster, the next call asks again, also where there is nothing to write."""
    assert writer._turn.take(10)
    with pytest.raises(StoreDownError):
        writer.reserve("2", [line(1)])
    writer._turn.give()
    assert writer._worker.flush(20)  # not the writer's own, which would try by itself
    assert writer.reserve("2", [line(1)]) is None


# --- what is counted -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", [Reply(status=400), Reply(status=500), Reply(hang_up=True)])
def test_an_error_is_not_counted(provider: FakeProvider, held: Callable[..., Counting], gpt: Any, reply: Reply) -> None:
    """What failed cost nothing: the whole limit is there again."""
    import openai

    held(budget("local", "strict"), path=None)
    for _ in range(ROOM + 1):
        provider.reset()
        provider.next(reply)
        with pytest.raises(openai.APIError):
            gpt.chat.completions.create(**ASKED)
    provider.reset()
    provider.always(Reply(usage=EXACT))
    assert tries(gpt)[0] == ROOM


async def test_asynchronous_calls_are_counted(
    provider: FakeProvider, held: Callable[..., Counting], async_gpt: Any
) -> None:
    """At once, they are as many as there is room for; and those that are cancelled leave nothing behind."""
    import asyncio

    held(budget("local", "strict"), path=None)
    provider.always(Reply(usage=EXACT, delay=30))
    for _ in range(ROOM):
        task = asyncio.ensure_future(async_gpt.chat.completions.create(**ASKED))
        while not provider.requests:  # noqa: ASYNC110 - the provider is a thread
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        provider.reset()
        provider.always(Reply(usage=EXACT, delay=30))
    provider.reset()
    provider.always(Reply(usage=EXACT))
    calls = [async_gpt.chat.completions.create(**ASKED) for _ in range(3 * ROOM)]
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(one, BudgetExceeded) for one in done) == 2 * ROOM
    assert len(provider.requests) == ROOM


def test_what_is_known_of_a_call_is_its_cost_not_its_estimate(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any
) -> None:
    """Calls that cost half of what they might leave room for twice as many."""
    held(budget("local", "strict"), path=None)
    provider.always(Reply(usage=Usage(input_tokens=16, output_tokens=50)))
    assert tries(gpt, 3 * ROOM)[0] == 2 * ROOM - 1  # the last one might have cost twice as much


def test_calls_by_hand_are_counted(held: Callable[..., Counting], gpt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `record` is told uses up the local count, too."""
    import otel_aicost
    from otel_aicost import instrumentor

    counting = held(budget("local", "strict"), path=None)
    monkeypatch.setattr(instrumentor, "_pipeline", counting.pipeline)
    otel_aicost.record("anyone", None, {}, cost=str(Decimal(3 * COST).scaleb(-9)))
    assert tries(gpt)[0] == ROOM - 3


def test_each_key_is_counted_by_itself(provider: FakeProvider, held: Callable[..., Counting], gpt: Any) -> None:
    """One user's count is not another's."""
    import otel_aicost

    held(budget("local", "strict", ", per: user"), path=None)
    for user in ("alice", "bob"):
        with otel_aicost.tags(user=user):
            assert tries(gpt)[0] == ROOM


def test_a_fallback_goes_by_the_local_count(provider: FakeProvider, held: Callable[..., Counting], gpt: Any) -> None:
    """When the process has counted to the limit, the cheaper model takes over."""
    text = budget("local", "strict").replace("on_exceed: block", "on_exceed: {fallback: gpt-4o-mini}")
    held(text, path=None)
    assert tries(gpt)[0] == TRIED
    assert [request.model for request in provider.requests] == ["gpt-4o"] * ROOM + ["gpt-4o-mini"] * (TRIED - ROOM)
