"""OpenAI over WebSockets: Realtime (with translations), Responses and Live, each told by the types of its events."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from otel_aicost.model import Reading
from otel_aicost.providers import openai
from otel_aicost.providers.base import AbsurdUsageError, Fields, Json, Sent, mapping, quantity, text
from otel_aicost.providers.openai_live import OPERATION, metered
from otel_aicost.providers.sockets import NOTHING, Billed, Heard, Socket, Talk

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.model import Quantity, Status
    from otel_aicost.providers.base import Description
    from otel_aicost.providers.sockets import Sockets

PCM, G711 = 48_000, 8_000
"""Bytes in a second: 24 kHz of 16 bits, and the two kinds of G.711."""
CACHED: Fields = (
    ("cache_audio_read_tokens", ("audio_tokens",)),
    ("cache_image_read_tokens", ("image_tokens",)),
)
"""Of `cached_tokens_details`. A zero is kept: without it nobody could tell cached audio from cached text."""


def asks(event: Json) -> Description | None:
    """Only `response.create` asks for a response by itself; in Responses it holds the whole request."""
    if event.get("type") != "response.create":
        return None
    body = mapping(event.get("response")) or event
    return openai.describe(Sent(body))


def sends_audio(event: Json) -> str | None:
    """The audio of `input_audio_buffer.append`, of Realtime and its translations."""
    audio = event.get("audio")
    return audio if isinstance(audio, str) and str(event.get("type")).endswith("input_audio_buffer.append") else None


def hear(talk: Talk, event: Json) -> Heard:
    """What an event tells."""
    known = _EVENTS.get(str(event.get("type")))
    return NOTHING if known is None else known(talk, event)


def ended(talk: Talk) -> tuple[Billed, ...]:
    """The rest of a Live session that did not say that it closed, and a translation session."""
    return (*metered(talk, talk.seconds, "partial"), *_translated(talk))


def _session(talk: Talk, event: Json) -> Heard:
    session = mapping(event.get("session"))
    audio = mapping(session.get("audio"))
    heard, said = mapping(audio.get("input")), mapping(audio.get("output"))
    asked = mapping(heard.get("transcription")) or mapping(session.get("input_audio_transcription"))
    talk.model = text(session.get("model")) or talk.model
    talk.transcription_model = text(asked.get("model")) or talk.transcription_model
    talk.sent_rate = _rate(heard.get("format") or session.get("input_audio_format")) or talk.sent_rate
    talk.received_rate = _rate(said.get("format") or session.get("output_audio_format")) or talk.received_rate
    talk.continuous = talk.continuous or session.get("type") == "translation"
    named = text(session.get("id"))
    if named is not None and named != talk.session:
        talk.session, talk.minutes, talk.seconds = named, 0, None
    return NOTHING


def _rate(form: object) -> int:
    """`{"type": "audio/pcm", "rate": 24000}`, `"pcm16"`, `"audio/pcmu"`, `"g711_alaw"`."""
    kind = str(mapping(form).get("type") or form)
    if "pcmu" in kind or "pcma" in kind or "g711" in kind:
        return G711
    rate = mapping(form).get("rate")
    if "pcm" in kind:
        return 2 * rate if isinstance(rate, int) and 0 < rate <= PCM else PCM
    return 0


def _begun(_: Talk, event: Json) -> Heard:
    return Heard(begun=text(mapping(event.get("response")).get("id")) or "")


def _refused(_: Talk, event: Json) -> Heard:
    error = mapping(event.get("error")) or event
    return Heard(refused=text(error.get("code")) or text(error.get("type")) or "error")


def _done(talk: Talk, event: Json) -> Heard:
    """The end of a Realtime response. What a cancelled one reports is billed."""
    body = mapping(event.get("response"))
    usage, details = mapping(body.get("usage")), mapping(body.get("status_details"))
    status, why = str(body.get("status")), text(details.get("reason"))
    reading = openai.read({**body, "output": None, "model": text(body.get("model")) or talk.model})
    reading = replace(reading, finish_reasons=(why or status,) if status != "None" else ())
    if status == "failed":
        reading = replace(reading, error=text(mapping(details.get("error")).get("code")) or "failed")
    reading = _with_cached(reading, mapping(mapping(usage.get("input_token_details")).get("cached_tokens_details")))
    counted = {} if reading.error or reading.invalid else _by_length(talk, usage)
    talk.sent = talk.received = 0
    if counted:
        reading = replace(reading, usage={**(reading.usage or {}), **counted})
    ends: dict[str, Status] = {"cancelled": "partial", "failed": "error"}
    return Heard(billed=(Billed(reading, ends.get(status, "ok"), estimated=bool(counted)),))


def _with_cached(reading: Reading, details: Json) -> Reading:
    if not reading.usage or not details:
        return reading
    try:
        told = {meter: quantity(details.get(path[-1]) or 0, path[-1]) for meter, path in CACHED}
    except AbsurdUsageError as error:
        return replace(reading, usage=None, invalid=str(error))
    inputs = {"cache_audio_read_tokens": "input_audio_tokens", "cache_image_read_tokens": "input_image_tokens"}
    kept = {meter: count for meter, count in told.items() if count or inputs[meter] in reading.usage}
    return replace(reading, usage={**reading.usage, **kept})


def _by_length(talk: Talk, usage: Json) -> dict[str, Quantity]:
    """The seconds of audio that went by and that no token stands for: where none are reported, or text ones alone."""
    found: dict[str, Quantity] = {}
    for meter, side, characters, rate in (
        ("input_audio_seconds", "input", talk.sent, talk.sent_rate),
        ("output_audio_seconds", "output", talk.received, talk.received_rate),
    ):
        details, total = mapping(usage.get(f"{side}_token_details")), usage.get(f"{side}_tokens")
        silent = "audio_tokens" not in details and details.get("text_tokens") == total
        if characters and (silent or not usage):
            found[meter] = _seconds(characters, rate)
    return found


def _seconds(characters: int, rate: int) -> Quantity:
    """Four characters of base64 are three bytes; to the millisecond."""
    milliseconds = characters * 750 // (rate or PCM)
    return quantity(milliseconds / 1000, "seconds")


def _transcribed(talk: Talk, event: Json) -> Heard:
    """Billed apart from the conversation, at the rates of the model that transcribes, by tokens or by length."""
    reading = openai.read_transcription({"usage": event.get("usage"), "model": talk.transcription_model})
    reading = replace(reading, operation="transcription", response_id=text(event.get("item_id")))
    return Heard(billed=(Billed(reading, apart=True),))


def _responded(_: Talk, event: Json) -> Heard:
    """The end of a response of the Responses API."""
    reading = openai.RESPONSES.read(mapping(event.get("response")))
    return Heard(billed=(Billed(reading, "error" if reading.error else "ok"),))


def _delegated(talk: Talk, event: Json) -> Heard:
    """A response or a decision that a Live session asked for; sidebands hear of it too, and it is billed once."""
    inner = mapping(event.get("event"))
    if inner.get("type") == "decision.completed":
        inner = {"type": "response.completed", "response": inner.get("decision")}
    if str(inner.get("type")) not in _RESPONSES:
        return NOTHING
    heard = hear(talk, inner)
    once = [
        one._replace(reading=replace(one.reading, once=one.reading.response_id, operation="chat"))
        for one in heard.billed
    ]
    return heard._replace(billed=tuple(once))


def _used(talk: Talk, event: Json) -> Heard:
    """A Live session says what it took so far: minutes are billed as they pass."""
    talk.seconds = mapping(event.get("usage")).get("seconds")
    return Heard(billed=metered(talk, talk.seconds))


def _closed(talk: Talk, event: Json) -> Heard:
    """The last word of a session, of a Live one with all that it took."""
    _session(talk, event)
    total = mapping(event.get("usage")).get("seconds")
    billed = (*metered(talk, total, "ok"), *_translated(talk))
    talk.seconds, talk.continuous = None, False
    return Heard(billed=billed)


def _translated(talk: Talk) -> tuple[Billed, ...]:
    """Translations are billed by the audio sent, and report no usage."""
    if not talk.sent or not (talk.continuous or "/translations" in talk.path):
        return ()
    reading = Reading(talk.model, talk.session, {"audio_seconds": _seconds(talk.sent, talk.sent_rate)})
    talk.sent = 0
    return (Billed(reading, apart=True, estimated=True),)


_RESPONSES: dict[str, Callable[[Talk, Json], Heard]] = {
    "response.created": _begun,
    "response.completed": _responded,
    "response.incomplete": _responded,
    "response.failed": _responded,
}
_EVENTS: dict[str, Callable[[Talk, Json], Heard]] = {
    **_RESPONSES,
    "response.done": _done,
    "error": _refused,
    "conversation.item.input_audio_transcription.completed": _transcribed,
    "response.event": _delegated,
    "decision.event": _delegated,
    "session.usage.updated": _used,
    "session.closed": _closed,
    **dict.fromkeys(
        (
            "session.created",
            "session.updated",
            "session.started",
            "transcription_session.created",
            "transcription_session.updated",
        ),
        _session,
    ),
}
REALTIME = Socket(
    OPERATION,
    hear,
    asks,
    ended,
    marks=(
        b'"usage"',
        b'"session"',
        b'"response.created"',
        b'"error"',
        b'transcription.completed"',
        b'"session.closed"',
    ),
    audio=b'audio.delta"',
    audio_key=b'"delta"',
    sends_audio=sends_audio,
)
RESPONSES = replace(REALTIME, operation="chat")
SOCKETS: Sockets = {"/responses": RESPONSES}
"""Whatever else an OpenAI client connects to is heard as Realtime."""
