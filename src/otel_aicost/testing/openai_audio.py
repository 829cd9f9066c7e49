"""OpenAI audio: speech, transcriptions and translations, whole and streamed."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

from otel_aicost.testing import dialects
from otel_aicost.testing.exchange import Answer, Exchange
from otel_aicost.testing.failures import openai_event
from otel_aicost.testing.openai_chat import SSE
from otel_aicost.testing.reply import FROM_REQUEST, Usage

BYTES_A_SECOND = 1000
"""Every thousand bytes of an uploaded file count as one second of audio."""
BYTES_A_CHARACTER = 32
"""Of speech, for each character spoken."""
_CHUNK = 4096
_MEDIA = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
}


def speech(exchange: Exchange) -> Answer:
    """POST /audio/speech: noise in place of audio, the same for the same text."""
    noise = hashlib.shake_256(exchange.key.encode())
    audio = noise.digest(BYTES_A_CHARACTER * len(str(exchange.payload.get("input") or "")))
    cut = [audio[start : start + _CHUNK] for start in range(0, len(audio), _CHUNK)]
    if exchange.payload.get("stream_format") != "sse":
        media = _MEDIA.get(exchange.payload.get("response_format") or "mp3", "audio/pcm")
        return Answer(cut, media, streamed=True)
    events: list[dict[str, Any]] = [
        {"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in cut
    ]
    return _streamed(exchange, [*events, {"type": "speech.audio.done", "usage": exchange.usage(dialects.speech)}])


def transcriptions(exchange: Exchange) -> Answer:
    """POST /audio/transcriptions in each of its response formats."""
    if exchange.request.stream:
        deltas = [{"type": "transcript.text.delta", "delta": piece} for piece in exchange.pieces]
        done = {"type": "transcript.text.done", "text": exchange.text, "usage": _usage(exchange)}
        return _streamed(exchange, [*deltas, done])
    return _written(exchange, {"usage": _usage(exchange)})


def translations(exchange: Exchange) -> Answer:
    """POST /audio/translations. Its JSON has no usage, as the real one, unless the script gives one."""
    scripted = exchange.reply.usage is not FROM_REQUEST
    return _written(exchange, {"usage": _usage(exchange)} if scripted else {})


def _written(exchange: Exchange, usage: dict[str, Any]) -> Answer:
    kind = exchange.payload.get("response_format") or "json"
    if kind == "verbose_json":
        head = {"task": "transcribe", "language": "english", "duration": float(_seconds(exchange))}
        return exchange.whole({**head, "text": exchange.text, "segments": [_segment(exchange)], **usage})
    if kind in {"text", "srt", "vtt"}:
        return Answer([_subtitled(kind, exchange.text).encode()], "text/plain; charset=utf-8")
    return exchange.whole({"text": exchange.text, **usage})


def _subtitled(kind: str, text: str) -> str:
    if kind == "srt":
        return f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n"
    if kind == "vtt":
        return f"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{text}\n\n"
    return f"{text}\n"


def _usage(exchange: Exchange) -> object:
    """Whisper is billed by the second, the other models by the token."""
    if exchange.model.startswith("whisper") or exchange.counted.input_audio_seconds is not None:
        return exchange.usage(lambda usage: dialects.duration(replace(usage, input_audio_seconds=_seconds(exchange))))
    return exchange.usage(lambda usage: dialects.transcription(_heard(exchange, usage)))


def _heard(exchange: Exchange, usage: Usage) -> Usage:
    """Unscripted, each second of audio is ten tokens on top of those of the prompt."""
    if exchange.reply.usage is not FROM_REQUEST:
        return usage
    audio = round(10 * _seconds(exchange))
    return replace(usage, input_tokens=usage.input_tokens + audio, input_audio_tokens=audio)


def _seconds(exchange: Exchange) -> float:
    scripted = exchange.counted.input_audio_seconds
    if scripted is not None:
        return scripted
    return max(1, len(exchange.request.files.get("file", b"")) // BYTES_A_SECOND)


def _segment(exchange: Exchange) -> dict[str, Any]:
    numbers = {"temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0}
    place = {"id": 0, "seek": 0, "start": 0.0, "end": float(_seconds(exchange))}
    return {**place, "text": exchange.text, "tokens": [], **numbers}


def _streamed(exchange: Exchange, events: list[dict[str, Any]]) -> Answer:
    chunks = [exchange.event(exchange.finish(event), event["type"]) for event in events]
    return Answer(chunks, SSE, streamed=True, failure=openai_event(exchange))
