"""OpenAI's runs of assistants, turns of agents, fine-tuning and evaluations: billed when they have ended, and once."""

from __future__ import annotations

from dataclasses import replace

from otel_aicost.model import Quantity, Reading
from otel_aicost.providers import openai
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Endpoint,
    Fields,
    Json,
    items,
    made,
    mapping,
    moment,
    once,
    poll,
    quantities,
    quantity,
    text,
)

MODEL_USAGE: Fields = (
    ("input_tokens", ("prompt_tokens",)),
    ("output_tokens", ("completion_tokens",)),
    ("cache_read_tokens", ("cached_tokens",)),
)
ENDED = frozenset({"completed", "succeeded", "failed", "cancelled", "canceled", "expired", "incomplete"})


def read_run(body: Json) -> Reading:
    """A run of an assistant: it has a usage when it has ended, whichever way that is seen."""
    found = openai.read(body)
    if str(body.get("status")) not in ENDED:
        return replace(found, usage=None, pending=True)
    return found if found.response_id is None else once(found, f"run:{found.response_id}")


def read_fetched_run(body: Json) -> Reading:
    """The same, found out later."""
    ended = (moment(body.get(key)) for key in ("completed_at", "failed_at", "cancelled_at", "created_at"))
    return replace(read_run(body), at_ns=next(filter(None, ended), None))


def read_run_event(event: Json) -> Json:
    """A run as a whole; its steps have usages too, which are parts of that."""
    return event if event.get("object") == "thread.run" else {}


def read_turn(body: Json) -> Reading:
    """A turn of an agent session; it names no model, so it has no price. The session's usage is the sum of turns."""
    found = openai.read(body)
    if str(body.get("status")) not in ENDED or found.response_id is None:
        return replace(found, usage=None, pending=True)
    return once(replace(found, at_ns=made(body)), f"turn:{found.response_id}")


def nothing_new(_: Json) -> Reading:
    """Something stored was changed, and comes back with the usage of all that was done with it."""
    return Reading()


def read_training(body: Json) -> Reading:
    """A fine-tuning job that ended: its tokens; reinforcement is billed by the hour, which is not told."""
    model, job = text(body.get("model")), text(body.get("id"))
    if str(body.get("status")) not in ENDED or job is None:
        return Reading(model, job, pending=True)
    found = Reading(model, job, once=f"fine_tuning:{job}", at_ns=moment(body.get("finished_at")))
    tokens = body.get("trained_tokens")
    try:
        if tokens is not None:
            return replace(found, usage={"training_tokens": quantity(tokens, "trained_tokens")})
    except AbsurdUsageError as error:
        return replace(found, invalid=str(error))
    by_hour = mapping(body.get("method")).get("type") == "reinforcement" and body.get("status") == "succeeded"
    return replace(found, usage={"training_jobs": 1}) if by_hour else found


def read_evaluation(body: Json) -> Reading:
    """A run of an evaluation that ended, at the rates of each model that took part."""
    run = text(body.get("id"))
    if str(body.get("status")) not in ENDED or run is None:
        return Reading(response_id=run, pending=True)
    made = moment(body.get("created_at"))
    found = (_of_model(entry) for entry in items(body.get("per_model_usage")))
    return Reading(
        response_id=run,
        others=tuple(
            replace(part, response_id=run, once=f"evaluation:{run}:{part.model}", at_ns=made) for part in found
        ),
    )


def _of_model(entry: Json) -> Reading:
    model = text(entry.get("model_name"))
    try:
        counted: dict[str, Quantity] = quantities(entry, MODEL_USAGE)
    except AbsurdUsageError as error:
        return Reading(model, invalid=str(error))
    return Reading(model, usage=counted if any(counted.values()) else None)


RUN = Endpoint("chat", read_run, openai.describe, fragment=read_run_event, ends=(b"[DONE]",))
FETCHED_RUN = poll("chat", read_fetched_run)
TRAINING = poll("fine_tuning", read_training)
EVALUATION = poll("chat", read_evaluation)
CHANGED = poll("stored", nothing_new)

ENDPOINTS = {
    "/threads/runs": RUN,
    "/threads/*/runs": RUN,
    "/threads/*/runs/*/submit_tool_outputs": RUN,
    "/threads/*/runs/*/cancel": FETCHED_RUN,
    "/threads/*/runs/*": FETCHED_RUN,
    "/fine_tuning/jobs": Endpoint("fine_tuning", read_training, openai.describe),
    "/fine_tuning/jobs/*/cancel": TRAINING,
    "/evals/*/runs": Endpoint("chat", read_evaluation),
    "/evals/*/runs/*/cancel": EVALUATION,
    "/agents/sessions": CHANGED,
    "/agents/sessions/*": CHANGED,
}

POLLS = {
    "/threads/*/runs/*": FETCHED_RUN,
    "/fine_tuning/jobs/*": TRAINING,
    "/evals/*/runs/*": EVALUATION,
    "/agents/sessions/*/turns/*": poll("chat", read_turn),
}
