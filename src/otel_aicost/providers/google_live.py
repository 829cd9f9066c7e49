"""Gemini Live, of the Gemini API and of Vertex AI: a turn of the model is a response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_aicost.providers import google_content
from otel_aicost.providers.base import Description, Json, mapping
from otel_aicost.providers.sockets import Billed, Heard, Socket, Talk

if TYPE_CHECKING:
    from otel_aicost.model import Status

_WORK = ("modelTurn", "outputTranscription", "interrupted")


def asks(event: Json) -> Description | None:
    """Content that completes the user's turn; what is only spoken the server answers by its own judgement."""
    return Description() if mapping(event.get("clientContent")).get("turnComplete") else None


def hear(talk: Talk, event: Json) -> Heard:
    """What a message tells.

    Usages of one turn are running totals: the last one counts. It mostly comes with the message that completes the
    turn, and may come right after it.
    """
    usage, content = mapping(event.get("usageMetadata")), mapping(event.get("serverContent"))
    works = bool(event.get("toolCall") or any(content.get(key) for key in _WORK))
    late = _turn(talk) if talk.turn.get("complete") and works and not usage else ()
    begins = works and not talk.turn
    if works or usage:
        talk.turn["usage"] = {**talk.turn.get("usage", {}), **usage}
    if content.get("groundingMetadata"):
        talk.turn.setdefault("grounded", []).append({"groundingMetadata": content["groundingMetadata"]})
    if content.get("interrupted"):
        talk.turn["interrupted"] = True
    if talk.turn and (content.get("turnComplete") or talk.turn.get("complete")):
        if talk.turn.get("usage"):
            return Heard(billed=(*late, *_turn(talk)))
        talk.turn["complete"] = True
    return Heard(begun="" if begins else None, billed=late)


def ended(talk: Talk) -> tuple[Billed, ...]:
    """A turn that the end of the connection cut off."""
    return _turn(talk, "ok" if talk.turn.get("complete") else "partial")


def _turn(talk: Talk, status: Status = "ok") -> tuple[Billed, ...]:
    """The turn that ends here, if there is one."""
    told, talk.turn = talk.turn, {}
    if not told:
        return ()
    body = {"modelVersion": talk.model, "usageMetadata": told.get("usage"), "candidates": told.get("grounded")}
    return (Billed(google_content.read(body), "partial" if told.get("interrupted") else status),)


SOCKET = Socket("realtime", hear, asks, ended)
