"""The running totals as counters and histograms: they never fall, whatever restarts."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from otel_aicost.exporter.families import BOUNDS, born, counter, dollars, exemplar, gauge, histogram, seconds
from otel_aicost.ledger.schema import BUCKET_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import Metric
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
    from prometheus_client.samples import Exemplar

    from otel_aicost.exporter.totals import Count, Times, Total, Totals
    from otel_aicost.ledger.store import Connection

Labels = tuple[str, ...]


def families(totals: Totals) -> Iterator[Metric]:
    """Every family of `names.RUNNING_TOTALS`, and what became of the labels."""
    yield _cost(totals)
    yield _tokens(totals)
    yield _calls(totals)
    yield _unpriced(totals)
    yield _estimated(totals)
    yield _saved(totals)
    yield from _repriced(totals)
    yield _durations(totals)
    yield _first_chunks(totals)
    overflow = gauge("aicost_label_overflow")
    for label, count in totals.overflow.items():
        overflow.add_metric((label,), count)
    yield overflow
    series = gauge("aicost_series")
    series.add_metric((), len(totals.by_labels))
    yield series


def refusals(connection: Connection) -> Iterator[Metric]:
    """What budgets did not let be sent."""
    blocked, avoided = counter("aicost_budget_blocked_calls"), counter("aicost_budget_avoided_usd")
    rows = connection.execute("SELECT budget, first_ns, calls, avoided_nano FROM refusals ORDER BY budget").fetchall()
    for budget, first_ns, calls, avoided_nano in rows:
        blocked.add_metric((budget,), calls, created=seconds(first_ns))
        avoided.add_metric((budget,), dollars(avoided_nano), created=seconds(first_ns))
    yield blocked
    yield avoided


def _cost(totals: Totals) -> CounterMetricFamily:
    family = counter("aicost_cost_usd", totals.tags)
    for labels, total in totals.by_labels.items():
        for status, count in total.costs.items():
            last = count.last
            leads = exemplar(last.trace_id, dollars(last.cost_nano), last.at_ns) if last else None
            _put(family, (*labels[:4], status, *labels[4:]), dollars(count.nano), count, leads)
    return family


def _tokens(totals: Totals) -> CounterMetricFamily:
    family = counter("aicost_tokens", totals.tags)
    for labels, total in totals.by_labels.items():
        if any(total.tokens.values()):
            for kind, tokens in total.tokens.items():
                _put(family, (*labels[:4], kind, *labels[4:]), tokens, total.all)
    return family


def _calls(totals: Totals) -> CounterMetricFamily:
    family = counter("aicost_calls", totals.tags)
    for labels, total in totals.by_labels.items():
        for status, count in total.calls.items():
            _put(family, (*labels[:4], status, *labels[4:]), count.calls, count)
    return family


def _unpriced(totals: Totals) -> CounterMetricFamily:
    family = counter("aicost_unpriced_calls", totals.tags)
    for labels, total in totals.by_labels.items():
        for reason, count in total.unpriced.items():
            _put(family, (*labels[:4], reason, *labels[4:]), count.calls, count)
    return family


def _estimated(totals: Totals) -> CounterMetricFamily:
    family = counter("aicost_estimated_cost_usd", totals.tags)
    for labels, total in _priced(totals):
        _put(family, labels, dollars(total.estimated_nano), total.priced)
    return family


def _saved(totals: Totals) -> CounterMetricFamily:
    family = counter("aicost_saved_usd", totals.tags)
    for labels, total in _priced(totals):
        for by, nano in (("cache", total.cache_saved_nano), ("batch", total.batch_saved_nano)):
            _put(family, (*labels[:4], by, *labels[4:]), dollars(nano), total.priced)
    return family


def _repriced(totals: Totals) -> Iterator[CounterMetricFamily]:
    calls, down = counter("aicost_repriced_calls", totals.tags), counter("aicost_repriced_down_usd", totals.tags)
    for labels, total in totals.by_labels.items():
        for reason, count in total.repriced.items():
            _put(calls, (*labels[:4], reason, *labels[4:]), count.calls, count)
        if total.repriced:
            lowered = sum(count.nano for count in total.repriced.values())
            _put(down, labels, dollars(lowered), min(total.repriced.values(), key=lambda count: count.first_ns))
    yield calls
    yield down


def _priced(totals: Totals) -> Iterator[tuple[Labels, Total]]:
    return ((labels, total) for labels, total in totals.by_labels.items() if total.costs)


def _put(
    family: CounterMetricFamily, labels: Labels, value: float, count: Count, leads: Exemplar | None = None
) -> None:
    family.add_metric(labels, value, created=seconds(count.first_ns), exemplar=leads)


def _durations(totals: Totals) -> HistogramMetricFamily:
    family = histogram("aicost_call_duration_seconds", totals.tags)
    for labels, total in totals.by_labels.items():
        last = total.all.last
        leads = exemplar(last.trace_id, seconds(last.duration_ns), last.at_ns) if last else None
        _observe(family, labels, total.durations, total.all.first_ns, leads)
    return family


def _first_chunks(totals: Totals) -> HistogramMetricFamily:
    family = histogram("aicost_time_to_first_chunk_seconds", totals.tags)
    for labels, total in totals.by_labels.items():
        _observe(family, labels, total.first_chunks, total.all.first_ns, None)
    return family


def _observe(
    family: HistogramMetricFamily, labels: Labels, times: Times, first_ns: int, leads: Exemplar | None
) -> None:
    """Add a histogram, unless nothing was ever measured."""
    counts = list(accumulate(times.buckets))
    if not counts[-1]:
        return
    buckets: list[Sequence[object]] = list(zip(BOUNDS, counts, strict=True))
    if leads is not None:
        place = next((at for at, bound in enumerate(BUCKET_SECONDS) if leads.value <= bound), len(BUCKET_SECONDS))
        if times.buckets[place]:
            buckets[place] = (*buckets[place], leads)
    family.add_metric(labels, buckets, seconds(times.total_ns))  # type: ignore[arg-type]  # pairs, and a triple
    born(family, family.samples[-1].labels, first_ns)
