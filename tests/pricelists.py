"""Price data for tests: that of the installed genai-prices in the form in which newer data is published."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import date, time
from decimal import Decimal
from typing import Any

from genai_prices.data import providers
from genai_prices.types import ModelPrice

RENAMED = {"and_": "and", "or_": "or"}


def published() -> list[dict[str, Any]]:
    """The packaged data as the JSON values of a download; a test may change them."""
    return json.loads(json.dumps([_value(provider) for provider in providers]))


def model(data: list[dict[str, Any]], provider: str, identifier: str) -> dict[str, Any]:
    """One model of such data."""
    owner = next(each for each in data if each["id"] == provider)
    return next(each for each in owner["models"] if each["id"] == identifier)


def raw(data: object) -> bytes:
    """As it comes over the wire."""
    return json.dumps(data).encode()


def _value(value: Any) -> Any:
    if isinstance(value, ModelPrice):
        return {key: _value(price) for key, price in value.__dict__.items() if price is not None}
    if is_dataclass(value):
        named = {RENAMED.get(field.name, field.name): getattr(value, field.name) for field in fields(value)}
        return {
            key: _value(inner)
            for key, inner in named.items()
            if inner is not None and key != "extractors" and not key.startswith("_")
        }
    if isinstance(value, dict):
        return {key: _value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_value(inner) for inner in value]
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date | time) else value
