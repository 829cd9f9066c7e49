"""`aicost prices verify`: the dates change, and not one byte beside them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from click.testing import CliRunner

from otel_aicost.cli.app import app
from otel_aicost.errors import PriceDataError, PriceFileError
from otel_aicost.prices.marking import mark
from otel_aicost.prices.reading import read_price_file

FILE = """\
# Our contracts.   Two spaces at the end:  
schema: 1

models:
  # The big one.
  - provider: openai
    model: gpt-4o      # since June
    checked: 2026-01-02   # by Ada
    source: "the contract"
    periods:
      - {from: 2026-06-01, rates: [{meter: input_tokens, price: "2.00", per: 1_000_000}]}
  - provider: openai
    model: {prefix: gpt-5}
    periods:
      - from: 2026-06-01
        rates:
          - {meter: input_tokens, price: "3.00", per: 1_000_000}   # three
  - {provider: azure.ai.openai, model: ours, periods: [{from: 2026-01-01, free: true}]}
  - periods:
      - {from: 2026-06-01, rates: [{meter: input_tokens, price: "2.00", per: 1_000_000}]}
    provider: mistral_ai
    model: "ünïcode"
    checked: '2099-01-01'

adjustments:
  - {provider: anthropic, from: 2026-06-01, multiply: "0.9"}
"""  # noqa: W291 - part of what is to stay


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "prices.yaml"
    path.write_text(FILE)
    monkeypatch.setenv("OTEL_AICOST_PRICES", str(path))
    return path


@pytest.fixture
def run():
    def invoke(*arguments, code=0):
        result = CliRunner().invoke(app, ["prices", "verify", *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


def today():
    return datetime.now(UTC).date().isoformat()


def test_an_entry_is_marked_as_checked_today(run, file):
    """Its date changes; comments, order and spaces stay."""
    told = run("gpt-4o")
    assert f"openai/gpt-4o: checked {today()}, before that 2026-01-02 (the contract)" in told
    assert "1 of 1 entries marked" in told
    assert file.read_text() == FILE.replace("2026-01-02", today())


def test_a_date_is_added_where_there_is_none(run, file):
    """In an entry of several lines as in one of a single line."""
    run("openai/gpt-5*", "azure.ai.openai/ours", "--on", "2026-11-20")
    wanted = FILE.replace(
        "    model: {prefix: gpt-5}\n    periods:",
        "    model: {prefix: gpt-5}\n    checked: 2026-11-20\n    periods:",
    ).replace("model: ours, periods", "model: ours, checked: 2026-11-20, periods")
    assert file.read_text() == wanted


def test_all_entries_at_once(run, file):
    """One that was checked later keeps its date."""
    told = run("--all", "--on", "2026-11-20")
    assert "3 of 4 entries marked" in told
    assert "mistral_ai/ünïcode: checked 2099-01-01 already" in told
    dates = [entry.checked for entry in read_price_file(file).entries]
    assert dates == ["2026-11-20"] * 3 + ["2099-01-01"]


def test_patterns_choose_entries(run, file):
    """Of names, and of names with their provider; upper and lower case do not matter."""
    told = json.loads(run("OpenAI/*", "--json"))
    assert [each["model"] for each in told["entries"]] == ["gpt-4o", "gpt-5*"]
    assert [each["before"] for each in told["entries"]] == ["2026-01-02", None]
    assert {each["checked"] for each in told["entries"]} == {today()}


def test_a_second_time_nothing_is_written(run, file):
    """The file is not touched where nothing changes."""
    run("gpt-4o")
    before = file.stat().st_mtime_ns
    assert "already" in run("gpt-4o")
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize("change", [lambda raw: raw.replace(b"\n", b"\r\n"), lambda raw: b"\xef\xbb\xbf" + raw])
def test_line_ends_and_marks_of_other_systems_stay(run, file, change):
    """A file of Windows remains one."""
    file.write_bytes(change(FILE.encode()))
    run("--all", "--on", "2026-11-20")
    raw = file.read_bytes()
    assert raw.count(b"2026-11-20") == 3
    assert raw.count(b"\n") == raw.count(b"\r\n") or b"\r" not in raw
    assert raw.startswith(b"\xef\xbb\xbf") == change(b"").startswith(b"\xef\xbb\xbf")


def test_a_link_stays_a_link(run, file, tmp_path, monkeypatch):
    """The file it points to is edited."""
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    monkeypatch.setenv("OTEL_AICOST_PRICES", str(link))
    run("gpt-4o")
    assert link.is_symlink()
    assert today() in file.read_text()


def test_a_name_that_is_no_entry_marks_nothing(run, file):
    """It is said where the price is from, and what to do there; the other names are not marked either."""
    told = run("gpt-4o", "whisper-1", "claude-sonnet-4-5", "no-such", code=1)
    assert "whisper-1 is in the list that comes with otel-aicost" in told
    assert "claude-sonnet-4-5 is in genai-prices: `aicost prices update`" in told
    assert "no price list has an entry no-such" in told
    assert file.read_text() == FILE


def test_without_a_file_it_says_what_to_do(run):
    """Packaged prices are refreshed, not marked."""
    assert "aicost prices update" in run("gpt-4o-mini", code=1)
    assert "there is no price file of yours" in run("--all", code=1)


@pytest.mark.parametrize(
    "arguments", [(), ("gpt-4o", "--all"), ("gpt-4o", "--on", "2999-01-01"), ("--on", "soon", "x")]
)
def test_wrong_usage(run, file, arguments):
    """Names or --all, and a day that is over."""
    run(*arguments, code=2)
    assert file.read_text() == FILE


def test_a_broken_file_is_not_edited(file):
    """Its mistakes are the error."""
    file.write_text(FILE.replace("periods", "period", 1))
    assert isinstance(
        CliRunner().invoke(app, ["prices", "verify", "--all"], standalone_mode=False).exception.__cause__,
        PriceFileError,
    )


def test_an_entry_that_cannot_be_edited_in_place_is_left(file):
    """Two entries that are one by an alias: the date would be the other's too, which was not asked for."""
    file.write_text("""\
schema: 1
models:
  - &first
    provider: openai
    model: &name gpt-4o
    periods: [{from: 2026-01-01, free: true}]
    checked: &day 2026-01-01
  - provider: openai
    model: other
    checked: *day
    periods: [{from: 2026-01-01, free: true}]
""")
    before = file.read_text()
    (entry, _) = read_price_file(file).entries
    with pytest.raises((PriceDataError, PriceFileError)):
        mark(file, [entry], date(2026, 11, 20))
    assert file.read_text() == before
