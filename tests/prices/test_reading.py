"""Reading price files: what they may say, and how every mistake is told at once."""

from __future__ import annotations

import json
from decimal import Decimal
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from otel_aicost.errors import PriceFileError
from otel_aicost.prices.catalogue import load_supplement
from otel_aicost.prices.files import Pattern
from otel_aicost.prices.reading import parse, read_price_file

PACKAGE = resources.files("otel_aicost.prices")
SCHEMA = json.loads(PACKAGE.joinpath("price_file.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

RATE = '{meter: input_tokens, price: "1", per: 1000}'
PERIOD = f"{{from: 2026-01-01, rates: [{RATE}]}}"


def file_with(entry="", adjustment="", head="schema: 1"):
    text = head
    text += f"\nmodels: [{entry}]" if entry else ""
    return text + (f"\nadjustments: [{adjustment}]" if adjustment else "")


def entry(periods=f"[{PERIOD}]", **keys):
    told = {"provider": "openai", "model": "gpt-x", "periods": periods, **keys}
    return "{" + ", ".join(f"{key}: {value}" for key, value in told.items() if value is not None) + "}"


def rated(rate):
    return file_with(entry(f"[{{from: 2026-01-01, rates: [{rate}]}}]"))


def mistakes(text):
    with pytest.raises(PriceFileError) as caught:
        parse(text.encode(), "prices.yaml")
    return list(caught.value.mistakes)


def plain(text):
    """The YAML as JSON has it: days as text."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def test_all_mistakes_are_told_at_once_with_file_line_and_key():
    """Seven mistakes on seven lines, in the order of the lines."""
    text = """schema: 1
currency: EUR
modells: []
models:
  - provider: openai
    model: gpt-4o
    periods:
      - from: 2024-02-30
        rates:
          - {meter: input_tokens, price: 2.50, per: 1_000_000}
          - meter: output_tokens
            price: "ten"
adjustments:
  - provider: "*"
    from: 2026-01-01
    multiply: "-1"
"""
    expected = 'must be a number in quotes such as "2.50", 0 or more, and not'
    assert mistakes(text) == [
        "prices.yaml:2: currency: must be USD, and not 'EUR'",
        "prices.yaml:3: modells: unknown key; is it `models`?",
        "prices.yaml:8: models[0].periods[0].from: must be a day such as 2026-11-21 (UTC) and not '2024-02-30'",
        'prices.yaml:10: models[0].periods[0].rates[0].price: must be in quotes, so that no digit is lost: "2.50"',
        "prices.yaml:11: models[0].periods[0].rates[1].per: is missing",
        f"prices.yaml:12: models[0].periods[0].rates[1].price: {expected} 'ten'",
        f"prices.yaml:16: adjustments[0].multiply: {expected} '-1'",
    ]


WRONG = [
    ("", "file: is empty"),
    ("[]", "file: must be a mapping"),
    ("models: []", "schema: is missing"),
    ("schema: 2", "schema: must be 1"),
    ('schema: "1"', "schema: must be 1"),
    ("schema: 1\nmodels: {}", "models: must be a list"),
    ("schema: 1\nmodels: [3]", "models[0]: must be a mapping"),
    ("schema: 1\nadjustments: 3", "adjustments: must be a list"),
    (file_with(entry(provider=None)), "provider: is missing"),
    (file_with(entry(model=None)), "model: is missing"),
    (file_with(entry(periods=None)), "periods: is missing"),
    (file_with(entry(periods="[]")), "periods: is empty"),
    (file_with(entry(model="3.5")), "model: must be text, in quotes"),
    (file_with(entry(model="''")), "model: is empty"),
    (file_with(entry(model="{prefix: a, regex: b}")), "model: must be a name, {prefix: ...} or {regex: ...}"),
    (file_with(entry(model="{glob: a}")), "model: must be a name, {prefix: ...} or {regex: ...}"),
    (file_with(entry(model="[a]")), "model: must be a name, {prefix: ...} or {regex: ...}"),
    (file_with(entry(checked="yesterday")), "checked: must be a day"),
    (file_with(entry(checked="2026-11-21T10:00:00")), "checked: must be a day"),
    (file_with(entry(add="3")), "add: must be true or false"),
    (file_with(entry(assume="{}")), "assume: must be a mapping of names to text"),
    (file_with(entry(assume="{size: 3}")), "assume: must be text"),
    (file_with(entry(colour="red")), "colour: unknown key"),
    (file_with(entry("[{from: 2026-01-01}]")), "needs one of `rates`, `defer: true` and `free: true`"),
    (file_with(entry(f"[{{from: 2026-01-01, free: true, rates: [{RATE}]}}]")), "needs one of `rates`"),
    (file_with(entry("[{from: 2026-01-01, free: false}]")), "free: can only be true"),
    (file_with(entry("[{from: 2026-01-01, rates: []}]")), "rates: is empty"),
    (file_with(entry("[{free: true}]")), "from: is missing"),
    (rated('{meter: input_tokens, price: "1"}'), "per: is missing"),
    (rated('{meter: input_tokens, price: "1", per: 0}'), "per: must be a whole number"),
    (rated('{meter: input_tokens, price: "1", per: 0.5}'), "per: must be a whole number"),
    (rated("{meter: input_tokens, price: 1, per: 1000}"), "price: must be in quotes"),
    (rated('{meter: input_tokens, price: "-1", per: 1000}'), "price: must be a number in quotes"),
    (rated('{meter: input_tokens, price: "NaN", per: 1000}'), "price: must be a number in quotes"),
    (rated('{meter: input_tokens, price: "$1", per: 1000}'), "price: must be a number in quotes"),
    (rated('{price: "1", per: 1000}'), "meter: is missing"),
    (rated('{meter: a, price: "1", per: 1, when: {}}'), "when: must be a mapping"),
    (rated('{meter: a, price: "1", per: 1, when: {tier: []}}'), "when: must be a list of text"),
    (rated('{meter: a, price: "1", per: 1, round: 0}'), "round: must be a number above 0"),
    (rated('{meter: a, price: "1", per: 1, minimum: x}'), "minimum: must be a number above 0"),
    (rated('{meter: a, price: "1", per: 1, tiers: [{above: 1}]}'), "tiers[0].price: is missing"),
    (file_with(adjustment='{provider: a, multiply: "1"}'), "from: is missing"),
    (file_with(adjustment="{provider: a, multiply: 0.5, from: 2026-01-01}"), "multiply: must be in quotes"),
    (file_with(adjustment='{provider: a, multiply: "1", from: 2026-01-01, meters: a}'), "meters: must be a list"),
]
WRONG_TO_US_ONLY = [
    ("schema: 1\nschema: 1", "schema: is given twice; keep one"),
    (file_with(entry(model="{regex: '('}")), "model: is no regular expression"),
    (rated('{meter: a, price: "1e12", per: 1}'), "price: must be a number in quotes"),
    (rated('{meter: a, price: "1e-20", per: 1}'), "price: must be a number in quotes"),
    (rated('{meter: a, price: "1", per: 1, tiers: [{above: 9, price: "1"}, {above: 2, price: "3"}]}'), "must ascend"),
    (rated(f"{RATE}, {RATE}"), "input_tokens has two rates under the same conditions"),
    (
        rated('{meter: a, price: "1", per: 1, when: {t: [x, y]}}, {meter: a, price: "2", per: 1, when: {t: y}}'),
        "a has two rates under the same conditions",
    ),
    (file_with(entry(f"[{PERIOD}, {PERIOD}]")), "2026-01-01 must come after 2026-01-01"),
    (
        file_with(adjustment='{provider: a, multiply: "1", from: 2026-01-01, to: 2026-01-01}'),
        "to: 2026-01-01 must come after",
    ),
    ("schema: 1\nmodels: [\n", "file: is not YAML"),
    ("schema: 1\nmodels: *nothing", "file: is not YAML"),
    ("a: \x00", "file: is not YAML"),
]


@pytest.mark.parametrize(("text", "said"), WRONG + WRONG_TO_US_ONLY)
def test_each_mistake_is_said(text, said):
    """A mistake names the key and how to mend it."""
    told = mistakes(text)
    assert any(said in mistake for mistake in told), told
    assert all(mistake.startswith("prices.yaml:") for mistake in told)


@pytest.mark.parametrize("text", [text for text, _ in WRONG])
def test_the_schema_refuses_what_we_refuse(text):
    """An editor with the JSON Schema marks the same files."""
    assert not VALIDATOR.is_valid(plain(text))


FINE = [
    "schema: 1",
    file_with(entry(f"[{PERIOD}, {{from: 2026-02-01, defer: true}}]", source="https://x", checked="2026-01-01")),
    file_with(entry("[{from: 2020-01-01, free: true}]", model="{regex: '.*'}", note="mine")),
    file_with(entry(model="{prefix: gpt-}", add="true", assume="{size: small}"), head="schema: 1\ncurrency: USD"),
    rated('{meter: a, price: "0.5", per: 1_000_000, tiers: [{above: 200_000, price: "1"}], unless: b, round: 1}'),
    rated('{meter: a, price: "5e-7", per: 1, when: {tier: [a, b], size: c}, minimum: "0.5"}'),
    file_with(
        adjustment='{provider: "*", model: {prefix: a}, when: {x: y}, from: 2026-01-01, to: 2027-01-01, '
        'multiply: "0.9", meters: [input_tokens], only_if_base_has_no_variant: true, source: s, checked: 2026-01-01}'
    ),
]


@pytest.mark.parametrize("text", FINE)
def test_good_files_are_read_and_pass_the_schema(text):
    """Every key there is, in files that both we and the schema accept."""
    parse(text.encode(), "prices.yaml")
    VALIDATOR.validate(plain(text))


def test_the_schema_is_a_schema_and_the_supplement_passes_it():
    """What we ship is right by its own rules."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(plain(PACKAGE.joinpath("supplement.yaml").read_text()))
    assert load_supplement().entries


def test_numbers_stay_exact():
    """A price is the decimal that was written, to the last digit."""
    told = parse(rated('{meter: a, price: "0.100000000000001", per: 3}').encode(), "f").entries[0]
    (rate,) = told.periods[0].rates
    assert (rate.price, rate.per) == (Decimal("0.100000000000001"), 3)


def test_json_is_yaml_too():
    """A price file may be JSON."""
    told = parse(json.dumps(plain(FINE[1])).encode(), "prices.json")
    assert told.entries[0].label == "openai/gpt-x"


def test_the_digest_tells_two_files_apart(tmp_path):
    """Eight digits of the file's SHA-256."""
    path = tmp_path / "prices.yaml"
    path.write_text("schema: 1")
    digest = read_price_file(path).digest
    path.write_text("schema: 1 ")
    assert len(digest) == 8
    assert read_price_file(path).digest != digest


def test_a_file_that_cannot_be_opened_is_a_mistake(tmp_path):
    """A missing file, and a directory."""
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(PriceFileError, match="cannot be read"):
            read_price_file(path)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (Pattern("exact", "GPT-4o"), "gpt-4o", "gpt-4o-mini"),
        (Pattern("prefix", "gpt-4o-"), "GPT-4o-mini", "gpt-4o"),
        (Pattern("regex", "gpt-[45]"), "gpt-5", "gpt-5-mini"),
    ],
)
def test_patterns(pattern, yes, no):
    """By name, by beginning, or by a regular expression that must match all of the name."""
    assert pattern.matches(yes)
    assert not pattern.matches(no)


def test_the_reader_is_the_one_the_documentation_shows():
    """The example in docs/prices.md can be used as it stands."""
    text = (Path(__file__).parents[2] / "docs" / "prices.md").read_text()
    blocks = [block.split("```")[0] for block in text.split("```yaml\n")[1:]]
    whole = [block for block in blocks if block.lstrip().startswith("schema: 1")]
    assert whole
    for block in whole:
        parse(block.encode(), "docs/prices.md")
        VALIDATOR.validate(plain(block))
