"""`make demo` from a directory of its own: what it prints, held against sums made here by hand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"
MILLION = 1_000_000

# What the fake providers were told to say, times the published prices.
GPT_4O = 2 * (1_500 * Decimal("2.50") + 2_000 * Decimal("10.00")) / MILLION
SONNET = 2 * (2_000 * Decimal("3.00") + 10_000 * Decimal("0.30") + 800 * Decimal("15.00")) / MILLION
SPEECH = 2 * 520 * Decimal("30.00") / MILLION
WHISPER = Decimal(330) / 60 * Decimal("0.006")
GPT_4O_MINI = 2 * (4_000 * Decimal("0.15") + 1_000 * Decimal("0.60")) / MILLION
EMBEDDINGS = 50_000 * Decimal("0.02") / MILLION
HAIKU = (3_000 * Decimal("1.00") + 400 * Decimal("5.00")) / MILLION
# No usage in the stream: 25 and 49 bytes of text at four a token, and four tokens for the frame of the message.
GPT_41_MINI = ((7 + 4) * Decimal("0.40") + 13 * Decimal("1.60")) / MILLION

EXPECTED = {
    "model": {
        "gpt-4o": GPT_4O,
        "claude-sonnet-4-6": SONNET,
        "tts-1-hd": SPEECH,
        "whisper-1": WHISPER,
        "gpt-4o-mini": GPT_4O_MINI,
        "text-embedding-3-small": EMBEDDINGS,
        "claude-haiku-4-5": HAIKU,
        "gpt-4.1-mini": GPT_41_MINI,
    },
    "feature": {
        "pitch": GPT_4O + SONNET + SPEECH,
        "summary": WHISPER + GPT_4O_MINI,
        "search": EMBEDDINGS + HAIKU + GPT_41_MINI,
    },
    "user": {
        "alice": (GPT_4O + SONNET + SPEECH) / 2 + WHISPER + GPT_4O_MINI,
        "bob": (GPT_4O + SONNET + SPEECH) / 2 + EMBEDDINGS + HAIKU + GPT_41_MINI,
    },
}
TOTAL = sum(EXPECTED["model"].values(), Decimal(0))
AGENT = 8 * GPT_4O / 2
"""Eight calls of the agent: a ninth would not fit into its 20 cents."""
LATER = {"model": {"gpt-4o": GPT_4O + AGENT}, "feature": {"agent": AGENT}, "user": {"carol": AGENT}}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run the demo once: its ledger, and what it printed."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = subprocess.run(
        [sys.executable, str(DEMO), "--keep", "kept"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return elsewhere / "kept" / "ledger.db", done.stdout


@pytest.mark.parametrize("dimension", EXPECTED)
def test_the_ledger_holds_exactly_what_the_calls_cost(ran: tuple[Path, str], dimension: str) -> None:
    """By model, by feature and by user, to the nano-dollar."""
    aicost = [str(Path(sys.executable).with_name("aicost")), "report", "--ledger", str(ran[0])]
    told = subprocess.run([*aicost, "--by", dimension, "--format", "json"], capture_output=True, text=True, check=True)
    document = json.loads(told.stdout)
    found = {group[dimension]: Decimal(group["cost_usd"]) for group in document["groups"]}
    assert found == {**EXPECTED[dimension], **LATER[dimension]}
    assert Decimal(document["total"]["cost_usd"]) == TOTAL + AGENT
    assert (document["total"]["calls"], document["trust"]["estimated"]) == (21, 1)


@pytest.mark.parametrize("dimension", EXPECTED)
def test_the_printed_tables_show_the_same(ran: tuple[Path, str], dimension: str) -> None:
    """The first amount of each row is its cost, rounded no further than it is printed."""
    table = ran[1].partition(f"$ aicost report --by {dimension}\n")[2].partition("\n  $ aicost")[0]
    for name, expected in {**EXPECTED[dimension], "total": TOTAL}.items():
        row = re.search(rf"^\W*{re.escape(name)}\s.*?\$([\d.,]+)", table, re.MULTILINE)
        assert row, f"no row for {name} in\n{table}"
        printed = Decimal(row[1].replace(",", ""))
        assert printed == expected.quantize(printed)
        assert abs(printed - expected) < Decimal("0.005")


def test_one_price_is_explained(ran: tuple[Path, str]) -> None:
    """The call to Claude: its model, its three prices and its total are all there."""
    explained = ran[1].partition("$ aicost prices explain ")[2].replace(",", "")
    words = explained.replace("$", "").split()
    assert {"10000", "2000", "800", "0.003", "0.006", "0.012", "0.021"} <= set(words)
    assert "claude-sonnet-4-6" in explained


def test_a_budget_is_warned_about_and_a_call_is_blocked(ran: tuple[Path, str]) -> None:
    """The agent's ninth call is not sent, that and half of the day's budget are told of once, and nothing else is."""
    costs, _, budgets = ran[1].partition("Now an agent that never stops.")
    assert "    otel-aicost" not in costs
    blocked, reached = sorted(re.findall(r"otel-aicost: (.*)", budgets))
    assert blocked.startswith("A call was blocked by budget agent-run of nightly-7: 0.19 USD spent")
    assert reached.startswith("Budget everything has reached 50% of its limit: ")
    assert "stopped after 8 claims: budget agent-run of nightly-7: 0.19 USD spent" in budgets
    assert len(re.findall(r"^.*BudgetExceeded.*job=nightly-7.*$", budgets, re.MULTILINE)) == 1


def test_the_readme_shows_what_the_demo_prints(ran: tuple[Path, str]) -> None:
    """Every line of the readme's tables is a line of the demo."""
    readme = (DEMO.parents[1] / "README.md").read_text()
    shown = re.search(r"```\n(\$ aicost report --by model\n.*?)```", readme, re.DOTALL).group(1)
    printed = {line.strip() for line in ran[1].splitlines()}
    lines = [line.strip() for line in shown.splitlines() if not line.startswith("What AI calls cost")]
    assert len(lines) > 15
    assert [line for line in lines if line not in printed] == []
