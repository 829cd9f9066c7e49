"""Quantities as people write them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from otel_aicost.scenarios.quantities import quantity


@pytest.mark.parametrize(
    ("text", "meter", "amount"),
    [
        ("2500", "input_tokens", 2500),
        ("2_500", "input_tokens", 2500),
        ("2.5K", "input_tokens", 2500),
        ("2.5k tokens", "input_tokens", 2500),
        ("1 token", "input_tokens", 1),
        ("1.5M", "output_tokens", 1_500_000),
        ("0", "output_tokens", 0),
        ("1K characters", "input_characters", 1000),
        ("3 images", "output_images", 3),
        ("2 searches", "web_searches", 2),
        ("90", "input_audio_seconds", 90),
        ("90 s", "input_audio_seconds", 90),
        ("5.5 min", "input_audio_seconds", 330),
        ("10 minutes", "input_audio_seconds", 600),
        ("1.5 h", "training_seconds", 5400),
        ("0.25 seconds", "audio_seconds", Decimal("0.25")),
        ("1.5", "storage_gb_days", Decimal("1.5")),
    ],
)
def test_what_is_meant(text, meter, amount):
    """A number, thousands and millions of what is counted, and units of time for what is measured in seconds."""
    assert quantity(text, meter) == amount


@pytest.mark.parametrize(
    ("text", "meter", "said"),
    [
        ("-1", "input_tokens", "2500, 2.5K or 1M"),
        ("many", "input_tokens", "2500, 2.5K or 1M"),
        ("nan", "input_tokens", "2500, 2.5K or 1M"),
        ("1e3", "input_tokens", "1e3"),
        ("10 min", "input_tokens", "is in min, and input_tokens is not"),
        ("10 characters", "input_tokens", "is in characters"),
        ("2.5", "input_tokens", "whole number of input_tokens"),
        ("0.0001K", "input_tokens", "whole number of input_tokens"),
        ("10 m", "input_audio_seconds", "10 min or 1.5 h"),
        ("10K", "input_audio_seconds", "10 min or 1.5 h"),
        ("10 tokens", "input_audio_seconds", "10 min or 1.5 h"),
        ("2000000M", "input_tokens", "at the most"),
    ],
)
def test_what_is_no_quantity(text, meter, said):
    """What cannot be is refused with an example of what can."""
    with pytest.raises(ValueError, match=r"must be|is in") as caught:
        quantity(text, meter)
    assert said in str(caught.value)
