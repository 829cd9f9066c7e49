"""A scrape's answer: the text format, or OpenMetrics to whoever asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.exposition import choose_encoder, generate_latest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry, Metric


def render(registry: CollectorRegistry, accept: str = "") -> tuple[str, bytes]:
    """The content type and the body for a scrape with that `Accept` header."""
    encode, content_type = choose_encoder(accept)
    if content_type.startswith("application/openmetrics-text"):
        return content_type, encode(registry)
    return content_type, generate_latest(_Plain(registry))


class _Plain:
    """A registry for the text format, which cannot say since when a counter counts.

    prometheus_client would make series of their own of that, which are half of all, and which nobody reads.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
