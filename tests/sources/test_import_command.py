"""`aicost import` brings files of usage into the ledger, each line once, at the price of its own date."""

from __future__ import annotations

import csv
import gzip
import io
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from sqlite3 import connect

import pytest

from ledgers import SAMPLE_TOTAL, at, sample, write
from otel_aicost.ledger import verify
from otel_aicost.ledger.opening import looking
from records import record

DAY = datetime.now(UTC).date() - timedelta(days=10)
START = at(f"{DAY}T00:00:00") // 10**9
DATA = Path(__file__).parent / "data"
COMPLETIONS = (
    "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,"
    "service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens,input_text_tokens,"
    "output_text_tokens,input_cached_text_tokens,input_audio_tokens,input_cached_audio_tokens,output_audio_tokens,"
    "input_image_tokens,input_cached_image_tokens,output_image_tokens\n"
)
MESSAGES = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count,inference_geo,speed\n"
)


def _completion(model="gpt-4o-2024-08-06", sent=59200, cached=5760, received=10646, batch="FALSE", requests="10.0"):
    """A line as the console writes it: whole numbers with a point."""
    rest = f"{sent - cached}.0,{sent}.0,{received}.0,{cached}.0,0.0,0.0,0.0,0.0,0.0,0.0"
    return (
        f"{START},{START + 86400},,,proj_a,{requests},user-a,key_a,{model},{batch},default,"
        f"{sent}.0,{received}.0,{cached}.0,{rest}\n"
    )


def _message(model="claude-sonnet-4-5-20250929", window="≤ 200k", kind="standard", tokens=(1000, 200, 300, 5000, 400)):
    plain, short, long, again, received = tokens
    return f"{DAY},{model},key,Default,{kind},{window},{plain},{short},{long},{again},{received},2,global,\n"


@pytest.fixture
def file(tmp_path):
    def make(text, name="usage.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def _imported(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["files"][0]


def _dollars(rows):
    return sum(Decimal(row["cost_nano"] or 0) for row in rows) / 10**9


def test_openai_usage_is_priced_at_its_own_date(aicost, calls, file):
    """A line of the console's CSV is one record: its tokens, its bucket of time, the price of that day, the tags."""
    path = file(COMPLETIONS + _completion())
    told = _imported(aicost("import", path, "--tag", "team=search", "--json"))
    assert (told["format"], told["new"], told["known"], told["refused"]) == ("openai-usage", 1, 0, 0)
    (row,) = calls()
    assert row["usage"] == {"cache_read_tokens": 5760, "input_tokens": 59200, "output_tokens": 10646}
    assert row["started_ns"] == (START + 43200) * 10**9
    # 53,440 at $2.50, 5,760 at $1.25, 10,646 at $10.00 a million.
    assert _dollars([row]) == Decimal("0.1336") + Decimal("0.0072") + Decimal("0.10646")
    assert (row["provider"], row["model"], row["operation"]) == ("openai", "gpt-4o-2024-08-06", "chat")
    assert (row["service"], row["sdk"], row["tags"]) == ("openai-usage", "openai-usage", {"team": "search"})
    assert told["cost_usd"] == "0.247260000"


def test_twice_is_once(aicost, calls, file, ledger):
    """The same file again changes nothing: no row, no total, and it says so."""
    path = file(COMPLETIONS + _completion() + _completion() + _completion(model="gpt-4o-mini"))
    assert _imported(aicost("import", path, "--json"))["new"] == 3
    before = ledger.read_bytes(), calls()
    again = _imported(aicost("import", path, "--tag", "late=yes", "--json"))
    assert (again["new"], again["known"], again["refused"]) == (0, 3, 0)
    assert calls() == before[1]
    with looking(ledger) as connection:
        assert connection.execute("SELECT sum(calls) FROM totals").fetchone() == (3,)
        assert list(verify.findings(connection, 0)) == []


def test_a_file_that_has_grown(aicost, calls, file):
    """Of a file that has grown only what is new is counted."""
    aicost("import", file(COMPLETIONS + _completion()))
    told = _imported(aicost("import", file(COMPLETIONS + _completion() + _completion(model="gpt-4o-mini")), "--json"))
    assert (told["new"], told["known"]) == (1, 1)
    assert len(calls()) == 2


def test_other_numbers_are_told(aicost, calls, file):
    """A line that was counted with other numbers stays as it was, and that is told."""
    aicost("import", file(COMPLETIONS + _completion(sent=59200)))
    told = _imported(aicost("import", file(COMPLETIONS + _completion(sent=60000)), "--json"))
    assert (told["new"], told["known"]) == (0, 1)
    assert "other numbers" in told["lines"][0]["reason"]
    assert calls()[0]["usage"]["input_tokens"] == 59200


def test_dry_run(aicost, ledger, file):
    """A dry run tells what would be new and its cost, and makes no ledger."""
    result = aicost("import", "--dry-run", file(COMPLETIONS + _completion()))
    assert result.exit_code == 0
    assert "1 would be new ($0.247260), 0 known, 0 refused [openai-usage]" in result.stdout
    assert not ledger.exists()


def test_bad_lines_lose_nothing(aicost, calls, file):
    """Lines that cannot be read are refused with their numbers, whatever they hold; all others are counted."""
    lines = [
        COMPLETIONS,
        _completion(),
        "not,a,line\n",
        _completion(model="gpt-4o-mini").replace("10646.0", "-1", 1),
        _completion(model="gpt-4o-mini").replace("10646.0", "many", 1),
        _completion(model="gpt-4o-mini").replace(str(START), "soon", 1),
        "\n",
        '"an open quote,' + _completion(model="gpt-4o-mini"),
        _completion(model="o3-2025-04-16"),
        _completion(model="gpt-4o-mini").replace("10.0", "1e99999999999", 1),
        _completion(model='"gpt-4o-\nmini"'),
        _completion(model="gpt-4.1-2025-04-14"),
    ]
    result = aicost("import", file("".join(lines)), "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)["files"][0]
    assert (told["new"], told["refused"]) == (4, 6)
    assert [line["line"] for line in told["lines"]] == [3, 4, 5, 6, 8, 10]
    assert {row["model"] for row in calls()} == {
        "gpt-4o-2024-08-06",
        "o3-2025-04-16",
        "gpt-4o-\nmini",
        "gpt-4.1-2025-04-14",
    }
    assert "line 3, refused: it has 3 cells, and there are 24 columns" in aicost("import", file("".join(lines))).stderr


def test_a_batch_costs_half(aicost, calls, file):
    """A line of batches is priced as one."""
    aicost("import", file(COMPLETIONS + _completion(cached=0) + _completion(cached=0, batch="TRUE")))
    alone, batch = sorted(calls(), key=lambda row: -row["cost_nano"])
    assert batch["conditions"] == {"processing": "batch"}
    assert batch["cost_nano"] * 2 == alone["cost_nano"]


def test_pages_of_the_usage_api(aicost, calls, file):
    """The pages that the API gives are read like the CSV; empty buckets and free endpoints are no mistake."""
    bucket = {"object": "bucket", "start_time": START, "end_time": START + 86400}
    usage = {"object": "organization.usage.completions.result", "model": "gpt-4o-2024-08-06", "num_model_requests": 10}
    usage |= {"input_tokens": 59200, "output_tokens": 10646, "input_cached_tokens": 5760, "batch": False}
    results = [
        usage,
        {"object": "organization.usage.embeddings.result", "input_tokens": 10**6, "model": "text-embedding-3-small"},
        {"object": "organization.usage.moderations.result", "input_tokens": 50, "model": "omni-moderation-latest"},
        {"object": "organization.usage.audio_transcriptions.result", "seconds": 600, "model": "whisper-1"},
    ]
    page = {"object": "page", "has_more": False, "data": [{**bucket, "results": results}, {**bucket, "results": []}]}
    told = _imported(aicost("import", file(json.dumps(page, indent=1)), "--json"))
    assert (told["format"], told["new"]) == ("openai-usage", 4)
    cost = {row["operation"]: row["cost_nano"] for row in calls()}
    assert cost["chat"] == 247_260_000
    assert cost["embeddings"] == 20_000_000
    assert cost["moderation"] == 0
    again = _imported(aicost("import", file(json.dumps(page) + "\n" + json.dumps(page)), "--json"))
    assert (again["new"], again["known"]) == (4, 4)


def test_the_same_key_twice_in_a_file_is_two(aicost, file):
    """Lines that are alike are two when one file has both: OpenAI's do not name all they are split by."""
    told = _imported(aicost("import", file(COMPLETIONS + _completion() * 2), "--json"))
    assert told["new"] == 2


def test_sums_are_priced_at_the_tier_of_their_calls(aicost, calls, file):
    """The sum of many small requests does not reach the dearer tier of long ones, and a line of long ones does."""
    tokens = (5_000_000, 0, 0, 0, 1000)
    model = "claude-sonnet-4-5-20250929"
    short, long = _message(model, tokens=tokens), _message(model, "200k-1M", tokens=tokens)
    aicost("import", file(MESSAGES + short.replace(",2,global", ",0,global") + long.replace(",2,global", ",0,global")))
    by_cost = sorted(calls(), key=lambda row: row["cost_nano"])
    # 5 M at $3.00 and 1,000 at $15.00 a million; the long ones at $6.00 and $22.50.
    assert [_dollars([row]) for row in by_cost] == [Decimal("15.015"), Decimal("30.0225")]
    assert all(row["usage"] == {"input_tokens": 5_000_000, "output_tokens": 1000} for row in by_cost)
    assert sum(part[4] for part in by_cost[0]["parts"]) == by_cost[0]["cost_nano"]


def test_anthropic_usage(aicost, calls, file):
    """Cached input is inside of the input tokens; each kind of token, and each search, has its price."""
    aicost("import", file("\ufeff" + MESSAGES + _message()))
    (row,) = calls()
    assert row["usage"] == {
        "input_tokens": 6500,
        "output_tokens": 400,
        "cache_read_tokens": 5000,
        "cache_write_tokens": 500,
        "cache_write_5m_tokens": 200,
        "cache_write_1h_tokens": 300,
        "web_searches": 2,
    }
    # $3.00, $0.30, $3.75, $6.00 and $15.00 a million; $10.00 a thousand searches.
    assert _dollars([row]) == Decimal("0.003") + Decimal("0.0015") + Decimal("0.00075") + Decimal("0.0018") + Decimal(
        "0.006"
    ) + Decimal("0.02")


def test_anthropic_usage_report(aicost, calls, file):
    """Pages of the usage report give the same record as the file of the console."""
    after = DAY + timedelta(days=1)
    result = {
        "uncached_input_tokens": 1000,
        "cache_creation": {"ephemeral_1h_input_tokens": 300, "ephemeral_5m_input_tokens": 200},
        "cache_read_input_tokens": 5000,
        "output_tokens": 400,
        "server_tool_use": {"web_search_requests": 2},
        "api_key_id": None,
        "workspace_id": None,
        "model": "claude-sonnet-4-5-20250929",
        "service_tier": "standard",
        "context_window": "0-200k",
    }
    bucket = {"starting_at": f"{DAY}T00:00:00Z", "ending_at": f"{after}T00:00:00Z", "results": [result]}
    told = _imported(aicost("import", file(json.dumps({"data": [bucket], "has_more": False})), "--json"))
    assert told["format"] == "anthropic-usage"
    assert told["cost_usd"] == "0.033050000"
    assert calls()[0]["usage"]["input_tokens"] == 6500


def test_openai_costs(aicost, calls, file):
    """A cost file states what its lines cost: nothing is priced anew, and credits are refused."""
    head = "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id\n"
    times = f"{START},{START + 86400},,"
    lines = [
        f'{times},0.8958740000000000,usd,"gpt-5-mini-2025-08-07, output",proj_a\n',
        f"{times},0.50,usd,web search tool calls,proj_a\n",
        f"{times},,,,\n",
        f"{times},-5,usd,credit,\n",
        f"{times},5,eur,x,\n",
    ]
    result = aicost("import", file(head + "".join(lines)), "--json")
    told = json.loads(result.stdout)["files"][0]
    assert (result.exit_code, told["format"], told["new"], told["refused"]) == (1, "openai-costs", 2, 2)
    assert [line["line"] for line in told["lines"]] == [5, 6]
    tool, model = calls()
    assert (model["model"], model["cost_nano"], model["cost_source"]) == (
        "gpt-5-mini-2025-08-07",
        895_874_000,
        "provider",
    )
    assert (tool["model"], tool["operation"], tool["cost_nano"]) == ("", "web search tool calls", 500_000_000)


def test_anthropic_costs(aicost, calls, file):
    """The console's dollars and the report's cents, its display names and the API's, are the same money and model."""
    head = "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,inference_geo,speed\n"
    row = f"{DAY},Claude Haiku 4.5,Default,k,message,≤ 200k,output,1.25,1.25,token,global,\n"
    assert _imported(aicost("import", file(head + row), "--json"))["format"] == "anthropic-costs"
    after = DAY + timedelta(days=1)
    result = {"amount": "125.00", "currency": "USD", "model": "claude-haiku-4-5", "token_type": "output_tokens"}
    bucket = {"starting_at": f"{DAY}T00:00:00Z", "ending_at": f"{after}T00:00:00Z", "results": [result]}
    _imported(aicost("import", file(json.dumps({"data": [bucket]})), "--json"))
    assert [(row["model"], row["cost_nano"]) for row in calls()] == [("claude-haiku-4-5", 1_250_000_000)] * 2


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_our_own_export(aicost, ledger, tmp_path, form):
    """An export gives, in another ledger, every call as it was: cost, parts, tags, ids; and only once."""
    other = write(tmp_path / "other.db", *sample())
    out = tmp_path / f"calls.{form}"
    assert aicost("export", "--ledger", other, "--format", form, "--output", out).exit_code == 0
    told = _imported(aicost("import", out, "--json"))
    assert (told["format"], told["new"], told["unpriced"]) == ("aicost", 10, 2)
    assert Decimal(told["cost_usd"]) == SAMPLE_TOTAL
    leave_out = "cache_saved_nano, batch_saved_nano"
    rows = []
    for path in (other, ledger):
        with closing(connect(path)) as connection:
            cursor = connection.execute("SELECT * FROM calls ORDER BY id")
            kept = [place for place, column in enumerate(cursor.description) if column[0] not in leave_out]
            rows.append([[row[place] for place in kept] for row in cursor])
    assert rows[0] == rows[1]
    assert _imported(aicost("import", out, "--json"))["known"] == 10
    same = _imported(aicost("import", out, "--ledger", other, "--json"))
    assert (same["new"], same["known"], same["lines"]) == (0, 10, [])


def test_daily_totals_are_refused(aicost, tmp_path):
    """The sum of a day past retention is no call, and says so."""
    other = write(tmp_path / "other.db", record(), record(), fold_before="2027-01-01")
    text = aicost("export", "--ledger", other, "--format", "jsonl").stdout
    result = aicost("import", "-", input=text)
    assert result.exit_code == 1
    assert "it is the sum of 2 calls of a day" in result.stderr


def test_from_a_pipe_and_compressed(aicost, calls, file):
    """Standard input, gzip and the UTF-16 of spreadsheets are read like any file."""
    text = COMPLETIONS + _completion()
    assert aicost("import", "-", input=text).exit_code == 0
    for name, data in {"a.csv.gz": gzip.compress(text.encode()), "b.csv": text.encode("utf-16")}.items():
        told = _imported(aicost("import", file(data, name), "--json"))
        assert (told["new"], told["known"]) == (0, 1)
    assert len(calls()) == 1


def test_a_compressed_file_that_breaks_off(aicost, calls, file):
    """Of a compressed file that was not downloaded to its end, what is there counts, and the rest is told."""
    whole = gzip.compress((COMPLETIONS + "".join(_completion(model=f"m-{n}") for n in range(300))).encode())
    result = aicost("import", file(whole[: len(whole) // 2], "a.csv.gz"))
    assert result.exit_code == 1
    assert "the compressed file is broken from here on" in result.stderr
    assert 0 < len(calls()) < 300


def test_tabs_and_semicolons(aicost, file):
    """A table may be separated by tabs or semicolons."""
    for delimiter in "\t;":
        told = _imported(aicost("import", file((COMPLETIONS + _completion()).replace(",", delimiter)), "--json"))
        assert told["new"] + told["known"] == 1


def test_what_the_ledger_has_is_not_counted_again(aicost, calls, file, ledger):
    """A sum of a day is refused where the ledger has calls of that day and provider, unless it is to stand beside."""
    write(ledger, record(started_ns=at(f"{DAY}T08:00:00")))
    path = file(COMPLETIONS + _completion())
    result = aicost("import", path)
    assert result.exit_code == 1
    assert "the ledger has other calls to openai of that day (1)" in result.stderr
    assert len(calls()) == 1
    assert aicost("import", path, "--overlap").exit_code == 0
    assert len(calls()) == 2


def test_costs_after_usage(aicost, file):
    """Usage and costs of the same day are the same money: the second is refused."""
    aicost("import", file(COMPLETIONS + _completion()))
    head = "start_time,end_time,amount_value,amount_currency,line_item\n"
    result = aicost("import", file(f'{head}{START},{START + 86400},1,usd,"gpt-4o, input"\n', "costs.csv"))
    assert (result.exit_code, "0 new" in result.stdout) == (1, True)


def test_calls_after_sums(aicost, calls, file, tmp_path):
    """Calls of another ledger, and runs of Claude Code, are refused where a sum of their day is there already."""
    aicost("import", file(COMPLETIONS + _completion()))
    aicost("import", file(MESSAGES + _message(), "messages.csv"))
    other = write(tmp_path / "other.db", record(started_ns=at(f"{DAY}T08:00:00")), record(provider="groq"))
    out = tmp_path / "calls.csv"
    aicost("export", "--ledger", other, "--output", out)
    told = json.loads(aicost("import", out, "--json").stdout)["files"][0]
    assert (told["new"], told["refused"]) == (1, 1)
    assert "the ledger has sums of all calls to openai of that day (1)" in told["lines"][0]["reason"]
    typed = ["record", "--from", "claude-code", DATA / "result.json", "--at", f"{DAY}T09:00:00"]
    result = aicost(*typed)
    assert (result.exit_code, "sums of all calls to anthropic" in result.stderr) == (1, True)
    assert len(calls()) == 3
    assert aicost(*typed, "--overlap").exit_code == 0
    by_hand = ["record", "--provider", "openai", "--cost", "1", "--at", f"{DAY}T09:00:00"]
    assert [aicost(*by_hand, *more).exit_code for more in ([], ["--id", "x"])] == [0, 0]
    assert len(calls()) == 7


def test_times_that_are_not_over_or_long_ago(aicost, file, monkeypatch):
    """A bucket that is not over has no final numbers, and one past retention would not be known again."""
    monkeypatch.setenv("OTEL_AICOST_RETENTION_DAYS", "5")
    now = int(datetime.now(UTC).timestamp())
    lines = _completion() + _completion().replace(str(START), str(now - 60)).replace(str(START + 86400), str(now + 60))
    result = aicost("import", file(COMPLETIONS + lines))
    assert "older than the 5 days of OTEL_AICOST_RETENTION_DAYS" in result.stderr
    assert "its time is not over yet" in result.stderr


def test_budgets_of_their_own_time(aicost, file, ledger, tmp_path):
    """Records count in the windows of their own day, and in the running totals."""
    (tmp_path / "aicost.yaml").write_text("budgets:\n  - {name: days, period: day, limit: 1 USD}\n")
    assert aicost("import", file(COMPLETIONS + _completion())).exit_code == 0
    with looking(ledger) as connection:
        rows = connection.execute("SELECT spent_nano, starts_at FROM budget_windows").fetchall()
        assert [(nano, start) for nano, start in rows] == [(247_260_000, START)]
        total = connection.execute("SELECT sum(cost_nano) FROM totals").fetchone()
    assert total == (247_260_000,)


def test_unpriced_is_said(aicost, calls, file):
    """A model without a price is recorded as unpriced, and counted as such."""
    told = _imported(aicost("import", file(COMPLETIONS + _completion(model="gpt-99")), "--json"))
    assert (told["new"], told["unpriced"], told["cost_usd"]) == (1, 1, "0")
    assert calls()[0]["unpriced"] == "unknown_model"


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "{}", "[[1]]", '{"a": 1}\n{"b": 2}\n', "[1, 2]"])
def test_unknown_files(aicost, file, ledger, text):
    """A file that is none of the formats is told with what it holds."""
    result = aicost("import", file(text))
    assert result.exit_code == 1
    assert "nobody knows what it is" in result.stderr


def test_a_format_that_is_named(aicost, file):
    """A format that is named is taken, and what is none of it is refused line by line."""
    result = aicost("import", "--format", "openai-costs", file(COMPLETIONS + _completion()))
    assert "line 2, refused: it is no line of openai-costs" in result.stderr


def test_an_empty_file(aicost, file):
    """There is nothing in an empty file, and nothing wrong with it."""
    result = aicost("import", file(""))
    assert (result.exit_code, result.stdout.endswith("0 refused [empty]\n")) == (0, True)


def test_no_such_file(aicost, tmp_path):
    """A file that is not there is told as such."""
    result = aicost("import", tmp_path / "none.csv")
    assert result.exit_code == 1
    assert "none.csv" in result.stderr


def test_many_lines(aicost, calls, file):
    """A file of thousands of lines is written in batches."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for number in range(1500):
        writer.writerow([f"proj_{number}" if cell == "proj_a" else cell for cell in _completion().strip().split(",")])
    assert _imported(aicost("import", file(COMPLETIONS + out.getvalue()), "--json"))["new"] == 1500
    assert len(calls()) == 1500
