"""What an application can do by hand: instrument itself, record a call no SDK makes, ask for a price, flush."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from otel_aicost import config, faults, instrumentor
from otel_aicost.model import NO_CONDITIONS, NO_USAGE, Call, Cost, Outcome, Reading, Record, Unpriced
from otel_aicost.providers.base import AbsurdUsageError, dollars, quantity
from otel_aicost.tags import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.model import Status, UsageState
    from otel_aicost.pipeline import Pipeline

Number = int | float | Decimal


def instrument() -> None:
    """Count and price the AI calls of this process; what `opentelemetry-instrument` does by itself.

    It may be called before or after the SDKs are imported and their clients made, and more than once.
    """
    agent = instrumentor.AICostInstrumentor()
    if not agent.is_instrumented_by_opentelemetry:
        agent.instrument()


def uninstrument() -> None:
    """Stop counting; what was counted is written out first (at most four seconds)."""
    agent = instrumentor.AICostInstrumentor()
    if agent.is_instrumented_by_opentelemetry:
        agent.uninstrument()


def flush(timeout: float = 5.0) -> bool:
    """Wait until every finished call is priced and in the ledger, at most `timeout` seconds.

    Returns whether all of it is. For the end of a serverless handler, and for tests.
    """
    running = instrumentor.running()
    return True if running is None else running.flush(timeout)


def record(  # noqa: PLR0913 - keyword arguments, each a fact of the call
    provider: str,
    model: str | None,
    usage: Mapping[str, Number],
    *,
    operation: str = "other",
    cost: Number | str | None = None,
    conditions: Mapping[str, str] = NO_CONDITIONS,
    started: datetime | None = None,
    duration: float = 0.0,
    error_type: str | None = None,
    response_id: str | None = None,
) -> Record:
    """Record a paid call that no SDK made: any provider, any meter.

    `usage` is meter -> quantity (`{"input_tokens": 1500, "output_tokens": 200}`, `{"requests": 1}`; totals hold
    their parts: cached tokens are inside `input_tokens`). `cost`, in dollars, is for a provider that states it;
    without it the call is priced like any other, at `started` (now, unless given; a naive time is taken for UTC).
    `duration` is in seconds. The tags in force apply. Returns the record, whose `cost` is `None` and `unpriced` says
    why if there is no price. A quantity that cannot be (negative, not a number) is recorded as `invalid`; nothing is
    raised.
    """
    here = pipeline()
    now = time.time_ns()
    began = now - int(duration * 1e9) if started is None else _nanoseconds(started)
    ticks = time.perf_counter_ns()
    call = Call(
        provider=provider,
        operation=operation,
        request_model=model,
        started_ns=began,
        started_ticks=ticks - int(duration * 1e9),
        tags=current(),
        conditions=conditions,
    )
    reading = Reading(model=model, response_id=response_id, cost=None if cost is None else dollars(cost))
    outcome = _outcome(usage, reading, error_type, ticks)
    return here.conclude(call, outcome)


def _outcome(usage: Mapping[str, Number], reading: Reading, error_type: str | None, ticks: int) -> Outcome:
    status: Status = "ok" if error_type is None else "error"
    try:
        counted = {meter: quantity(amount, meter) for meter, amount in usage.items()}
    except AbsurdUsageError as error:
        faults.say("record", "otel_aicost.record: %s; the call is recorded without usage and cost", error)
        invalid = Reading(reading.model, reading.response_id, invalid=str(error))
        return Outcome(status, "invalid", NO_USAGE, reading=invalid, error_type=error_type, ended_ticks=ticks)
    state: UsageState = "reported" if counted or reading.cost is not None or error_type is None else "none"
    return Outcome(status, state, counted, reading=reading, error_type=error_type, ended_ticks=ticks)


def estimate(
    provider: str,
    model: str,
    usage: Mapping[str, Number],
    *,
    conditions: Mapping[str, str] = NO_CONDITIONS,
    at: datetime | None = None,
) -> Cost | Unpriced:
    """What a call would cost: the total in dollars and its parts, or why there is no price.

    Nothing is sent or recorded. `at` is the time of the call (now, unless given; a naive time is taken for UTC).
    The first call loads the price list (up to half a second).
    """
    try:
        counted = {meter: quantity(amount, meter) for meter, amount in usage.items()}
    except AbsurdUsageError as error:
        return Unpriced("invalid_usage", str(error))
    moment = time.time_ns() if at is None else _nanoseconds(at)
    return pipeline().warm().price(provider, (model,), counted, conditions, moment)


def pipeline() -> Pipeline:
    """The pipeline of this process; made, if there is none."""
    running = instrumentor.running()
    if running is None:
        settings, mistakes = config.load()
        for mistake in mistakes:
            faults.LOGGER.warning("otel-aicost: %s", mistake)
        running = instrumentor.start(settings)
    return running


def _nanoseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
