"""`aicost calls` lists single calls and shows one whole."""

from __future__ import annotations

import csv
import io
import json

import pytest

from ledgers import at, sample, write
from otel_aicost.model import Cost, CostPart
from records import cost, record


@pytest.fixture
def listed(aicost, ledger):
    def run(*arguments):
        result = aicost("calls", "--format", "json", *arguments)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)["calls"]

    return run


@pytest.mark.parametrize(
    ("arguments", "hours"),
    [
        ([], [5, 4, 3, 2, 1, 10, 9, 8, 23, 0]),
        (["--status", "error"], [3]),
        (["--status", "partial"], [4]),
        (["--unpriced"], [5, 2]),
        (["--estimated"], [1]),
        (["--provider", "anthropic"], [1, 10]),
        (["--model", "claude*", "--tag", "team.name=red"], [10]),
        (["--operation", "moderation"], [9]),
        (["--service", "jobs"], [4]),
        (["--since", "2026-11-19", "--until", "2026-11-20"], [10, 9, 8]),
        (["--limit", "2"], [5, 4]),
        (["--tag", "user=nobody"], []),
    ],
)
def test_filters(listed, arguments, hours):
    """Each filter leaves the calls it says, the newest first."""
    assert [int(call["started"][11:13]) for call in listed(*arguments)] == hours


def test_more_is_said(aicost, ledger):
    """A list that stops at its limit says that there is more; one that is whole does not."""
    assert "there are more" in aicost("calls", "--limit", "9").stdout
    assert "there are more" not in aicost("calls", "--limit", "10").stdout
    assert json.loads(aicost("calls", "--limit", "9", "--format", "json").stdout)["more"] is True


def test_one_call_as_json(aicost, tmp_path):
    """One call has every field, its times in nanoseconds and its bill to the nano-dollar."""
    parts = (
        CostPart("input_tokens", 1500, cost("2.50").total, 1_000_000, cost("0.00375").total),
        CostPart("output_tokens", 2000, cost("10").total, 1_000_000, cost("0.02").total),
    )
    bill = Cost(cost("0.02375").total, parts, "user", "openai/gpt-4o", "2024-10-02", "user 12345678")
    call = record(
        started_ns=at("2026-11-18T10:00:00") + 123_456_789,
        cost=bill,
        usage={"input_tokens": 1500, "output_tokens": 2000},
        conditions={"service_tier": "default"},
        stream=True,
        first_chunk_ns=5,
    )
    path = write(tmp_path / "ledger.db", call)
    result = aicost("calls", "--ledger", path, "--id", call.id, "--format", "json")
    document = json.loads(result.stdout)
    assert document["started"] == "2026-11-18T10:00:00.123456Z"
    assert document["started_ns"] == call.started_ns
    assert document["cost_usd"] == "0.02375"
    assert document["usage"] == {"input_tokens": 1500, "output_tokens": 2000}
    assert document["parts"][0] == {
        "meter": "input_tokens",
        "quantity": 1500,
        "price": "2.50",
        "per": 1_000_000,
        "amount_usd": "0.00375",
    }
    assert document["tags"] == {"feature": "search", "user": "u1"}
    assert (document["stream"], document["estimated"], document["first_chunk_ns"]) == (True, False, 5)
    text = aicost("calls", "--ledger", path, "--id", call.id).stdout
    for part in ("$0.02375", "$2.50 per 1,000,000", "$0.00375", "service_tier=default", "user 12345678"):
        assert part in text


@pytest.mark.parametrize("number", range(10))
def test_any_call_can_be_shown(aicost, ledger, listed, number):
    """Whatever became of a call, it can be shown whole."""
    call = listed()[number]
    result = aicost("calls", "--id", call["id"].upper())
    assert result.exit_code == 0
    assert call["status"] in result.stdout
    if call["unpriced"]:
        assert f"unpriced: {call['unpriced']}" in result.stdout
        assert "$" not in result.stdout


def test_as_csv(aicost, ledger):
    """As CSV a call is a row, with its tags as JSON."""
    rows = list(csv.DictReader(io.StringIO(aicost("calls", "--format", "csv").stdout)))
    assert len(rows) == len(sample())
    assert json.loads(rows[-1]["tags"]) == {"feature": "search", "user": "u1"}
    assert (rows[4]["estimated"], rows[-1]["estimated"]) == ("true", "false")
    assert (rows[0]["cost_usd"], rows[-1]["cost_usd"]) == ("", "0.02325")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--id", "nobody"], "there is no call 'nobody'"), (["--limit", "0"], "not in the range")],
)
def test_misuse(aicost, ledger, arguments, message):
    """Wrong usage is one line and exit code 2."""
    result = aicost("calls", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_nothing(aicost, ledger):
    """An empty list says what there is none of."""
    result = aicost("calls", "--provider", "groq", "--unpriced")
    assert (result.exit_code, result.stdout) == (0, "No calls: all days (UTC), provider groq, unpriced.\n")
