"""Events of OpenAI's WebSockets, written by hand from its documentation."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdks.socket_server import Event

MODEL = "gpt-realtime"
OLD_MODEL = "gpt-4o-realtime-preview-2024-12-17"
USAGE = {
    "total_tokens": 1_600,
    "input_tokens": 1_000,
    "output_tokens": 600,
    "input_token_details": {
        "text_tokens": 300,
        "audio_tokens": 600,
        "image_tokens": 100,
        "cached_tokens": 250,
        "cached_tokens_details": {"text_tokens": 100, "audio_tokens": 150, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 200, "audio_tokens": 400},
}


def session(model: str = MODEL, kind: str = "session.created", **told: Any) -> Event:
    """The first event of a Realtime session."""
    return {
        "type": kind,
        "event_id": "event_1",
        "session": {"type": "realtime", "id": "sess_1", "object": "realtime.session", "model": model, **told},
    }


def created(identifier: str = "resp_1") -> Event:
    return {
        "type": "response.created",
        "event_id": "event_2",
        "response": {
            "object": "realtime.response",
            "id": identifier,
            "status": "in_progress",
            "output": [],
            "usage": None,
        },
    }


def done(identifier: str = "resp_1", usage: Any = USAGE, status: str = "completed", **details: Any) -> Event:
    return {
        "type": "response.done",
        "event_id": "event_3",
        "response": {
            "object": "realtime.response",
            "id": identifier,
            "status": status,
            "status_details": {"type": status, **details},
            "output": [],
            "usage": usage,
        },
    }


def spoken(seconds: float, kind: str = "response.output_audio.delta", rate: int = 48_000) -> Event:
    """Generated audio of that length, by bytes in a second."""
    return {
        "type": kind,
        "event_id": "event_4",
        "response_id": "resp_1",
        "item_id": "item_1",
        "output_index": 0,
        "content_index": 0,
        "delta": silence(seconds, rate),
    }


def silence(seconds: float, rate: int = 48_000) -> str:
    return base64.b64encode(bytes(round(seconds * rate))).decode()


def transcribed(usage: Any, item: str = "item_9") -> Event:
    return {
        "type": "conversation.item.input_audio_transcription.completed",
        "event_id": "event_5",
        "item_id": item,
        "content_index": 0,
        "transcript": "hello",
        "usage": usage,
    }


def responses(kind: str = "completed", identifier: str = "resp_7", usage: Any = None) -> Event:
    """An event of the Responses API that holds a response."""
    return {
        "type": f"response.{kind}",
        "sequence_number": 1,
        "response": {
            "id": identifier,
            "object": "response",
            "created_at": 1_790_000_000,
            "model": "gpt-4o-2024-08-06",
            "status": "in_progress" if kind == "created" else kind,
            "error": {"code": "server_error", "message": "x"} if kind == "failed" else None,
            "output": [],
            "service_tier": "default",
            "usage": usage,
        },
    }


def live(kind: str, seconds: float | None = None, identifier: str = "live_1", **more: Any) -> Event:
    """An event of a Live session."""
    usage = {} if seconds is None else {"usage": {"seconds": seconds}}
    told = {"id": identifier, "model": "gpt-live-1", "status": "active", "expires_at": 1_790_000_000}
    shown = {} if kind == "session.usage.updated" else {"session": told}
    return {"type": kind, "event_id": "event_6", **shown, **usage, **more}
