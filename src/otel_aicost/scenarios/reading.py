"""Reading a file of scenarios: YAML into Scenarios, with every mistake told at once by file, line and key."""

from __future__ import annotations

from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING

import yaml

from otel_aicost.budgets.reading import NAME
from otel_aicost.errors import ScenarioFileError
from otel_aicost.model import METERS, NO_CONDITIONS, NO_TAGS
from otel_aicost.prices.meters import DIMENSIONS
from otel_aicost.scenarios.quantities import quantity
from otel_aicost.scenarios.scenario import PlannedCall, Scenario
from otel_aicost.tags import KEY
from otel_aicost.yaml_file import Reader, WrongError, compose, day_of, line_of, pairs, read_bytes, scalar, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from otel_aicost.model import Quantity, Usage

LONGEST_NAME = 58
"""Of a scenario: its budget is called `NAME-month`."""
MOST = 10**9
ALIKE = 0.85
"""How much an unknown meter must be like a known one to be taken for a misspelling."""


def read_scenarios(path: Path) -> tuple[Scenario, ...]:
    """Read a file of scenarios; a `ScenarioFileError` lists every mistake in it."""
    return parse(read_bytes(path, ScenarioFileError), str(path))


def parse(raw: bytes, name: str) -> tuple[Scenario, ...]:
    """Read the bytes of a file called `name`; a `ScenarioFileError` lists every mistake."""
    reader = _Reader(name)
    scenarios = reader.file(compose(raw, name, ScenarioFileError))
    reader.done(ScenarioFileError)
    return scenarios


class _Reader(Reader):
    """Walks the nodes of a file of scenarios."""

    def file(self, root: yaml.Node | None) -> tuple[Scenario, ...]:
        if root is None:
            self.say(1, "file", "is empty; it needs `scenarios`")
            return ()
        fields = self.fields(root, "", ("scenarios",), ("date", "note"))
        self.value(fields, "", "note", text_of)
        date = self.value(fields, "", "date", day_of)
        told: list[Scenario] = []
        lines: dict[str, int] = {}
        for index, node in self.items(fields, "", "scenarios"):
            scenario = self.scenario(node, f"scenarios[{index}]", date)
            if scenario is None:
                continue
            if scenario.name in lines:
                what = (
                    f"{scenario.name!r} is the name of the one on line {lines[scenario.name]} already; give it another"
                )
                self.say(line_of(node), f"scenarios[{index}].name", what)
            lines.setdefault(scenario.name, line_of(node))
            told.append(scenario)
        self.not_empty(fields, "", "scenarios", "scenario")
        return tuple(told)

    def scenario(self, node: yaml.Node, at: str, date: str | None) -> Scenario | None:
        fields = self.fields(node, at, ("name", "sessions_per_month", "calls"), ("date", "conditions", "tags", "note"))
        name = self.value(fields, at, "name", _name)
        sessions = self.value(fields, at, "sessions_per_month", _whole)
        own = self.value(fields, at, "date", day_of)
        conditions = self.value(fields, at, "conditions", _strings) or NO_CONDITIONS
        tags = self.value(fields, at, "tags", _tags) or NO_TAGS
        self.value(fields, at, "note", text_of)
        calls = [self.call(n, f"{at}.calls[{i}]", conditions) for i, n in self.items(fields, at, "calls")]
        self.not_empty(fields, at, "calls", "call")
        if name is None or sessions is None:
            return None
        return Scenario(name, sessions, tuple(call for call in calls if call is not None), own or date, tags)

    def call(self, node: yaml.Node, at: str, usual: Mapping[str, str]) -> PlannedCall | None:
        fields = self.fields(node, at, ("provider", "model", "usage"), ("name", "count", "conditions", "note"))
        provider, model = self.value(fields, at, "provider", text_of), self.value(fields, at, "model", text_of)
        name, count = self.value(fields, at, "name", text_of), self.value(fields, at, "count", _whole)
        conditions = self.value(fields, at, "conditions", _strings) or NO_CONDITIONS
        self.value(fields, at, "note", text_of)
        usage = self.usage(fields, at)
        if provider is None or model is None:
            return None
        both = MappingProxyType({**usual, **conditions})
        return PlannedCall(name or model, provider, model, usage, 1 if count is None else count, both)

    def usage(self, fields: Mapping[str, yaml.Node], at: str) -> Usage:
        where = f"{at}.usage"
        told: dict[str, Quantity] = {}
        for meter, node in self.value(fields, at, "usage", _meters) or ():
            near = get_close_matches(meter, DIMENSIONS, 1, ALIKE) if meter not in DIMENSIONS else []
            if near:
                self.say(line_of(node), f"{where}.{meter}", f"unknown meter; is it `{near[0]}`?")
            elif meter in told:
                self.say(line_of(node), f"{where}.{meter}", "is given twice; keep one")
            amount = self.value({meter: node}, where, meter, lambda node, meter=meter: _quantity(node, meter))  # type: ignore[misc]
            if amount is not None:
                told[meter] = amount
        return MappingProxyType(told)

    def not_empty(self, fields: Mapping[str, yaml.Node], at: str, key: str, one: str) -> None:
        node = fields.get(key)
        if isinstance(node, yaml.SequenceNode) and not node.value:
            self.say(line_of(node), f"{at}.{key}" if at else key, f"is empty; it needs one {one} at least")


def _meters(node: yaml.Node) -> list[tuple[str, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode) or not node.value:
        msg = "must be a mapping of meters to quantities, such as {input_tokens: 2.5K}"
        raise WrongError(msg)
    return list(pairs(node))


def _quantity(node: yaml.Node, meter: str) -> Quantity:
    text = scalar(node, ("int", "float", "str"), f"a quantity of {METERS.get(meter, meter)}")
    try:
        return quantity(text, meter)
    except ValueError as error:
        raise WrongError(str(error)) from None


def _whole(node: yaml.Node) -> int:
    text = scalar(node, ("int",), "a whole number such as 20").replace("_", "")
    if not text.isdigit() or not 1 <= int(text) <= MOST:
        msg = f"must be a whole number from 1 on and not {text!r}"
        raise WrongError(msg)
    return int(text)


def _name(node: yaml.Node) -> str:
    text = text_of(node)
    if not NAME.fullmatch(text) or len(text) > LONGEST_NAME:
        msg = f"must be letters, digits, `_`, `-` and `.`, at most {LONGEST_NAME}, and not {text!r}"
        raise WrongError(msg)
    return text


def _strings(node: yaml.Node) -> Mapping[str, str]:
    return MappingProxyType({key: text_of(value) for key, value in pairs(node)})


def _tags(node: yaml.Node) -> Mapping[str, str]:
    tags = _strings(node)
    for key in tags:
        if not KEY.fullmatch(key):
            msg = f"{key!r} cannot be the key of a tag"
            raise WrongError(msg)
    return tags
