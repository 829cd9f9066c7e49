"""Each of our functions fails in turn while a session runs, and the application does not notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from capture.test_every_failure import BREAKABLE, FUNCTIONS, failing
from capture.world import Counting
from otel_aicost import faults
from sdks.realtime_events import MODEL, created, done, live, session, silence, spoken, transcribed
from sdks.realtime_world import DEPRECATED, Driver, socket_settings
from sdks.socket_server import CLOSE, SocketServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.filterwarnings(DEPRECATED)
OURS = ("capture.conversations.", "capture.websocket.", "providers.openai_realtime.", "capture.boundary.")
EVENTS = [
    session(),
    created(),
    spoken(0.1),
    transcribed({"type": "duration", "seconds": 2}),
    done(),
    live("session.usage.updated", 70),
    {"type": "error", "error": {"type": "x"}},
]


@pytest.fixture(scope="module")
def sockets() -> Iterator[SocketServer]:
    with SocketServer() as running:
        running.greeting = EVENTS
        yield running


@pytest.fixture(scope="module", params=["sync", "async"])
def application(request: pytest.FixtureRequest, sockets: SocketServer) -> Iterator[Callable[[], Any]]:
    """A session, and what the application and the server saw of it."""
    driver = Driver(request.param, sockets)

    def run() -> Any:
        sockets.answer("response.create", created("b"), CLOSE)
        with driver.connected(driver.realtime.connect(model=MODEL)) as connection:
            raw = [driver.do(connection.recv_bytes()) for _ in range(3)]
            driver.do(connection.input_audio_buffer.append(audio=silence(0.1)))
            driver.do(connection.response.create())
            heard = driver.hear(connection, 5)
            with pytest.raises(Exception, match="OK") as closed:
                driver.hear(connection, 1)
        sent, sockets.received = sockets.received, []
        return raw, heard, sent, type(connection), type(closed.value)

    yield run
    driver.close()


def test_nothing_changes(application: Callable[[], Any], sockets: SocketServer) -> None:
    """The application sees the same bytes, events, types and errors as without us, and sends the same."""
    expected = application()
    with Counting(socket_settings(sockets)) as counting:
        assert application() == expected
        assert len(counting.records) == 5
    assert faults.counts() == {}


@pytest.mark.parametrize("name", [name for name in BREAKABLE if name.startswith(OURS)])
def test_a_failure_of_ours_goes_no_further(application: Callable[[], Any], sockets: SocketServer, name: str) -> None:
    """Whichever of our functions fails, the application sees what it would see without us."""
    expected = application()
    with Counting(socket_settings(sockets)), failing(FUNCTIONS[name]):
        assert application() == expected
