"""The typical session of docs/scenarios.md, made with the real SDK over HTTP and a WebSocket."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import openai
import pytest

from capture.world import KEY, TRUST, Counting
from otel_aicost import faults
from otel_aicost.config import Settings
from otel_aicost.testing import Reply, Usage
from sdks.realtime_events import OLD_MODEL, created, done, session, silence, spoken
from sdks.realtime_world import DEPRECATED, realtime_of
from sdks.socket_server import SocketServer

if TYPE_CHECKING:
    from otel_aicost.testing import FakeProvider

pytestmark = pytest.mark.filterwarnings(DEPRECATED)
TOKENS = {
    "input_tokens": 2_000,
    "output_tokens": 3_000,
    "input_token_details": {"text_tokens": 2_000},
    "output_token_details": {"text_tokens": 3_000},
}


def chat(client: Any) -> None:
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "plan it"}])


def transcribe(client: Any) -> None:
    client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", io.BytesIO(b"x")))


def speak(client: Any) -> None:
    client.audio.speech.create(model="tts-1-hd", voice="alloy", input="a" * 5_000).read()


def talk(client: Any) -> None:
    """Ten minutes of audio that no token stands for, half of them each way."""
    with realtime_of(client).connect(model=OLD_MODEL) as connection:
        assert connection.recv().type == "session.created"
        for _ in range(25):
            connection.input_audio_buffer.append(audio=silence(12))
        connection.response.create()
        while connection.recv().type != "response.done":
            pass


def test_a_typical_session(provider: FakeProvider) -> None:
    """Chat, Whisper, speech, Realtime and chat again are five records, and $1.79375."""
    with SocketServer() as sockets:
        sockets.greeting = [session(OLD_MODEL)]
        sockets.answer("response.create", created(), *[spoken(12)] * 25, done(usage=TOKENS))
        provider.next(
            Reply(usage=Usage(input_tokens=1_500, output_tokens=2_000)),
            Reply(usage=Usage(input_audio_seconds=360)),
            Reply(),
            Reply(usage=Usage(input_tokens=800, output_tokens=1_200)),
        )
        hosts = {f"127.0.0.1:{port}": "openai" for port in (provider.port, sockets.port)}
        client = openai.OpenAI(
            base_url=provider.openai_url,
            websocket_base_url=f"ws://127.0.0.1:{sockets.port}/v1",
            api_key=KEY,
            http_client=openai.DefaultHttpxClient(verify=TRUST),
        )
        with client, Counting(Settings(ledger=None, provider_hosts=hosts)) as counting:
            for call in (chat, transcribe, speak, talk, chat):
                call(client)
            costs = [record.cost.total for record in counting.records if record.cost is not None]
    assert costs == [Decimal(dollars) for dollars in ("0.02375", "0.036", "0.15", "1.57", "0.014")]
    assert sum(costs) == Decimal("1.79375")
    assert faults.counts() == {}
