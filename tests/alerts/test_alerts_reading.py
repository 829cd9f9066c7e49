"""The section `alerts:` of aicost.yaml: what is read, and what every mistake says."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from otel_aicost import config
from otel_aicost.alerts.alert import KINDS
from otel_aicost.alerts.settings import (
    AlertSettings,
    Channel,
    ChannelError,
    ExpensiveModels,
    LowCacheShare,
    SpendSpike,
)
from otel_aicost.budgets.reading import parse, read_budgets
from otel_aicost.config import Settings
from otel_aicost.errors import BudgetFileError

SCHEMA = json.loads(resources.files("otel_aicost.budgets").joinpath("aicost.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SECRET = "json://user:tr0ub4dor@hooks.example.com/T0KEN"
EXAMPLE = """
timezone: Europe/Berlin
budgets: [{name: b, limit: 1 USD, period: day}]
alerts:
  channels:
    - {name: ops, url_env: OPS_SLACK_URL, severity: warning}
    - {name: all, url: "mailto://me:pw@example.com", severity: info, daily_summary: false}
    - {name: pager, url_file: secrets/pager, severity: critical}
  daily_summary: "08:00"
  low_cache_share: {below: 0.2, calls: 50}
  expensive_models: {models: ["gpt-5*", "claude-opus*"], above: 0.5, least: 10 USD}
  spend_spike: {times: 3, least: 2 USD}
  unpriced_calls: false
  stale_prices: 60d
"""


def read(text):
    return parse(text.encode(), "conf/aicost.yaml").alerts


def mistakes(text):
    with pytest.raises(BudgetFileError) as raised:
        read(text)
    return list(raised.value.mistakes)


def test_every_key_is_read():
    """What is written is what holds; the time zone is the file's, a file of a URL is beside it."""
    found = read(EXAMPLE)
    assert found == AlertSettings(
        channels=(
            Channel("ops", "warning", url_env="OPS_SLACK_URL"),
            Channel("all", "info", daily_summary=False, url="mailto://me:pw@example.com"),
            Channel("pager", "critical", url_file=Path("conf/secrets/pager")),
        ),
        daily_summary=8 * 60,
        low_cache_share=LowCacheShare(Decimal("0.2"), 50),
        expensive_models=ExpensiveModels(("gpt-5*", "claude-opus*"), Decimal("0.5"), 10 * 10**9),
        spend_spike=SpendSpike(Decimal(3), 2 * 10**9),
        unpriced_calls=False,
        stale_days=60,
        timezone="Europe/Berlin",
    )
    VALIDATOR.validate(yaml.safe_load(EXAMPLE))


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("alerts:", AlertSettings()),
        ("alerts: {}", AlertSettings()),
        ("alerts: {stale_prices: false}", AlertSettings(stale_days=None)),
        ("alerts: {low_cache_share: {below: 1}}", AlertSettings(low_cache_share=LowCacheShare(Decimal(1), 100))),
        ("alerts: {spend_spike: {times: 1.5}}", AlertSettings(spend_spike=SpendSpike(Decimal("1.5"), 10**9))),
        (
            "alerts: {expensive_models: {models: o3, above: 0.1}}",
            AlertSettings(expensive_models=ExpensiveModels(("o3",), Decimal("0.1"), 10**9)),
        ),
        ('alerts: {daily_summary: "0:05"}', AlertSettings(daily_summary=5)),
    ],
)
def test_what_is_left_out_has_a_default(section, expected):
    """A section by itself is a file too: nobody needs a budget to be warned."""
    assert read(section) == expected
    VALIDATOR.validate(yaml.safe_load(section))


@pytest.mark.parametrize("written", ["08:30", '"8:30"'])
def test_a_time_needs_no_quotes(written):
    """YAML takes some times for numbers; it is read as it was written."""
    assert read(f"alerts: {{daily_summary: {written}}}").daily_summary == 8 * 60 + 30
    assert read("alerts: {daily_summary: 10:30}").daily_summary == 10 * 60 + 30


def test_a_file_without_the_section_has_none():
    """Then nothing watches in an instrumented process."""
    assert read("budgets: []") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("channels: [{name: a}]", "channels[0]: needs one of `url`, `url_env` and `url_file`"),
        (f"channels: [{{name: a, url: '{SECRET}', url_env: A}}]", "channels[0]: needs one of `url`, `url_env`"),
        ("channels: [{url_env: A}]", "channels[0].name: is missing"),
        ("channels: [{name: a b, url_env: A}]", "channels[0].name: must be letters"),
        (
            "channels: [{name: a, url_env: A, severity: bad}]",
            "channels[0].severity: must be one of info, warning, critical",
        ),
        ("channels: [{name: a, url_env: A, daily_summary: often}]", "channels[0].daily_summary: must be true or false"),
        ("channels: {name: a}", "channels: must be a list"),
        ("daily_summary: 8", "daily_summary: must be a time of day"),
        ('daily_summary: "24:00"', "daily_summary: must be a time of day"),
        ("daily_summary: [1]", "daily_summary: must be a time of day"),
        ("low_cache_share: {}", "low_cache_share.below: is missing"),
        ("low_cache_share: {below: 0}", "low_cache_share.below: must be a share above 0 and up to 1"),
        ("low_cache_share: {below: 1.01}", "low_cache_share.below: must be a share above 0 and up to 1"),
        ("low_cache_share: {below: .nan}", "low_cache_share.below: must be a share from 0 to 1"),
        ("low_cache_share: {below: 0.1, calls: 0}", "low_cache_share.calls: must be a whole number from 1 on"),
        ("low_cache_share: 0.2", "low_cache_share: must be a mapping with below"),
        ("expensive_models: {above: 0.5}", "expensive_models.models: is missing"),
        ("expensive_models: {models: [], above: 0.5}", "expensive_models.models: must be a list of text"),
        ("expensive_models: {models: a, above: 0.5, least: much}", "expensive_models.least: must be an amount"),
        ("spend_spike: {times: 1}", "spend_spike.times: must be a number above 1 and up to 1000"),
        ("spend_spike: {times: many}", "spend_spike.times: must be a number above 1"),
        ("stale_prices: 30", "stale_prices: must be a number of days such as 30d"),
        ("stale_prices: 0d", "stale_prices: must be a number of days"),
        ("stale_prices: true", "stale_prices: must be a number of days"),
        ("unpriced_calls: maybe", "unpriced_calls: must be true or false"),
        ("spendspike: {times: 3}", "spendspike: unknown key; is it `spend_spike`?"),
    ],
)
def test_a_mistake_names_file_line_and_key(text, said):
    """Each is told with its place, and is the only one."""
    found = mistakes(f"budgets: []\nalerts:\n  {text}\n")
    assert [each.startswith(f"conf/aicost.yaml:3: alerts.{said}") for each in found] == [True], found
    assert "tr0ub4dor" not in str(found)


def test_two_channels_of_one_name_are_a_mistake():
    """The queue of messages is kept by that name."""
    text = "alerts:\n  channels:\n    - {name: a, url_env: A}\n    - {name: a, url_env: B}\n"
    assert mistakes(text) == [
        "conf/aicost.yaml:4: alerts.channels[1].name: 'a' is the name of another; give it its own"
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        "url: tr0ub4dor",
        "url: 'smtp.example.com/tr0ub4dor'",
        "url: [tr0ub4dor]",
        f"url_env: '{SECRET}'",
        "url: 'mailto://with space tr0ub4dor'",
    ],
)
def test_a_wrong_url_is_never_shown(wrong):
    """Whatever is there may be a password."""
    (said,) = mistakes(f"alerts: {{channels: [{{name: a, {wrong}}}]}}")
    assert "what is there is not shown" in said
    assert "tr0ub4dor" not in said


def test_a_channel_does_not_show_its_url():
    """Not in a repr, which ends up in logs and tracebacks."""
    assert "tr0ub4dor" not in repr(Channel("a", url=SECRET))
    assert "tr0ub4dor" not in repr(AlertSettings(channels=(Channel("a", url=SECRET),)))


def test_the_address_is_looked_up_when_it_is_needed(monkeypatch, tmp_path):
    """From the file itself, a variable, or another file; what is missing is said by its name."""
    place = tmp_path / "url"
    for channel, missing in (
        (Channel("a", url_env="A_URL"), "channel a: the variable A_URL is not set or empty"),
        (Channel("a", url_file=place), f"channel a: the file {place} cannot be read or is empty"),
        (Channel("a"), "channel a: it has no URL"),
    ):
        with pytest.raises(ChannelError) as raised:
            channel.address()
        assert str(raised.value) == missing
    monkeypatch.setenv("A_URL", f" {SECRET} ")
    place.write_text(f"{SECRET}\n")
    for channel in (Channel("a", url_env="A_URL"), Channel("a", url_file=place), Channel("a", url=SECRET)):
        assert channel.address() == SECRET


@pytest.mark.parametrize(
    ("severity", "wanted"),
    [("info", ["info", "warning", "critical"]), ("warning", ["warning", "critical"]), ("critical", ["critical"])],
)
def test_a_channel_wants_what_is_bad_enough(severity, wanted):
    """Its severity is the least."""
    assert list(Channel("a", severity).severities) == wanted


def test_the_page_tells_all_there_is():
    """Its example is read, and every key and kind is on it."""
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
    example = re.search(r"```yaml\n(.*?)```", page, re.DOTALL).group(1)
    found = read(example)
    assert len(found.channels) == 2
    assert None not in (found.daily_summary, found.low_cache_share, found.expensive_models, found.spend_spike)
    VALIDATOR.validate(yaml.safe_load(example))
    section = SCHEMA["$defs"]["alerts"]["properties"]
    keys = {*section, *section["channels"]["items"]["properties"]}
    for inner in section.values():
        keys |= set(inner.get("properties", ()))
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []
    assert [kind for kind in KINDS if f"| `{kind}` |" not in page] == []


def test_variables_leave_the_section_alone(tmp_path):
    """A limit in the environment beside a file with alerts: both hold."""
    file = tmp_path / "aicost.yaml"
    file.write_text("alerts: {unpriced_calls: false}")
    plan, found = config.load_budgets(Settings(config=file, daily_limit=Decimal(5)))
    assert (found, [budget.name for budget in plan.budgets]) == ([], ["daily"])
    assert plan.alerts == read_budgets(file).alerts == AlertSettings(unpriced_calls=False)
