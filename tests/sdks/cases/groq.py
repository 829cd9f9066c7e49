"""Calls of the groq SDK."""

from __future__ import annotations

import groq

from capture.scenarios import WAVE
from otel_aicost.testing import Usage
from sdks.driving import CACHED, CACHED_COUNTED, SPOKEN, Case, Kind, stainless

CHAT = {"model": "llama-3.3-70b-versatile", "messages": SPOKEN}
HEARD = {"model": "whisper-large-v3", "file": WAVE, "response_format": "verbose_json"}

KIND = Kind(
    "groq",
    "groq",
    "stainless",
    stainless(groq.Groq, "/groq"),
    stainless(groq.AsyncGroq, "/groq"),
    (
        Case("chat", lambda client: client.chat.completions.create(**CHAT), CACHED_COUNTED, usage=CACHED),
        Case(
            "chat streamed", lambda client: client.chat.completions.create(**CHAT, stream=True), CACHED_COUNTED,
            usage=CACHED, streamed=True,
        ),
        Case(
            "chat raw", lambda client: client.chat.completions.with_raw_response.create(**CHAT), CACHED_COUNTED,
            usage=CACHED,
        ),
        Case(
            "embeddings", lambda client: client.embeddings.create(model="nomic-embed-text-v1_5", input="one"),
            {"input_tokens": 1500}, "embeddings",
        ),
        Case(
            "transcription", lambda client: client.audio.transcriptions.create(**HEARD),
            {"input_audio_seconds": 30}, "transcription", usage=Usage(input_audio_seconds=30.0),
        ),
        Case(
            "speech",
            lambda client: client.audio.speech.create(
                model="canopylabs/orpheus-v1-english", voice="troy", input="one two"
            ),
            {"input_characters": 7}, "speech", needs="audio.speech"),
    ),
    "llama-3.1-8b-instant",
    {"max_retries": 2},
)  # fmt: skip
