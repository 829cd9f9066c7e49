"""Reading a price file: YAML into a PriceFile, with every mistake told at once by file, line and key."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

import yaml

from otel_aicost.errors import PriceFileError
from otel_aicost.prices.files import Adjustment, Entry, Pattern, Period, PriceFile
from otel_aicost.prices.rates import ALWAYS, Rate
from otel_aicost.yaml_file import (
    TAG,
    Reader,
    WrongError,
    compose,
    day_of,
    flag,
    line_of,
    list_of_text,
    pairs,
    read_bytes,
    scalar,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from otel_aicost.prices.files import Layer
    from otel_aicost.prices.rates import When

SCHEMA = 1
NS_PER_SECOND = 1_000_000_000
_DEAREST = Decimal(10**9)


def read_price_file(path: Path, layer: Layer = "user") -> PriceFile:
    """Read a price file; a `PriceFileError` lists every mistake in it."""
    return parse(read_bytes(path, PriceFileError), str(path), layer)


def parse(raw: bytes, name: str, layer: Layer = "user") -> PriceFile:
    """Read the bytes of a price file called `name`; a `PriceFileError` lists every mistake."""
    reader = _Reader(name)
    entries, adjustments = reader.file(compose(raw, name, PriceFileError))
    reader.done(PriceFileError)
    return PriceFile(layer, entries, adjustments, hashlib.sha256(raw).hexdigest()[:8])


class _Reader(Reader):
    """Walks the nodes of a price file."""

    def file(self, root: yaml.Node | None) -> tuple[tuple[Entry, ...], tuple[Adjustment, ...]]:
        if root is None:
            self.say(1, "file", "is empty; it needs `schema: 1` and `models`")
            return (), ()
        fields = self.fields(root, "", ("schema",), ("currency", "models", "adjustments", "note"))
        self.value(fields, "", "schema", _schema)
        self.value(fields, "", "currency", _currency)
        entries = [self.entry(node, f"models[{i}]") for i, node in self.items(fields, "", "models")]
        adjustments = [self.adjustment(node, f"adjustments[{i}]") for i, node in self.items(fields, "", "adjustments")]
        return (
            tuple(entry for entry in entries if entry is not None),
            tuple(adjustment for adjustment in adjustments if adjustment is not None),
        )

    def entry(self, node: yaml.Node, at: str) -> Entry | None:
        known = ("source", "checked", "note", "add", "assume")
        fields = self.fields(node, at, ("provider", "model", "periods"), known)
        provider = self.value(fields, at, "provider", text_of)
        model = self.value(fields, at, "model", self._pattern)
        periods = [self.period(n, f"{at}.periods[{i}]") for i, n in self.items(fields, at, "periods")]
        if "periods" in fields and not periods:
            self.say(line_of(fields["periods"]), f"{at}.periods", "is empty; it needs one period at least")
        source, checked = self.value(fields, at, "source", text_of), self.value(fields, at, "checked", day_of)
        add, assume = self.value(fields, at, "add", flag), self.value(fields, at, "assume", _strings)
        self.value(fields, at, "note", text_of)
        told = [period for period in periods if period is not None]
        for earlier, later in pairwise(told):
            if later.start_ns <= earlier.start_ns:
                self.say(later.line, f"{at}.periods", f"{later.date} must come after {earlier.date}")
        if provider is None or model is None:
            return None
        return Entry(
            provider,
            model,
            tuple(told),
            add=add or False,
            assume=assume or MappingProxyType({}),
            source=source,
            checked=checked,
            line=line_of(node),
        )

    def period(self, node: yaml.Node, at: str) -> Period | None:
        fields = self.fields(node, at, ("from",), ("rates", "defer", "free", "note"))
        start = self.value(fields, at, "from", day_of)
        free, defer = self.value(fields, at, "free", _true), self.value(fields, at, "defer", _true)
        rates = [self.rate(n, f"{at}.rates[{i}]") for i, n in self.items(fields, at, "rates")]
        if len({"rates", "defer", "free"} & fields.keys()) != 1:
            self.say(line_of(node), at, "needs one of `rates`, `defer: true` and `free: true`")
        elif "rates" in fields and not rates:
            self.say(line_of(fields["rates"]), f"{at}.rates", "is empty; for a free model write `free: true`")
        told = [rate for rate in rates if rate is not None]
        for index, rate in enumerate(told):
            if any(rate.meter == other.meter and _same(rate.when, other.when) for other in told[:index]):
                self.say(line_of(node), f"{at}.rates", f"{rate.meter} has two rates under the same conditions")
        if start is None:
            return None
        return Period(start, _midnight(start), tuple(told), bool(free), bool(defer), line_of(node))

    def rate(self, node: yaml.Node, at: str) -> Rate | None:
        known = ("tiers", "when", "unless", "round", "minimum")
        fields = self.fields(node, at, ("meter", "price", "per"), known)
        meter = self.value(fields, at, "meter", text_of)
        price, per = self.value(fields, at, "price", _money), self.value(fields, at, "per", _whole)
        tiers = [self.tier(n, f"{at}.tiers[{i}]") for i, n in self.items(fields, at, "tiers")]
        when, unless = self.value(fields, at, "when", _when), self.value(fields, at, "unless", text_of)
        step = self.value(fields, at, "round", _positive)
        minimum = self.value(fields, at, "minimum", _positive)
        told = tuple(tier for tier in tiers if tier is not None)
        if list(told) != sorted(told, key=lambda tier: tier[0]):
            self.say(line_of(fields["tiers"]), f"{at}.tiers", "must ascend by `above`")
        if meter is None or price is None or per is None:
            return None
        return Rate(meter, price, per, told, when or MappingProxyType({}), unless, step, minimum)

    def tier(self, node: yaml.Node, at: str) -> tuple[int, Decimal] | None:
        fields = self.fields(node, at, ("above", "price"), ())
        above, price = self.value(fields, at, "above", _whole), self.value(fields, at, "price", _money)
        return None if above is None or price is None else (above, price)

    def adjustment(self, node: yaml.Node, at: str) -> Adjustment | None:
        known = ("to", "when", "model", "meters", "only_if_base_has_no_variant", "source", "checked", "note")
        fields = self.fields(node, at, ("provider", "from", "multiply"), known)
        provider, factor = (
            self.value(fields, at, "provider", text_of),
            self.value(fields, at, "multiply", _money),
        )
        start, end = self.value(fields, at, "from", day_of), self.value(fields, at, "to", day_of)
        when, model = self.value(fields, at, "when", _when), self.value(fields, at, "model", self._pattern)
        meters = self.value(fields, at, "meters", list_of_text)
        only = self.value(fields, at, "only_if_base_has_no_variant", flag)
        self.value(fields, at, "source", text_of)
        self.value(fields, at, "checked", day_of)
        self.value(fields, at, "note", text_of)
        if start and end and end <= start:
            self.say(line_of(fields["to"]), f"{at}.to", f"{end} must come after `from`, {start}")
        if provider is None or factor is None or start is None:
            return None
        return Adjustment(
            provider,
            factor,
            _midnight(start),
            _midnight(end) if end else ALWAYS[1],
            when or MappingProxyType({}),
            model,
            meters or (),
            only_without_variant=only or False,
            line=line_of(node),
        )

    @staticmethod
    def _pattern(node: yaml.Node) -> Pattern:
        if isinstance(node, yaml.ScalarNode):
            return Pattern("exact", text_of(node))
        told = _strings(node) if isinstance(node, yaml.MappingNode) else {}
        if len(told) != 1 or not told.keys() <= {"prefix", "regex"}:
            msg = "must be a name, {prefix: ...} or {regex: ...}"
            raise WrongError(msg)
        ((kind, text),) = told.items()
        if kind == "regex":
            try:
                re.compile(text)
            except re.error as error:
                msg = f"is no regular expression: {error}"
                raise WrongError(msg) from None
            return Pattern("regex", text)
        return Pattern("prefix", text)


def _midnight(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp()) * NS_PER_SECOND


def _decimal(text: str, msg: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise WrongError(msg) from None
    if not number.is_finite() or not 0 <= number <= _DEAREST or number.as_tuple().exponent < -15:  # type: ignore[operator]  # noqa: PLR2004
        raise WrongError(msg)
    return number


def _money(node: yaml.Node) -> Decimal:
    kind = node.tag.removeprefix(TAG)
    if isinstance(node, yaml.ScalarNode) and kind in ("int", "float"):
        msg = f'must be in quotes, so that no digit is lost: "{node.value}"'
        raise WrongError(msg)
    text = scalar(node, ("str",), 'a number in quotes, e.g. "2.50"')
    return _decimal(text, f'must be a number in quotes such as "2.50", 0 or more, and not {text!r}')


def _positive(node: yaml.Node) -> Decimal:
    text = scalar(node, ("str", "int"), "a number above 0").replace("_", "")
    number = _decimal(text, f"must be a number above 0 and not {text!r}")
    if not number:
        msg = "must be a number above 0"
        raise WrongError(msg)
    return number


def _whole(node: yaml.Node) -> int:
    text = scalar(node, ("int",), "a whole number such as 1_000_000").replace("_", "")
    if not text.isdigit() or not 1 <= int(text) <= 10**12:
        msg = f"must be a whole number from 1 on and not {text!r}"
        raise WrongError(msg)
    return int(text)


def _true(node: yaml.Node) -> bool:
    if not flag(node):
        msg = "can only be true; leave it out otherwise"
        raise WrongError(msg)
    return True


def _strings(node: yaml.Node) -> Mapping[str, str]:
    return MappingProxyType({key: text_of(value) for key, value in pairs(node)})


def _when(node: yaml.Node) -> When:
    return MappingProxyType(
        {
            key: list_of_text(value) if isinstance(value, yaml.SequenceNode) else (text_of(value),)
            for key, value in pairs(node)
        }
    )


def _same(one: When, other: When) -> bool:
    """Whether there are conditions that meet both, and neither is the narrower."""
    return one.keys() == other.keys() and all(set(one[key]) & set(other[key]) for key in one)


def _schema(node: yaml.Node) -> None:
    text = scalar(node, ("int",), f"{SCHEMA}")
    if text != str(SCHEMA):
        msg = f"must be {SCHEMA}, the only one this release reads, and not {text}"
        raise WrongError(msg)


def _currency(node: yaml.Node) -> None:
    if text_of(node) != "USD":
        msg = f"must be USD, and not {node.value!r}"
        raise WrongError(msg)
