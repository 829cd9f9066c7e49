"""Gemini Live over a real WebSocket, through the real `google.genai`."""

from __future__ import annotations

import gc
import ssl
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from google.genai import Client, errors, types
from google.oauth2.credentials import Credentials
from websockets.exceptions import ConnectionClosedError

import otel_aicost
from capture.test_budgets import holding
from capture.world import Counting, left_alone
from otel_aicost import BudgetExceeded, faults
from otel_aicost.config import Settings
from otel_aicost.observers.spans import SpanObserver
from sdks.socket_server import LOSE, Event, SocketServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

MODEL = "gemini-live-2.5-flash"
KEY = "AIza-canary"
USAGE = {
    "promptTokenCount": 1_000,
    "responseTokenCount": 500,
    "totalTokenCount": 1_500,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 200}, {"modality": "AUDIO", "tokenCount": 800}],
    "responseTokensDetails": [{"modality": "TEXT", "tokenCount": 100}, {"modality": "AUDIO", "tokenCount": 400}],
}
METERS = {
    "input_tokens": 1_000,
    "output_tokens": 500,
    "input_audio_tokens": 800,
    "output_audio_tokens": 400,
}
DOLLARS = Decimal("0.0075")
"""200 at $0.50, 800 at $3, 100 at $2 and 400 at $12 a million."""
SAYS: Event = {"serverContent": {"modelTurn": {"role": "model", "parts": [{"text": 'a secret "usageMetadata"'}]}}}
DONE: Event = {"serverContent": {"turnComplete": True}}


def used(usage: Any = USAGE, **others: Any) -> Event:
    return {"usageMetadata": usage, **others}


@pytest.fixture
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SocketServer]:
    """The SDK speaks to nobody without TLS."""
    authority = trustme.CA()
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(trust)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with SocketServer(trust) as running:
        running.answer("setup", {"setupComplete": {"sessionId": "live_1"}})
        yield running


@pytest.fixture
def counting() -> Iterator[Counting]:
    with Counting(Settings(ledger=None)) as counted:
        yield counted
    assert faults.counts() == {}


def connected(sockets: SocketServer, kind: str = "gemini", **config: Any) -> Any:
    http = types.HttpOptions(base_url=sockets.url)
    if kind == "gemini":
        client = Client(api_key=KEY, http_options=http)
    else:
        told = Credentials(token="t")  # type: ignore[no-untyped-call]
        client = Client(vertexai=True, project="p", location="us-east5", credentials=told, http_options=http)
    return client.aio.live.connect(model=f"models/{MODEL}", config={"response_modalities": ["AUDIO"], **config})


async def say(session: Any) -> list[Any]:
    """A turn of the user, and the messages of the model's."""
    await session.send_client_content(turns=types.Content(role="user", parts=[types.Part(text="a secret")]))
    return [message async for message in session.receive()]


@pytest.mark.parametrize(("kind", "paid"), [("gemini", "gcp.gemini"), ("vertex", "gcp.vertex_ai")])
async def test_a_turn_is_one_record(sockets: SocketServer, counting: Counting, kind: str, paid: str) -> None:
    """A turn of the model is one record: its last usage, by kind of token, at the model of the session."""
    names = [("response", "candidates")] if kind == "vertex" else []
    usage = {key.replace(*names[0]) if names else key: value for key, value in USAGE.items()}
    sockets.answer("client_content", SAYS, used({"promptTokenCount": 1_000}, **SAYS), used(usage, **DONE))
    sockets.answer("client_content", SAYS, used(usage, **DONE))
    async with connected(sockets, kind) as session:
        messages = await say(session)
        assert messages[0].text == 'a secret "usageMetadata"'
        assert (len(messages), len(await say(session))) == (3, 2)
    first, second = counting.records
    assert first.usage == second.usage == METERS
    assert (first.provider, first.operation, first.request_model, first.sdk, first.status) == (
        paid,
        "realtime",
        MODEL,
        "google.genai",
        "ok",
    )
    assert first.cost is not None
    assert first.cost.total == DOLLARS


async def test_a_usage_that_comes_late(sockets: SocketServer, counting: Counting) -> None:
    """A usage right behind the end of a turn belongs to that; a turn that never gets one is on record without."""
    sockets.answer("client_content", SAYS, DONE, used())
    sockets.answer("client_content", SAYS, DONE)
    sockets.answer("client_content", SAYS, used(**DONE))
    async with connected(sockets) as session:
        await say(session)
        await session._receive()
        for _ in range(2):
            await say(session)
    assert [(record.usage_state, record.status) for record in counting.records] == [
        ("reported", "ok"),
        ("missing", "ok"),
        ("reported", "ok"),
    ]


async def test_a_turn_that_is_interrupted(sockets: SocketServer, counting: Counting) -> None:
    """What was said before the user broke in is billed, as a part."""
    sockets.answer("client_content", SAYS, {"serverContent": {"interrupted": True}}, used(**DONE))
    async with connected(sockets) as session:
        await say(session)
    record = counting.only
    assert (record.status, record.usage) == ("partial", METERS)


async def test_a_connection_that_is_lost(sockets: SocketServer, counting: Counting) -> None:
    """What a turn had told when the connection was lost is billed, as a part; the error is the SDK's own."""
    sockets.answer("client_content", used(**SAYS), LOSE)
    async with connected(sockets) as session:
        with pytest.raises((errors.APIError, ConnectionClosedError), match="1011"):
            await say(session)
    record = counting.only
    assert (record.status, record.usage) == ("partial", METERS)


async def test_a_session_that_is_left(sockets: SocketServer, counting: Counting) -> None:
    """An application that leaves in mid-turn is billed for what that had told."""

    async def leave() -> None:
        async with connected(sockets) as session:
            await session.send_client_content(turns={"parts": [{"text": "x"}]})
            await session._receive()

    sockets.answer("client_content", used(**SAYS))
    await leave()
    gc.collect()
    await left_alone(counting)
    assert (counting.only.status, counting.only.usage) == ("partial", METERS)


async def test_searches_and_absurd_numbers(sockets: SocketServer, counting: Counting) -> None:
    """Searches of the model are counted with the turn; numbers that cannot be are no usage."""
    found = {"serverContent": {"groundingMetadata": {"webSearchQueries": ["a", "b"]}, "turnComplete": True}}
    sockets.answer("client_content", SAYS, used(**found))
    sockets.answer("client_content", SAYS, used({"promptTokenCount": -1}, **DONE))
    async with connected(sockets) as session:
        for _ in range(2):
            await say(session)
    first, second = counting.records
    assert first.usage["web_searches"] in {1, 2}
    assert (second.usage_state, second.cost) == ("invalid", None)


def held(tmp_path: Path, limit: str) -> Counting:
    text = f"budgets: [{{name: talk, limit: {limit}, period: day, on_exceed: block, mode: balanced}}]"
    return Counting(Settings(ledger=None), budgets=holding(text, tmp_path / "ledger.db"))


async def test_a_budget_that_is_spent_in_mid_session(sockets: SocketServer, tmp_path: Path) -> None:
    """What completes the user's turn raises once the budget is spent; the session goes on."""
    sockets.answer("client_content", SAYS, used(**DONE))
    with held(tmp_path, "0.009 USD") as counting:
        async with connected(sockets) as session:
            await say(session)
            assert counting.only.status == "ok"
            with pytest.raises(BudgetExceeded, match="budget talk"):
                await session.send_client_content(turns={"parts": [{"text": "x"}]})
            with pytest.raises(BudgetExceeded, match="budget talk"):
                await session.send(input="x", end_of_turn=True)
            await session.send_client_content(turns={"parts": [{"text": "x"}]}, turn_complete=False)
        assert [record.status for record in counting.records] == ["ok", "blocked", "blocked"]
    assert faults.counts() == {}


async def test_a_spent_budget_refuses_a_session(sockets: SocketServer, tmp_path: Path) -> None:
    """With nothing left no connection is made."""
    with held(tmp_path, "0") as counting:
        with pytest.raises(BudgetExceeded, match="budget talk"):
            connected(sockets)
        assert counting.only.status == "blocked"
    assert sockets.paths == []


async def test_tags_and_spans(sockets: SocketServer, spans: InMemorySpanExporter) -> None:
    """Each turn has a span of its own, and the tags of where it was asked for."""
    sockets.answer("client_content", SAYS, used(**DONE))
    with Counting(Settings(ledger=None), SpanObserver()) as counting:
        async with connected(sockets) as session:
            with otel_aicost.tags(user="ann"):
                await say(session)
        record = counting.only
    (span,) = spans.get_finished_spans()
    assert record.tags == {"user": "ann"}
    assert span.attributes is not None
    assert span.attributes["aicost.record.id"] == record.id
