"""`aicost record` records by hand, and what Claude Code tells of its runs: once, priced here."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from otel_aicost.ledger.opening import looking

RESULT = Path(__file__).parent / "data" / "result.json"
SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
SONNET_NANO = 3_000_000 + 27_000_000 + 30_000_000 + 30_000_000 + 10_000_000
"""1,000 at $3.00, 90,000 read at $0.30, 8,000 written at $3.75, 2,000 at $15.00 a million, a search at $0.01."""
BASE = int((datetime.now(UTC) - timedelta(days=10)).timestamp())
HAIKU_NANO = 600_000 + 500_000
"""600 at $1.00, 100 at $5.00 a million."""


def _result(**changed):
    return {**json.loads(RESULT.read_text()), **changed}


@pytest.fixture
def file(tmp_path):
    def make(document, name="result.json"):
        path = tmp_path / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return make


def test_a_result_is_a_record_for_each_model(aicost, calls):
    """Tokens by model, priced here; tags, session and duration are kept, and no text of the result."""
    result = aicost("record", "--from", "claude-code", RESULT, "--tag", "pr=123", "--format", "json")
    assert result.exit_code == 0, result.output
    haiku, sonnet = calls()
    assert [row["model"] for row in (haiku, sonnet)] == [HAIKU, SONNET]
    assert (haiku["cost_nano"], sonnet["cost_nano"]) == (HAIKU_NANO, SONNET_NANO)
    assert sonnet["usage"] == {
        "cache_read_tokens": 90000,
        "cache_write_5m_tokens": 8000,
        "cache_write_tokens": 8000,
        "input_tokens": 99000,
        "output_tokens": 2000,
        "web_searches": 1,
    }
    assert {row["cost_source"] for row in (haiku, sonnet)} == {"genai-prices"}
    assert {row["tags"]["pr"] for row in (haiku, sonnet)} == {"123"}
    assert {row["response_id"] for row in (haiku, sonnet)} == {"11111111-2222-4333-8444-555555555555"}
    assert (haiku["duration_ns"], sonnet["duration_ns"]) == (0, 65_000_000_000)
    assert all("Done" not in str(value) for row in (haiku, sonnet) for value in row.values())
    document = json.loads(result.stdout)
    assert (document["total_usd"], document["total_calls"]) == ("0.1011", 2)


def test_once(aicost, calls, file):
    """The same result again, whatever it is tagged with, is the same; another run of the session is not."""
    aicost("record", "--from", "claude-code", RESULT)
    again = aicost("record", "--from", "claude-code", RESULT, RESULT, "--tag", "pr=9", "--format", "json")
    assert {each["state"] for each in json.loads(again.stdout)["records"]} == {"known"}
    assert len(calls()) == 2
    resumed = file(_result(uuid="ffffffff-bbbb-4ccc-8ddd-eeeeeeeeeeee"))
    aicost("record", "--from", "claude-code", resumed)
    assert len(calls()) == 4


def test_when_it_was(aicost, calls, tmp_path):
    """A result counts when its file was written, less what the run took, unless --at says another time."""
    path = tmp_path / "old.json"
    path.write_text(RESULT.read_text())
    written = int((datetime.now(UTC) - timedelta(days=3)).timestamp())
    os.utime(path, (written, written))
    aicost("record", "--from", "claude-code", path)
    assert {row["started_ns"] for row in calls()} == {(written - 65) * 10**9}
    aicost("record", "--from", "claude-code", RESULT, "--at", "2025-11-01T12:00:00Z", "--overlap")
    assert len(calls()) == 2


@pytest.mark.parametrize("shape", ["stream", "verbose", "noise"])
def test_streams(aicost, calls, shape):
    """Of a stream, or a list of messages, the last result counts; noise around it does not matter."""
    messages = [
        {"type": "system", "subtype": "init", "model": SONNET, "session_id": "s"},
        {"type": "assistant", "message": {"model": SONNET, "usage": {"input_tokens": 5}}, "session_id": "s"},
        _result(uuid="first", modelUsage={SONNET: {"inputTokens": 1, "outputTokens": 1}}),
        _result(),
    ]
    text = json.dumps(messages) if shape == "verbose" else "\n".join(map(json.dumps, messages))
    if shape == "noise":
        text = f"Debugger attached.\n{text}\n{{broken\nbye\n"
    result = aicost("record", "--from", "claude-code", "-", input=text)
    assert result.exit_code == 0, result.output
    assert [row["cost_nano"] for row in calls()] == [HAIKU_NANO, SONNET_NANO]


def test_results_of_old_versions(aicost, calls, file):
    """A result without usage by model is priced by its tokens and the model that the stream names."""
    old = _result()
    del old["modelUsage"]
    start = {"type": "system", "subtype": "init", "model": SONNET}
    result = aicost("record", "--from", "claude-code", file(f"{json.dumps(start)}\n{json.dumps(old)}\n"))
    assert result.exit_code == 0, result.output
    (row,) = calls()
    assert (row["model"], row["cost_nano"], row["estimated"]) == (SONNET, SONNET_NANO, 0)
    aicost("record", "--from", "claude-code", file({**old, "uuid": "other"}), "--model", HAIKU)
    assert {row["model"] for row in calls()} == {SONNET, HAIKU}


def test_its_own_figure_stands_in(aicost, calls, file):
    """Where no price is known Claude Code's own figure is taken, and marked as an estimate."""
    unknown = {"claude-new-9": {"inputTokens": 10, "outputTokens": 5, "costUSD": 0.5}}
    result = aicost("record", "--from", "claude-code", file(_result(modelUsage=unknown)))
    assert "≈$0.500000" in result.stdout
    (row,) = calls()
    assert (row["cost_nano"], row["estimated"], row["price_id"]) == (500_000_000, 1, "estimate of claude-code")
    silent = {"claude-new-9": {"inputTokens": 10, "outputTokens": 5}}
    aicost("record", "--from", "claude-code", file(_result(modelUsage=silent, uuid="b")))
    assert [row["unpriced"] for row in calls()].count("unknown_model") == 1


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws.bedrock", None),
        ("anthropic.claude-3-haiku-20240307-v1:0", "aws.bedrock", None),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/x", "aws.bedrock", None),
        ("claude-sonnet-4-5@20250929", "gcp.vertex_ai", None),
        ("claude-sonnet-4-5-20250929[1m]", "anthropic", SONNET),
    ],
)
def test_who_is_paid(aicost, calls, file, model, provider, name):
    """The name of the model shows who is paid."""
    used = {model: {"inputTokens": 10, "outputTokens": 5, "costUSD": 0.5}}
    aicost("record", "--from", "claude-code", file(_result(modelUsage=used)))
    (row,) = calls()
    assert (row["provider"], row["model"]) == (provider, name or model)


def test_a_failed_run_costs_too(aicost, calls, file):
    """A run that ended with an error is recorded with what it cost."""
    aicost("record", "--from", "claude-code", file(_result(subtype="error_max_turns", is_error=True)))
    assert {(row["status"], row["error_type"]) for row in calls()} == {("error", "error_max_turns")}
    assert sum(row["cost_nano"] for row in calls()) == SONNET_NANO + HAIKU_NANO


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no result of Claude Code"),
        ("{}", "no result of Claude Code"),
        ("[1, 2]", "no result of Claude Code"),
        ("Error: not logged in", "no result of Claude Code"),
        ('{"type": "result", "total_cost_usd": 1}', "neither session_id nor uuid"),
        ('{"type": "result", "uuid": "u", "modelUsage": {"m": {"inputTokens": -1}}}', "inputTokens is -1"),
        ('{"type": "result", "uuid": "u", "total_cost_usd": "NaN"}', "total_cost_usd is 'NaN'"),
    ],
)
def test_what_is_no_result(aicost, file, text, said):
    """What is no result, or cannot be one, is told in a line."""
    result = aicost("record", "--from", "claude-code", file(text))
    assert result.exit_code == 1
    assert said in result.stderr


def _point(value, kind=None, *, model=SONNET, session="s-1", start=1, end=2, whole=True):
    attributes = {"session.id": session, "model": model, **({"type": kind} if kind else {})}
    return {
        "attributes": [{"key": key, "value": {"stringValue": said}} for key, said in attributes.items()],
        "startTimeUnixNano": str((BASE + start) * 10**9),
        "timeUnixNano": str((BASE + end) * 10**9),
        **({"asInt": str(value)} if whole else {"asDouble": value}),
    }


def _metrics(points, cost=(), temporality=1):
    metrics = [
        {"name": "claude_code.token.usage", "sum": {"aggregationTemporality": temporality, "dataPoints": points}},
        {"name": "claude_code.cost.usage", "sum": {"aggregationTemporality": temporality, "dataPoints": list(cost)}},
        {"name": "claude_code.session.count", "sum": {"dataPoints": [{"asInt": "1"}]}},
    ]
    return {"resourceMetrics": [{"resource": {"attributes": []}, "scopeMetrics": [{"metrics": metrics}]}]}


def test_metrics_of_differences_are_added(aicost, calls, file):
    """Points that are differences, over many exports, add up to a record for each session and model."""
    first = [_point(600, "input"), _point(1000, "output"), _point(90000, "cacheRead"), _point(8000, "cacheCreation")]
    second = [_point(400, "input", start=2, end=4), _point(1000, "output", start=2, end=4)]
    text = "\n".join(json.dumps(_metrics(points)) for points in (first, second, [_point(7, "input", session="s-2")]))
    result = aicost("record", "--from", "claude-code", file(text, "metrics.json"), "--tag", "job=nightly")
    assert result.exit_code == 0, result.output
    row = next(row for row in calls() if row["response_id"] == "s-1")
    assert row["cost_nano"] == SONNET_NANO - 10_000_000
    assert (row["started_ns"], row["duration_ns"]) == ((BASE + 1) * 10**9, 3 * 10**9)
    assert len(calls()) == 2


def test_running_totals_are_not_added(aicost, calls, file):
    """Of points that are running totals the last one counts, once for each process."""
    points = [
        _point(600, "input"),
        _point(1000, "input", end=9),
        _point(5, "input", start=20, end=21),
        _point(2000, "output"),
    ]
    aicost("record", "--from", "claude-code", file(_metrics(points, temporality=2), "metrics.json"))
    (row,) = calls()
    assert row["usage"] == {"input_tokens": 1005, "output_tokens": 2000}


def test_metrics_and_result_of_one_session(aicost, calls, file):
    """A session whose result was recorded is not counted again from its metrics."""
    aicost("record", "--from", "claude-code", RESULT)
    session = "11111111-2222-4333-8444-555555555555"
    path = file(_metrics([_point(600, "input", session=session)]), "metrics.json")
    result = aicost("record", "--from", "claude-code", path)
    assert result.exit_code == 1
    assert "another source has told of this session already" in result.stderr
    assert len(calls()) == 2


def test_a_bad_point_loses_no_other(aicost, calls, file):
    """A point that cannot be is refused, and the others count."""
    points = [_point(-5, "input"), _point(7, "input"), {**_point(8, "output"), "timeUnixNano": "soon"}]
    result = aicost("record", "--from", "claude-code", file(_metrics(points), "m.json"))
    assert result.exit_code == 1
    assert calls()[0]["usage"] == {"input_tokens": 7, "output_tokens": 0}


def test_by_hand(aicost, calls):
    """A record by hand is priced at its own date, with its conditions, tags and service."""
    typed = [
        "record",
        "--provider",
        "openai",
        "--model",
        "gpt-4o",
        "--usage",
        "input_tokens=1500",
        "--usage",
        "output_tokens=200",
    ]
    more = [
        "--tag",
        "team=search",
        "--at",
        "2025-11-01T10:00:00Z",
        "--duration",
        "1.5",
        "--service",
        "cron",
        "--operation",
        "chat",
    ]
    result = aicost(*typed, *more)
    assert result.exit_code == 0, result.output
    (row,) = calls()
    assert row["cost_nano"] == 3_750_000 + 2_000_000
    assert (row["started_ns"], row["duration_ns"]) == (1_761_991_200 * 10**9, 1_500_000_000)
    assert (row["service"], row["operation"], row["tags"]) == ("cron", "chat", {"team": "search"})
    assert "$0.005750" in result.stdout


def test_by_hand_once(aicost, calls):
    """What has the same --id is counted once; what has none, each time."""
    typed = ["record", "--provider", "acme", "--usage", "document_pages=12", "--cost", "0.36"]
    for more in ([], [], ["--id", "invoice-1"], ["--id", "invoice-1"]):
        assert aicost(*typed, *more).exit_code == 0
    assert [row["cost_nano"] for row in calls()] == [360_000_000] * 3
    assert {row["cost_source"] for row in calls()} == {"provider"}


def test_tags_of_the_environment(aicost, calls, monkeypatch):
    """The static tags of the environment are those of a record too; what is typed wins."""
    monkeypatch.setenv("OTEL_AICOST_TAGS", "env=ci,team=a")
    aicost(*["record", "--provider", "acme", "--cost", "1", "--tag", "team=b"])
    assert calls()[0]["tags"] == {"env": "ci", "team": "b"}


def test_budgets_count_it(aicost, ledger, tmp_path):
    """What is recorded is spent in the budgets of the file, and `aicost budgets check` fails on them."""
    (tmp_path / "aicost.yaml").write_text("budgets:\n  - {name: prs, per: [pr], limit: 0.05 USD, period: forever}\n")
    aicost("record", "--from", "claude-code", RESULT, "--tag", "pr=123")
    with looking(ledger) as connection:
        spent = connection.execute("SELECT key, spent_nano FROM budget_windows").fetchall()
    assert [tuple(row) for row in spent] == [("123", SONNET_NANO + HAIKU_NANO)]
    assert aicost("budgets", "check").exit_code == 1


def test_fail_over(aicost):
    """All calls with the same tags are held against the limit, those of earlier runs too."""
    typed = ["record", "--from", "claude-code", RESULT, "--tag", "pr=123"]
    assert aicost(*typed, "--fail-over", "0.15").exit_code == 0
    assert (
        aicost(*["record", "--provider", "acme", "--cost", "0.1", "--tag", "pr=123", "--fail-over", "0.15"]).exit_code
        == 1
    )
    assert (
        aicost(*["record", "--provider", "acme", "--cost", "0.1", "--tag", "pr=124", "--fail-over", "0.15"]).exit_code
        == 0
    )
    result = aicost(*typed, "--fail-over", "$0.15", "--format", "markdown")
    assert result.exit_code == 1
    assert "All 3 calls with pr=123: \\$0.2011, OVER the limit of \\$0.15." in result.stdout


def test_markdown_is_harmless(aicost, file):
    """Names of models and tags cannot write into the summary of a job."""
    used = {"<img src=x>|`": {"inputTokens": 10, "outputTokens": 5, "costUSD": 0.5}}
    path = file(_result(modelUsage=used))
    result = aicost("record", "--from", "claude-code", path, "--tag", "pr=<b>", "--format", "markdown")
    assert "<" not in result.stdout
    assert "&lt;img src=x&gt;\\|\\`" in result.stdout


def test_dry_run(aicost, ledger):
    """A dry run prices and writes nothing."""
    result = aicost("record", "--dry-run", "--from", "claude-code", RESULT, "--tag", "pr=1", "--format", "json")
    assert [each["cost_usd"] for each in json.loads(result.stdout)["records"]] == ["0.100000000", "0.001100000"]
    assert not ledger.exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "--provider and --usage or --cost"),
        ("--provider acme", "--provider and --usage or --cost"),
        ("result.json", "--from says what the files are"),
        ("--from claude-code", "name the files"),
        ("--from claude-code x.json --cost 1", "--cost is for a record by hand"),
        ("--from claude-code x.json --id 1", "--id is for a record by hand"),
        ("--provider acme --usage tokens", "METER=QUANTITY"),
        ("--provider acme --usage tokens=many", "tokens is 'many'"),
        ("--provider acme --usage tokens=-1", "tokens is -1"),
        ("--provider acme --usage a=1 --usage a=2", "a is there twice"),
        ("--provider acme --cost much", "no amount of dollars"),
        ("--provider acme --cost -1", "no amount of dollars"),
        ("--provider acme --cost 1 --at soon", "no time"),
        ("--provider acme --cost 1 --fail-over 2", "name them with --tag"),
    ],
)
def test_wrong_usage(aicost, ledger, typed, said):
    """What is typed wrong is told in a line, and nothing is written."""
    result = aicost("record", *typed.split())
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert not ledger.exists()


def test_several_files(aicost, calls, file):
    """Several results are recorded at once."""
    other = file(_result(session_id="other", uuid="other"))
    assert aicost("record", "--from", "claude-code", RESULT, other).exit_code == 0
    assert sum(Decimal(row["cost_nano"]) for row in calls()) == 2 * (SONNET_NANO + HAIKU_NANO)


def test_no_such_file(aicost):
    """A file that is not there is told as such."""
    result = aicost("record", "--from", "claude-code", "none.json")
    assert result.exit_code == 1
    assert "none.json" in result.stderr
