"""Tables say what the values say, to a terminal and to a pipe."""

from __future__ import annotations

import io

import pytest

from ledgers import sample, write
from otel_aicost.ledger.queries import Query
from otel_aicost.ledger.questions import Filter
from otel_aicost.ledger.reader import open_ledger
from otel_aicost.model import Unpriced
from otel_aicost.report import screen, tables
from otel_aicost.report.calls import calls_table
from otel_aicost.report.overview import grouped, overview, trust
from records import record


class _Terminal(io.StringIO):
    def isatty(self):
        return True


class _Ascii(io.StringIO):
    encoding = "ascii"


@pytest.fixture
def shown(tmp_path):
    def show(records, by=None, stream=None, top=None):
        ledger = open_ledger(write(tmp_path / "ledger.db", *records))
        where = Filter()
        with ledger.read() as connection:
            query = Query(ledger, connection)
            if by:
                parts = tables.table_tables(grouped(query, where, by, top), trust(query, where), where)
            else:
                last = max(each.started_ns for each in records) // 10**9
                from datetime import UTC, datetime

                today = datetime.fromtimestamp(last, UTC).date()
                parts = tables.overview_tables(overview(query, where, 10, today), where)
        return screen.render(parts, stream or io.StringIO())

    return show


def test_the_overview_has_its_parts(shown):
    """Totals, models, spenders, days and doubts are there, with the numbers of the sample."""
    text = shown(sample())
    for part in (
        "$1.88325",
        "10, 1 of them failed",
        "19,000, 400 of them read from the cache",
        "By model",
        "By user",
        "By feature",
        "The last 7 days (UTC)",
        "2 of 10 calls (20.0%) unpriced, their cost is not in the total: 1 ",
        "1 of 10 calls (10.0%) estimated",
        "1 of 10 calls (10.0%) partial",
        "1 of 10 calls (10.0%) unread",
    ):
        assert part in text, part


def test_without_doubts(shown):
    """Where nothing is in doubt one line says so."""
    text = shown([record()])
    assert "every cost comes from usage that the provider reported" in text
    assert "unpriced" not in text


def test_unpriced_is_never_a_zero(shown):
    """A group without any known cost has a dash for its cost, and its calls are counted as unpriced."""
    text = shown([record(cost=None, unpriced=Unpriced("unknown_model", "?")), record(provider="groq")], ("provider",))
    line = next(line.split() for line in text.splitlines() if line.startswith("openai"))
    assert line[:4] == ["openai", "1", "-", "0.0%"]
    assert line[-1] == "1"


def test_all_unpriced(shown):
    """A total that nobody knows is called unknown."""
    text = shown([record(cost=None, unpriced=Unpriced("unknown_model", "?"))])
    assert "unknown: no call has a price" in text
    bars = text.index("The last 7 days")
    assert "$" not in text[:bars]
    today = next(line for line in text.splitlines() if line.startswith("2026-09-21"))
    assert today.split() == ["2026-09-21", "-", "1"]


def test_bars(shown):
    """The dearest day has the longest bar, and a day that cost anything has one."""
    lines = {line[:10]: line.count("█") for line in shown(sample()).splitlines() if line.startswith("2026-")}
    assert lines == {
        "2026-11-15": 0,
        "2026-11-16": 0,
        "2026-11-17": 0,
        "2026-11-18": 30,
        "2026-11-19": 5,
        "2026-11-20": 0,
        "2026-11-21": 1,
    }


def test_the_rest(shown):
    """What --top leaves out stands in a row of its own, above the total."""
    lines = [line.split() for line in shown(sample(), ("user",), top=1).splitlines()]
    assert [line[:3] for line in lines[4:6]] == [["u2", "1", "$1.50000"], ["(the", "rest)", "9"]]
    assert lines[7][:3] == ["total", "10", "$1.88325"]


def test_a_pipe_is_not_cut(shown):
    """Without a terminal a line is as long as its table."""
    long = "m" * 300
    assert f"{long} " in shown([record(response_model=long)])


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_is_kept_to(shown, monkeypatch, width):
    """On a narrow terminal lesser columns are left out and names folded; the name, calls and cost stay whole."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown([record(response_model="gpt-4o-" + "y" * 60)], ("model",), _Terminal())
    lines = text.splitlines()
    assert text.count("y") >= 60
    assert "…" not in text
    assert max(map(len, lines)) <= width
    assert {"model", "calls", "cost"} <= set(lines[2].split())
    assert ("cached" in lines[2]) is (width == 120)


@pytest.mark.parametrize(("stream", "coloured"), [(_Terminal(), True), (io.StringIO(), False)])
def test_colour_on_a_terminal_only(shown, monkeypatch, stream, coloured):
    """A terminal gets bold headings, a pipe none."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert ("\x1b[" in shown(sample(), stream=stream)) is coloured


def test_no_color(shown, monkeypatch):
    """NO_COLOR is respected on a terminal."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown(sample(), stream=_Terminal())


def test_names_cannot_steer_the_terminal(shown):
    """Control characters and markup in names are shown, not obeyed."""
    text = shown([record(response_model="\x1b[31mred\x07[bold]x[/bold]\u202e", tags={"user": "a\nb"})])
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "[31mred" in text
    assert "[bold]x[/bold]" in text
    assert "a\ufffdb" in text


def test_an_encoding_without_drawing_characters(shown):
    """Where the encoding has no drawing characters, others stand in."""
    text = shown(sample(), stream=_Ascii())
    assert text.isascii()
    assert "#" * 30 in text


@pytest.mark.parametrize("width", [68, 80, 110, 200])
def test_calls_on_a_terminal(tmp_path, monkeypatch, width):
    """In the list of calls no identifier is ever cut, however narrow the terminal."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    each = record(tags={})
    ledger = open_ledger(write(tmp_path / "ledger.db", each))
    with ledger.read() as connection:
        rows = Query(ledger, connection).calls(Filter(), 1)
    lines = screen.render([calls_table(rows)], _Terminal()).splitlines()
    assert max(map(len, lines)) <= width
    start = lines[0].rindex("id")
    assert "".join(line[start:].strip() for line in lines[2:]) == each.id


def test_calls_tell_why_there_is_no_cost(tmp_path):
    """In the list of calls an unpriced one shows its reason, a failed one its error, an estimate its sign."""
    ledger = open_ledger(write(tmp_path / "ledger.db", *sample()))
    with ledger.read() as connection:
        rows = Query(ledger, connection).calls(Filter(), 20)
    lines = screen.render([calls_table(rows)], io.StringIO()).splitlines()
    assert "unpriced: no_usage" in lines[2]
    assert "RateLimitError" in lines[4]
    assert "unpriced: unknown_model" in lines[5]
    assert "≈$0.050000000" in lines[6]
    assert all(str(row["id"]) in line for row, line in zip(rows, lines[2:], strict=True))
