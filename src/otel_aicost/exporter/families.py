"""The families of `names.EXPORTED` as those of prometheus_client, to be filled with samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.samples import Exemplar, Sample

from otel_aicost.ledger.schema import BUCKET_SECONDS
from otel_aicost.names import EXPORTED

if TYPE_CHECKING:
    from collections.abc import Sequence

NANO: Final = 10**9
BOUNDS: Final = (*(str(bound) for bound in BUCKET_SECONDS), "+Inf")
LONGEST_EXEMPLAR: Final = 128
"""Characters that OpenMetrics allows the labels of an exemplar."""


def gauge(name: str) -> GaugeMetricFamily:
    """An empty gauge."""
    return GaugeMetricFamily(name, EXPORTED[name].help, labels=EXPORTED[name].labels)


def counter(name: str, tags: Sequence[str] = ()) -> CounterMetricFamily:
    """An empty counter; the labels of `tags` come after its own."""
    return CounterMetricFamily(name, EXPORTED[name].help, labels=(*EXPORTED[name].labels, *tags))


def histogram(name: str, tags: Sequence[str] = ()) -> HistogramMetricFamily:
    """An empty histogram over `BOUNDS`."""
    return HistogramMetricFamily(name, EXPORTED[name].help, labels=(*EXPORTED[name].labels, *tags))


def dollars(nano: int) -> float:
    """Nano-dollars as dollars: the float next to the exact amount."""
    return nano / NANO  # of two ints Python rounds the exact quotient, once


def seconds(nanoseconds: int) -> float:
    """Nanoseconds as seconds."""
    return nanoseconds / NANO


def exemplar(trace_id: str, value: float, at_ns: int) -> Exemplar | None:
    """What leads from a sample to a trace; `None` where the id is too long to be one."""
    labels = {"trace_id": trace_id}
    if not trace_id or sum(len(key) + len(text) for key, text in labels.items()) > LONGEST_EXEMPLAR:
        return None
    return Exemplar(labels, value, seconds(at_ns))


def born(family: Metric, labels: dict[str, str], first_ns: int) -> None:
    """Say of a histogram since when it counts; prometheus_client has no other way."""
    family.samples.append(Sample(f"{family.name}_created", labels, seconds(first_ns)))
