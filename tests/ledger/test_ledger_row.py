"""A record becomes a row, and nothing that could corrupt a total gets in."""

from __future__ import annotations

import decimal
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_aicost.ledger import schema
from otel_aicost.ledger.row import LARGEST, PLAUSIBLE, nano_dollars, row
from otel_aicost.model import CostPart, Record, Unpriced
from records import cost, record


def columns(one: Record) -> dict[str, Any]:
    return dict(zip(schema.CALL_COLUMNS, row(one), strict=True))


def test_every_column_comes_from_its_field() -> None:
    """Each field of a record is in the column of its name."""
    one = record(
        first_chunk_ns=5, error_type="E", trace_id="t", span_id="s", asked_model="m", stream=True, estimated=True
    )
    got = columns(one)
    for name in [
        "id",
        "started_ns",
        "duration_ns",
        "first_chunk_ns",
        "provider",
        "operation",
        "request_model",
        "response_model",
        "response_id",
        "status",
        "usage_state",
        "error_type",
        "service",
        "host",
        "sdk",
        "trace_id",
        "span_id",
        "asked_model",
    ]:
        assert got[name] == getattr(one, name), name
    assert (got["model"], got["stream"], got["estimated"]) == ("gpt-4o-2024-08-06", 1, 1)
    assert (got["cost_nano"], got["cost_source"], got["price_id"]) == (
        6_250_000,
        "genai-prices",
        "openai/gpt-4o",
    )
    assert (got["price_date"], got["catalogue"]) == ("2024-10-02", "genai-prices 0.2.3")
    assert json.loads(got["parts"]) == [["input_tokens", 2500, "2.50", 1_000_000, 6_250_000]]
    assert json.loads(got["tags"]) == {"feature": "search", "user": "u1"}


@pytest.mark.parametrize(("response", "request_", "model"), [("b", "a", "b"), (None, "a", "a"), (None, None, "")])
def test_model_is_the_best_known_name(response: str | None, request_: str | None, model: str) -> None:
    """The model column holds the response's model, else the request's, else an empty text."""
    assert columns(record(response_model=response, request_model=request_))["model"] == model


def test_json_is_sorted_and_exact() -> None:
    """Tags are sorted by key and decimal quantities are kept as text, digit by digit."""
    one = record(
        tags={"user": "ü", "feature": "a"},
        usage={"input_audio_seconds": Decimal("330.50"), "input_tokens": 1},
    )
    got = columns(one)
    assert got["tags"] == '{"feature":"a","user":"ü"}'
    assert got["usage"] == '{"input_audio_seconds":"330.50","input_tokens":1}'


def test_an_unpriced_call_has_no_cost() -> None:
    """A call without a price has NULL as its cost, never 0, and the reason beside it."""
    got = columns(record(cost=None, unpriced=Unpriced("unknown_model", "no price for x")))
    assert (got["cost_nano"], got["cost_source"], got["parts"]) == (None, None, "[]")
    assert (got["unpriced"], got["unpriced_detail"]) == ("unknown_model", "no price for x")


def test_a_free_call_costs_zero() -> None:
    """A cost of 0 is 0 and not NULL."""
    assert columns(record(cost=cost("0")))["cost_nano"] == 0


@pytest.mark.parametrize(
    "total",
    ["NaN", "sNaN", "Infinity", "-Infinity", "-0.000000001", "1e-10", "1e999999", "10000000.000000001"],
)
def test_an_impossible_cost_becomes_unpriced(total: str) -> None:
    """A cost that is not a whole, plausible number of nano-dollars is set aside, and the call says so."""
    got = columns(record(cost=replace(cost(), total=Decimal(total))))
    assert (got["cost_nano"], got["cost_source"], got["unpriced"]) == (None, None, "pricing_failed")
    assert "nano-dollars" in got["unpriced_detail"]


@pytest.mark.parametrize("total", [True, 1, 0.5, "1", None])
def test_a_cost_that_is_no_decimal_becomes_unpriced(total: Any) -> None:
    """`True` is not a dollar: only a `Decimal` is money."""
    assert columns(record(cost=replace(cost(), total=total)))["unpriced"] == "pricing_failed"


def test_an_impossible_part_makes_the_call_unpriced() -> None:
    """One impossible line makes the whole bill impossible."""
    part = CostPart("input_tokens", 1, Decimal(1), 1, Decimal("NaN"))
    assert columns(record(cost=replace(cost(), parts=(part,))))["cost_nano"] is None


@pytest.mark.parametrize(("amount", "nano"), [("0.000000001", 1), ("10000000", PLAUSIBLE), ("1.10", 1_100_000_000)])
def test_nano_dollars_at_the_limits(amount: str, nano: int) -> None:
    """The smallest and the largest cost are exact."""
    assert nano_dollars(Decimal(amount)) == nano


def test_the_applications_decimal_context_does_not_matter() -> None:
    """An application that rounds to three digits and traps everything does not change a cost."""
    with decimal.localcontext(decimal.Context(prec=3, traps=[decimal.Inexact, decimal.Rounded])):
        assert nano_dollars(Decimal("1234.567890123")) == 1_234_567_890_123


@pytest.mark.parametrize(
    "quantity",
    [
        -1,
        True,
        1.5,
        "7",
        None,
        PLAUSIBLE + 1,
        pytest.param(10**5000, id="huge"),
        Decimal("NaN"),
        Decimal(-1),
        Decimal("1e99"),
        Decimal("1e-19"),
    ],
)
def test_absurd_usage_is_set_aside(quantity: Any) -> None:
    """A quantity that is not finite, non-negative and plausible makes the usage invalid and the call unpriced."""
    got = columns(record(usage={"input_tokens": 7, "output_tokens": quantity}))
    assert (got["usage_state"], got["usage"], got["unpriced"]) == ("invalid", "{}", "invalid_usage")
    assert (got["input_tokens"], got["output_tokens"], got["cost_nano"]) == (0, 0, None)


@pytest.mark.parametrize("quantity", [0, PLAUSIBLE, Decimal("1e-18")])
def test_usage_at_the_limits_is_kept(quantity: Any) -> None:
    """The smallest and the largest plausible quantity are kept."""
    assert columns(record(usage={"output_tokens": quantity}))["usage_state"] == "reported"


def test_text_that_cannot_be_written_is_mended() -> None:
    """Half a surrogate pair and a NUL do not keep a call out of the ledger."""
    got = columns(record(response_model="gpt\ud83d\0x", tags={"k": "\ud83d"}))
    assert got["model"] == "gpt?\ufffdx"
    assert got["tags"] == '{"k":"?"}'


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": None},
        {"provider": 5},
        {"started_ns": -1},
        {"duration_ns": LARGEST + 1},
        {"host": ["a"]},
        {"sdk": 1.5},
    ],
)
def test_what_is_no_call_is_refused(wrong: dict[str, Any]) -> None:
    """A record with a field of another kind raises instead of making a row."""
    with pytest.raises((TypeError, ValueError)):
        row(record(**wrong))


@given(
    st.dictionaries(st.text(), st.one_of(st.integers(0, PLAUSIBLE), st.decimals(0, 10**6, places=6)), max_size=4),
    st.dictionaries(st.text(), st.text(), max_size=4),
)
def test_json_columns_can_be_read_back(usage: dict[str, Any], tags: dict[str, str]) -> None:
    """Whatever the names and texts, the JSON in a row is JSON and says the same."""
    got = columns(record(usage=usage, tags=tags))
    assert {k: Decimal(v) for k, v in json.loads(got["usage"]).items()} == usage
    assert json.loads(got["tags"]) == tags
