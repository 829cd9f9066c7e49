"""`aicost prices`, run as a user runs it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from click.testing import CliRunner
from tests.records import record

from otel_aicost.cli.app import app
from otel_aicost.cli.prices import plain
from otel_aicost.errors import LedgerError, PriceFileError
from otel_aicost.ledger.writer import Writer
from otel_aicost.model import Cost, CostPart, Unpriced

GOOD = """schema: 1
models:
  - provider: openai
    model: gpt-4o
    source: the contract
    checked: 2099-01-01
    periods:
      - from: 2026-01-01
        rates:
          - {meter: input_tokens, price: "2.00", per: 1_000_000}
          - {meter: output_tokens, price: "8.00", per: 1_000_000}
"""


@pytest.fixture
def run():
    def invoke(*arguments, code=0):
        result = CliRunner().invoke(app, ["prices", *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "prices.yaml"
    path.write_text(GOOD)
    monkeypatch.setenv("OTEL_AICOST_PRICES", str(path))
    return path


def test_list_finds_models_by_name_provider_and_source(run, file):
    """Text within the name, a provider, a source: all must hold."""
    told = json.loads(run("list", "4O", "--provider", "openai", "--source", "user", "--json"))
    assert told == [{"provider": "openai", "model": "gpt-4o", "source": "user", "checked": "2099-01-01"}]
    assert "claude-sonnet-4-5" in run("list", "sonnet", "--provider", "anthropic")
    assert run("list", "no such model").strip() == "0 prices"


def test_show_gives_the_price_of_a_day(run):
    """gpt-4o before and after the alias moved, and nothing from providers that do not have it."""
    old = json.loads(run("show", "gpt-4o", "--provider", "openai", "--at", "2024-06-01", "--json"))
    assert [(rate["meter"], rate["price_usd"]) for rate in old[0]["rates"]] == [
        ("input_tokens", "5.00"),
        ("output_tokens", "15.00"),
    ]
    new = run("show", "gpt-4o", "--provider", "openai")
    assert "$2.50 per 1,000,000" in new
    assert "openai: openai/gpt-4o" in run("show", "gpt-4o")


def test_show_takes_conditions(run):
    """The rates of a tier, and all the others below them with their conditions."""
    told = json.loads(run("show", "gpt-5", "--provider", "openai", "--when", "service_tier=flex", "--json"))
    assert told[0]["rates"][0]["price_usd"] == "0.625"
    assert "service_tier=flex" in run("show", "gpt-5", "--provider", "openai")
    assert "size=1024x1792|1792x1024" in run("show", "dall-e-3")
    assert "rounded to the nearest 1" in run("show", "whisper-1", "--provider", "openai")
    assert "$6.00 above 200,000 input tokens" in run("show", "claude-sonnet-4-5", "--provider", "anthropic")
    assert "unless input_audio_tokens is reported" in run("show", "gpt-4o-realtime-preview", "--provider", "openai")
    assert "free" in run("show", "anything", "--provider", "ollama")


def test_show_uses_the_users_file(run, file, tmp_path):
    """The file of the environment, or the one named."""
    assert "user, valid from 2026-01-01" in run("show", "gpt-4o", "--provider", "openai", "--at", "2026-06-01")
    other = tmp_path / "other.yaml"
    other.write_text('schema: 1\nadjustments: [{provider: openai, from: 2026-01-01, multiply: "0.5"}]')
    told = run("show", "gpt-4o", "--provider", "openai", "--at", "2026-06-01", "--prices", other)
    assert "adjusted: x0.5" in told
    assert "$1.25 per 1,000,000" in told


def test_show_says_why_there_is_no_price(run):
    """An unknown model, an unknown provider, a tier without a price: exit code 1 and a sentence."""
    assert "no provider has a price for nope" in run("show", "nope", code=1)
    assert "no price list knows openai/nope" in run("show", "nope", "--provider", "openai", code=1)
    assert "there are no prices of 'who'" in run("show", "gpt-4o", "--provider", "who", code=1)
    assert "service_tier=scale" in run("show", "gpt-5", "--provider", "openai", "--when", "service_tier=scale", code=1)


@pytest.mark.parametrize(
    "arguments", [("--at", "tomorrow"), ("--at", "2024-13-01"), ("--when", "flex"), ("--when", "=x")]
)
def test_show_refuses_what_it_cannot_read(run, arguments):
    """A usage error names the option and shows how it is written."""
    told = run("show", "gpt-4o", *arguments, code=2)
    assert arguments[0] in told
    assert "for example" in told


def test_a_broken_file_stops_the_commands_that_use_it(file):
    """Its mistakes are the error."""
    file.write_text("schema: 1\nmodel: []")
    found = CliRunner().invoke(app, ["prices", "show", "gpt-4o"], standalone_mode=False).exception.__cause__
    assert isinstance(found, PriceFileError)
    assert "unknown key; is it `models`?" in str(found)


def test_check_tells_mistakes_with_exit_code_1(run, file):
    """Every mistake with file, line and key; in JSON too."""
    file.write_text(GOOD.replace('"2.00"', "2.00").replace("per: 1_000_000", "pro: 1", 1))
    told = run("check", file, code=1)
    assert f"mistake: {file}:10: models[0].periods[0].rates[0].price: must be in quotes" in told
    assert "3 mistakes, 0 doubts" in told
    assert len(json.loads(run("check", "--json", code=1))["mistakes"]) == 3


def test_check_tells_doubts_with_exit_code_0(run, file):
    """A doubtful price does not make the file unusable."""
    file.write_text(GOOD.replace('"2.00", per: 1_000_000', '"2.00", per: 1'))
    assert "is `per` right?" in run("check", file)
    assert json.loads(run("check", file, "--json"))["doubts"][0]["line"] == 8


def test_check_without_a_file_looks_at_what_is_in_use(run, file, monkeypatch):
    """The file of the environment and the shipped list; without one, the shipped list."""
    assert f"{file} and the list of aicost: 0 mistakes" in run("check")
    monkeypatch.delenv("OTEL_AICOST_PRICES")
    assert run("check").splitlines()[-1].startswith("the list of aicost: 0 mistakes")


@pytest.fixture
def ledger(tmp_path):
    """A ledger with the given records."""
    path = tmp_path / "ledger.db"

    def write(*records):
        writer = Writer.of_file(path, 0)
        for each in records:
            writer.put(each)
        assert writer.close(10)
        return path

    return write


def test_explain_shows_the_bill_and_what_it_would_be_today(run, ledger):
    """Parts, price, date and lists of a recorded call, then the same call priced again."""
    part = CostPart("input_tokens", 1000, Decimal(5), 1_000_000, Decimal("0.005"))
    cost = Cost(Decimal("0.005"), (part,), "supplement", "openai/gpt-4o", "2024-05-13", "an old list")
    call = record(
        provider="openai", request_model="gpt-4o", response_model="gpt-4o", usage={"input_tokens": 1000}, cost=cost
    )
    path = ledger(call)
    told = run("explain", call.id, "--ledger", path)
    assert "openai/gpt-4o, valid from 2024-05-13" in told
    assert "an old list" in told
    assert "$0.0025 by openai/gpt-4o of genai-prices" in told
    document = json.loads(run("explain", call.id.upper(), "--ledger", path, "--json"))
    assert document["call"]["cost_usd"] == "0.005"
    assert document["priced_again"]["cost_usd"] == "0.0025"


def test_explain_says_why_a_call_has_no_cost(run, ledger):
    """The reason that was recorded, and the reason of today."""
    unpriced = Unpriced("unknown_model", "no price list knows openai/gpt-new")
    call = record(provider="openai", request_model="gpt-new", response_model=None, cost=None, unpriced=unpriced)
    told = run("explain", call.id, "--ledger", ledger(call))
    assert told.count("unknown_model: no price list knows openai/gpt-new") >= 2


def test_explain_refuses_an_id_that_is_not_there(run, ledger, tmp_path):
    """No such call is wrong usage; no ledger is an error of its own."""
    assert "there is no call 'zzz'" in run("explain", "zzz", "--ledger", ledger(record()), code=2)
    found = CliRunner().invoke(
        app, ["prices", "explain", "zzz", "--ledger", str(tmp_path / "none.db")], standalone_mode=False
    )
    assert isinstance(found.exception.__cause__, LedgerError)


def test_every_command_has_examples(run):
    """--help ends with lines that can be copied."""
    for command in ((), ("list",), ("show",), ("explain",), ("check",)):
        assert "aicost prices " in run(*command, "--help").split("Examples:")[1]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("5", "5.00"),
        ("2.5", "2.50"),
        ("0.023750000", "0.02375"),
        ("1E-9", "0.000000001"),
        ("1E+2", "100.00"),
    ],
)
def test_money_is_written_plainly(amount, text):
    """No exponents, cents at the least."""
    assert plain(Decimal(amount)) == text


def test_stale_prices_are_warned_of_beside_the_answer(file, monkeypatch):
    """On stderr, so that a program that reads the answer is not disturbed."""
    monkeypatch.setenv("OTEL_AICOST_STALE_DAYS", "30")
    file.write_text(GOOD.replace("2099-01-01", "2020-01-01"))
    for arguments in (["list", "4o"], ["show", "gpt-4o"]):
        found = CliRunner().invoke(app, ["prices", *arguments, "--json"])
        assert json.loads(found.stdout)
        assert "aicost: warning: 1 of the prices in your file were last checked more than 30 days ago" in found.stderr
