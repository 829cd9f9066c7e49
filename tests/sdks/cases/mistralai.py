"""Calls of the mistralai SDK."""

from __future__ import annotations

from importlib import import_module

from capture.scenarios import WAVE
from otel_aicost.testing import Usage
from sdks.driving import CACHED, CACHED_COUNTED, CLOSING, COUNTED, SPOKEN, Case, Kind, speakeasy

sdk = import_module("mistralai.client")
if not hasattr(sdk, "Mistral"):  # before 2.0
    sdk = import_module("mistralai")

CHAT = {"model": "mistral-large-2512", "messages": SPOKEN}
DOCUMENT = {"type": "document_url", "document_url": "https://document.invalid/"}
HEARD = {"model": "voxtral-mini-2602", "file": {"file_name": WAVE[0], "content": WAVE[1]}}
TALK = {"model": "mistral-medium-2505", "inputs": "one two three"}
SECONDS = Usage(input_tokens=4, output_tokens=600, input_audio_seconds=203.0)


KIND = Kind(
    "mistralai",
    "mistral_ai",
    "speakeasy",
    *speakeasy(sdk.Mistral, "/mistral"),
    (
        Case("chat", lambda client: client.chat.complete(**CHAT), CACHED_COUNTED, usage=CACHED),
        Case("chat streamed", lambda client: client.chat.stream(**CHAT), CACHED_COUNTED, usage=CACHED, streamed=True),
        Case(
            "conversation streamed", lambda client: client.beta.conversations.start_stream(**TALK), COUNTED,
            streamed=True, needs="beta.conversations"),
        Case("conversation", lambda client: client.beta.conversations.start(**TALK), COUNTED, needs="beta.conversations"),
        Case(
            "conversation continued",
            lambda client: client.beta.conversations.append(conversation_id="conv_1", inputs="one"), COUNTED, needs="beta.conversations"),
        Case("agent", lambda client: client.agents.complete(agent_id="ag_1", messages=SPOKEN), COUNTED),
        Case(
            "fim", lambda client: client.fim.complete(model="codestral-2508", prompt="one"), COUNTED, "text_completion"
        ),
        Case(
            "embeddings", lambda client: client.embeddings.create(model="mistral-embed", inputs=["one"]), COUNTED,
            "embeddings",
        ),
        Case(
            "ocr", lambda client: client.ocr.process(model="mistral-ocr-2512", document=DOCUMENT),
            {"document_pages": 3}, "ocr", needs="ocr"),
        Case(
            "transcription", lambda client: client.audio.transcriptions.complete(**HEARD),
            {"input_audio_seconds": 203}, "transcription", usage=SECONDS, needs="audio.transcriptions"),
        Case(
            "transcription streamed", lambda client: client.audio.transcriptions.stream(**HEARD),
            {"input_audio_seconds": 203}, "transcription", usage=SECONDS, needs="audio.transcriptions"),
        Case(
            "moderation", lambda client: client.classifiers.moderate(model="mistral-moderation-2411", inputs=["one"]),
            COUNTED, "moderation",
        ),
    ),
    "mistral-small-2506",
    {"retrying": True},
    *CLOSING,
)  # fmt: skip
