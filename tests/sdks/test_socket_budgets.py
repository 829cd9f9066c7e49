"""Budgets at WebSockets: what is spent refuses the next session, and the next response of one that goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed

from capture.test_budgets import holding
from capture.world import Counting
from otel_aicost import BudgetExceeded, faults
from sdks.realtime_events import MODEL, created, done, session
from sdks.realtime_world import DEPRECATED, Driver, socket_settings
from sdks.socket_server import LOSE, SocketServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings(DEPRECATED)
STANDING = "SELECT spent_nano, reserved_nano, spent_calls, reserved_calls FROM budget_windows"
SHORT = {"max_output_tokens": 10, "output_modalities": ["text"]}


@pytest.fixture
def sockets() -> Iterator[SocketServer]:
    with SocketServer() as running:
        running.greeting = [session()]
        yield running


@pytest.fixture(params=["sync", "async"])
def driver(request: pytest.FixtureRequest, sockets: SocketServer) -> Iterator[Driver]:
    made = Driver(request.param, sockets)
    yield made
    made.close()


@pytest.fixture
def held(sockets: SocketServer, tmp_path: Path) -> Iterator[Callable[[str], Counting]]:
    """Count calls under a budget with that limit, until the test ends."""
    opened: list[Counting] = []

    def start(limit: str) -> Counting:
        text = f"budgets: [{{name: talk, limit: {limit}, period: day, on_exceed: block, mode: strict}}]"
        opened.append(Counting(socket_settings(sockets), budgets=holding(text, tmp_path / "ledger.db")))
        return opened[-1].__enter__()

    yield start
    for counting in opened:
        counting.__exit__()
    assert faults.counts() == {}


@pytest.fixture
def standing(tmp_path: Path) -> Callable[[], tuple[int, ...]]:
    def look() -> tuple[int, ...]:
        with closing(sqlite3.connect(tmp_path / "ledger.db", timeout=10)) as connection:
            found: tuple[int, ...] = connection.execute(STANDING).fetchone()
            return found

    return look


APIS: dict[str, Callable[[Any], Any]] = {
    "realtime": lambda client: client.realtime.connect(model=MODEL),
    "translations": lambda client: client.realtime.translations.connect(model=MODEL),
    "responses": lambda client: client.responses.connect(),
    "beta.realtime": lambda client: client.beta.realtime.connect(model=MODEL),
    "beta.responses": lambda client: client.beta.responses.connect(),
    "live": lambda client: client.live.connect(),
    "sideband": lambda client: client.live.sideband.connect(session_id="s"),
    "forks": lambda client: client.live.forks.connect(session_id="s"),
}


@pytest.mark.parametrize("entered", ["enter", ""])
@pytest.mark.parametrize("api", APIS)
def test_a_spent_budget_refuses_a_session(
    driver: Driver, sockets: SocketServer, held: Callable[[str], Counting], api: str, entered: str
) -> None:
    """With nothing left, no kind of connection is made, and each try is a blocked record."""
    counting = held("0")
    manager = APIS[api](driver.client)
    enter = getattr(manager, {"enter": "enter", "sync": "__enter__", "async": "__aenter__"}[entered or driver.kind])
    with pytest.raises(BudgetExceeded, match="budget talk"):
        driver.do(enter())
    assert sockets.paths == []
    blocked = counting.only
    assert (blocked.status, blocked.cost, blocked.sdk) == ("blocked", None, "openai")


def test_a_budget_that_is_spent_in_mid_session(
    driver: Driver, sockets: SocketServer, held: Callable[[str], Counting], standing: Callable[[], tuple[int, ...]]
) -> None:
    """`response.create` raises once the budget is spent; the session goes on, and what comes is counted."""
    counting = held("0.04 USD")
    sockets.answer("response.create", created("a"), done("a"))
    sockets.answer("input_audio_buffer.commit", created("b"), done("b"))
    with driver.connected(driver.client.realtime.connect(model=MODEL)) as connection:
        driver.do(connection.response.create(response=SHORT))
        driver.hear(connection, 3)
        assert counting.only.status == "ok"
        assert standing() == (44_600_000, 0, 1, 0)
        with pytest.raises(BudgetExceeded, match="budget talk"):
            driver.do(connection.response.create(response=SHORT))
        with pytest.raises(BudgetExceeded):
            driver.do(connection.send({"type": "response.create"}))
        driver.do(connection.input_audio_buffer.commit())
        driver.hear(connection, 2)
    assert [message["type"] for message in sockets.received] == ["response.create", "input_audio_buffer.commit"]
    assert [record.status for record in counting.records] == ["ok", "blocked", "blocked", "ok"]
    assert standing() == (89_200_000, 0, 2, 0)


def test_what_is_reserved_is_given_back(
    driver: Driver, sockets: SocketServer, held: Callable[[str], Counting], standing: Callable[[], tuple[int, ...]]
) -> None:
    """A connection reserves nothing once it is made, and a response that never comes does not for ever."""
    counting = held("1 USD")
    sockets.answer("response.create", LOSE)
    with driver.connected(driver.client.realtime.connect(model=MODEL)) as connection:
        driver.hear(connection, 1)
        assert counting.records == []
        assert standing() == (0, 0, 0, 0)
        driver.do(connection.response.create(response=SHORT))
        with pytest.raises(ConnectionClosed):
            driver.hear(connection, 1)
        with pytest.raises(ConnectionClosed):
            driver.do(connection.response.create(response=SHORT))
    assert [(record.status, record.error_type) for record in counting.records] == [
        ("error", "ConnectionClosedError")
    ] * 2
    assert standing() == (0, 0, 0, 0)
