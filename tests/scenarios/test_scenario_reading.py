"""Files of scenarios: what they hold once read, and every mistake in them."""

from __future__ import annotations

import pytest

from otel_aicost.errors import ScenarioFileError
from otel_aicost.scenarios.reading import parse, read_scenarios
from otel_aicost.scenarios.scenario import PlannedCall, Scenario

WHOLE = """\
date: 2026-06-01
note: what the sales team asked for
scenarios:
  - name: small
    sessions_per_month: 1_000
    conditions: {service_tier: flex}
    tags: {plan: small}
    calls:
      - {name: ask, provider: openai, model: gpt-5, usage: {input_tokens: 2.5K, output_tokens: 300}, count: 3}
      - {provider: openai, model: gpt-5, usage: {input_tokens: 10}, conditions: {service_tier: priority, x: "1"}}
  - {name: large, sessions_per_month: 1, date: 2024-06-01, calls: [{provider: p, model: m, usage: {own_meter: 1.5}}]}
"""


def mistakes(text):
    with pytest.raises(ScenarioFileError) as caught:
        parse(text.encode(), "s.yaml")
    return list(caught.value.mistakes)


def test_a_file_is_read():
    """Usage in the unit of its meter; conditions of the scenario hold for calls that do not say otherwise."""
    small, large = parse(WHOLE.encode(), "s.yaml")

    assert (small.name, small.sessions, small.date, dict(small.tags)) == (
        "small",
        1000,
        "2026-06-01",
        {"plan": "small"},
    )
    assert small.calls == (
        PlannedCall(
            "ask", "openai", "gpt-5", {"input_tokens": 2500, "output_tokens": 300}, 3, {"service_tier": "flex"}
        ),
        PlannedCall("gpt-5", "openai", "gpt-5", {"input_tokens": 10}, 1, {"service_tier": "priority", "x": "1"}),
    )
    assert (large.date, float(large.calls[0].usage["own_meter"])) == ("2024-06-01", 1.5)
    assert isinstance(large, Scenario)


def test_every_mistake_is_told_at_once_with_its_line():
    """In the order of the file; what is right in it does not hide what is wrong."""
    told = mistakes("""\
date: tomorrow
scenario: []
scenarios:
  - name: not good
    sessions_per_month: 0
    calls:
      - {provider: openai, model: gpt-4o, usage: {input_tokns: 10, output_tokens: 10 min}}
      - {provider: openai, usage: {}, cuont: 2}
      - 7
  - {name: twice, sessions_per_month: 1.5, calls: [], tags: {"": x}}
  - {name: twice, sessions_per_month: 5, calls: [{provider: p, model: m, count: 0, usage: {input_tokens: -1}}]}
  - {name: twice, sessions_per_month: 5, calls: nothing}
  - {name: good, sessions_per_month: 5, calls: [{provider: p, model: m, usage: {requests: 1}}]}
""")
    assert told == [
        "s.yaml:1: date: must be a day such as 2026-11-21 (UTC) and not 'tomorrow'",
        "s.yaml:2: scenario: unknown key; is it `scenarios`?",
        "s.yaml:4: scenarios[0].name: must be letters, digits, `_`, `-` and `.`, at most 58, and not 'not good'",
        "s.yaml:5: scenarios[0].sessions_per_month: must be a whole number from 1 on and not '0'",
        "s.yaml:7: scenarios[0].calls[0].usage.input_tokns: unknown meter; is it `input_tokens`?",
        "s.yaml:7: scenarios[0].calls[0].usage.output_tokens: '10 min' is in min, and output_tokens is not",
        "s.yaml:8: scenarios[0].calls[1].cuont: unknown key; is it `count`?",
        "s.yaml:8: scenarios[0].calls[1].model: is missing",
        "s.yaml:8: scenarios[0].calls[1].usage: must be a mapping of meters to quantities, such as {input_tokens: 2.5K}",
        "s.yaml:9: scenarios[0].calls[2]: must be a mapping with provider, model, usage",
        "s.yaml:10: scenarios[1].sessions_per_month: must be a whole number such as 20 and not '1.5'",
        "s.yaml:10: scenarios[1].tags: is empty",
        "s.yaml:10: scenarios[1].calls: is empty; it needs one call at least",
        "s.yaml:11: scenarios[2].calls[0].count: must be a whole number from 1 on and not '0'",
        "s.yaml:11: scenarios[2].calls[0].usage.input_tokens: must be a quantity such as 2500, 2.5K or 1M, 0 or more, and not '-1'",
        "s.yaml:12: scenarios[3].calls: must be a list",
        "s.yaml:12: scenarios[3].name: 'twice' is the name of the one on line 11 already; give it another",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "s.yaml:1: file: is empty; it needs `scenarios`"),
        ("scenarios: []", "s.yaml:1: scenarios: is empty; it needs one scenario at least"),
        ("- 1", "s.yaml:1: file: must be a mapping with scenarios"),
        ("scenarios:\n  - {name: a, sessions_per_month: 1}", "s.yaml:2: scenarios[0].calls: is missing"),
    ],
)
def test_files_that_hold_nothing(text, told):
    """What a file needs is said."""
    assert mistakes(text) == [told]


def test_what_is_no_yaml_is_said_with_its_line():
    """In the words of the parser."""
    (told,) = mistakes("scenarios:\n  - {name: a\n  - {name: b}\n")
    assert told.startswith("s.yaml:3: file: is not YAML: ")


def test_a_file_that_is_not_there_is_said(tmp_path):
    """By its name, as other mistakes."""
    with pytest.raises(ScenarioFileError, match=r"nowhere.yaml:1: file: cannot be read: No such file"):
        read_scenarios(tmp_path / "nowhere.yaml")
