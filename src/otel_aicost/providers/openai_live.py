"""OpenAI's Live sessions: billed by their length, whoever speaks, minute by minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.model import Reading
from otel_aicost.providers.base import AbsurdUsageError, quantity
from otel_aicost.providers.sockets import Billed, Talk

if TYPE_CHECKING:
    from otel_aicost.model import Status

OPERATION = "realtime"
MINUTE = 60
LONGEST_MINUTES = 24 * 60
"""A session that says to be longer is not believed."""


def metered(talk: Talk, total: object, rest: Status | None = None) -> tuple[Billed, ...]:
    """The whole minutes that are not billed yet, and with `rest` what is left: then a session ends with that status.

    Each has an id made of session and minute: whoever hears of it, on whichever connection, it is billed once.
    """
    if total is None:
        return ()
    try:
        seconds = quantity(total, "seconds")
    except AbsurdUsageError as error:
        return (Billed(_minute(talk, invalid=str(error)), apart=True),)
    whole = int(seconds // MINUTE)
    if whole > LONGEST_MINUTES:
        return (Billed(_minute(talk, invalid=f"a session of {seconds} seconds"), apart=True),)
    found = []
    while talk.minutes < whole:
        found.append(Billed(_minute(talk, usage={"audio_seconds": MINUTE}), apart=True))
        talk.minutes += 1
    left = seconds - MINUTE * talk.minutes
    if left > 0 and (rest == "ok" or (rest is not None and not _beside(talk))):
        found.append(Billed(_minute(talk, usage={"audio_seconds": left}), rest, apart=True))
        talk.minutes += 1
    return tuple(found)


def _beside(talk: Talk) -> bool:
    """Whether this connection was attached to a session that may go on without it."""
    return not talk.path.endswith(("/live/sessions", "/forks"))


def _minute(talk: Talk, **facts: Any) -> Reading:  # noqa: ANN401
    once = None if talk.session is None else f"live/{talk.session}/{talk.minutes}"
    return Reading(talk.model, talk.session, once=once, operation=OPERATION, **facts)
