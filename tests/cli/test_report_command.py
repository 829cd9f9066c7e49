"""`aicost report` in its three shapes."""

from __future__ import annotations

import csv
import io
import json
import time
from decimal import Decimal

import pytest

from ledgers import SAMPLE_TOTAL, write
from records import cost, record

PERIOD = ("--since", "2026-11-01", "--until", "2026-11-30")


def test_overview_as_json(aicost, ledger):
    """The overview as JSON has exact dollars, nano-dollars, and what is in doubt."""
    result = aicost("report", *PERIOD, "--format", "json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert Decimal(document["total"]["cost_usd"]) == SAMPLE_TOTAL
    assert document["total"]["cost_nano"] == 1_883_250_001
    assert document["total"]["average_usd"] == "0.269035714"
    assert (document["since"], document["until"], document["time_zone"]) == ("2026-11-01", "2026-11-30", "UTC")
    assert document["trust"] == {
        "calls": 10,
        "unpriced": 2,
        "estimated": 1,
        "partial": 1,
        "missing": 1,
        "unread": 1,
        "invalid": 0,
        "unpriced_share": 0.2,
        "unpriced_reasons": {"no_usage": 1, "unknown_model": 1},
    }
    assert [row["user"] for row in document["spenders"]["user"]] == ["u2", None, "u1"]
    assert sum(Decimal(row["cost_usd"] or 0) for row in document["models"]) == SAMPLE_TOTAL


@pytest.mark.parametrize("by", ["model", "provider,status", "feature", "day,tag:user", "team.name"])
def test_groups_in_every_shape_agree(aicost, ledger, by):
    """The same groups come out as table, JSON and CSV, and add up to the total."""
    document = json.loads(aicost("report", *PERIOD, "--by", by, "--format", "json").stdout)
    rows = list(csv.DictReader(io.StringIO(aicost("report", *PERIOD, "--by", by, "--format", "csv").stdout)))
    table = aicost("report", *PERIOD, "--by", by).stdout
    names = by.split(",")
    assert [[group[name] or "" for name in names] for group in document["groups"]] == [
        [row[name] for name in names] for row in rows
    ]
    assert sum(Decimal(row["cost_usd"] or 0) for row in rows) == SAMPLE_TOTAL
    assert Decimal(document["total"]["cost_usd"]) == SAMPLE_TOTAL
    for group in document["groups"]:
        assert all((group[name] or "(none)") in table for name in names)


def test_unknown_costs_are_null(aicost, ledger):
    """A group without a known cost has null for its cost, not zero, and nothing in CSV."""
    document = json.loads(aicost("report", *PERIOD, "--by", "model", "--format", "json").stdout)
    gpt9 = next(group for group in document["groups"] if group["model"] == "gpt-9")
    assert (gpt9["cost_usd"], gpt9["cost_nano"], gpt9["average_usd"]) == (None, None, None)
    assert gpt9["unpriced_calls"] == 1
    rows = csv.DictReader(io.StringIO(aicost("report", *PERIOD, "--by", "model", "--format", "csv").stdout))
    assert next(row for row in rows if row["model"] == "gpt-9")["cost_usd"] == ""


def test_overview_as_csv(aicost, ledger):
    """The overview as CSV says of every row which section it belongs to."""
    rows = list(csv.DictReader(io.StringIO(aicost("report", *PERIOD, "--format", "csv").stdout)))
    assert [row["section"] for row in rows] == ["total"] + ["model"] * 3 + ["user"] * 3 + ["feature"] * 3 + ["day"] * 7
    assert {row["provider"] for row in rows if row["section"] == "model"} == {"openai", "anthropic"}


def test_the_default_is_thirty_days(aicost, tmp_path):
    """Without dates the last thirty days count: the thirtieth is in, the one before is not."""
    now = time.time_ns()
    day = 86_400 * 10**9
    calls = [record(started_ns=now - age * day, cost=cost(f"{2**age}")) for age in (0, 6, 29, 30)]
    calls = [record(started_ns=now - age * day, cost=cost(amount)) for age, amount in ((0, "1"), (29, "2"), (30, "4"))]
    path = write(tmp_path / "ledger.db", *calls)

    def total(*options):
        return json.loads(aicost("report", "--ledger", path, "--format", "json", *options).stdout)["total"]["cost_usd"]

    assert total() == "3.00"
    assert total("--days", "29") == "1.00"
    assert total("--days", "31") == "7.00"
    assert total("--since", "1970-01-01") == "7.00"


def test_top(aicost, ledger):
    """--top keeps the dearest; the rest stands beside them and the total stays whole."""
    document = json.loads(aicost("report", *PERIOD, "--by", "model", "--top", "1", "--format", "json").stdout)
    assert len(document["groups"]) == 1
    assert document["rest"]["calls"] == 3
    assert Decimal(document["total"]["cost_usd"]) == SAMPLE_TOTAL


def test_filters_are_said(aicost, ledger):
    """What a table was narrowed to stands in its heading and in the JSON."""
    narrowed = ("--provider", "anthropic", "--tag", "user=u1")
    assert "provider anthropic, user=u1" in aicost("report", *PERIOD, *narrowed).stdout
    document = json.loads(aicost("report", *PERIOD, *narrowed, "--format", "json").stdout)
    assert document["filters"] == {"provider": "anthropic", "tags": {"user": "u1"}}
    assert document["total"]["cost_usd"] == "0.05"


def test_nothing_to_report(aicost, ledger):
    """A period without calls says so in every shape and is no error."""
    nothing = ("--since", "2020-01-01", "--until", "2020-01-31")
    result = aicost("report", *nothing)
    assert (result.exit_code, result.stdout) == (0, "No calls: 2020-01-01 to 2020-01-31 (UTC).\n")
    grouped = aicost("report", *nothing, "--by", "feature", "--format", "json")
    assert json.loads(grouped.stdout)["groups"] == []
    assert aicost("report", *nothing, "--by", "feature", "--format", "csv").stdout.startswith("feature,calls,cost_usd")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "'yesterday' is not a date"),
        (["--until", "2026-11-31"], "'2026-11-31' is not a date"),
        (["--since", "0001-01-01"], "out of range"),
        (["--until", "2262-01-01"], "out of range"),
        (["--since", "2026-11-02", "--until", "2026-11-01"], "is after"),
        (["--days", "3", "--since", "2026-11-02"], "--days goes without"),
        (["--days", "0"], "0 is not in the range"),
        (["--by", ""], "at least one dimension"),
        (["--by", "model,model"], "named twice"),
        (["--by", "'; DROP TABLE calls"], "neither a dimension nor the key of a tag"),
        (["--by", "calls"], "tag:calls"),
        (["--by", "featrue"], "no call in the ledger has a tag 'featrue'; the tags are feature, team.name, user"),
        (["--tag", "featrue=x"], "no call in the ledger has a tag 'featrue'"),
        (["--tag", "feature"], "key=value"),
        (["--format", "xml"], "'xml' is not one of"),
        (["--status", "failed"], "'failed' is not one of"),
        (["--nonsense"], "No such option"),
    ],
)
def test_misuse(aicost, ledger, arguments, message):
    """Wrong usage is one line on stderr that says what is wrong, and exit code 2."""
    period = PERIOD if arguments[0] in {"--by", "--tag"} else ()
    result = aicost("report", *period, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("aicost report: ")


def test_a_rare_tag_is_no_mistake(aicost, ledger):
    """A tag that some call has, though none of this period, is no wrong usage."""
    result = aicost("report", "--since", "2026-11-21", "--by", "team.name", "--until", "2026-11-22")
    assert result.exit_code == 0
    assert "(none)" in result.stdout


def test_an_empty_ledger_knows_no_tags(aicost, tmp_path):
    """In a ledger without any call no tag is unknown."""
    result = aicost("report", "--by", "feature", "--ledger", write(tmp_path / "empty.db"))
    assert result.exit_code == 0
    assert result.stdout.startswith("No calls")


@pytest.mark.parametrize("command", ["report", "calls", "export"])
@pytest.mark.parametrize("key", ["job", "batch", "pr"])
def test_job_batch_and_pr(aicost, tmp_path, command, key):
    """A job, a batch or a pull request can be asked for by its own option, which stands for the tag."""
    path = write(tmp_path / "l.db", record(tags={key: "123"}), record(tags={key: "124"}), record())
    typed = [command, "--ledger", path, "--since", "2026-09-01", "--format", "json"]
    short, long = (aicost(*typed, *more).stdout for more in ([f"--{key}", "123"], ["--tag", f"{key}=123"]))
    assert json.loads(short) == json.loads(long)
    assert json.loads(short)["total"]["calls"] == 1 if command == "report" else short.count('"123"') == 1


@pytest.mark.parametrize("key", ["job", "batch", "pr"])
def test_by_job_batch_and_pr(aicost, tmp_path, key):
    """Sums can be grouped by them, and combined with other tags."""
    path = write(tmp_path / "l.db", record(tags={key: "1"}), record(tags={key: "2", "team": "a"}))
    rows = json.loads(
        aicost("report", "--ledger", path, "--since", "2026-09-01", "--by", key, "--format", "json").stdout
    )
    assert {row[key] for row in rows["groups"]} == {"1", "2"}
    both = aicost("export", "--ledger", path, f"--{key}", "2", "--tag", "team=a", "--format", "jsonl").stdout
    assert len(both.splitlines()) == 1


def test_a_pull_request_nobody_tagged(aicost, tmp_path):
    """Where no call has such a tag, that is told."""
    result = aicost("report", "--ledger", write(tmp_path / "l.db", record()), "--pr", "1", "--since", "2026-09-01")
    assert (result.exit_code, "no call in the ledger has a tag 'pr'" in result.stderr) == (2, True)
