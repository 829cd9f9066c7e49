"""Budgets at the SDKs: what they refuse is never sent, what they admit is settled however it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest

import otel_aicost
from capture.scenarios import CHAT_ASKED, CHAT_STREAM, ENDPOINTS, MATRIX, run, run_async
from capture.world import PAID, Counting, async_client, settings, sync_client
from otel_aicost import BudgetExceeded, faults
from otel_aicost.budgets.reading import parse
from otel_aicost.ledger import balances
from otel_aicost.ledger.writer import Writer
from otel_aicost.observers import budgets
from otel_aicost.observers.alerts import AlertObserver
from otel_aicost.observers.budgets import BudgetObserver
from otel_aicost.observers.plans import Plans
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.testing import Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from capture.scenarios import Endpoint
    from otel_aicost.testing import FakeProvider

ASKED = {**CHAT_ASKED, "max_tokens": 100}
"""13 characters of prompt in one message: 8 tokens as estimated, 32 at the most."""
MOST = 32 * 2500 + 100 * 10_000
"""Nano-dollars that call may cost at the most, with gpt-4o."""
EXACT = Usage(input_tokens=32, output_tokens=100)
"""The usage that costs just that."""
CUT = (
    openai.APIConnectionError,
    *(sys.modules[name].RemoteProtocolError for name in ("httpx", "httpx2") if name in sys.modules),
)
"""What a cut stream raises: the SDK's own exception, or that of its HTTP client in older ones."""
STANDING = "SELECT key, spent_nano, reserved_nano, spent_calls, reserved_calls FROM budget_windows ORDER BY budget, key"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def look(ledger: Path) -> Callable[[str], list[tuple[Any, ...]]]:
    def ask(sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(ledger, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    return ask


@pytest.fixture
def held(provider: FakeProvider, ledger: Path) -> Iterator[Callable[..., Counting]]:
    """Count calls under the budgets of a YAML list, until the test ends."""
    opened: list[Counting] = []

    def start(text: str, *, paid: str = "openai", path: Path | None = ledger, spans: Any = None) -> Counting:
        opened.append(Counting(settings(provider, paid), spans, budgets=holding(f"budgets: [{text}]", path)))
        return opened[-1].__enter__()

    yield start
    for counting in opened:
        counting.__exit__()
    assert set(faults.counts()) <= {"ledger"}  # a ledger that does not answer is reported, and nothing else is


def holding(text: str, path: Path | None) -> BudgetObserver:
    """The budgets of a YAML file, with a ledger at `path`."""
    plan = parse(text.encode(), "aicost.yaml")
    plans, writer = Plans(None, lambda: (plan, [])), None if path is None else Writer.of_file(path)
    return BudgetObserver(plans, writer, AlertObserver(plans, writer))


def until_refused(call: Callable[[], object], most: int = 200) -> tuple[int, BudgetExceeded | None]:
    """How often the call is sent, of at most so many times, and the refusal that ended it."""
    for sent in range(most):
        try:
            call()
        except BudgetExceeded as refused:
            return sent, refused
    return most, None


NOTHING = "{name: nothing, limit: 0, period: day, on_exceed: block}"
BILLED = [one for one in MATRIX if not one.values[0].free and one.values[0].operation != "unknown"]  # type: ignore[union-attr]
UNBILLED = [one for one in ENDPOINTS if one.free or one.operation == "unknown"]


@pytest.mark.parametrize(("endpoint", "shape"), BILLED)
def test_every_way_to_call_is_blocked(
    provider: FakeProvider, held: Callable[..., Counting], endpoint: Endpoint, shape: str
) -> None:
    """With a limit of 0, no shape of any billable endpoint sends a byte, and each leaves one blocked record."""
    counting = held(NOTHING, paid=PAID[endpoint.client])
    with sync_client(endpoint.client, provider) as client, pytest.raises(BudgetExceeded, match="budget nothing"):
        run(client, endpoint, shape)
    assert provider.requests == []
    blocked = counting.only
    assert (blocked.status, blocked.usage_state, blocked.cost, blocked.unpriced) == ("blocked", "none", None, None)
    assert blocked.error_type == "BudgetExceeded"


@pytest.mark.parametrize(("endpoint", "shape"), BILLED)
async def test_every_asynchronous_way_to_call_is_blocked(
    provider: FakeProvider, held: Callable[..., Counting], endpoint: Endpoint, shape: str
) -> None:
    """The same for the asynchronous clients."""
    counting = held(NOTHING, paid=PAID[endpoint.client])
    async with async_client(endpoint.client, provider) as client:
        with pytest.raises(BudgetExceeded, match="budget nothing"):
            await run_async(client, endpoint, shape)
    assert provider.requests == []
    assert counting.only.status == "blocked"


@pytest.mark.parametrize("endpoint", UNBILLED, ids=[endpoint.name for endpoint in UNBILLED])
def test_what_is_not_billed_is_never_blocked(
    provider: FakeProvider, held: Callable[..., Counting], endpoint: Endpoint
) -> None:
    """Free endpoints, and paths nobody knows to be billable, pass a limit of 0."""
    held(NOTHING, paid=PAID[endpoint.client])
    provider.always(endpoint.script)
    with sync_client(endpoint.client, provider) as client:
        run(client, endpoint, "plain")
    assert len(provider.requests) == 1


def test_the_exception_tells_all(provider: FakeProvider, held: Callable[..., Counting], gpt: Any) -> None:
    """Budget, key, spent, reserved, needed, limit, currency and the end of the window are in it, also when pickled."""
    held("{name: user-day, per: user, limit: 0.0015 USD, period: day, on_exceed: block, mode: strict}")
    provider.always(Reply(usage=EXACT))
    with otel_aicost.tags(user="alice"):
        gpt.chat.completions.create(**ASKED)
        with pytest.raises(BudgetExceeded) as raised:
            gpt.chat.completions.create(**ASKED)
    with otel_aicost.tags(user="bob"):
        gpt.chat.completions.create(**ASKED)
    gpt.chat.completions.create(**ASKED)  # nobody's
    for error in (raised.value, pickle.loads(pickle.dumps(raised.value))):
        assert (error.budget, error.key, error.currency) == ("user-day", "alice", "USD")
        assert (error.spent, error.reserved, error.needed) == (Decimal("0.00108"), 0, Decimal("0.00108"))
        assert (error.limit, error.resets_at.hour) == (Decimal("0.0015"), 0)
        assert "0.00108 USD spent" in str(error)


def test_a_blocked_call_has_a_span(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, claude: Any, spans: InMemorySpanExporter
) -> None:
    """The span of a blocked call is marked and names the budget, also where the SDK would have made one itself."""
    held(NOTHING, spans=SpanObserver())
    with pytest.raises(BudgetExceeded):
        gpt.chat.completions.create(**ASKED)
    with pytest.raises(BudgetExceeded):
        claude.messages.create(model="claude-haiku-4-5", max_tokens=5, messages=ASKED["messages"])
    for span in spans.get_finished_spans():
        assert span.attributes["aicost.status"] == "blocked"
        assert span.attributes["error.type"] == "BudgetExceeded"
        assert span.attributes["aicost.budget.name"] == "nothing"
        assert span.status.status_code.name == "ERROR"
    assert len(spans.get_finished_spans()) == 2


@pytest.mark.parametrize("per", ["", "per: trace, "])
def test_a_runaway_loop_stops(
    provider: FakeProvider, held: Callable[..., Counting], spans: InMemorySpanExporter, gpt: Any, per: str
) -> None:
    """Calls of one trace stop at its limit; those of another trace go on."""
    from opentelemetry import trace

    held(f"{{name: run, {per}limit: {3 * MOST / 1e9:.9f} USD, period: forever, on_exceed: block, mode: strict}}")
    provider.always(Reply(usage=EXACT))
    tracer = trace.get_tracer("test")
    with tracer.start_as_current_span("agent"):
        assert until_refused(lambda: gpt.chat.completions.create(**ASKED))[0] == 3
    if per:
        with tracer.start_as_current_span("another agent"):
            gpt.chat.completions.create(**ASKED)


@pytest.mark.parametrize(("max_tokens", "blocked"), [(100, False), (101, True)])
def test_a_single_call_has_its_limit(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, max_tokens: int, blocked: bool
) -> None:
    """A call that may cost a nano-dollar more than the limit of single calls is not sent; no ledger is needed."""
    held(f"{{name: one, limit: {MOST / 1e9:.9f} USD, period: call, on_exceed: block, mode: strict}}", path=None)
    if not blocked:
        gpt.chat.completions.create(**{**ASKED, "max_tokens": max_tokens})
        return
    with pytest.raises(BudgetExceeded, match="this call may take") as raised:
        gpt.chat.completions.create(**{**ASKED, "max_tokens": max_tokens})
    assert raised.value.resets_at is None


def test_strict_takes_the_worst_case_for_a_call_without_a_limit(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any
) -> None:
    """Without max_tokens, 128,000 tokens of output are reserved in strict mode, far fewer in balanced."""
    held(
        "{name: s, match: {tags: {m: s}}, limit: 1.28 USD, period: day, on_exceed: block, mode: strict},"
        "{name: b, match: {tags: {m: b}}, limit: 0.05 USD, period: day, on_exceed: block}"
    )
    with otel_aicost.tags(m="s"), pytest.raises(BudgetExceeded) as raised:
        gpt.chat.completions.create(**CHAT_ASKED)
    assert raised.value.needed > Decimal("1.28")
    with otel_aicost.tags(m="b"):
        gpt.chat.completions.create(**CHAT_ASKED)


def test_strict_takes_the_dearest_rate_for_the_prompt(
    provider: FakeProvider, held: Callable[..., Counting], claude: Any
) -> None:
    """A prompt may be written to the cache for an hour, at twice the price: that is what is reserved for it."""
    held("{name: s, limit: 0.00001 USD, period: day, on_exceed: block, mode: strict}", paid="anthropic")
    with pytest.raises(BudgetExceeded) as raised:
        claude.messages.create(model="claude-haiku-4-5", max_tokens=5, messages=CHAT_ASKED["messages"])
    assert raised.value.needed == Decimal("0.000089")  # 32 tokens at 2 dollars, 5 at 5 dollars a million


def test_a_threshold_is_an_alert_and_a_line_in_the_log(
    provider: FakeProvider,
    held: Callable[..., Counting],
    gpt: Any,
    look: Callable[[str], list[tuple[Any, ...]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It names the budget, the key, the share, what is spent and when that ends; once."""
    text = f"{{name: b, per: user, limit: {4 * MOST / 1e9:.9f} USD, period: forever, alert_at: [0.5]}}"
    counting = held(text)
    provider.always(Reply(usage=EXACT))
    with otel_aicost.tags(user="alice"):
        for _ in range(3):
            gpt.chat.completions.create(**ASKED)
            assert counting.pipeline.flush(10)
    said = "Budget b of alice has reached 50% of its limit: 0.00216 of 0.00432 USD spent; it never resets"
    assert [entry.getMessage() for entry in caplog.records if "udget" in entry.getMessage()] == [f"otel-aicost: {said}"]
    assert look("SELECT kind, severity, budget, key, window_id, title, state FROM alerts") == [
        ("threshold_reached", "info", "b", "alice", "forever", said, "unread")
    ]


def test_a_blocked_call_is_an_alert_once_a_window(
    held: Callable[..., Counting],
    gpt: Any,
    look: Callable[[str], list[tuple[Any, ...]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However often it is tried: one row and one line, with the words of the exception."""
    counting = held("{name: nothing, limit: 0, per: user, period: forever, on_exceed: block}")
    with otel_aicost.tags(user="alice"):
        for _ in range(3):
            with pytest.raises(BudgetExceeded) as raised:
                gpt.chat.completions.create(**ASKED)
    assert counting.pipeline.flush(10)
    said = f"A call was blocked by {raised.value}"
    assert look("SELECT kind, severity, budget, key, window_id, title FROM alerts") == [
        ("call_blocked", "warning", "nothing", "alice", "forever", said)
    ]
    assert [entry.getMessage() for entry in caplog.records] == [f"otel-aicost: {said}"]


def test_a_call_that_took_more_than_one_may_is_an_alert(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, look: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    """It was only to be warned about, and is settled in the other budgets all the same."""
    counting = held("{name: one, limit: 0.001 USD, period: call}, {name: all, limit: 9 USD, period: forever}")
    provider.always(Reply(usage=EXACT))
    for _ in range(2):
        gpt.chat.completions.create(**ASKED)
    assert counting.pipeline.flush(10)
    assert look("SELECT kind, severity, budget, title FROM alerts") == [
        ("budget_exceeded", "critical", "one", "A call took more than budget one allows: 0.00108 of 0.001 USD")
    ]
    assert [row[1:] for row in look(STANDING)] == [(2 * MOST, 0, 2, 0)]


def test_balanced_reserves_what_such_calls_lately_cost(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any
) -> None:
    """Once a call has ended, the next reserves what it cost rather than what its max_tokens allow."""
    held("{name: b, limit: 0.002 USD, period: day, on_exceed: block}")
    provider.always(Reply(usage=Usage(input_tokens=4, output_tokens=1)))
    admitted, refused = until_refused(lambda: gpt.chat.completions.create(**ASKED))
    assert admitted == 99  # 0.00002 USD each; one nano-dollar more is reserved than the mean
    assert refused.needed == Decimal("0.000020001")


def test_more_than_one_budget_holds(provider: FakeProvider, held: Callable[..., Counting], gpt: Any, look: Any) -> None:
    """The narrowest budget decides; one it does not fit is not charged for a blocked call; one that warns counts too."""
    counting = held(
        "{name: a, limit: 1 USD, period: month, on_exceed: block},"
        "{name: b, match: {model: 'gpt-4*'}, calls: 1, period: day, on_exceed: block},"
        "{name: c, limit: 0.0001 USD, period: day},"
        "{name: d, match: {provider: anthropic}, limit: 0, period: day, on_exceed: block}"
    )
    provider.always(Reply(usage=EXACT))
    gpt.chat.completions.create(**ASKED)
    with pytest.raises(BudgetExceeded, match="budget b: 1 calls spent and 0 reserved of 1"):
        gpt.chat.completions.create(**ASKED)
    assert counting.pipeline.flush(10)
    assert look(STANDING) == [("", MOST, 0, 1, 0)] * 3


# --- prices nobody knows, and none at all --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "admitted", "spent"),
    [("allow", 3, 0), ("warn", 3, 0), ("block", 0, None), ("assume 0.4 USD", 2, 800_000_000)],
)
def test_a_call_without_a_price(
    provider: FakeProvider,
    held: Callable[..., Counting],
    gpt: Any,
    look: Any,
    caplog: pytest.LogCaptureFixture,
    policy: str,
    admitted: int,
    spent: int | None,
) -> None:
    """on_unpriced decides: let it pass, say so once, block it, or take it to cost so much."""
    counting = held(f"{{name: b, limit: 1 USD, period: day, on_exceed: block, on_unpriced: {policy}}}")
    passed, refused = until_refused(lambda: gpt.chat.completions.create(**{**ASKED, "model": "nobody-knows-1"}), most=3)
    assert passed == admitted
    assert ("has no price" in str(refused)) is (policy == "block")
    assert counting.pipeline.flush(10)
    assert len([1 for entry in caplog.records if "lets a call pass" in entry.getMessage()]) == (policy == "warn")
    assert [row[1] for row in look(STANDING)] == ([] if spent is None else [spent])


@pytest.mark.parametrize(("policy", "blocked"), [("allow", False), ("warn", True)])
def test_an_unknown_price_and_nothing_left(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, policy: str, blocked: bool
) -> None:
    """Where all is spent, or nothing may be, a call without a price passes only if that is allowed outright."""
    counting = held(f"{{name: b, limit: 0, period: day, on_exceed: block, on_unpriced: {policy}}}")
    try:
        gpt.chat.completions.create(**{**ASKED, "model": "nobody-knows-1"})
    except BudgetExceeded:
        assert blocked
    assert counting.only.status == ("blocked" if blocked else "ok")


def test_a_free_model_is_never_blocked(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, tmp_path: Path
) -> None:
    """A model whose price is zero passes every limit; so it does when its tokens and calls are used up."""
    from otel_aicost.prices.catalogue import Catalogue

    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "schema: 1\nmodels: [{provider: openai, model: house-llm, periods: [{from: 2020-01-01, free: true}]}]"
    )
    counting = held("{name: b, limit: 0, tokens: 0, calls: 0, period: day, on_exceed: block}")
    counting.pipeline._catalogue = Catalogue.load(prices)
    for _ in range(2):
        gpt.chat.completions.create(**{**ASKED, "model": "house-llm"})
    assert [record.status for record in counting.records] == ["ok", "ok"]


# --- every way a call can end --------------------------------------------------------------------------------------

DAY = f"{{name: b, limit: {MOST / 1e9:.9f} USD, period: day, on_exceed: block, mode: strict}}"


@pytest.mark.parametrize("reply", [Reply(status=400), Reply(status=500), Reply(hang_up=True)])
def test_an_error_gives_back_what_was_reserved(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, look: Any, reply: Reply
) -> None:
    """After a failed call the whole limit is there again, at once."""
    counting = held(DAY)
    for _ in range(3):
        provider.reset()
        provider.next(reply)
        with pytest.raises(openai.APIError):
            gpt.chat.completions.create(**ASKED)
    assert counting.pipeline.flush(10)
    assert look(STANDING) == [("", 0, 0, 0, 0)]


@pytest.mark.parametrize("end", ["read", "closed", "dropped", "cut"])
def test_a_stream_is_settled_however_it_ends(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, look: Any, end: str
) -> None:
    """A stream read, closed, dropped or cut is settled with its usage, or with the estimate on its record."""
    counting = held("{name: b, limit: 1 USD, period: day, on_exceed: block, mode: strict}")
    provider.always(Reply(usage=EXACT, text="word " * 50, drop_after=8 if end == "cut" else None))
    stream = gpt.chat.completions.create(**{**CHAT_STREAM, "max_tokens": 100})
    with suppress(*CUT):
        for number, _ in enumerate(stream):
            if end in {"closed", "dropped"} and number == 5:
                break
    if end == "closed":
        stream.close()
    del stream
    gc.collect()
    record = counting.only
    assert record.estimated is (end != "read")
    assert record.cost is not None
    assert look(STANDING) == [("", int(record.cost.total * 10**9), 0, 1, 0)]


def test_a_body_nobody_read_is_taken_for_what_was_reserved(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, look: Any
) -> None:
    """The provider answered and its usage is not known: the money is taken for spent rather than for kept."""
    counting = held("{name: b, limit: 1 USD, period: day, on_exceed: block, mode: strict}")
    with gpt.chat.completions.with_streaming_response.create(**ASKED):
        pass
    assert counting.only.usage_state == "unread"
    assert look(STANDING) == [("", MOST, 0, 1, 0)]


async def test_a_cancelled_task_gives_back_what_was_reserved(
    provider: FakeProvider, held: Callable[..., Counting], async_gpt: Any, look: Any
) -> None:
    """Cancelled at any moment, before, while or after the reservation is made, a call leaves none behind."""
    counting = held(f"{{name: b, limit: {40 * MOST / 1e9:.9f} USD, period: day, on_exceed: block, mode: strict}}")
    provider.always(Reply(usage=EXACT, delay=30))
    for number in range(40):
        task = asyncio.ensure_future(async_gpt.chat.completions.create(**ASKED))
        for _ in range(number % 10):
            await asyncio.sleep(0)
        await asyncio.sleep(0.0005 * (number % 8))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    for _ in range(100):
        assert counting.pipeline.flush(10)
        if look("SELECT count(*) FROM reservations") == [(0,)]:
            break
        await asyncio.sleep(0.05)
    assert [row[1:] for row in look(STANDING)] in ([(0, 0, 0, 0)], [])
    assert counting._capture is not None


async def test_the_event_loop_goes_on_while_the_ledger_is_waited_for(
    provider: FakeProvider, held: Callable[..., Counting], async_gpt: Any, ledger: Path
) -> None:
    """While another process holds the write lock, other tasks run; the call is then admitted, or not, as it should."""
    held("{name: b, limit: 1 USD, period: day, on_exceed: block}")
    await async_gpt.chat.completions.create(**ASKED)
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.ensure_future(async_gpt.chat.completions.create(**ASKED))
        turns = 0
        while not task.done() and turns < 10:
            await asyncio.sleep(0.005)
            turns += 1
        assert turns == 10
        other.execute("ROLLBACK")
    assert (await task).usage is not None


@pytest.mark.parametrize(
    ("policy", "blocked"),
    [
        ("on_store_down: open", False),
        ("on_store_down: closed", True),
        ("mode: strict", True),
        ("mode: balanced", False),
    ],
)
@pytest.mark.parametrize("down", ["off", "unusable"])
def test_a_ledger_that_is_down(
    provider: FakeProvider,
    held: Callable[..., Counting],
    gpt: Any,
    tmp_path: Path,
    policy: str,
    blocked: bool,
    down: str,
) -> None:
    """on_store_down decides whether calls pass; without it strict budgets stop them, balanced ones do not."""
    path = None if down == "off" else tmp_path
    counting = held(f"{{name: b, limit: 1 USD, period: day, on_exceed: block, {policy}}}", path=path)
    for _ in range(2):
        if blocked:
            with pytest.raises(BudgetExceeded, match="cannot be looked up") as raised:
                gpt.chat.completions.create(**ASKED)
            assert raised.value.spent is None
        else:
            gpt.chat.completions.create(**ASKED)
    assert counting.pipeline.settle(5)
    assert {record.status for record in counting.collected.records} == {"blocked" if blocked else "ok"}
    if down == "unusable":
        assert faults.counts()["ledger"] > 0
        writer = counting.pipeline._budgets.writer  # type: ignore[union-attr]
        writer._pending.clear()  # type: ignore[union-attr]  # not to be told of at the end
        writer._held.clear()  # type: ignore[union-attr]


def test_calls_by_hand_count_and_are_never_blocked(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `record` is told was paid for already: it uses up the budget of the calls that follow."""
    from otel_aicost import instrumentor

    counting = held("{name: b, limit: 1 USD, period: day, on_exceed: block}")
    monkeypatch.setattr(instrumentor, "_pipeline", counting.pipeline)
    for _ in range(2):
        otel_aicost.record("anyone", None, {}, cost="0.75")
    with pytest.raises(BudgetExceeded, match=r"1\.50 USD spent"):
        gpt.chat.completions.create(**ASKED)


def test_a_new_window_begins_with_nothing_spent(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second before midnight the day is used up; at midnight there is a new one, and nothing had to be reset."""
    from otel_aicost.capture import routes

    midnight = 1_795_305_600 * 10**9
    clock = [midnight - 10**9]
    monkeypatch.setattr(routes.time, "time_ns", lambda: clock[0])
    held(DAY)
    provider.always(Reply(usage=EXACT))
    gpt.chat.completions.create(**ASKED)
    with pytest.raises(BudgetExceeded) as raised:
        gpt.chat.completions.create(**ASKED)
    assert raised.value.resets_at.timestamp() == midnight // 10**9
    clock[0] = midnight - 1
    with pytest.raises(BudgetExceeded):
        gpt.chat.completions.create(**ASKED)
    clock[0] = midnight
    gpt.chat.completions.create(**ASKED)


def test_a_call_outside_any_budget_touches_no_ledger(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, ledger: Path
) -> None:
    """A call that no blocking budget is about reserves nothing."""
    counting = held("{name: b, match: {provider: anthropic}, limit: 0, period: day, on_exceed: block}")
    gpt.chat.completions.create(**ASKED)
    assert counting.only.status == "ok"
    with closing(sqlite3.connect(ledger, timeout=10)) as connection:
        assert connection.execute("SELECT count(*) FROM reservations").fetchone() == (0,)


# --- what goes wrong in our own code -------------------------------------------------------------------------------

OURS = [
    (BudgetObserver, "hold"),
    (BudgetObserver, "admit"),
    (BudgetObserver, "settle"),
    (BudgetObserver, "_lines"),
    (BudgetObserver, "_foreseen"),
    (BudgetObserver, "_spent"),
    (Writer, "reserve"),
    (budgets, "Estimate"),
    (balances, "reserve"),
    (balances, "_balance"),
]


@pytest.mark.parametrize(("owner", "name"), OURS, ids=[name for _, name in OURS])
@pytest.mark.parametrize("way", ["sync", "async"])
async def test_an_error_of_ours_stops_no_call(
    provider: FakeProvider,
    ledger: Path,
    gpt: Any,
    async_gpt: Any,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    way: str,
) -> None:
    """Whatever of the budgets fails, the call is made, is on record, and the failure is counted."""

    def broken(*_: Any, **__: Any) -> None:
        msg = "injected"
        raise RuntimeError(msg)

    budget = holding("budgets: [{name: b, limit: 1 USD, period: day, on_exceed: block}]", ledger)
    with Counting(settings(provider), budgets=budget) as counting:
        monkeypatch.setattr(owner, name, broken)
        if way == "sync":
            gpt.chat.completions.create(**ASKED)
        else:
            await async_gpt.chat.completions.create(**ASKED)
        assert counting.pipeline.settle(5)
        assert [record.status for record in counting.collected.records] == ["ok"]
        assert faults.counts()
        monkeypatch.undo()


def test_an_interrupted_reservation_is_given_back(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, look: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C right after the reservation was written reaches the application, and nothing stays reserved."""
    counting = held(DAY)
    real = Writer.reserve

    def interrupted(self: Writer, *args: Any) -> None:
        real(self, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "reserve", interrupted)
        with pytest.raises(KeyboardInterrupt):
            gpt.chat.completions.create(**ASKED)
    assert provider.requests == []
    assert counting.pipeline.flush(10)
    assert look(STANDING) == [("", 0, 0, 0, 0)]


# --- a race through the real SDK -----------------------------------------------------------------------------------

RACE = """
import os, sys, threading
from pathlib import Path
import openai
from capture.world import Counting, catalogue, settings, sync_client
from otel_aicost import BudgetExceeded
from otel_aicost.budgets.reading import parse
from otel_aicost.ledger.writer import Writer
from otel_aicost.observers.budgets import BudgetObserver
from otel_aicost.observers.plans import Plans
from otel_aicost.testing import FakeProvider
ledger, port, url, limit = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
catalogue()
class Provider:
    openai_url = url
    port = int(sys.argv[2])
ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "one two three"}], "max_tokens": 100}
def work():
    plan = parse(f"budgets: [{{name: b, limit: {limit} USD, period: day, on_exceed: block, mode: strict}}]".encode(), "x")
    done, lock = [0, 0, 0], threading.Lock()
    budgets = BudgetObserver(Plans(None, lambda: (plan, [])), Writer.of_file(ledger))
    with Counting(settings(Provider), budgets=budgets) as counting:
        def race():
            with sync_client("openai", Provider) as client:
                for _ in range(3):
                    try:
                        client.chat.completions.create(**ASKED)
                        what = 0
                    except BudgetExceeded as error:
                        what = 1 if error.spent is not None else 2
                    with lock:
                        done[what] += 1
        threads = [threading.Thread(target=race) for _ in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert counting.pipeline.flush(30)
    return done
children = []
for _ in range(16):
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(told, " ".join(map(str, work())).encode())
        os._exit(0)
    os.close(told)
    children.append((pid, heard))
sums = [0, 0, 0]
for _, heard in children:
    sums = [one + int(other) for one, other in zip(sums, os.read(heard, 50).split(), strict=True)]
print(*sums)
"""


def test_strict_is_never_passed_whatever_the_concurrency(provider: FakeProvider, ledger: Path, look: Any) -> None:
    """16 processes of 3 threads with the real SDK make 144 calls for a limit of 40: 40 are sent, and paid, exactly."""
    provider.always(Reply(usage=EXACT))
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), *(entry for entry in sys.path if entry)])
    limit = f"{40 * MOST / 1e9:.9f}"
    done = subprocess.run(
        [sys.executable, "-c", RACE, str(ledger), str(provider.port), provider.openai_url, limit],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    sent, refused, down = map(int, done.stdout.split())
    assert sent + refused + down == 144
    assert sent == len(provider.requests)
    assert sent <= 40
    assert look(STANDING) == [("", sent * MOST, 0, sent, 0)]
    if not down:  # on a machine so slow that somebody waited too long for the lock, fewer may have been sent
        assert sent == 40


@pytest.mark.parametrize(("limit", "sent"), [("0 USD", 0), ("1 USD", 1)])
def test_a_call_above_a_whole_limit_is_blocked_without_a_ledger(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, limit: str, sent: int
) -> None:
    """With `on_store_down: open` and nobody to ask, a limit of 0 holds all the same; a larger one lets pass."""
    held(f"{{name: cap, limit: {limit}, period: day, on_exceed: block, on_store_down: open}}", path=None)
    tried, refused = until_refused(lambda: gpt.chat.completions.create(**CHAT_ASKED), most=1)
    assert (tried, refused is None, len(provider.requests)) == (sent, sent == 1, sent)
