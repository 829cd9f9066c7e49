"""`aicost prices diff`: what changed prices make of recorded calls, counted by hand."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import replace

import pytest
from click.testing import CliRunner

import ledgers
import pricelists
from otel_aicost import config
from otel_aicost.cli.app import app
from otel_aicost.ledger.opening import opener
from otel_aicost.ledger.reader import open_ledger
from otel_aicost.ledger.usages import kinds, usages
from otel_aicost.model import Unpriced
from postgres import cluster, database  # noqa: F401 - fixtures
from records import cost, record

DAY = 86_400 * 10**9


def call(days=1, **overrides):
    """A call of so many days ago, of a million tokens each way."""
    usage = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}
    return record(started_ns=time.time_ns() - days * DAY, **{"usage": usage, "response_model": "gpt-4o", **overrides})


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """A ledger of calls, where the settings say."""

    def write(*calls):
        path = tmp_path / "ledger.db"
        monkeypatch.setenv("OTEL_AICOST_LEDGER", str(path))
        return ledgers.write(path, *calls)

    return write


@pytest.fixture
def run():
    def invoke(*arguments, code=0):
        result = CliRunner().invoke(app, ["prices", *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result.stdout

    return invoke


@pytest.fixture
def data(tmp_path):
    """The packaged data with gpt-4o at $7 instead of $2.50 for a million input tokens, as a file."""
    told = pricelists.published()
    pricelists.model(told, "openai", "gpt-4o")["prices"]["input_mtok"] = 7
    path = tmp_path / "data.json"
    path.write_bytes(pricelists.raw(told))
    return path


def test_diff_prices_recorded_calls_at_both_lists(run, ledger, data):
    """Two calls of the last 30 days: 2 x ($2.50 + $10) at the packaged prices, 2 x ($7 + $10) at the new ones."""
    ledger(call(1), call(29), call(31))
    run("update", "--from", data)
    told = json.loads(run("diff", "--json"))
    (found,) = told["differences"]
    assert (found["provider"], found["model"], found["calls"]) == ("openai", "gpt-4o", 2)
    assert (found["old_usd"], found["new_usd"]) == ("25.00", "34.00")
    assert (found["difference_usd"], found["percent"]) == ("9.00", 36.0)
    assert found["rates"] == [
        {
            "meter": "input_tokens",
            "when": "",
            "old": {"price_usd": "2.50", "per": 1_000_000, "tiers": []},
            "new": {"price_usd": "7.00", "per": 1_000_000, "tiers": []},
        }
    ]
    assert (told["old_usd"], told["new_usd"], told["difference_usd"]) == ("25.00", "34.00", "9.00")


def test_diff_as_a_table(run, ledger, data):
    """Dollars, difference and per cent, then the prices themselves."""
    ledger(call(), call(provider="anthropic", response_model="claude-sonnet-4-5", request_model="claude-sonnet-4-5"))
    run("update", "--from", data)
    told = run("diff")
    row = next(line for line in told.splitlines() if line.startswith("openai/gpt-4o "))
    assert row.split() == ["openai/gpt-4o", "1", "$12.50", "$17.00", "$4.50", "+36.0"]
    assert "openai/gpt-4o: input_tokens: $2.50 per 1,000,000 -> $7.00 per 1,000,000" in told
    assert "1 calls to 1 models cost the same (the last 30 days)" in told


def test_days_choose_the_calls(run, ledger, data):
    """Of the last week only."""
    ledger(call(1), call(8))
    run("update", "--from", data)
    assert json.loads(run("diff", "--days", "7", "--json"))["differences"][0]["calls"] == 1


def test_a_price_that_fell_is_a_negative_difference(run, ledger, data):
    """With a file, the prices in force are the old ones, and nothing is stored."""
    ledger(call())
    cheaper = pricelists.published()
    pricelists.model(cheaper, "openai", "gpt-4o")["prices"]["input_mtok"] = 1.25
    data.write_bytes(pricelists.raw(cheaper))
    (found,) = json.loads(run("diff", "--with", data, "--json"))["differences"]
    assert (found["old_usd"], found["new_usd"], found["difference_usd"]) == ("12.50", "11.25", "-1.25")
    assert "-$1.25" in run("diff", "--with", data)
    assert "No price of a model that you use differs" in run("diff")


def test_conditions_are_kept_apart(run, ledger, data):
    """A batch costs half of either price: $1.25 + $5, and $3.50 + $5."""
    told = json.loads(data.read_text())
    pricelists.model(told, "openai", "gpt-4o").pop("price_variants")
    data.write_bytes(pricelists.raw(told))
    ledger(call(), call(conditions={"processing": "batch"}))
    told = json.loads(run("diff", "--with", data, "--json"))
    found = {tuple(each["conditions"].items()): each["difference_usd"] for each in told["differences"]}
    assert found == {(): "4.50", (("processing", "batch"),): "2.25"}


def test_a_price_file_can_be_tried(run, ledger, tmp_path):
    """As if it were the user's: here $1 for either."""
    ledger(call())
    path = tmp_path / "prices.yaml"
    path.write_text("""
schema: 1
models:
  - provider: openai
    model: gpt-4o
    periods:
      - from: 2026-01-01
        rates:
          - {meter: input_tokens, price: "1", per: 1_000_000}
          - {meter: output_tokens, price: "1", per: 1_000_000}
""")
    (found,) = json.loads(run("diff", "--with", path, "--json"))["differences"]
    assert (found["old_usd"], found["new_usd"], found["percent"]) == ("12.50", "2.00", -84.0)


def test_what_has_no_price_is_said_and_not_zero(run, ledger, data):
    """A model that gets a price, and one that loses its; neither is in the difference."""
    new, gone = (
        call(response_model=name, request_model=name, cost=None, unpriced=Unpriced("unknown_model", ""))
        for name in ("brand-new", "gpt-4o")
    )
    ledger(new, gone)
    told = pricelists.published()
    owner = next(each for each in told if each["id"] == "openai")
    owner["models"] = [each for each in owner["models"] if "4o" not in each["id"]]
    prices = {"input_mtok": 3, "output_mtok": 0}
    owner["models"].append({"id": "brand-new", "match": {"equals": "brand-new"}, "prices": prices})
    data.write_bytes(pricelists.raw(told))
    document = json.loads(run("diff", "--with", data, "--json"))
    by_model = {each["model"]: each for each in document["differences"]}
    assert (by_model["brand-new"]["new_usd"], by_model["gpt-4o"]["old_usd"]) == ("3.00", "12.50")
    assert by_model["gpt-4o"]["new_usd"] is None
    assert document["difference_usd"] == "0.00"
    table = run("diff", "--with", data)
    assert "unpriced" in next(line for line in table.splitlines() if line.startswith("openai/gpt-4o "))


def test_calls_whose_provider_stated_the_cost_are_left_out(run, ledger, data):
    """No price list was asked for them."""
    ledger(call(cost=replace(cost("3"), source="provider")))
    assert json.loads(run("diff", "--with", data, "--json"))["differences"] == []


def test_all_lists_models_that_were_not_used(run, ledger, data):
    """With their prices, and no calls."""
    ledger(call(response_model="gpt-4o-mini", request_model="gpt-4o-mini"))
    assert json.loads(run("diff", "--with", data, "--json"))["differences"] == []
    found = json.loads(run("diff", "--with", data, "--all", "--json"))["differences"]
    assert {"openai/gpt-4o"} <= {f"{each['provider']}/{each['model']}" for each in found}
    assert all(each["calls"] == 0 and each["percent"] is None for each in found)
    assert "$2.50 per 1,000,000 -> $7.00 per 1,000,000" in run("diff", "--with", data, "--all")


def test_without_anything_stored_diff_says_how_to_get_it(ledger):
    """Two equal lists are no answer."""
    ledger(call())
    told = CliRunner().invoke(app, ["prices", "diff"])
    assert "`aicost prices update` fetches newer prices" in told.stderr


def test_diff_reads_a_ledger_on_a_server(run, database, data, tmp_path):  # noqa: F811 - the fixture
    """The same sums from PostgreSQL."""
    with closing(opener(config.server(database, tmp_path / "outbox.db"))()) as store:
        ledgers.fill(store, call(), call())
    (found,) = json.loads(run("diff", "--with", data, "--ledger", database, "--json"))["differences"]
    assert found["difference_usd"] == "9.00"


def test_many_calls_are_read_once_for_each_usage(tmp_path):
    """Calls with the same usage come as one, with their number."""
    path = ledgers.write(tmp_path / "ledger.db", call(), call(), call(usage={"input_tokens": 1}), call(usage={}))
    with open_ledger(path).read() as connection:
        (kind,) = kinds(connection, 0, time.time_ns())
        assert kind.calls == 3
        assert sorted(count for _, count in usages(connection, kind, 0, time.time_ns())) == [1, 2]
