"""Reading a price file: YAML into a PriceFile, with every mistake told at once by file, line and key."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

import yaml

from otel_aicost.errors import PriceFileError
from otel_aicost.prices.files import Adjustment, Entry, Pattern, Period, PriceFile
from otel_aicost.prices.rates import ALWAYS, Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import TypeVar

    from otel_aicost.prices.files import Layer
    from otel_aicost.prices.rates import When

    T = TypeVar("T")

SCHEMA = 1
NS_PER_SECOND = 1_000_000_000
_TAG = "tag:yaml.org,2002:"
_DEAREST = Decimal(10**9)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_price_file(path: Path, layer: Layer = "user") -> PriceFile:
    """Read a price file; a `PriceFileError` lists every mistake in it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PriceFileError([f"{path}:1: file: cannot be read: {error.strerror or error}"]) from error
    return parse(raw, str(path), layer)


def parse(raw: bytes, name: str, layer: Layer = "user") -> PriceFile:
    """Read the bytes of a price file called `name`; a `PriceFileError` lists every mistake."""
    reader = _Reader(name)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(raw, Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PriceFileError([f"{name}:{line}: file: is not YAML: {error.problem}"]) from error
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise PriceFileError([f"{name}:1: file: is not YAML: {type(error).__name__}"]) from error
    entries, adjustments = reader.file(root)
    if reader.mistakes:
        raise PriceFileError([text for _, text in sorted(reader.mistakes, key=lambda mistake: mistake[0])])
    return PriceFile(layer, entries, adjustments, hashlib.sha256(raw).hexdigest()[:8])


class _WrongError(Exception):
    """What is wrong with the value of one key."""


class _Reader:
    """Walks the nodes of one file, collecting mistakes as (line, text)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mistakes: list[tuple[int, str]] = []

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
        provider = self.value(fields, at, "provider", _text)
        model = self.value(fields, at, "model", self._pattern)
        periods = [self.period(n, f"{at}.periods[{i}]") for i, n in self.items(fields, at, "periods")]
        if "periods" in fields and not periods:
            self.say(_line(fields["periods"]), f"{at}.periods", "is empty; it needs one period at least")
        source, checked = self.value(fields, at, "source", _text), self.value(fields, at, "checked", _day)
        add, assume = self.value(fields, at, "add", _flag), self.value(fields, at, "assume", _strings)
        self.value(fields, at, "note", _text)
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
            line=_line(node),
        )

    def period(self, node: yaml.Node, at: str) -> Period | None:
        fields = self.fields(node, at, ("from",), ("rates", "defer", "free", "note"))
        start = self.value(fields, at, "from", _day)
        free, defer = self.value(fields, at, "free", _true), self.value(fields, at, "defer", _true)
        rates = [self.rate(n, f"{at}.rates[{i}]") for i, n in self.items(fields, at, "rates")]
        if len({"rates", "defer", "free"} & fields.keys()) != 1:
            self.say(_line(node), at, "needs one of `rates`, `defer: true` and `free: true`")
        elif "rates" in fields and not rates:
            self.say(_line(fields["rates"]), f"{at}.rates", "is empty; for a free model write `free: true`")
        told = [rate for rate in rates if rate is not None]
        for index, rate in enumerate(told):
            if any(rate.meter == other.meter and _same(rate.when, other.when) for other in told[:index]):
                self.say(_line(node), f"{at}.rates", f"{rate.meter} has two rates under the same conditions")
        if start is None:
            return None
        return Period(start, _midnight(start), tuple(told), bool(free), bool(defer), _line(node))

    def rate(self, node: yaml.Node, at: str) -> Rate | None:
        known = ("tiers", "when", "unless", "round", "minimum")
        fields = self.fields(node, at, ("meter", "price", "per"), known)
        meter = self.value(fields, at, "meter", _text)
        price, per = self.value(fields, at, "price", _money), self.value(fields, at, "per", _whole)
        tiers = [self.tier(n, f"{at}.tiers[{i}]") for i, n in self.items(fields, at, "tiers")]
        when, unless = self.value(fields, at, "when", _when), self.value(fields, at, "unless", _text)
        step = self.value(fields, at, "round", _positive)
        minimum = self.value(fields, at, "minimum", _positive)
        told = tuple(tier for tier in tiers if tier is not None)
        if list(told) != sorted(told, key=lambda tier: tier[0]):
            self.say(_line(fields["tiers"]), f"{at}.tiers", "must ascend by `above`")
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
            self.value(fields, at, "provider", _text),
            self.value(fields, at, "multiply", _money),
        )
        start, end = self.value(fields, at, "from", _day), self.value(fields, at, "to", _day)
        when, model = self.value(fields, at, "when", _when), self.value(fields, at, "model", self._pattern)
        meters = self.value(fields, at, "meters", _list_of_text)
        only = self.value(fields, at, "only_if_base_has_no_variant", _flag)
        self.value(fields, at, "source", _text)
        self.value(fields, at, "checked", _day)
        self.value(fields, at, "note", _text)
        if start and end and end <= start:
            self.say(_line(fields["to"]), f"{at}.to", f"{end} must come after `from`, {start}")
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
            line=_line(node),
        )

    def fields(self, node: yaml.Node, at: str, needed: tuple[str, ...], known: tuple[str, ...]) -> dict[str, yaml.Node]:
        """Return the nodes of a mapping by key; unknown, repeated and missing keys are mistakes."""
        if not isinstance(node, yaml.MappingNode):
            self.say(_line(node), at or "file", f"must be a mapping with {', '.join(needed)}")
            return {}
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = str(key_node.value)
            where = f"{at}.{key}" if at else key
            if key not in (*needed, *known):
                near = get_close_matches(key, (*needed, *known), 1)
                hint = f"; is it `{near[0]}`?" if near else f"; known: {', '.join((*needed, *known))}"
                self.say(_line(key_node), where, f"unknown key{hint}")
            elif key in found:
                self.say(_line(key_node), where, "is given twice; keep one")
            else:
                found[key] = value
        for key in needed:
            if key not in found:
                self.say(_line(node), f"{at}.{key}" if at else key, "is missing")
        return found

    def items(self, fields: Mapping[str, yaml.Node], at: str, key: str) -> Iterator[tuple[int, yaml.Node]]:
        node = fields.get(key)
        if node is None:
            return
        if isinstance(node, yaml.SequenceNode):
            yield from enumerate(node.value)
        else:
            self.say(_line(node), f"{at}.{key}" if at else key, "must be a list")

    def value(self, fields: Mapping[str, yaml.Node], at: str, key: str, read: Callable[[yaml.Node], T]) -> T | None:
        """Return what `read` makes of a key's node; `None` where it is absent or wrong."""
        node = fields.get(key)
        if node is None:
            return None
        try:
            return read(node)
        except _WrongError as wrong:
            self.say(_line(node), f"{at}.{key}" if at else key, str(wrong))
            return None

    def say(self, line: int, key: str, what: str) -> None:
        self.mistakes.append((line, f"{self.name}:{line}: {key}: {what}"))

    @staticmethod
    def _pattern(node: yaml.Node) -> Pattern:
        if isinstance(node, yaml.ScalarNode):
            return Pattern("exact", _text(node))
        told = _strings(node) if isinstance(node, yaml.MappingNode) else {}
        if len(told) != 1 or not told.keys() <= {"prefix", "regex"}:
            msg = "must be a name, {prefix: ...} or {regex: ...}"
            raise _WrongError(msg)
        ((kind, text),) = told.items()
        if kind == "regex":
            try:
                re.compile(text)
            except re.error as error:
                msg = f"is no regular expression: {error}"
                raise _WrongError(msg) from None
            return Pattern("regex", text)
        return Pattern("prefix", text)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _midnight(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp()) * NS_PER_SECOND


def _scalar(node: yaml.Node, kinds: tuple[str, ...], expected: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag.removeprefix(_TAG) not in kinds:
        shown = f" and not {node.value!r}" if isinstance(node, yaml.ScalarNode) else ""
        msg = f"must be {expected}{shown}"
        raise _WrongError(msg)
    return str(node.value)


def _text(node: yaml.Node) -> str:
    text = _scalar(node, ("str",), "text, in quotes if it looks like a number or a date").strip()
    if not text:
        msg = "is empty"
        raise _WrongError(msg)
    return text


def _day(node: yaml.Node) -> str:
    text = _scalar(node, ("timestamp", "str"), "a day such as 2026-11-21 (UTC)")
    try:
        if not _DAY.fullmatch(text):
            raise ValueError  # noqa: TRY301 - the same answer as for the 31st of February
        return date.fromisoformat(text).isoformat()
    except ValueError:
        msg = f"must be a day such as 2026-11-21 (UTC) and not {text!r}"
        raise _WrongError(msg) from None


def _decimal(text: str, msg: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _WrongError(msg) from None
    if not number.is_finite() or not 0 <= number <= _DEAREST or number.as_tuple().exponent < -15:  # type: ignore[operator]  # noqa: PLR2004
        raise _WrongError(msg)
    return number


def _money(node: yaml.Node) -> Decimal:
    kind = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.ScalarNode) and kind in ("int", "float"):
        msg = f'must be in quotes, so that no digit is lost: "{node.value}"'
        raise _WrongError(msg)
    text = _scalar(node, ("str",), 'a number in quotes, e.g. "2.50"')
    return _decimal(text, f'must be a number in quotes such as "2.50", 0 or more, and not {text!r}')


def _positive(node: yaml.Node) -> Decimal:
    text = _scalar(node, ("str", "int"), "a number above 0").replace("_", "")
    number = _decimal(text, f"must be a number above 0 and not {text!r}")
    if not number:
        msg = "must be a number above 0"
        raise _WrongError(msg)
    return number


def _whole(node: yaml.Node) -> int:
    text = _scalar(node, ("int",), "a whole number such as 1_000_000").replace("_", "")
    if not text.isdigit() or not 1 <= int(text) <= 10**12:
        msg = f"must be a whole number from 1 on and not {text!r}"
        raise _WrongError(msg)
    return int(text)


def _flag(node: yaml.Node) -> bool:
    return _scalar(node, ("bool",), "true or false").lower() in {"true", "yes", "on"}


def _true(node: yaml.Node) -> bool:
    if not _flag(node):
        msg = "can only be true; leave it out otherwise"
        raise _WrongError(msg)
    return True


def _pairs(node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode) or not node.value:
        msg = "must be a mapping of names to text"
        raise _WrongError(msg)
    for key, value in node.value:
        yield _text(key), value


def _strings(node: yaml.Node) -> Mapping[str, str]:
    return MappingProxyType({key: _text(value) for key, value in _pairs(node)})


def _list_of_text(node: yaml.Node) -> tuple[str, ...]:
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        msg = "must be a list of text"
        raise _WrongError(msg)
    return tuple(_text(item) for item in node.value)


def _when(node: yaml.Node) -> When:
    return MappingProxyType(
        {
            key: _list_of_text(value) if isinstance(value, yaml.SequenceNode) else (_text(value),)
            for key, value in _pairs(node)
        }
    )


def _same(one: When, other: When) -> bool:
    """Whether there are conditions that meet both, and neither is the narrower."""
    return one.keys() == other.keys() and all(set(one[key]) & set(other[key]) for key in one)


def _schema(node: yaml.Node) -> None:
    text = _scalar(node, ("int",), f"{SCHEMA}")
    if text != str(SCHEMA):
        msg = f"must be {SCHEMA}, the only one this release reads, and not {text}"
        raise _WrongError(msg)


def _currency(node: yaml.Node) -> None:
    if _text(node) != "USD":
        msg = f"must be USD, and not {node.value!r}"
        raise _WrongError(msg)
