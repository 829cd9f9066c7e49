"""`aicost reconcile` holds the ledger against the provider's own cost API, and says why they may differ."""

from __future__ import annotations

import csv
import io
import json
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from click.testing import CliRunner

from bills.admin_api import KEY, AdminApi
from ledgers import write
from otel_aicost.bills import fetching
from otel_aicost.cli.app import app
from otel_aicost.model import Unpriced
from records import cost, record

TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
BEFORE = TODAY - timedelta(days=2)
OPENAI_COSTS, OPENAI_USAGE = "/v1/organization/costs", "/v1/organization/usage/completions"
COST_REPORT, USAGE_REPORT = "/v1/organizations/cost_report", "/v1/organizations/usage_report/messages"


def _ns(day, hour=12):
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp()) * 10**9


def _seconds(day):
    return _ns(day, 0) // 10**9


def _costs(day, *lines):
    results = [
        {
            "object": "organization.costs.result",
            "amount": {"value": value, "currency": "usd"},
            "line_item": item,
            "project_id": None,
            "api_key_id": None,
            "quantity": None,
        }
        for item, value in lines
    ]
    return {"object": "bucket", "start_time": _seconds(day), "end_time": _seconds(day) + 86400, "results": results}


def _usage(day, *models, **more):
    results = [
        {
            "object": "organization.usage.completions.result",
            "model": model,
            "num_model_requests": requests,
            "input_tokens": sent,
            "output_tokens": received,
            "input_cached_tokens": 0,
            "batch": False,
            "service_tier": "default",
            **more,
        }
        for model, requests, sent, received in models
    ]
    return {"object": "bucket", "start_time": _seconds(day), "end_time": _seconds(day) + 86400, "results": results}


def _reported(day, *results):
    after = day + timedelta(days=1)
    return {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{after}T00:00:00Z", "results": list(results)}


def _description(model, token_type, amount, **more):
    return {
        "amount": amount,
        "currency": "USD",
        "cost_type": "tokens",
        "description": f"{model} Usage - {token_type}",
        "model": model,
        "service_tier": "standard",
        "token_type": token_type,
        "context_window": "0-200k",
        "workspace_id": None,
        **more,
    }


@pytest.fixture
def openai():
    """Three days: one that agrees, one without anything, and today."""
    with AdminApi(
        {
            OPENAI_COSTS: [
                _costs(BEFORE, ("gpt-4o-2024-08-06, input", 0.02), ("gpt-4o-2024-08-06, output", 0.03)),
                _costs(YESTERDAY),
                _costs(TODAY),
            ],
            OPENAI_USAGE: [_usage(BEFORE, ("gpt-4o-2024-08-06", 1, 2500, 0)), _usage(YESTERDAY), _usage(TODAY)],
        }
    ) as api:
        yield api


@pytest.fixture
def ledger(tmp_path):
    """A ledger of the calls given, all of two days ago unless they say otherwise."""

    def make(*calls):
        return write(tmp_path / "ledger.db", *(replace(call, started_ns=_ns(BEFORE)) for call in calls))

    return make


@pytest.fixture
def reconcile(monkeypatch):
    """Run the command against an API with the key set."""

    def run(provider, api, ledger, *options, **environment):
        monkeypatch.setenv(f"{provider.upper()}_ADMIN_KEY", KEY)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        typed = ["reconcile", provider, "--base-url", api if isinstance(api, str) else api.url, "--ledger", ledger]
        result = CliRunner().invoke(app, [str(word) for word in [*typed, *options]], prog_name="aicost")
        assert KEY not in result.output
        return result

    return run


def _rows(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["days"]


def test_they_agree(reconcile, openai, ledger):
    """The same sum on both sides is no difference, whatever the bill's line items are."""
    path = ledger(record(cost=cost("0.05")))
    result = reconcile("openai", openai, path, "--json")
    (row,) = _rows(result)
    assert (row["day"], row["model"]) == (BEFORE.isoformat(), "gpt-4o")
    assert (row["ledger_usd"], row["billed_usd"], row["difference_usd"]) == ("0.05", "0.05", "0.00")
    assert (row["calls"], row["requests"], row["reasons"]) == (1, 1, [])
    assert "They agree." in reconcile("openai", openai, path).stdout


def test_all_pages_are_read(reconcile, openai, ledger):
    """A bill of several pages is read to its end, with the documented parameters and the key in its header."""
    path = ledger(record(cost=cost("0.05")))
    openai.at_once = 1
    _rows(reconcile("openai", openai, path, "--json"))
    pages = [dict(parameters).get("page") for asked, parameters, _ in openai.asked if asked == OPENAI_COSTS]
    assert pages == [None, "page_1", "page_2"]
    first = dict(openai.asked[0][1])
    assert first == {
        "start_time": str(_seconds(TODAY - timedelta(days=7))),
        "end_time": str(_seconds(TODAY)),
        "bucket_width": "1d",
        "group_by": "line_item",
        "limit": "7",
    }
    assert all(headers["Authorization"] == f"Bearer {KEY}" for _, _, headers in openai.asked)
    groups = [value for name, value in openai.asked[-1][1] if name == "group_by"]
    assert groups == ["model", "batch", "service_tier"]


def test_anthropic_amounts_are_cents(reconcile, ledger):
    """Anthropic's amounts are decimal text in cents, its key goes in a header of its own, and cached input counts."""
    claude = {"provider": "anthropic", "request_model": "claude-sonnet-4-5", "usage": {"input_tokens": 3400}}
    path = ledger(record(**claude, response_model="claude-sonnet-4-5-20250929", cost=cost("1.2345")))
    usage = {
        "model": "claude-sonnet-4-5-20250929",
        "service_tier": "standard",
        "uncached_input_tokens": 1500,
        "cache_read_input_tokens": 400,
        "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
        "output_tokens": 0,
        "server_tool_use": {"web_search_requests": 0},
    }
    model = "claude-sonnet-4-5-20250929"
    reports = {
        COST_REPORT: [
            _reported(BEFORE, _description(model, "uncached_input_tokens", "23.45")),
            _reported(BEFORE, _description(model, "output_tokens", "100")),
            _reported(YESTERDAY),
        ],
        USAGE_REPORT: [_reported(BEFORE, usage)],
    }
    with AdminApi(reports, at_once=1) as api:
        (row,) = _rows(reconcile("anthropic", api, path, "--json"))
    assert (row["model"], row["billed_usd"], row["reasons"]) == ("claude-sonnet-4-5", "1.2345", [])
    assert (row["ledger_tokens"], row["billed_tokens"]) == (3400, 3400)
    path, parameters, headers = api.asked[0]
    assert ("group_by[]", "description") in parameters
    assert ("starting_at", f"{TODAY - timedelta(days=7)}T00:00:00Z") in parameters
    assert headers["x-api-key"] == KEY
    assert headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize(
    ("calls", "code"),
    [
        ([], "not_instrumented"),
        ([record(cost=None, unpriced=Unpriced("unknown_model", "no price"))], "unpriced"),
        ([record(cost=cost("0.01"), usage={"input_tokens": 500})], "not_instrumented"),
        ([record(cost=cost("0.5"), usage={"input_tokens": 9000})], "elsewhere"),
        ([record(cost=cost("0.04"))], "price"),
        ([record(cost=cost("0.04"), estimated=True)], "estimated"),
    ],
    ids=["no call", "unpriced", "fewer tokens", "more tokens", "other price", "estimated"],
)
def test_likely_reasons(reconcile, openai, ledger, calls, code):
    """A difference is told with the reason that the tokens, the prices and the calls point to."""
    path = ledger(*calls) if calls else ledger(record(provider="groq"))
    (row,) = _rows(reconcile("openai", openai, path, "--json"))
    assert code in [reason["code"] for reason in row["reasons"]]


def test_a_batch_is_another_tier(reconcile, openai, ledger):
    """Where part of the usage ran as a batch, a difference is told to be one of the tier."""
    openai.reports[OPENAI_USAGE] = [_usage(BEFORE, ("gpt-4o-2024-08-06", 1, 2500, 0), batch=True)]
    (row,) = _rows(reconcile("openai", openai, ledger(record(cost=cost("0.1"))), "--json"))
    assert [reason["code"] for reason in row["reasons"]] == ["price", "tier"]
    assert "batch" in row["reasons"][1]["text"]


def test_not_in_the_bill(reconcile, openai, ledger):
    """A model that only the ledger knows has no percentage, and a reason."""
    path = ledger(record(cost=cost("0.05")), record(response_model="gpt-4o-mini", cost=cost("0.3")))
    rows = _rows(reconcile("openai", openai, path, "--json"))
    mini = next(row for row in rows if row["model"] == "gpt-4o-mini")
    assert (mini["billed_usd"], mini["difference_usd"], mini["difference_percent"]) == ("0.00", "0.30", None)
    assert [reason["code"] for reason in mini["reasons"]] == ["elsewhere"]


def test_over_midnight(reconcile, openai, tmp_path):
    """What one day has too much and the next too little is told to have run over midnight."""
    openai.reports[OPENAI_COSTS] = [
        _costs(BEFORE, ("gpt-4o-2024-08-06, output", 1.0)),
        _costs(YESTERDAY, ("gpt-4o-2024-08-06, output", 2.0)),
    ]
    calls = [
        record(cost=cost("1.5"), started_ns=_ns(BEFORE, 23)),
        record(cost=cost("1.5"), started_ns=_ns(YESTERDAY)),
    ]
    rows = _rows(reconcile("openai", openai, write(tmp_path / "ledger.db", *calls), "--json"))
    assert all("day_boundary" in [reason["code"] for reason in row["reasons"]] for row in rows)


def test_fees_stand_apart(reconcile, openai, ledger):
    """A line that is for no model is shown as it is called, as a fee."""
    openai.reports[OPENAI_COSTS] = [_costs(BEFORE, ("web search tool calls", 0.5), ("gpt-4o-2024-08-06, input", 0.05))]
    rows = _rows(reconcile("openai", openai, ledger(record(cost=cost("0.05"))), "--json"))
    fee = next(row for row in rows if row["model"] == "web search tool calls")
    assert [reason["code"] for reason in fee["reasons"]] == ["fee"]


def test_calls_past_retention_count(reconcile, openai, tmp_path):
    """Daily totals of calls that are no longer single ones are in the sums."""
    path = write(tmp_path / "l.db", record(cost=cost("0.05"), started_ns=_ns(BEFORE)), fold_before=TODAY.isoformat())
    (row,) = _rows(reconcile("openai", openai, path, "--json"))
    assert row["reasons"] == []


def test_csv_adds_up(reconcile, openai, ledger):
    """The CSV has a row for each day and model."""
    result = reconcile("openai", openai, ledger(record(cost=cost("0.01"))), "--csv")
    (row,) = csv.DictReader(io.StringIO(result.stdout))
    assert Decimal(row["difference_usd"]) == Decimal("-0.04")
    assert json.loads(row["reasons"])[0]["code"] == "price"


def test_fail_over(reconcile, openai, ledger):
    """A nightly job fails when the totals are too far apart, and only then."""
    path = ledger(record(cost=cost("0.03")))
    assert reconcile("openai", openai, path, "--fail-over", "50").exit_code == 0
    result = reconcile("openai", openai, path, "--fail-over", "10")
    assert result.exit_code == 1
    assert "more than 10 % apart" in result.stderr


def test_costs_without_usage(reconcile, openai, ledger):
    """A key that may read costs but not usage still gives the comparison, and the gap is told."""
    openai.refused[OPENAI_USAGE] = (403, {}, {"error": {"message": "Missing scopes: api.usage.read"}})
    path = ledger(record(cost=cost("0.05")))
    result = reconcile("openai", openai, path, "--json")
    (row,) = _rows(result)
    assert (row["requests"], row["billed_tokens"]) == (None, None)
    assert "Missing scopes" in json.loads(result.stdout)["usage_gap"]
    assert "Reasons are guessed without" in reconcile("openai", openai, path).stdout


def test_an_empty_bill(reconcile, openai, ledger):
    """No costs at all are told as such, beside what the ledger has."""
    openai.reports = {OPENAI_COSTS: [], OPENAI_USAGE: []}
    result = reconcile("openai", openai, ledger(record(provider="groq")))
    assert (result.exit_code, result.stdout) == (
        0,
        f"Neither the ledger nor openai has anything from {TODAY - timedelta(days=7)} to {YESTERDAY}.\n",
    )
    assert "openai has no costs" in result.stderr


def test_it_asks_again(reconcile, openai, ledger):
    """A 429 and a 503 are waited out as the provider asks."""
    openai.instead = [(429, {"Retry-After": "0"}, {}), (503, {"Retry-After": "0"}, b"<html>")]
    result = reconcile("openai", openai, ledger(record(cost=cost("0.05"))), "--json")
    _rows(result)
    assert "asking again" in result.stderr


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {}, {"error": {"message": f"Incorrect API key provided: {KEY}"}}), "was not accepted (401"),
        ((403, {}, {"error": {"type": "x", "message": "Missing scopes"}}), "may not read costs (403: Missing scopes)"),
        ((429, {"Retry-After": "0"}, {}), "asked too often"),
        ((301, {"Location": "https://elsewhere.example/"}, {}), "sends us elsewhere (301)"),
        ((400, {}, {"error": "no such group"}), "answered 400: no such group"),
        ((200, {}, b"<html>"), "is no JSON"),
        ((200, {}, []), "is no JSON object"),
        ((200, {}, {"data": [{"start_time": "x", "results": [{}]}]}), "start_time is 'x'"),
        ((200, {}, {"data": [{"start_time": 1, "results": None}]}), "no list of results"),
        ((200, {}, {"data": [], "has_more": True, "next_page": "again"}), "the same page again"),
    ],
)
def test_errors_say_what_to_do(reconcile, openai, ledger, answer, said):
    """Whatever the API answers, one line says what it was, without the key, and the exit code is 1."""
    openai.refused[OPENAI_COSTS] = answer
    result = reconcile("openai", openai, ledger(record()))
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stdout == ""


def test_nobody_there(reconcile, ledger, monkeypatch):
    """An address where nobody listens is told as such after a few tries."""
    monkeypatch.setattr(fetching, "FIRST_PAUSE", 0.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        result = reconcile("openai", url, ledger(record()))
    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr


@pytest.mark.parametrize("url", ["http://api.example", "ftp://api.example", "api.example", "https://u:p@api.example"])
def test_the_key_goes_nowhere_unsafe(reconcile, ledger, url):
    """A key is sent over https only, and to an address that is one."""
    result = reconcile("openai", url, ledger(record()))
    assert result.exit_code == 1
    assert "--base-url" in result.stderr


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "naïve"])
def test_no_key(reconcile, openai, ledger, key):
    """Without a usable admin key nothing is asked, and the variable is named."""
    result = reconcile("openai", openai, ledger(record()), OPENAI_ADMIN_KEY=key)
    assert result.exit_code == 2
    assert "OPENAI_ADMIN_KEY" in result.stderr
    assert openai.asked == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--days", "3", "--since", "2026-11-01"], "--days goes without"),
        (["--since", TODAY.isoformat()], "is not over yet"),
        (["--since", "2026-11-02", "--until", "2026-11-01"], "is after"),
    ],
)
def test_days_that_cannot_be(reconcile, openai, ledger, options, said):
    """Only whole days that are over can be compared."""
    result = reconcile("openai", openai, ledger(record()), *options)
    assert result.exit_code == 2
    assert said in result.stderr
