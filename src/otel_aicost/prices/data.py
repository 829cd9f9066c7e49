"""Price data of genai-prices as JSON: read, checked as a whole, and cut to what prices need."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from otel_aicost.errors import PriceDataError
from otel_aicost.model import NO_CONDITIONS
from otel_aicost.prices.base import Base

if TYPE_CHECKING:
    from datetime import date

    from genai_prices.data_snapshot import DataSnapshot

DIGITS: Final = 8
_DEAREST: Final = Decimal(10**9)
_LOOKED_AT: Final = (-3650, 0, 3650)
"""Each model is looked up so many days from now: no date may break it."""
_UNUSED: Final = frozenset({"extractors", "description", "price_comments", "context_window"})
"""Keys that have no part in prices. `extractors` is left out for one more reason: its form changes more often."""


@dataclass(frozen=True, slots=True)
class Data:
    """Price data that was read and found right."""

    raw: bytes
    """As it is stored: JSON without what prices do not need."""
    digest: str
    base: Base
    models: int

    @property
    def providers(self) -> int:
        """How many providers it has prices of."""
        return len(self.base.providers())


def is_data(raw: bytes) -> bool:
    """Whether it looks like price data of genai-prices: a JSON list."""
    return raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def read_data(raw: bytes, name: str, version: str = "", made: date | None = None) -> Data:
    """Read and check price data called `name`, every model of it.

    Raises `PriceDataError` that says what is wrong and where: then none of it is to be used.
    """
    try:
        slim = _cut(json.loads(raw, parse_constant=_no_number))
    except (ValueError, RecursionError) as error:
        msg = f"{name} is no price data of genai-prices: it is not JSON: {error}"
        raise PriceDataError(msg) from error
    stored = json.dumps(slim, ensure_ascii=False, separators=(",", ":")).encode()
    base = Base(_snapshot(stored, name), version, made)
    return Data(stored, digest_of(stored), base, _checked(base, name))


def load_data(stored: bytes, name: str, version: str, made: date) -> Base:
    """The list that `read_data` found right before. Raises `PriceDataError` if it has become unreadable."""
    return Base(_snapshot(stored, name), version, made)


def digest_of(stored: bytes) -> str:
    """Eight hexadecimal digits of the SHA-256 of stored data: its name in catalogues."""
    return hashlib.sha256(stored).hexdigest()[:DIGITS]


def _cut(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {key: _cut(inner) for key, inner in value.items() if key not in _UNUSED}
    return [_cut(inner) for inner in value] if isinstance(value, list) else value


def _no_number(text: str) -> float:
    msg = f"{text} is no price"
    raise ValueError(msg)


def _snapshot(stored: bytes, name: str) -> DataSnapshot:
    from genai_prices.data_snapshot import DataSnapshot  # noqa: PLC0415 - as in `base`
    from genai_prices.types import _providers_from_raw  # noqa: PLC0415 - what its own update uses
    from pydantic import ValidationError  # noqa: PLC0415 - comes with it

    try:
        raw = json.loads(stored, parse_float=Decimal)
        return DataSnapshot(_providers_from_raw(raw), from_auto_update=True)
    except ValidationError as error:
        # Of a union each branch complains: the one that got furthest knows what is meant.
        deepest = max(error.errors(include_url=False, include_input=False), key=lambda each: len(each["loc"]))
        where = _place(raw, deepest["loc"])
        msg = f"{name} is no price data that the installed genai-prices can read: {where}: {deepest['msg']}"
        raise PriceDataError(msg) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        msg = f"{name} is no price data that the installed genai-prices can read: {type(error).__name__}: {error}"
        raise PriceDataError(msg) from error


def _place(raw: Any, steps: tuple[int | str, ...]) -> str:  # noqa: ANN401 - any JSON
    """Where something is wrong, with the ids of provider and model instead of their numbers."""
    told = []
    for step in steps:
        try:
            raw = raw[step]
        except (LookupError, TypeError):
            raw = None
        told.append(str(raw["id"] if isinstance(raw, dict) and "id" in raw else step))
    return ".".join(told)


def _checked(base: Base, name: str) -> int:
    """How many models there are; each was looked up, and no rate is one that cannot be."""
    for provider, model, rate in base.everything():
        for amount in (rate.price, *(tier for _, tier in rate.tiers)):
            if not (amount.is_finite() and 0 <= amount <= _DEAREST):
                msg = f"{name}: {provider}/{model}: {rate.meter} cannot cost {amount}"
                raise PriceDataError(msg)
    now, count = datetime.now(UTC), 0
    moments = [int((now + timedelta(days)).timestamp()) * 10**9 for days in _LOOKED_AT]
    for provider in base.providers():
        for model in base.models(provider):
            count += 1
            try:
                for at_ns in moments:
                    base.find(provider, model, NO_CONDITIONS, at_ns)
            except Exception as error:
                msg = f"{name}: {provider}/{model} cannot be looked up: {type(error).__name__}: {error}"
                raise PriceDataError(msg) from error
    if not count:
        msg = f"{name} has no model in it"
        raise PriceDataError(msg)
    return count
