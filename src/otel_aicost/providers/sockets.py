"""What the messages of a WebSocket mean: a `Socket` says it, and a `Talk` is what is known of one connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.model import Reading, Status
    from otel_aicost.providers.base import Description, Json


class Billed(NamedTuple):
    """Something that is billed came to its end."""

    reading: Reading
    status: Status = "ok"
    apart: bool = False
    """It is no response that was asked for: a transcription on the side, a minute of a session that goes on."""
    estimated: bool = False
    """Its quantities were measured by us as they went by."""


class Heard(NamedTuple):
    """What one message tells."""

    begun: str | None = None
    """The id of a response that begins, after what is `billed` has ended; empty where responses have none."""
    billed: tuple[Billed, ...] = ()
    refused: str | None = None
    """The code of an error: what was asked for last does not begin."""


NOTHING = Heard()


@dataclass(slots=True)
class Talk:
    """What is known of one connection: its messages build on one another."""

    path: str = ""
    model: str | None = None
    transcription_model: str | None = None
    session: str | None = None
    """The provider's id of the session."""
    minutes: int = 0
    """Whole minutes of it that are billed already."""
    seconds: object = None
    """The seconds that it last said to have taken."""
    continuous: bool = False
    """It is billed by the audio sent, and never says how much."""
    turn: dict[str, Any] = field(default_factory=dict)
    """What a response that goes on has told so far, where it has no id and its end is not one message."""
    sent: int = 0
    """Characters of base64 audio sent since the last response."""
    received: int = 0
    """The same of audio that came."""
    sent_rate: int = 0
    """Bytes in a second of the audio that is sent; 0: not known."""
    received_rate: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Socket:
    """One dialect: which messages are looked into, and what they tell."""

    operation: str
    """`gen_ai.operation.name` of its responses."""
    hear: Callable[[Talk, Json], Heard]
    """What a message tells; it may note in the talk what later ones need."""
    asks: Callable[[Json], Description | None]
    """What a message to be sent asks for, or `None` if it asks for no response."""
    ended: Callable[[Talk], tuple[Billed, ...]] = lambda _: ()
    """What is billed when the connection ends, in mid-response or between them."""
    marks: tuple[bytes, ...] = ()
    """Only messages that hold one of these are parsed."""
    audio: bytes = b""
    """What a message of generated audio has near its beginning; those are measured, and never parsed."""
    audio_key: bytes = b""
    """What comes before the audio in it."""
    sends_audio: Callable[[Json], str | None] = lambda _: None
    """The base64 audio in a message to be sent."""


Sockets: TypeAlias = "dict[str, Socket]"
"""The end of a connection's path -> what is spoken there."""
