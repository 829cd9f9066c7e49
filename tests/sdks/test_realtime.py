"""OpenAI's Realtime API over a real WebSocket, through the real SDK."""

from __future__ import annotations

import gc
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import openai
import pytest
from websockets.exceptions import ConnectionClosed

import otel_aicost
from capture.world import Counting
from otel_aicost import faults
from otel_aicost.observers.spans import SpanObserver
from sdks.realtime_events import (
    MODEL,
    OLD_MODEL,
    USAGE,
    created,
    done,
    session,
    silence,
    spoken,
    transcribed,
)
from sdks.realtime_world import DEPRECATED, Driver, realtime_of, socket_settings
from sdks.socket_server import CLOSE, LOSE, SocketServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

pytestmark = pytest.mark.filterwarnings(DEPRECATED)


@pytest.fixture
def sockets() -> Iterator[SocketServer]:
    with SocketServer() as running:
        running.greeting = [session()]
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


def test_a_response_is_one_record(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """A response is one record, with text, audio, image and cached tokens, at the model of its session."""
    sockets.answer("response.create", created(), spoken(0.1), done())
    with driver.connected(driver.realtime.connect(model="gpt-realtime-asked")) as connection:
        driver.do(connection.response.create())
        assert driver.hear(connection, 4)[2:] == ["response.output_audio.delta", "response.done"]
    record = counting.only
    assert (record.provider, record.operation, record.sdk) == ("openai", "realtime", "openai")
    assert (record.response_model, record.response_id, record.status) == (MODEL, "resp_1", "ok")
    assert record.usage == {
        "input_tokens": 1_000,
        "output_tokens": 600,
        "cache_read_tokens": 250,
        "input_audio_tokens": 600,
        "input_image_tokens": 100,
        "output_audio_tokens": 400,
        "cache_audio_read_tokens": 150,
        "cache_image_read_tokens": 0,
    }
    # 200 text, 450 audio, 100 image, 250 cached; 200 text and 400 audio out: $ by the million 4, 32, 5, .4; 16, 64.
    assert record.cost is not None
    assert record.cost.total == Decimal("0.0446")
    assert not record.estimated


def test_what_nobody_asked_for_is_counted_too(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """Responses that the server begins by itself, when somebody stops speaking, are records like the others."""
    sockets.greeting += [created("a"), done("a"), created("b"), done("b")]
    with driver.connected(driver.realtime.connect(model=MODEL)) as connection:
        driver.hear(connection, 5)
    assert [record.response_id for record in counting.records] == ["a", "b"]


def test_the_worked_example(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """10K and 15K text tokens with 5.5 and 7.2 minutes of audio that no token stands for are $2.408."""
    usage = {
        "input_tokens": 10_000,
        "output_tokens": 15_000,
        "input_token_details": {"text_tokens": 10_000},
        "output_token_details": {"text_tokens": 15_000},
    }
    sockets.greeting = [session(OLD_MODEL, audio={"input": {"format": {"type": "audio/pcmu"}}})]
    sockets.answer("input_audio_buffer.append")
    sockets.answer("response.create", created(), *[spoken(12)] * 36, done(usage=usage))
    with driver.connected(driver.realtime.connect(model=OLD_MODEL)) as connection:
        driver.hear(connection, 1)
        for _ in range(11):
            driver.do(connection.input_audio_buffer.append(audio=silence(30, 8_000)))
        driver.do(connection.response.create())
        driver.hear(connection, 38)
    record = counting.only
    assert record.usage == {
        "input_tokens": 10_000,
        "output_tokens": 15_000,
        "input_audio_seconds": 330,
        "output_audio_seconds": 432,
    }
    assert record.estimated
    assert record.cost is not None
    assert record.cost.total == Decimal("2.408000")


@pytest.mark.parametrize(
    ("usage", "seconds"),
    [
        (None, {"input_audio_seconds": 2, "output_audio_seconds": 3}),
        ({"input_tokens": 5, "output_tokens": 6}, {}),
        ({"input_tokens": 5, "input_token_details": {"text_tokens": 5, "audio_tokens": 0}, "output_tokens": 0}, {}),
    ],
)
def test_seconds_only_where_no_token_stands_for_them(
    driver: Driver, sockets: SocketServer, counting: Counting, usage: Any, seconds: dict[str, int]
) -> None:
    """Audio is billed by its length where nothing or text alone is reported, never beside tokens that may hold it."""
    sockets.answer("response.create", created(), spoken(3), done(usage=usage), created("b"), done("b", usage=usage))
    with driver.connected(driver.realtime.connect(model=MODEL)) as connection:
        driver.do(connection.input_audio_buffer.append(audio=silence(2)))
        driver.do(connection.response.create())
        driver.hear(connection, 6)
    first, second = counting.records
    assert {meter: count for meter, count in first.usage.items() if "seconds" in meter} == seconds
    assert not any("seconds" in meter for meter in second.usage)  # what was billed is not billed again


@pytest.mark.parametrize(
    ("usage", "meters", "dollars"),
    [
        ({"type": "duration", "seconds": 6.4}, {"input_audio_seconds": Decimal("6.4")}, "0.0006"),
        (
            {
                "type": "tokens",
                "input_tokens": 100,
                "output_tokens": 20,
                "total_tokens": 120,
                "input_token_details": {"text_tokens": 10, "audio_tokens": 90},
            },
            {"input_tokens": 100, "output_tokens": 20, "input_audio_tokens": 90},
            "0.000765",
        ),
    ],
)
def test_a_transcription_is_billed_apart(
    driver: Driver, sockets: SocketServer, counting: Counting, usage: Any, meters: Any, dollars: str
) -> None:
    """What the user says is transcribed by a model of its own, by tokens or by length: a record of its own."""
    model = "whisper-1" if "seconds" in usage else "gpt-4o-transcribe"
    heard = {"input": {"transcription": {"model": model}}}
    sockets.greeting += [session(kind="session.updated", audio=heard), transcribed(usage), created(), done()]
    with driver.connected(driver.realtime.connect(model=MODEL)) as connection:
        driver.hear(connection, 5)
    words, response = counting.records
    assert (words.operation, words.response_model, words.usage) == ("transcription", model, meters)
    assert words.cost is not None
    assert words.cost.total == Decimal(dollars)
    assert (response.operation, response.response_model) == ("realtime", MODEL)


def test_a_transcription_without_usage_is_unpriced(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """A transcription of which neither model nor usage is known is on record, and costs nobody knows what."""
    event = transcribed(None)
    del event["usage"]
    sockets.greeting = [session(), event]
    with driver.connected(driver.realtime.connect(model=MODEL)) as connection:
        driver.hear(connection, 2)
    record = counting.only
    assert (record.usage_state, record.cost, record.request_model) == ("missing", None, None)


@pytest.mark.parametrize(
    ("status", "details", "expected"),
    [
        ("cancelled", {"reason": "turn_detected"}, ("partial", "turn_detected", None)),
        ("incomplete", {"reason": "max_output_tokens"}, ("ok", "max_output_tokens", None)),
        ("failed", {"error": {"type": "server_error", "code": "overloaded"}}, ("error", "failed", "overloaded")),
    ],
)
def test_what_did_not_complete_is_billed_as_reported(
    driver: Driver, sockets: SocketServer, counting: Counting, status: str, details: Any, expected: Any
) -> None:
    """A response that was cancelled, cut or failed costs what it reports."""
    sockets.greeting += [created(), done(status=status, **details)]
    with driver.connected(driver.realtime.connect(model=MODEL)) as connection:
        driver.hear(connection, 3)
    record = counting.only
    assert (record.status, *record.finish_reasons, record.error_type) == expected
    assert record.cost is not None
    assert record.cost.total == Decimal("0.0446")


def test_an_absurd_usage_is_set_aside(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """Numbers that cannot be are no usage, wherever they stand."""
    wrong = {**USAGE, "input_token_details": {"cached_tokens_details": {"audio_tokens": -1}}}
    sockets.greeting += [done("a", usage={**USAGE, "input_tokens": -5}), done("b", usage=wrong)]
    with driver.connected(driver.realtime.connect(model=MODEL)) as connection:
        driver.hear(connection, 3)
    assert [(record.usage_state, record.cost) for record in counting.records] == [("invalid", None)] * 2


@pytest.mark.parametrize("ending", [CLOSE, LOSE])
def test_a_connection_that_ends_in_mid_response(
    driver: Driver, sockets: SocketServer, counting: Counting, ending: Any
) -> None:
    """A response whose end never came is partial and unpriced; what the application sees is the SDK's own error."""
    sockets.answer("response.create", created(), ending)
    with driver.connected(driver.realtime.connect(model=MODEL)) as connection:
        driver.do(connection.response.create())
        with pytest.raises(ConnectionClosed):
            driver.hear(connection, 3)
    record = counting.only
    assert (record.status, record.usage_state, record.cost) == ("partial", "missing", None)
    assert record.error_type == (None if ending is CLOSE else "ConnectionClosedError")


def test_a_connection_that_the_application_closes(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """The application closes in the middle of a response: partial, and once."""
    sockets.answer("response.create", created())
    with driver.connected(driver.realtime.connect(model=MODEL)) as connection:
        driver.do(connection.response.create())
        driver.hear(connection, 2)
    del connection
    gc.collect()
    assert counting.only.status == "partial"


def test_a_request_that_is_not_accepted(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """An error in place of a response is a record that costs nothing, and the next response is not its own."""
    error = {
        "type": "error",
        "event_id": "e",
        "error": {"type": "invalid_request_error", "code": "rate_limit_exceeded"},
    }
    sockets.answer("response.create", error)
    sockets.answer("response.create", created(), done())
    with driver.connected(driver.realtime.connect(model=MODEL)) as connection:
        driver.do(connection.response.create())
        driver.hear(connection, 2)
        driver.do(connection.response.create())
        driver.hear(connection, 2)
    refused, fine = counting.records
    assert (refused.status, refused.error_type, refused.cost) == ("error", "rate_limit_exceeded", None)
    assert (fine.status, fine.response_id) == ("ok", "resp_1")


def test_reading_bytes_or_iterating_is_the_same(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """Raw bytes are handed on as they came, and are counted like events."""
    sockets.greeting = [done(), CLOSE]
    with driver.connected(driver.realtime.connect(model=MODEL)) as connection:
        raw = driver.do(connection.recv_bytes())
    assert type(raw) is bytes
    assert connection.parse_event(raw).response.usage.input_tokens == 1_000
    assert counting.only.usage["input_tokens"] == 1_000


def test_a_connection_made_before_is_seen(driver: Driver, sockets: SocketServer) -> None:
    """A connection that was open when the instrumentation came is known by its address, its model by its URL."""
    sockets.greeting = []
    sockets.answer("response.create", created(), done())
    with driver.connected(driver.realtime.connect(model=MODEL)) as connection:
        with Counting(socket_settings(sockets)) as counting:
            driver.do(connection.response.create())
            driver.hear(connection, 2)
            assert (counting.only.request_model, counting.only.provider) == (MODEL, "openai")
        driver.do(connection.response.create())  # and nothing is left of it
    assert len(counting.records) == 1


def test_the_beta_has_its_own_words(driver: Driver, sockets: SocketServer, counting: Counting) -> None:
    """The older API is seen as well: other names of events and formats, the same usage."""
    sockets.greeting = [
        session(OLD_MODEL, input_audio_format="g711_ulaw", output_audio_format="pcm16"),
        created(),
        spoken(1, "response.audio.delta"),
        done(usage=None),
    ]
    with driver.connected(driver.client.beta.realtime.connect(model=OLD_MODEL)) as connection:
        driver.do(connection.input_audio_buffer.append(audio=silence(1, 8_000)))
        driver.hear(connection, 4)
    assert counting.only.usage == {"input_audio_seconds": 1, "output_audio_seconds": 1}


def test_an_azure_deployment(sockets: SocketServer) -> None:
    """At Azure the URL names a deployment, and the session the model that answers."""
    sockets.greeting += [created(), done()]
    with Counting(socket_settings(sockets, "azure.ai.openai")) as counting:
        client = openai.AzureOpenAI(
            azure_endpoint=sockets.url,
            api_key="k",
            api_version="2024-10-01-preview",
            websocket_base_url=f"ws://127.0.0.1:{sockets.port}/openai",
        )
        with realtime_of(client).connect(model="my-deployment") as connection:
            for _ in range(3):
                connection.recv()
    record = counting.only
    assert (record.provider, record.request_model, record.response_model) == (
        "azure.ai.openai",
        MODEL,
        MODEL,
    )


def test_tags_and_spans(driver: Driver, sockets: SocketServer, spans: InMemorySpanExporter) -> None:
    """Each response has a span of its own, and the tags of where it was asked for and of where the session began."""
    sockets.answer("response.create", created(), done())
    with Counting(socket_settings(sockets), SpanObserver()) as counting:
        with otel_aicost.tags(user="ann"):
            manager = driver.realtime.connect(model=MODEL)
            connection = driver.do(manager.enter())
        with otel_aicost.tags(job="nightly"):
            driver.do(connection.response.create())
        driver.hear(connection, 3)
        driver.do(connection.close())
        record = counting.only
    (span,) = spans.get_finished_spans()
    assert record.tags == {"user": "ann", "job": "nightly"}
    assert span.name == f"realtime {MODEL}"
    assert span.attributes is not None
    assert span.attributes["aicost.record.id"] == record.id
