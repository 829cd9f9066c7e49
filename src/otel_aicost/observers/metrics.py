"""The OpenTelemetry instruments of a call, under the GenAI names, for any exporter the user configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import metrics
from opentelemetry.metrics import Observation

from otel_aicost import faults, names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.metrics import CallbackOptions

    from otel_aicost.ledger.balances import Settlement
    from otel_aicost.model import Record

MOST_VALUES = 200
"""Distinct values of one attribute that comes from users (models, tags); the rest are counted as `other`."""
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = tuple(4**power for power in range(14))
DOLLARS = (1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)


class MetricsObserver:
    """Records duration, tokens, time to first chunk and cost of each call."""

    def __init__(self, metric_tags: tuple[str, ...] = ()) -> None:
        self._tags = metric_tags
        self._seen: dict[str, set[str]] = {}
        meter = metrics.get_meter(names.SCOPE)
        self._duration = meter.create_histogram(
            names.METRIC_DURATION,
            unit="s",
            description="Duration of a call to an AI provider.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._first_chunk = meter.create_histogram(
            names.METRIC_FIRST_CHUNK,
            unit="s",
            description="Time from the start of a call to the first chunk of its streamed response.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._tokens = meter.create_histogram(
            names.METRIC_TOKENS,
            unit="{token}",
            description="Input and output tokens of a call.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self._cost = meter.create_histogram(
            names.METRIC_COST,
            unit="{USD}",
            description="Cost of a call in US dollars; calls without a price are not in it.",
            explicit_bucket_boundaries_advisory=DOLLARS,
        )
        self._unpriced = meter.create_counter(
            names.METRIC_UNPRICED, unit="{call}", description="Calls whose cost is not known."
        )
        meter.create_observable_counter(
            names.METRIC_INTERNAL_ERRORS,
            callbacks=[_internal_errors],
            unit="{error}",
            description="Errors of otel-aicost itself, by place.",
        )

    def after(self, record: Record, _: Settlement | None) -> None:
        """Measure a finished call."""
        base = self._attributes(record)
        ended = {**base, names.ERROR_TYPE: record.error_type} if record.error_type else base
        self._duration.record(record.duration_ns / 1e9, ended)
        if record.first_chunk_ns is not None:
            self._first_chunk.record(record.first_chunk_ns / 1e9, base)
        for kind, meter in (("input", "input_tokens"), ("output", "output_tokens")):
            if meter in record.usage:
                self._tokens.record(float(record.usage[meter]), {**base, names.TOKEN_TYPE: kind})
        if record.cost is not None:
            self._cost.record(float(record.cost.total), base)
        elif record.unpriced is not None:
            self._unpriced.add(1, {**base, names.AICOST_UNPRICED_REASON: record.unpriced.reason})

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - the readers belong to the user
        """Nothing is held back here."""
        return True

    def close(self, timeout: float) -> bool:  # noqa: ARG002 - as above
        """Nothing is held back here."""
        return True

    def _attributes(self, record: Record) -> dict[str, str]:
        found = {names.PROVIDER: record.provider, names.OPERATION: record.operation}
        if record.request_model:
            found[names.REQUEST_MODEL] = self._capped(names.REQUEST_MODEL, record.request_model)
        if record.response_model:
            found[names.RESPONSE_MODEL] = self._capped(names.RESPONSE_MODEL, record.response_model)
        for tag in self._tags:
            if tag in record.tags:
                name = names.AICOST_TAG_PREFIX + tag
                found[name] = self._capped(name, record.tags[tag])
        return found

    def _capped(self, name: str, value: str) -> str:
        seen = self._seen.setdefault(name, set())
        if value in seen:
            return value
        if len(seen) >= MOST_VALUES:
            return names.OTHER
        seen.add(value)
        return value


def _internal_errors(_: CallbackOptions) -> Iterable[Observation]:
    for place, count in faults.counts().items():
        yield Observation(count, {"aicost.place": place})
