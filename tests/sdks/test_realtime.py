"""OpenAI's Realtime API over a real WebSocket, through the real SDK."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import openai
import pytest

from capture.world import KEY, TRUST, Counting
from otel_aicost import faults
from otel_aicost.config import Settings
from sdks.realtime_events import MODEL, created, done, session
from sdks.socket_server import SocketServer

if TYPE_CHECKING:
    from collections.abc import Iterator


# The SDK calls `websockets` in a way that its newest version deprecates.
pytestmark = pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")


@pytest.fixture
def sockets() -> Iterator[SocketServer]:
    with SocketServer() as running:
        yield running


@pytest.fixture
def counting(sockets: SocketServer) -> Iterator[Counting]:
    with Counting(Settings(ledger=None, provider_hosts={f"127.0.0.1:{sockets.port}": "openai"})) as counted:
        yield counted
    assert faults.counts() == {}


@pytest.fixture
def client(sockets: SocketServer) -> Iterator[Any]:
    transport = openai.DefaultHttpxClient(verify=TRUST)
    with openai.OpenAI(base_url=f"{sockets.url}/v1", api_key=KEY, http_client=transport) as made:
        yield made


def test_a_response_is_one_record(client: Any, sockets: SocketServer, counting: Counting) -> None:
    """A response is one record, with text, audio, image and cached tokens, and the model of its session."""
    sockets.greeting = [session()]
    sockets.answer("response.create", created(), done())
    with client.realtime.connect(model=MODEL) as connection:
        connection.response.create()
        assert [connection.recv().type for _ in range(3)] == ["session.created", "response.created", "response.done"]
    record = counting.only
    assert (record.provider, record.operation, record.response_model, record.response_id) == (
        "openai",
        "realtime",
        MODEL,
        "resp_1",
    )
    print(record)
    assert record.cost is not None
    assert record.cost.total == Decimal(1)
