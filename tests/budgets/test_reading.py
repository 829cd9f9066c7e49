"""Reading aicost.yaml: what it may say, and how every mistake is told at once."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from otel_aicost.budgets.budget import Budget, Limits, Match, Plan
from otel_aicost.budgets.reading import parse, read_budgets
from otel_aicost.budgets.window import Period
from otel_aicost.errors import BudgetFileError

SCHEMA = json.loads(resources.files("otel_aicost.budgets").joinpath("aicost.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
DOLLAR = 10**9
FILE = """
timezone: Europe/Berlin
budgets:
  - {name: company-month, limit: 1000 USD, period: month, alert_at: [0.5, 0.8, 1.0]}
  - {name: user-day, per: [user], limit: 50 USD, tokens: 200000, period: day, on_exceed: block, mode: strict, overrides: {alice: 100 USD}}
  - {name: analysis, per: [analysis_id], limit: 5 USD, period: forever, on_exceed: block}
  - {name: agent-run, per: [trace], limit: 2 USD, period: forever, on_exceed: block}
  - {name: gpt-4-cap, match: {provider: openai, model: "gpt-4*"}, limit: 20 USD, period: week, on_exceed: warn}
  - {name: one-call, limit: 0.50 USD, period: call, on_exceed: block}
"""


def one(**keys):
    """A file with one budget."""
    told = {"name": "b", "limit": "1 USD", "period": "day", **keys}
    inner = ", ".join(f"{key}: {value}" for key, value in told.items() if value is not None)
    return f"budgets: [{{{inner}}}]"


def read(text):
    return parse(text.encode(), "f.yaml")


def test_the_budgets_of_the_documentation_are_read():
    """Every kind of budget comes out as it was written."""
    month, day, work, run, cap, call = read(FILE).budgets

    assert month == Budget(
        "company-month",
        Period("month"),
        Limits(1000 * DOLLAR),
        alert_at=(Decimal("0.5"), Decimal("0.8"), Decimal("1.0")),
        timezone="Europe/Berlin",
    )
    assert (day.limits, day.per, day.mode, day.blocks) == (Limits(50 * DOLLAR, 200_000), ("user",), "strict", True)
    assert day.overrides == {"alice": Limits(100 * DOLLAR, 200_000)}
    assert (work.period, run.per) == (Period("forever"), ("trace",))
    assert (cap.match, cap.blocks) == (Match("openai", "gpt-4*"), False)
    assert (call.period, call.limits) == (Period("call"), Limits(DOLLAR // 2))


def test_a_plan_has_the_time_zone_of_its_file():
    """What is shown by calendar periods is shown in the file's time zone, and in UTC where it names none."""
    assert read(FILE).timezone == "Europe/Berlin"
    assert read(one()).timezone == Plan().timezone == "UTC"


def test_the_schema_agrees_with_the_reader():
    """The JSON schema for editors is one, and takes what the reader takes."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(yaml.safe_load(FILE))
    keys = set(SCHEMA["$defs"]["budget"]["properties"])
    with pytest.raises(BudgetFileError) as raised:
        read(one(zzzzzz=1))
    assert set(re.findall(r"\w+", raised.value.mistakes[0].split("known: ")[1])) == keys


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"limit": 0}, {"limits": Limits(0)}),
        ({"limit": "$0.25"}, {"limits": Limits(DOLLAR // 4)}),
        ({"limit": 1.10}, {"limits": Limits(1_100_000_000)}),
        ({"limit": "1_000 usd"}, {"limits": Limits(1000 * DOLLAR)}),
        ({"limit": None, "calls": 5}, {"limits": Limits(calls=5)}),
        ({"per": "user"}, {"per": ("user",)}),
        ({"period": "week", "week_start": "sunday"}, {"period": Period("week", week_start=6)}),
        ({"period": "year", "year_start": '"04-06"'}, {"period": Period("year", year_start=(4, 6))}),
        ({"period": "rolling 30d"}, {"period": Period("rolling", rolling_seconds=30 * 86_400)}),
        ({"on_unpriced": "assume 0.01 USD"}, {"on_unpriced": "assume", "assumed_nano": 10_000_000}),
        ({"on_unpriced": "block"}, {"on_unpriced": "block"}),
        ({"on_store_down": "closed"}, {"on_store_down": "closed"}),
        ({"on_store_down": "local"}, {"on_store_down": "local"}),
        ({"on_exceed": "{fallback: gpt-4o-mini}"}, {"on_exceed": "fallback", "fallback": "gpt-4o-mini"}),
        ({"on_exceed": '"fallback: gpt-4o-mini"'}, {"on_exceed": "fallback", "fallback": "gpt-4o-mini"}),
        (
            {"on_exceed": '"Fallback:us.anthropic.claude-3-haiku-20240307-v1:0"'},
            {"on_exceed": "fallback", "fallback": "us.anthropic.claude-3-haiku-20240307-v1:0"},
        ),
        ({"on_exceed": "block"}, {"on_exceed": "block", "fallback": None}),
        ({"timezone": "Asia/Tokyo"}, {"timezone": "Asia/Tokyo"}),
        ({"match": "{tags: {team: search}}"}, {"match": Match(tags={"team": "search"})}),
        (
            {"per": "user", "overrides": "{bob: {calls: 3}}"},
            {"overrides": {"bob": Limits(DOLLAR, None, 3)}, "per": ("user",)},
        ),
    ],
)
def test_each_key_is_read(keys, expected):
    """A key ends up in the budget, and the schema takes it too."""
    (budget,) = read(one(**keys)).budgets
    assert {name: getattr(budget, name) for name in expected} == expected
    VALIDATOR.validate(yaml.safe_load(one(**keys)))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"limit": "lots"}, "b[0].limit: must be an amount of dollars"),
        ({"limit": -1}, "b[0].limit: must be an amount of dollars"),
        ({"limit": "50 EUR"}, "b[0].limit: must be an amount of dollars"),
        ({"limit": "0.0000000001 USD"}, "b[0].limit: must be an amount of dollars"),
        ({"limit": ".inf"}, "b[0].limit: must be an amount of dollars"),
        ({"limit": "2000000000 USD"}, "b[0].limit: must be an amount of dollars"),
        ({"limit": "true"}, "b[0].limit: must be an amount such as 50 USD and not 'true'"),
        ({"limit": None}, "b[0]: needs one of `limit`, `tokens` and `calls` at least"),
        ({"limits": "1 USD"}, "b[0].limits: unknown key; is it `limit`?"),
        ({"tokens": -5}, "b[0].tokens: must be a whole number"),
        ({"calls": 1.5}, "b[0].calls: must be a whole number"),
        ({"period": "daily"}, "b[0].period: must be one of call, hour, day"),
        ({"period": None}, "b[0].period: is missing"),
        ({"name": "a b"}, "b[0].name: must be letters"),
        ({"on_exceed": "stop"}, "b[0].on_exceed: must be one of warn, block, {fallback: MODEL} and not 'stop'"),
        ({"on_exceed": "fallback"}, "b[0].on_exceed: must be one of warn, block, {fallback: MODEL} and not 'fallback'"),
        (
            {"on_exceed": "'fallback:'"},
            "b[0].on_exceed: must be one of warn, block, {fallback: MODEL} and not 'fallback:'",
        ),
        ({"on_exceed": "{fallback: ''}"}, "b[0].on_exceed: is empty"),
        ({"on_exceed": "{fallback: [a, b]}"}, "b[0].on_exceed: must be text"),
        ({"on_exceed": "{fallback: a, block: b}"}, "b[0].on_exceed: must be one of warn, block, {fallback: MODEL}"),
        ({"on_exceed": "{}"}, "b[0].on_exceed: must be one of warn, block, {fallback: MODEL}"),
        ({"on_store_down": "remote"}, "b[0].on_store_down: must be one of open, closed, local and not 'remote'"),
        ({"mode": "fast"}, "b[0].mode: must be one of balanced, strict"),
        ({"alert_at": "[0]"}, "b[0].alert_at: must be a list of shares"),
        ({"alert_at": "0.5"}, "b[0].alert_at: must be a list of shares"),
        ({"alert_at": "[.nan]"}, "b[0].alert_at: must be a list of shares"),
        ({"overrides": "{alice: 1 USD}"}, "b[0].overrides: needs `per`"),
        ({"per": "user", "overrides": "{alice: much}"}, "b[0].overrides.alice: must be an amount of dollars"),
        ({"per": "[user, user]"}, "b[0].per: names the same thing twice"),
        ({"per": "[a b]"}, "b[0].per: 'a b' is neither"),
        ({"on_unpriced": "assume"}, "b[0].on_unpriced: after `assume` must be an amount"),
        ({"on_unpriced": "allow 1"}, "b[0].on_unpriced: must be allow, warn, block"),
        ({"timezone": "Berlin"}, "b[0].timezone: is no time zone: 'Berlin'"),
        ({"week_start": "monday"}, "b[0].week_start: goes with `period: week` only"),
        ({"period": "year", "year_start": '"02-29"'}, "b[0].year_start: must be a month and a day that every year has"),
        ({"match": "{colour: red}"}, "b[0].match.colour: unknown key"),
    ],
)
def test_a_mistake_names_file_line_and_key(keys, said):
    """Whatever is wrong is told with its place and how to mend it, and nothing else is."""
    with pytest.raises(BudgetFileError) as raised:
        read(one(**keys))
    assert [
        text.startswith("f.yaml:1: " + said.replace("b[0]", "budgets[0]", 1)) for text in raised.value.mistakes
    ] == [True], raised.value.mistakes


def test_all_mistakes_are_told_at_once_in_order():
    """Mistakes of several budgets come together, by line; two budgets of one name are one of them."""
    text = """timezone: Mars
budgets:
  - {name: a, limit: 1 USD, period: day}
  - {name: a, limit: 2 USD, period: moon}
  - {name: a, limit: 2 USD, period: day}
"""
    with pytest.raises(BudgetFileError) as raised:
        read(text)
    places = [mistake.split(": ")[0] + " " + mistake.split(": ")[1] for mistake in raised.value.mistakes]
    assert places == ["f.yaml:1 timezone", "f.yaml:4 budgets[1].period", "f.yaml:5 budgets[2].name"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f.yaml:1: file: is empty"),
        ("- a", "f.yaml:1: file: must be a mapping with budgets"),
        ("budgets: }", "f.yaml:1: file: is not YAML"),
        ("budgets: 3", "f.yaml:1: budgets: must be a list"),
        ("timezone: UTC", "f.yaml:1: budgets: is missing"),
        ("lease_seconds: 0\nbudgets: []", "f.yaml:1: lease_seconds: must be from 1 to 3600"),
    ],
)
def test_a_file_that_is_none_is_refused(text, said):
    """What is no file of budgets is told as such."""
    with pytest.raises(BudgetFileError) as raised:
        read(text)
    assert raised.value.mistakes[0].startswith(said)


def test_the_lease_is_read():
    """The lease of reservations is one for all budgets."""
    assert read("lease_seconds: 1.5\nbudgets: []") == Plan((), 1.5)


def test_a_file_that_cannot_be_read_is_told():
    """A missing file is a mistake like any other."""
    with pytest.raises(BudgetFileError, match=r"nowhere\.yaml:1: file: cannot be read"):
        read_budgets(Path("/nowhere.yaml"))


DOCUMENTS = Path(__file__).parents[2] / "docs"
SHOWN = [
    (document.name, block)
    for document in sorted(DOCUMENTS.glob("*.md"))
    for block in re.findall(r"```yaml\n(.*?)```", document.read_text(), re.DOTALL)
    if re.search(r"^(budgets|alerts):", block, re.MULTILINE)
]


@pytest.mark.parametrize(("name", "block"), SHOWN, ids=[f"{name} {number}" for number, (name, _) in enumerate(SHOWN)])
def test_what_the_documents_show_is_right(name, block):
    """Every file of budgets in the documents can be read as it stands there, and an editor finds it right too."""
    plan = parse(block.encode(), name)
    assert plan.budgets or plan.alerts
    assert list(VALIDATOR.iter_errors(yaml.safe_load(block))) == []
