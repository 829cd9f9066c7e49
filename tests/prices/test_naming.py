"""The names a model of Bedrock is listed under: region profiles, ARNs, and what each costs."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from capture.world import catalogue
from otel_aicost.model import Cost
from otel_aicost.prices.naming import named

SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
GLOBAL, REGIONAL = Decimal(18), Decimal("19.8")
"""Dollars for a million tokens each way: 3 and 15; in one region or geography 10 % more."""
HERE = "arn:aws:bedrock:us-east-1"


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        (f"global.{SONNET}", GLOBAL),
        (f"{HERE}:1:inference-profile/global.{SONNET}", GLOBAL),
        (SONNET, REGIONAL),
        (f"us.{SONNET}", REGIONAL),
        (f"eu.{SONNET}", REGIONAL),
        (f"apac.{SONNET}", REGIONAL),
        (f"ca.{SONNET}", REGIONAL),
        (f"{HERE}::foundation-model/{SONNET}", REGIONAL),
        (f"{HERE}:1:inference-profile/eu.{SONNET}", REGIONAL),
        ("apac.anthropic.claude-opus-4-8-v1:0", Decimal(33)),
        ("eu.cohere.embed-english-v3", None),
        ("us-gov.anthropic.claude-opus-5", None),
        ("global.anthropic.claude-unheard-of", None),
        (f"{HERE}:1:application-inference-profile/abc", None),
        (f"{HERE}:1:provisioned-model/abc", None),
        (f"{HERE}:1:default-prompt-router/anthropic.claude:1", None),
    ],
)
def test_a_model_in_one_region_costs_more_than_one_anywhere(model, dollars):
    """`global.` is the cheaper one; a bare id is asked in the one region of the client, and has the price of regions."""
    found = catalogue().price(
        "aws.bedrock", (model,), {"input_tokens": 10**6, "output_tokens": 10**6}, at_ns=time.time_ns()
    )
    assert (found.total if isinstance(found, Cost) else None) == dollars


def test_other_providers_names_are_what_they_are():
    """And each name of Bedrock stands before its more general ones."""
    assert named("openai", ("us.gpt", "gpt")) == ("us.gpt", "gpt")
    arn = f"{HERE}:1:inference-profile/eu.{SONNET}"
    assert named("aws.bedrock", (arn, SONNET)) == (arn, f"eu.{SONNET}", SONNET)


def test_what_the_profile_of_a_users_own_stands_for_is_told_by_the_answer():
    """The model of the answer is priced, as in one region."""
    names = (f"{HERE}:1:application-inference-profile/abc", "claude-sonnet-4-5-20250929")
    found = catalogue().price(
        "aws.bedrock", names, {"input_tokens": 10**6, "output_tokens": 10**6}, at_ns=time.time_ns()
    )
    assert found.total == REGIONAL
