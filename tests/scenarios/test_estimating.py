"""What scenarios cost, to the nano-dollar; the same calls through the pipeline; and the budgets recommended."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

import otel_aicost
from otel_aicost import instrumentor
from otel_aicost.budgets.reading import parse as parse_budgets
from otel_aicost.config import Settings
from otel_aicost.ledger.queries import Query
from otel_aicost.ledger.questions import Filter
from otel_aicost.ledger.reader import open_ledger
from otel_aicost.model import Unpriced
from otel_aicost.prices.base import Base
from otel_aicost.prices.catalogue import Catalogue, load_supplement
from otel_aicost.scenarios.estimating import budgets_yaml, estimated, limit_for
from otel_aicost.scenarios.reading import parse, read_scenarios

EXAMPLES = Path(__file__).parents[2] / "examples" / "scenarios"
DOLLAR = 10**9
NOW = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp()) * DOLLAR


@pytest.fixture(scope="module")
def catalogue():
    return Catalogue(Base(), load_supplement(), version="test")


@pytest.fixture(scope="module")
def examples(catalogue):
    """Every scenario of the examples by its name, estimated."""
    return {
        scenario.name: estimated(scenario, catalogue, 0)
        for file in EXAMPLES.glob("*.yaml")
        for scenario in read_scenarios(file)
    }


def one(catalogue, call, headroom=20, **scenario):
    told = "".join(f", {key}: {value}" for key, value in scenario.items())
    (read,) = parse(f"scenarios: [{{name: s, sessions_per_month: 10, calls: [{{{call}}}]{told}}}]".encode(), "s.yaml")
    return estimated(read, catalogue, NOW, headroom)


@pytest.mark.parametrize(
    ("name", "sessions", "session", "month"),
    [
        # Whisper 0.06, GPT-4o 0.00625 + 0.03, speech 0.03, realtime 0.01 + 0.06 + 0.30 + 1.20
        ("casual", 5, "1.69625", "8.48125"),
        # 0.18, 0.0125 + 0.06, 0.09, 0.04 + 0.20 + 0.90 + 3.60
        ("producer", 20, "5.0825", "101.65"),
        # 0.36, 0.025 + 0.12, 0.15, 0.075 + 0.40 + 1.80 + 7.20
        ("studio", 100, "10.13", "1013"),
    ],
)
def test_the_monthly_scenarios(examples, name, sessions, session, month):
    """Exactly what was worked out by hand."""
    found = examples[name]
    assert found.scenario.sessions == sessions
    assert Decimal(found.session_nano) / DOLLAR == Decimal(session)
    assert Decimal(found.month_nano) / DOLLAR == Decimal(month)


def test_a_conversation(examples):
    """10K and 15K tokens of text, 5.5 and 7.2 minutes of audio: 0.05 + 0.30 + 0.33 + 1.728."""
    (line,) = examples["conversation"].lines
    assert line.price.total == Decimal("2.408000")
    assert [part.amount for part in line.price.parts] == [Decimal(n) for n in ("0.33", "1.728", "0.05", "0.3")]


@pytest.fixture
def ledger(tmp_path):
    """A pipeline that writes into a ledger of its own."""
    path = tmp_path / "ledger.db"
    instrumentor.start(Settings(ledger=path, config=None))
    yield path
    instrumentor.stop()


@pytest.mark.parametrize(("name", "calls", "dollars"), [("typical", 5, "1.79375"), ("conversation", 1, "2.408")])
def test_a_session_costs_the_same_when_it_is_made(ledger, examples, name, calls, dollars):
    """The calls of an estimate, recorded one by one: records, ledger and estimate are the same to the nano-dollar."""
    planned = examples[name]
    started = datetime.fromisoformat(planned.scenario.date).replace(tzinfo=UTC)

    made = [
        otel_aicost.record(call.provider, call.model, call.usage, conditions=call.conditions, started=started)
        for call in (line.call for line in planned.lines)
    ]
    assert otel_aicost.flush()

    assert [record.cost.total for record in made] == [line.price.total for line in planned.lines]
    assert sum(record.cost.total for record in made) == Decimal(dollars)
    opened = open_ledger(ledger)
    with opened.read() as connection:
        total = Query(opened, connection).totals(Filter())
    assert (total.calls, total.cost_nano) == (calls, planned.session_nano)
    assert planned.session_nano == Decimal(dollars) * DOLLAR


def test_calls_are_multiplied_and_priced_at_their_date(catalogue):
    """`count` calls a session; a scenario of the past costs what it cost then, one without a date what it costs now."""
    call = "provider: openai, model: gpt-4o, usage: {input_tokens: 1M, output_tokens: 1M}, count: 3"

    assert one(catalogue, call).month_nano == 375 * DOLLAR
    assert one(catalogue, call, date="2024-06-01").month_nano == 600 * DOLLAR


def test_what_has_no_price_is_never_zero(catalogue):
    """It is told apart, sums are of the rest, and no budget is recommended."""
    found = one(catalogue, "provider: openai, model: gpt-99, usage: {input_tokens: 1M}")

    (line,) = found.unpriced
    assert line.nano is None
    assert isinstance(line.price, Unpriced)
    assert (found.session_nano, found.advice, budgets_yaml([found])) == (0, None, None)


def test_what_is_free_costs_nothing_and_needs_no_budget(catalogue):
    """Zero is a price where a list says so."""
    found = one(catalogue, "provider: ollama, model: llama3, usage: {input_tokens: 1M}")

    assert (found.unpriced, found.month_nano, found.advice) == ((), 0, None)


@pytest.mark.parametrize(
    ("month", "headroom", "limit"),
    [
        ("8.48125", 20, "11"),
        ("101.65", 20, "130"),
        ("1013", 20, "1300"),
        ("10", 20, "12"),  # nothing to round
        ("10.000000001", 20, "13"),
        ("83.333333333", 20, "100"),
        ("0.37", 20, "0.45"),
        ("0.05", 20, "0.06"),
        ("0.000000001", 20, "0.01"),
        ("100", 0, "100"),
        ("100", 100, "200"),
    ],
)
def test_limits(month, headroom, limit):
    """Expected and headroom, rounded up to two digits, and to whole cents; never rounded down."""
    assert limit_for(int(Decimal(month) * DOLLAR), headroom) == Decimal(limit) * DOLLAR


@pytest.mark.parametrize("dollars", [*range(1, 120, 7), 999, 1001, 123_456])
def test_an_expected_month_warns_of_half_only(dollars):
    """With the usual headroom the second threshold lies above what is expected, the first below."""
    share = Decimal(dollars) / (Decimal(limit_for(dollars * DOLLAR)) / DOLLAR)
    assert Decimal("0.5") < share < Decimal("0.9")


def test_the_budgets_can_be_pasted(examples):
    """What is recommended is a file of budgets: for the scenario's tags, with its limit and thresholds."""
    plan = parse_budgets(budgets_yaml([examples[n] for n in ("casual", "producer", "studio")]).encode(), "aicost.yaml")

    assert [(budget.name, budget.limits[0]) for budget in plan.budgets] == [
        ("casual-month", 11 * DOLLAR),
        ("producer-month", 130 * DOLLAR),
        ("studio-month", 1300 * DOLLAR),
    ]
    assert [dict(budget.match.tags) for budget in plan.budgets] == [
        {"plan": "casual"},
        {"plan": "producer"},
        {"plan": "studio"},
    ]
    assert {(budget.period.kind, budget.alert_at) for budget in plan.budgets} == {
        ("month", (Decimal("0.5"), Decimal("0.9"), Decimal(1)))
    }


@pytest.mark.parametrize("tag", ["true", "12", "a: b", "x'y", "ü", "[1]"])
def test_tags_survive_the_yaml(catalogue, tag):
    """Whatever a tag is, the budget matches it and nothing else."""
    found = one(catalogue, "provider: openai, model: gpt-4o, usage: {input_tokens: 1M}", tags=f'{{plan: "{tag}"}}')

    (budget,) = parse_budgets(budgets_yaml([found]).encode(), "aicost.yaml").budgets
    assert dict(budget.match.tags) == {"plan": tag}
