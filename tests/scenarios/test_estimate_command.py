"""`aicost estimate`, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from otel_aicost.budgets.reading import parse as parse_budgets
from otel_aicost.cli.app import app

CREATORS = Path(__file__).parents[2] / "examples" / "scenarios" / "creators.yaml"
PRICES = """\
schema: 1
models:
  - {provider: openai, model: gpt-4o, periods: [{from: 2020-01-01, rates: [{meter: input_tokens, price: "1", per: 1}]}]}
"""
MIXED = """\
scenarios:
  - name: mixed
    sessions_per_month: 100
    date: 2026-11-22
    calls:
      - {provider: openai, model: gpt-4o, usage: {input_tokens: 1M}, count: 2}
      - {name: draw, provider: openai, model: gpt-image-99, usage: {output_images: 1}}
  - name: free
    sessions_per_month: 1
    calls: [{provider: ollama, model: any, usage: {input_tokens: 1K}, conditions: {size: big}}]
"""


@pytest.fixture
def estimate(monkeypatch, tmp_path):
    """Run the command without a ledger or price file of this machine's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(tmp_path / "none.db"))
    monkeypatch.delenv("OTEL_AICOST_PRICES", raising=False)

    def run(*arguments):
        return CliRunner().invoke(app, ["estimate", *map(str, arguments)], prog_name="aicost")

    return run


@pytest.fixture
def mixed(tmp_path):
    path = tmp_path / "mixed.yaml"
    path.write_text(MIXED)
    return path


def test_the_monthly_scenarios_come_out(estimate):
    """In cents, with the budget and its thresholds, and a file of budgets to paste."""
    result = estimate(CREATORS)

    assert result.exit_code == 0
    for said in (
        "casual: 5 sessions a month, prices of 2026-11-22",
        "A session costs $1.69625, a month $8.48.",
        "Recommended budget: $11.00 a month: 20 % on top, rounded up.",
        "An expected month takes 77 % of it. It warns at $5.50, $9.90, $11.00.",
        "a month $101.65.",
        "a month $1,013.00.",
    ):
        assert said in result.stdout
    assert len(parse_budgets(result.stdout.split("For aicost.yaml\n")[1].encode(), "aicost.yaml").budgets) == 3


def test_one_scenario_and_other_headroom(estimate):
    """Only what was asked for, with the budget that was asked for."""
    result = estimate(CREATORS, "--scenario", "studio", "--headroom", 50)

    assert result.exit_code == 0
    assert "casual" not in result.stdout
    assert "$1,600.00 a month: 50 % on top" in result.stdout
    assert "limit: 1600 USD" in result.stdout


def test_what_has_no_price_is_said_and_never_zero(estimate, mixed):
    """The line, the sums and the exit code say so; there is no budget to paste."""
    result = estimate(mixed)

    assert result.exit_code == 1
    assert "unpriced: draw: no price list knows openai/gpt-image-99" in result.stdout
    (row,) = (line for line in result.stdout.splitlines() if line.startswith("draw"))
    assert row.split()[-2:] == ["unpriced", "unpriced"]
    assert "$500.00 + ?" in result.stdout
    known = "What is known costs $5.00 a session and $500.00 a month; 1 call without a known price comes on top."
    assert known in result.stdout
    assert "No budget is recommended: not all prices are known." in result.stdout
    assert "No budget is recommended: nothing costs anything." in result.stdout
    assert "ollama/any (size=big)" in result.stdout
    assert "aicost.yaml" not in result.stdout


def test_one_document(estimate, mixed):
    """As JSON a cost that nobody knows is null, also in sums; exact text and nano-dollars otherwise."""
    result = estimate(mixed, "--json")
    told = json.loads(result.stdout)

    assert result.exit_code == 1
    scenario, free = told["scenarios"]
    assert scenario["calls"][0]["cost_usd"] == "5.00"
    assert scenario["calls"][0]["count"] == 2
    assert (scenario["calls"][1]["cost_nano"], scenario["calls"][1]["unpriced"]) == (None, "unknown_model")
    assert scenario["month"] == {
        "cost_usd": None,
        "cost_nano": None,
        "known_usd": "500.00",
        "known_nano": 500_000_000_000,
    }
    assert (scenario["budget"], scenario["unpriced_calls"]) == (None, 1)
    assert (free["month"]["cost_usd"], free["month"]["cost_nano"], free["date"]) == ("0.00", 0, None)
    assert told["budgets_yaml"] is None


def test_the_document_has_the_budget(estimate):
    """The limit, the share that an expected month takes, and the YAML."""
    told = json.loads(estimate(CREATORS, "--json").stdout)

    assert told["scenarios"][0]["budget"] == {
        "limit_usd": "11.00",
        "limit_nano": 11_000_000_000,
        "headroom_percent": 20,
        "expected_share": 0.771,
        "alert_at": [0.5, 0.9, 1.0],
    }
    assert parse_budgets(told["budgets_yaml"].encode(), "aicost.yaml").budgets[0].name == "casual-month"


def test_prices_of_ones_own(estimate, mixed, tmp_path):
    """A price file counts as it does for calls."""
    (tmp_path / "prices.yaml").write_text(PRICES)

    assert "$2,000,000.00" in estimate(mixed, "--prices", tmp_path / "prices.yaml").stdout


def test_every_mistake_is_told(estimate, tmp_path):
    """All of them, each with its line, and nothing is estimated."""
    path = tmp_path / "wrong.yaml"
    path.write_text("scenarios:\n  - {name: a, sessions_per_month: none, calls: []}\n")
    result = estimate(path)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"aicost: {path}:2: scenarios[0].sessions_per_month: must be a whole number such as 20 and not 'none'",
        f"{path}:2: scenarios[0].calls: is empty; it needs one call at least",
    ]


def test_a_scenario_that_is_not_there(estimate):
    """The names that are there are told."""
    result = estimate(CREATORS, "--scenario", "tiny")

    assert result.exit_code == 2
    assert "'tiny' is not in the file; there are casual, producer, studio" in result.stderr


def test_variants_without_tags_are_not_to_be_pasted_together(estimate, tmp_path):
    """Their budgets would all count every call, and it says so."""
    path = tmp_path / "two.yaml"
    call = "{provider: openai, model: gpt-4o, usage: {input_tokens: 1M}}"
    path.write_text(
        "scenarios:\n" + "".join(f"  - {{name: {n}, sessions_per_month: 1, calls: [{call}]}}\n" for n in "ab")
    )

    assert "# Budgets without `match` count every call: keep the one that applies." in estimate(path).stdout
    assert "keep the one" not in estimate(path, "--scenario", "a").stdout
