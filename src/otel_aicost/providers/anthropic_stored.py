"""Anthropic's message batches, managed sessions and dreams: billed when their results are fetched, and once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from otel_aicost.model import Reading
from otel_aicost.providers import anthropic
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Json,
    Sent,
    dollars,
    items,
    mapping,
    once,
    poll,
    quantities,
    text,
)

BATCH = {"processing": "batch"}
_CENTS = 100


def describe_batch(sent: Sent) -> Description:
    """The model of all its requests, if it is one, and what they may write together."""
    wanted = [mapping(request.get("params")) for request in items(sent.body.get("requests"))]
    models = {text(params.get("model")) for params in wanted}
    limits = [limit for params in wanted if type(limit := params.get("max_tokens")) is int]
    return Description(
        models.pop() if len(models) == 1 else None,
        {"gen_ai.request.max_tokens": sum(limits)} if limits else {},
        conditions=BATCH,
    )


def read_batch(body: Json) -> Reading:
    """A batch that was accepted: its results are billed when they are fetched."""
    return Reading(response_id=text(body.get("id")), pending=True)


def read_results(body: Json) -> Reading:
    """The results of a batch: those that succeeded, each a message. They do not state when it was made."""
    return Reading(
        others=tuple(
            found for line in items(body.get("lines")) if (found := _result(line, str(body.get("batch")))) is not None
        )
    )


def _result(line: Json, batch: str) -> Reading | None:
    result = mapping(line.get("result"))
    if result.get("type") != "succeeded":
        return None
    found = anthropic.read(mapping(result.get("message")))
    others = tuple(replace(part, conditions={**part.conditions, **BATCH}) for part in found.others)
    found = replace(found, conditions={**found.conditions, **BATCH}, others=others)
    return once(found, f"batch:{batch}:{text(line.get('custom_id')) or found.response_id}")


def _batch(path: str) -> Json:
    """The results of `/v1/messages/batches/{id}/results` belong to a batch that their lines do not name."""
    return {"batch": path.rstrip("/").split("/")[-2]}


def read_session(body: Json) -> Reading:
    """A managed session that has ended: its usage and cost are of all turns together, and grow until then."""
    session, usage = text(body.get("id")), mapping(body.get("usage"))
    if session is None or not (body.get("status") == "terminated" or body.get("archived_at")):
        return Reading(response_id=session, pending=True)
    model = text(mapping(mapping(body.get("agent")).get("model")).get("id"))
    found = Reading(model, session, once=f"session:{session}")
    listed = mapping(usage.get("list_cost"))
    cents = dollars(listed.get("amount")) if str(listed.get("currency")).upper() == "USD" else None
    try:
        counted = anthropic.inclusive(usage) or {}
        active = quantities(usage, (("active_seconds", ("active_seconds",)),))
    except AbsurdUsageError as error:
        return replace(found, invalid=str(error))
    return replace(found, usage={**counted, **active} or None, cost=None if cents is None else cents / Decimal(_CENTS))


def read_dream(body: Json) -> Reading:
    """A dream that has ended; it may have run in a session, which can be fetched too."""
    dream = text(body.get("id"))
    if dream is None or not body.get("ended_at"):
        return Reading(response_id=dream, pending=True)
    found = Reading(text(mapping(body.get("model")).get("id")), dream)
    found = replace(found, once=f"session:{text(body.get('session_id')) or dream}")
    try:
        return replace(found, usage=anthropic.inclusive(mapping(body.get("usage"))))
    except AbsurdUsageError as error:
        return replace(found, invalid=str(error))


SESSION = poll("chat", read_session)
DREAM = poll("chat", read_dream)

ENDPOINTS = {
    "/v1/messages/batches": Endpoint("batch", read_batch, describe_batch),
    "/v1/sessions": SESSION,
    "/v1/sessions/*": SESSION,
    "/v1/sessions/*/archive": SESSION,
    "/v1/dreams": DREAM,
    "/v1/dreams/*/archive": DREAM,
    "/v1/dreams/*/cancel": DREAM,
}

POLLS = {
    "/v1/messages/batches/*/results": poll("chat", read_results, lines=True, marks=(b'"custom_id"',), place=_batch),
    "/v1/sessions/*": SESSION,
    "/v1/dreams/*": DREAM,
}
