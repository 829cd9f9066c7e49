"""Quantities as people write them, in the unit of their meter: `10 min` of a meter of seconds, `2.5K` tokens."""

from __future__ import annotations

import re
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from otel_aicost.prices.meters import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.model import Quantity

_WRITTEN = re.compile(r"(\d[\d_]*(?:\.\d+)?) ?([kKM](?![a-zA-Z]))? ?([a-zA-Z]+)?")
_SECONDS: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
        **dict.fromkeys(("min", "mins", "minute", "minutes"), 60),
        **dict.fromkeys(("h", "hour", "hours"), 3600),
    }
)
_TIMES: Mapping[str, int] = MappingProxyType({"": 1, "k": 1000, "K": 1000, "M": 1_000_000})
MOST = 10**12


def quantity(text: str, meter: str) -> Quantity:
    """What `text` says, in the unit of `meter`. Raises `ValueError`, with what would be right."""
    found = _WRITTEN.fullmatch(text.strip())
    timed = meter.endswith("seconds")
    if found is None:
        raise ValueError(_wrong(text, timed=timed))
    number, times, word = Decimal(found[1].replace("_", "")), found[2] or "", found[3]
    if timed:
        if times or (word or "s") not in _SECONDS:
            raise ValueError(_wrong(text, timed=timed))
        number *= _SECONDS[word or "s"]
    else:
        if word is not None and word.rstrip("s") != meter.rpartition("_")[2].rstrip("s"):
            msg = f"{text!r} is in {word}, and {meter} is not"
            raise ValueError(msg)
        number *= _TIMES[times]
        if number != number.to_integral_value() and meter in DIMENSIONS:
            msg = f"must be a whole number of {meter} and not {text!r}"
            raise ValueError(msg)
    if number > MOST:
        msg = f"must be {MOST:,} at the most and not {text!r}"
        raise ValueError(msg)
    return int(number) if number == number.to_integral_value() else number


def _wrong(text: str, *, timed: bool) -> str:
    examples = "90, 90 s, 10 min or 1.5 h" if timed else "2500, 2.5K or 1M"
    return f"must be a quantity such as {examples}, 0 or more, and not {text!r}"
