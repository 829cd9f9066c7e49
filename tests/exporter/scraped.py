"""Scrapes for tests: the exposition as Prometheus would read it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from otel_aicost.exporter.exposition import render

if TYPE_CHECKING:
    from otel_aicost.exporter.collector import LedgerCollector

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Scrape:
    """What one scrape gave."""

    def __init__(self, text: str, *, plain_text: bool = False) -> None:
        self.text = text
        self.families = {family.name: family for family in (plain if plain_text else openmetrics)(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def all(self, name: str, **labels: str) -> list[float]:
        """The values of the samples of that name that have these labels."""
        return [one.value for one in self.samples if one.name == name and labels.items() <= one.labels.items()]

    def one(self, name: str, **labels: str) -> float:
        """The value of the one sample that there is."""
        (value,) = self.all(name, **labels)
        return value

    def nano(self, name: str, **labels: str) -> int:
        """The sum of samples in dollars, in whole nano-dollars."""
        return sum(round(value * 1e9) for value in self.all(name, **labels))

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """The sums of samples by the values of a label."""
        sums: Counter[str] = Counter()
        for one in self.samples:
            if one.name == name and labels.items() <= one.labels.items():
                sums[one.labels.get(label, "")] += one.value
        return dict(sums)


def scrape(collector: LedgerCollector, accept: str = OPENMETRICS) -> Scrape:
    """Scrape a collector."""
    registry = CollectorRegistry()
    registry.register(collector)
    content_type, body = render(registry, accept)
    return Scrape(body.decode(), plain_text=content_type.startswith("text/plain"))
