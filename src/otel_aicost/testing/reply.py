"""What the fake provider answers next: text, usage, and what goes wrong on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class _FromRequest:
    """The usage is counted from the words of the prompt and of the answer."""

    def __repr__(self) -> str:
        return "FROM_REQUEST"


FROM_REQUEST: Final = _FromRequest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a call used, in the meters of otel-aicost; each endpoint writes it in its own dialect.

    Totals are inclusive, as everywhere in otel-aicost: `input_tokens` holds the cached ones (the Anthropic
    dialect subtracts them again), `output_tokens` the reasoning.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    """Written to the cache, any lifetime."""
    cache_write_1h_tokens: int = 0
    """Of those, for one hour; the rest is for five minutes. Anthropic only."""
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    web_searches: int = 0
    input_audio_seconds: float | None = None
    """Length of the audio of a transcription."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model wants called."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer. Each field has a default; `Reply()` is what an unscripted call gets."""

    # What is said.
    text: str | None = None
    """The answer. By default a fixed sentence, or a sample that fits the JSON schema the request asks for."""
    thinking: str | None = None
    """Text of the reasoning that comes before the answer."""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    """In the words of the endpoint; for `/responses` the status: completed, incomplete or failed."""
    model: str | None = None
    """The model the response names; by default the one asked for."""
    service_tier: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """More keys for the answer, put into every event of a stream as well."""
    omit: tuple[str, ...] = ()
    """Keys to leave out of the answer, e.g. `("choices",)`."""

    # What it used.
    usage: object = FROM_REQUEST
    """A `Usage`; or any other value, sent as it is: a dict in the provider's words, `None`, rubbish."""
    usage_extra: Mapping[str, Any] = field(default_factory=dict)
    """More keys for a usage that is written from a `Usage`: `{"cost": 0.0012}`, `{"speed": "fast"}`."""

    # Another answer altogether.
    status: int = 200
    """An HTTP status from 400 on gives the provider's error in its own form."""
    error: Mapping[str, Any] | None = None
    """The JSON of the error, instead of the provider's usual one for this status."""
    json: object = None
    """This JSON value instead of the endpoint's answer, on any path."""
    body: bytes | None = None
    """These bytes instead of the endpoint's answer, on any path."""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """More response headers, or other values for the usual ones."""
    retry_after: float = 0.01
    """Seconds the SDK is told to wait after a 429 or 5xx; short, so that tests are."""

    # How it travels.
    times: int = 1
    """How many requests get this answer."""
    delay: float = 0.0
    """Seconds before the headers."""
    chunk_delay: float = 0.0
    """Seconds before each chunk of a stream."""
    drop_after: int | None = None
    """Close the connection after that many chunks of the body (0: after the headers)."""
    hang_up: bool = False
    """Close the connection without any answer."""
    error_after: int | None = None
    """In a stream: the provider's error event after that many events, and nothing more."""
    truncate: int | None = None
    """Keep only that many bytes of the body; the HTTP message itself is whole."""
    chunk_bytes: int | None = None
    """Send the body in chunks of that many bytes, wherever lines and characters end."""
    gzip: bool = False
    spaced: bool = False
    """JSON with a space after each colon and comma, as some compatible servers write it."""
    crlf: bool = False
    """Events of a stream end in CR LF."""
    comments: bool = False
    """A comment line before each event of a stream, as OpenRouter sends while it waits."""
