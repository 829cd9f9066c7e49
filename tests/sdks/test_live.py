"""OpenAI's other WebSockets: Responses, Live with its sidebands and forks, translations."""

from __future__ import annotations

import gc
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from openai.lib import responses_websocket

from capture.world import Counting
from otel_aicost import faults
from sdks.realtime_events import live, responses, silence
from sdks.realtime_world import DEPRECATED, Driver, socket_settings
from sdks.socket_server import LOSE, SocketServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings(DEPRECATED)

USAGE = {
    "input_tokens": 1_000,
    "output_tokens": 200,
    "total_tokens": 1_200,
    "input_tokens_details": {"cached_tokens": 400},
    "output_tokens_details": {"reasoning_tokens": 0},
}
DOLLARS = Decimal("0.004")
"""600 at $2.50, 400 at $1.25 and 200 at $10 a million."""


@pytest.fixture
def sockets() -> Iterator[SocketServer]:
    with SocketServer() as running:
        yield running


@pytest.fixture
def counting(sockets: SocketServer) -> Iterator[Counting]:
    with Counting(socket_settings(sockets)) as counted:
        yield counted
    assert faults.counts() == {}


@pytest.fixture(params=["sync", "async"])
def driver(request: pytest.FixtureRequest, sockets: SocketServer) -> Iterator[Driver]:
    made = Driver(request.param, sockets)
    yield made
    made.close()


@pytest.mark.parametrize("api", ["responses", "beta.responses"])
@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed"])
def test_responses(driver: Driver, sockets: SocketServer, counting: Counting, api: str, kind: str) -> None:
    """A response over a WebSocket is a chat like one over HTTP, however it ends."""
    delta = {"type": "response.output_text.delta", "delta": 'the word "usage"', "item_id": "i", "sequence_number": 2}
    sockets.answer("response.create", responses("created"), delta, responses(kind, usage=USAGE))
    resource = driver.client.beta.responses if api.startswith("beta") else driver.client.responses
    with driver.connected(resource.connect()) as connection:
        driver.do(connection.response.create(model="gpt-4o", input="hello", max_output_tokens=50))
        driver.hear(connection, 3)
    record = counting.only
    assert (record.operation, record.request_model, record.response_model) == ("chat", "gpt-4o", "gpt-4o-2024-08-06")
    assert (record.response_id, record.parameters["gen_ai.request.max_tokens"]) == ("resp_7", 50)
    assert (record.status, record.error_type) == (("error", "server_error") if kind == "failed" else ("ok", None))
    assert record.cost is not None
    assert record.cost.total == DOLLARS


def test_lanes(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """Several responses at once on one connection are a record each, asked for through the SDK's own lanes."""
    for number in (1, 2):
        lane = {"stream_id": f"lane{number}"}
        sockets.answer(
            "response.create",
            responses("created", f"r{number}") | lane,
            responses("completed", f"r{number}", USAGE) | lane,
        )
    prefix = "Async" if driver.kind == "async" else ""
    connection = driver.do(driver.client.responses.connect().enter())
    limits = responses_websocket.ResponsesWebSocketLimits(
        max_lanes=4, max_events_per_lane=8, max_events=32, max_bytes_per_lane=2**20, max_bytes=2**20
    )
    session = getattr(responses_websocket, f"{prefix}ResponsesWebSocketSession")(connection, limits=limits)
    asynchronous = driver.kind == "async"
    driver.do(session.__aenter__() if asynchronous else session.__enter__())
    lanes = [session.lane(f"lane{number}") for number in (1, 2)]
    for lane in lanes:
        driver.do(lane.send({"type": "response.create", "model": "gpt-4o", "input": "hello"}))
    assert [driver.do(lane.get_final_response()).id for lane in lanes] == ["r1", "r2"]
    driver.do(session.close())
    assert [(record.response_id, record.request_model) for record in counting.records] == [
        ("r1", "gpt-4o"),
        ("r2", "gpt-4o"),
    ]


def test_a_live_session_is_billed_as_it_goes(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """The seconds of a session are running totals: each minute is billed as it passes, the rest at the end."""
    sockets.greeting = [
        live("session.started"),
        *(live("session.usage.updated", seconds) for seconds in (20.5, 59.9, 60, 130.25)),
        live("session.closed", 142.5, reason="close_requested"),
    ]
    with driver.connected(driver.client.live.connect()) as connection:
        driver.hear(connection, 6)
    records = counting.records
    assert [record.usage for record in records] == [
        {"audio_seconds": 60},
        {"audio_seconds": 60},
        {"audio_seconds": Decimal("22.5")},
    ]
    assert {(record.response_model, record.response_id, record.status) for record in records} == {
        ("gpt-live-1", "live_1", "ok")
    }
    # $3 an hour
    assert sum(record.cost.total for record in records if record.cost) == Decimal("0.118750000")


def test_a_live_session_that_is_lost(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """A connection that is lost bills what the session last said, as a part; let go of, it does the same."""
    sockets.greeting = [live("session.started"), live("session.usage.updated", 70), LOSE]
    with driver.connected(driver.client.live.connect()) as connection:
        driver.hear(connection, 2)
        with pytest.raises(Exception, match="1011"):
            driver.hear(connection, 1)
    assert [(record.usage["audio_seconds"], record.status) for record in counting.records] == [
        (60, "ok"),
        (10, "partial"),
    ]


def test_a_connection_that_is_let_go_of(sockets: SocketServer, counting: Counting) -> None:
    """A connection that nobody closes is accounted for when nobody holds it any more."""
    sockets.greeting = [live("session.started"), live("session.usage.updated", 7)]
    made = Driver("sync", sockets)
    connection = made.client.live.connect().enter()
    made.hear(connection, 2)
    transport = connection._connection
    del connection
    gc.collect()
    assert counting.only.usage == {"audio_seconds": 7}
    transport.close()
    made.close()


def test_a_sideband_counts_nothing_twice(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """Two connections to one session hear the same: a minute is billed once, and a delegated response, too."""
    delegated = {
        "type": "response.event",
        "event_id": "e",
        "delegation_id": "d",
        "event": responses("completed", usage=USAGE),
    }
    decided = {
        "type": "decision.event",
        "event_id": "e",
        "event": {
            "type": "decision.completed",
            "decision": {"id": "dec_1", "model": "gpt-4o", "usage": {"input_tokens": 100, "output_tokens": 10}},
        },
    }
    sockets.greeting = [live("session.started"), live("session.usage.updated", 65), delegated, decided]
    with driver.connected(driver.client.live.connect()) as primary:
        driver.hear(primary, 4)
        with driver.connected(driver.client.live.sideband.connect(session_id="live_1")) as sideband:
            driver.hear(sideband, 4)
    records = counting.records
    assert [(record.operation, record.response_model, record.status) for record in records] == [
        ("realtime", "gpt-live-1", "ok"),
        ("chat", "gpt-4o-2024-08-06", "ok"),
        ("chat", "gpt-4o", "ok"),
        ("realtime", "gpt-live-1", "partial"),
    ]
    assert records[1].cost is not None
    assert records[1].cost.total == DOLLARS


def test_a_fork_is_a_session_of_its_own(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """A fork has an id, and a length, of its own."""
    sockets.greeting = [
        live("session.started", identifier="live_2"),
        live("session.closed", 5, "live_2", reason="expired"),
    ]
    with driver.connected(driver.client.live.forks.connect(session_id="live_1")) as connection:
        driver.hear(connection, 2)
    assert (counting.only.response_id, counting.only.usage) == ("live_2", {"audio_seconds": 5})


@pytest.mark.parametrize("seconds", [-1, 10**9, "many"])
def test_an_absurd_length(driver: Driver, sockets: SocketServer, counting: Counting, seconds: Any) -> None:
    """A session that says to be longer than a day, or no number, is on record as invalid."""
    sockets.greeting = [live("session.started"), live("session.closed", seconds)]
    with driver.connected(driver.client.live.connect()) as connection:
        driver.hear(connection, 2)
    assert (counting.only.usage_state, counting.only.cost) == ("invalid", None)


@pytest.mark.parametrize("finished", [True, False])
def test_a_translation_is_billed_by_what_was_sent(
    driver: Driver, sockets: SocketServer, counting: Counting, finished: bool
) -> None:
    """Translations report no usage: the audio that was sent is measured, and said to be an estimate."""
    told = {"type": "translation", "id": "sess_2", "model": "gpt-realtime-translate", "audio": {}, "expires_at": 1}
    sockets.greeting = [{"type": "session.created", "event_id": "e", "session": told}]
    sockets.answer("session.close", {"type": "session.closed", "event_id": "e"})
    with driver.connected(driver.client.realtime.translations.connect(model="gpt-realtime-translate")) as connection:
        driver.hear(connection, 1)
        for _ in range(3):
            driver.do(connection.session.input_audio_buffer.append(audio=silence(20)))
        if finished:
            driver.do(connection.session.close())
            driver.hear(connection, 1)
    record = counting.only
    assert (record.usage, record.estimated) == ({"audio_seconds": 60}, True)
    assert record.cost is not None
    assert record.cost.total == Decimal("0.034")
