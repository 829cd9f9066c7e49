"""Price lists for tests, and recorded calls that are priced, or not, by one of them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from otel_aicost.model import Cost, Record, Unpriced
from otel_aicost.prices.catalogue import Catalogue
from otel_aicost.prices.files import PriceFile
from otel_aicost.prices.reading import parse
from otel_aicost.repricing import Pricing
from records import record

if TYPE_CHECKING:
    from collections.abc import Iterable

ENTRY = """
  - provider: {provider}
    model: {model}
    source: a contract
    checked: 2026-11-20
    periods:
      - from: {since}
        rates:
          - {{meter: input_tokens, price: "{price}", per: 1_000_000}}
          - {{meter: cache_read_tokens, price: "{cached}", per: 1_000_000}}
          - {{meter: output_tokens, price: "{price}", per: 1_000_000}}
"""


def text(*entries: Iterable[str], provider: str = "openai") -> str:
    """A price file of (model, dollars per million tokens[, since when]); what is read from a cache costs a tenth."""
    told = "schema: 1\nmodels:\n"
    for model, price, *since in entries:
        cached = Decimal(price) / 10
        day = since[0] if since else "2020-01-01"
        told += ENTRY.format(provider=provider, model=model, price=price, cached=f"{cached:f}", since=day)
    return told


def catalogue(*entries: Iterable[str], provider: str = "openai", version: str = "v1") -> Catalogue:
    """A catalogue of these prices and no others, which a file of the user's names."""
    file = parse(text(*entries, provider=provider).encode(), "prices.yaml", "user")
    return Catalogue(None, PriceFile("supplement"), file, version)


def pricing(*entries: Iterable[str], provider: str = "openai", version: str = "v1") -> Pricing:
    """How a recorded call is priced with these."""
    return Pricing(catalogue(*entries, provider=provider, version=version), own_file=True)


def call(model: str = "gpt-9", by: Catalogue | None = None, **overrides: Any) -> Record:
    """A call of a million tokens to `model`: priced by a catalogue as the pipeline does, or as `overrides` say, or not."""
    usage = {"input_tokens": 1_000_000, "output_tokens": 0}
    unpriced = Unpriced("unknown_model", f"no price for {model}")
    made = record(
        **{
            "usage": usage,
            "request_model": model,
            "response_model": None,
            "cost": None,
            "unpriced": None if "cost" in overrides else unpriced,
            **overrides,
        }
    )
    if by is None:
        return made
    models = [name for name in (made.response_model, made.request_model) if name]
    found = by.price(made.provider, models, made.usage, made.conditions, made.started_ns)
    return replace(made, cost=found, unpriced=None) if isinstance(found, Cost) else replace(made, unpriced=found)
