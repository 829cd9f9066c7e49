"""What the events of WebSockets mean, and that no event at all can make hearing it fail."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_aicost.model import METERS
from otel_aicost.providers import google_live, openai_realtime
from otel_aicost.providers.sockets import Socket, Talk

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    "type", "usage", "response", "session", "event", "error", "id", "model", "status", "status_details", "seconds", "decision",
    "input_tokens", "output_tokens", "input_token_details", "output_token_details", "text_tokens", "audio_tokens",
    "cached_tokens", "cached_tokens_details", "audio", "input", "output", "format", "transcription", "reason", "rate",
    "usageMetadata", "serverContent", "toolCall", "modelTurn", "turnComplete", "interrupted", "groundingMetadata",
    "promptTokenCount", "responseTokenCount", "promptTokensDetails", "modality", "tokenCount", "turn_complete",
]  # fmt: skip
NESTED = st.recursive(
    JSON,
    lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=5) | st.lists(inner, max_size=2),
    max_leaves=20,
)
TYPES = st.sampled_from(
    [*openai_realtime._EVENTS, "response.create", "input_audio_buffer.append", "decision.completed"]
)
EVENTS = st.builds(
    lambda kind, body: {**body, "type": kind}, TYPES | JSON, st.dictionaries(st.sampled_from(KEYS), NESTED, max_size=4)
)
SOCKETS = [openai_realtime.REALTIME, openai_realtime.RESPONSES, google_live.SOCKET]


@given(
    socket=st.sampled_from(SOCKETS), events=st.lists(EVENTS, max_size=6), path=st.sampled_from(["/live/sessions", ""])
)
def test_no_event_makes_hearing_it_fail(socket: Socket, events: list[Any], path: str) -> None:
    """Every quantity that comes of any events in any order is finite and not negative."""
    talk = Talk(path=path, model="m", sent=9_999, received=77)
    billed = []
    for event in events:
        socket.asks(event)
        socket.sends_audio(event)
        billed += socket.hear(talk, event).billed
    billed += socket.ended(talk)
    for one in billed:
        assert not (one.reading.usage and one.reading.invalid)
        for meter, amount in (one.reading.usage or {}).items():
            assert meter in METERS or meter == "image_tool_tokens"
            assert Decimal(amount).is_finite()
            assert amount >= 0


@pytest.mark.parametrize(
    ("form", "rate"),
    [
        ({"type": "audio/pcm", "rate": 24_000}, 48_000),
        ({"type": "audio/pcm", "rate": 16_000}, 32_000),
        ({"type": "audio/pcm"}, 48_000),
        ({"type": "audio/pcmu"}, 8_000),
        ({"type": "audio/pcma"}, 8_000),
        ("pcm16", 48_000),
        ("g711_ulaw", 8_000),
        ("g711_alaw", 8_000),
        (None, 0),
        ({"type": "opus"}, 0),
    ],
)
def test_a_format_tells_the_bytes_of_a_second(form: Any, rate: int) -> None:
    """Formats of audio in both of their spellings."""
    talk = Talk()
    openai_realtime.hear(talk, {"type": "session.created", "session": {"audio": {"input": {"format": form}}}})
    assert talk.sent_rate == rate
    talk = Talk()
    openai_realtime.hear(talk, {"type": "session.created", "session": {"output_audio_format": form}})
    assert talk.received_rate == rate


def test_a_session_that_follows_another_begins_at_nothing() -> None:
    """After a reconnection the seconds of the new session are counted from its own beginning."""
    talk = Talk(path="/v1/live/sessions")
    heard: list[Any] = []
    for session, seconds in (("a", 70), ("b", 61)):
        openai_realtime.hear(talk, {"type": "session.started", "session": {"id": session}})
        heard += openai_realtime.hear(talk, {"type": "session.usage.updated", "usage": {"seconds": seconds}}).billed
    assert [one.reading.once for one in heard] == ["live/a/0", "live/b/0"]
