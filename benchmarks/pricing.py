"""What a price takes: loading the catalogue, and pricing one call once its card is compiled."""

from __future__ import annotations

import time
from statistics import median

from otel_aicost.prices.catalogue import Catalogue

USAGES = {
    "input and output": ("openai", "gpt-4o-2024-08-06", {"input_tokens": 1500, "output_tokens": 200}),
    "with cached and reasoning tokens": (
        "openai",
        "gpt-4o-2024-08-06",
        {"input_tokens": 1500, "cache_read_tokens": 1024, "output_tokens": 200, "reasoning_tokens": 64},
    ),
    "with cache writes": (
        "anthropic",
        "claude-3-5-sonnet-20241022",
        {"input_tokens": 1500, "cache_read_tokens": 500, "cache_write_tokens": 500, "output_tokens": 200},
    ),
}


def load() -> tuple[Catalogue, float]:
    """The catalogue, and the seconds of CPU it took to load in this process."""
    before = time.process_time()
    catalogue = Catalogue.load()
    return catalogue, time.process_time() - before


def price(catalogue: Catalogue, repeats: int) -> dict[str, float]:
    """Usage -> microseconds of CPU to price it, the median of `repeats` times a thousand."""
    now = time.time_ns()
    return {name: median(_thousand(catalogue, now, *about) for _ in range(repeats)) for name, about in USAGES.items()}


def _thousand(catalogue: Catalogue, now: int, provider: str, model: str, usage: dict[str, int]) -> float:
    before = time.process_time()
    for _ in range(1000):
        catalogue.price(provider, (model,), usage, at_ns=now)
    return (time.process_time() - before) * 1000
