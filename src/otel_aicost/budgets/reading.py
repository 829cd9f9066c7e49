"""Reading `aicost.yaml`: YAML into a Plan, with every mistake told at once by file, line and key."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import yaml

from otel_aicost.alerts.reading import read_alerts
from otel_aicost.apis import read_apis
from otel_aicost.budgets.budget import (
    LEASE_SECONDS,
    MODES,
    ON_EXCEED,
    ON_STORE_DOWN,
    Budget,
    Limits,
    Match,
    Plan,
    parse_money,
)
from otel_aicost.budgets.window import DAYS, Period, parse_period
from otel_aicost.errors import BudgetFileError
from otel_aicost.tags import KEY
from otel_aicost.yaml_file import Reader, WrongError, compose, line_of, list_of_text, pairs, read_bytes, scalar, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TypeVar

    from otel_aicost.budgets.budget import OnExceed, OnUnpriced

    T = TypeVar("T", bound=str)

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}")
MOST = 10**15
LEASES = (1, 3600)
_OPTIONAL = (
    "match",
    "per",
    "limit",
    "tokens",
    "calls",
    "on_exceed",
    "mode",
    "alert_at",
    "overrides",
    "on_unpriced",
    "on_store_down",
    "timezone",
    "week_start",
    "year_start",
    "note",
)
_MATCHES = ("provider", "model", "operation", "service", "tags")
_LIMITS = ("limit", "tokens", "calls")
_DATE = re.compile(r"(\d\d)-(\d\d)")
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def read_budgets(path: Path) -> Plan:
    """Read the file of budgets; a `BudgetFileError` lists every mistake in it."""
    return parse(read_bytes(path, BudgetFileError), str(path))


def parse(raw: bytes, name: str) -> Plan:
    """Read the bytes of a file called `name`; a `BudgetFileError` lists every mistake."""
    reader = _Reader(name)
    plan = reader.plan(compose(raw, name, BudgetFileError))
    reader.done(BudgetFileError)
    return plan


class _Reader(Reader):
    """Walks the nodes of a file of budgets."""

    def plan(self, root: yaml.Node | None) -> Plan:
        if root is None:
            self.say(1, "file", "is empty; it needs `budgets`")
            return Plan()
        others = isinstance(root, yaml.MappingNode) and any(key.value in {"alerts", "apis"} for key, _ in root.value)
        needed, known = ((), ("budgets",)) if others else (("budgets",), ())
        fields = self.fields(root, "", needed, (*known, "timezone", "lease_seconds", "alerts", "apis"))
        zone = self.value(fields, "", "timezone", _zone) or "UTC"
        lease = self.value(fields, "", "lease_seconds", _lease)
        told: list[Budget] = []
        lines: dict[str, int] = {}
        for index, node in self.items(fields, "", "budgets"):
            budget = self.budget(node, f"budgets[{index}]", zone)
            if budget is None:
                continue
            if budget.name in lines:
                what = f"{budget.name!r} is the name of the one on line {lines[budget.name]} already; give it another"
                self.say(line_of(node), f"budgets[{index}].name", what)
            lines.setdefault(budget.name, line_of(node))
            told.append(budget)
        alerts = read_alerts(self, fields["alerts"], zone) if "alerts" in fields else None
        apis = read_apis(self, fields)
        return Plan(tuple(told), LEASE_SECONDS if lease is None else lease, alerts, zone, apis)

    def budget(self, node: yaml.Node, at: str, zone: str) -> Budget | None:
        fields = self.fields(node, at, ("name", "period"), _OPTIONAL)
        name, period = self.value(fields, at, "name", _name), self.period(fields, at)
        limits = self.limits(fields, at)
        if not set(_LIMITS) & fields.keys() and isinstance(node, yaml.MappingNode):
            self.say(line_of(node), at, "needs one of `limit`, `tokens` and `calls` at least")
        told: dict[str, Any] = {
            "match": self.match(fields, at),
            "per": self.value(fields, at, "per", _per),
            "mode": self.value(fields, at, "mode", _one_of(MODES)),
            "alert_at": self.value(fields, at, "alert_at", _shares),
            "on_store_down": self.value(fields, at, "on_store_down", _one_of(ON_STORE_DOWN)),
            "timezone": self.value(fields, at, "timezone", _zone) or zone,
        }
        unpriced = self.value(fields, at, "on_unpriced", _unpriced)
        if unpriced is not None:
            told["on_unpriced"], told["assumed_nano"] = unpriced
        exceeded = self.value(fields, at, "on_exceed", _exceeded)
        if exceeded is not None:
            told["on_exceed"], told["fallback"] = exceeded
        self.value(fields, at, "note", text_of)
        overrides = self.overrides(fields, at, limits)
        if overrides and not told["per"]:
            self.say(line_of(fields["overrides"]), f"{at}.overrides", "needs `per`: there is one window for all")
        if name is None or period is None:
            return None
        given = {key: value for key, value in told.items() if value is not None}
        return Budget(name, period, limits, overrides=overrides, **given)

    def period(self, fields: Mapping[str, yaml.Node], at: str) -> Period | None:
        period = self.value(fields, at, "period", _period)
        first_day = self.value(fields, at, "week_start", _one_of(DAYS))
        first_date = self.value(fields, at, "year_start", _month_and_day)
        if period is None:
            return None
        for key, kind in (("week_start", "week"), ("year_start", "year")):
            if key in fields and period.kind != kind:
                self.say(line_of(fields[key]), f"{at}.{key}", f"goes with `period: {kind}` only; leave it out")
        if first_day is not None:
            period = replace(period, week_start=DAYS.index(first_day))
        return period if first_date is None else replace(period, year_start=first_date)

    def limits(self, fields: Mapping[str, yaml.Node], at: str) -> Limits:
        return Limits(
            self.value(fields, at, "limit", _money),
            self.value(fields, at, "tokens", _count),
            self.value(fields, at, "calls", _count),
        )

    def overrides(self, fields: Mapping[str, yaml.Node], at: str, usual: Limits) -> Mapping[str, Limits]:
        told: dict[str, Limits] = {}
        for key, node in self.value(fields, at, "overrides", lambda node: list(pairs(node))) or ():
            where = f"{at}.overrides.{key}"
            if key in told:
                self.say(line_of(node), where, "is given twice; keep one")
            if isinstance(node, yaml.MappingNode):
                inner = self.fields(node, where, (), _LIMITS)
                own = self.limits(inner, where)
            else:
                own = Limits(self.value({key: node}, f"{at}.overrides", key, _money))
            told[key] = own.over(usual)
        return MappingProxyType(told)

    def match(self, fields: Mapping[str, yaml.Node], at: str) -> Match | None:
        if "match" not in fields:
            return None
        where = f"{at}.match"
        inner = self.fields(fields["match"], where, (), _MATCHES)
        told = {key: self.value(inner, where, key, text_of) for key in _MATCHES[:-1]}
        tags = self.value(inner, where, "tags", _tags)
        return Match(**told, tags=tags or MappingProxyType({}))


def _name(node: yaml.Node) -> str:
    text = text_of(node)
    if not NAME.fullmatch(text):
        msg = f"must be letters, digits, `_`, `-` and `.`, at most 64, and not {text!r}"
        raise WrongError(msg)
    return text


def _period(node: yaml.Node) -> Period:
    try:
        return parse_period(text_of(node))
    except ValueError as error:
        raise WrongError(str(error)) from None


def _money(node: yaml.Node) -> int:
    try:
        return parse_money(scalar(node, ("str", "int", "float"), "an amount such as 50 USD"))
    except ValueError as error:
        raise WrongError(str(error)) from None


def _count(node: yaml.Node) -> int:
    text = scalar(node, ("int",), "a whole number such as 200000").replace("_", "")
    if not text.isdigit() or int(text) > MOST:
        msg = f"must be a whole number from 0 on and not {text!r}"
        raise WrongError(msg)
    return int(text)


def _lease(node: yaml.Node) -> float:
    text = scalar(node, ("int", "float"), "a number of seconds")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not LEASES[0] <= seconds <= LEASES[1]:
        msg = f"must be from {LEASES[0]} to {LEASES[1]} seconds and not {text!r}"
        raise WrongError(msg)
    return seconds


def _zone(node: yaml.Node) -> str:
    text = text_of(node)
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        msg = f"is no time zone: {text!r}; write it like Europe/Berlin or UTC"
        raise WrongError(msg) from None
    return text


def _per(node: yaml.Node) -> tuple[str, ...]:
    names = (text_of(node),) if isinstance(node, yaml.ScalarNode) else list_of_text(node)
    for name in names:
        if not KEY.fullmatch(name):
            msg = f"{name!r} is neither the name of a tag nor `trace` or `service`"
            raise WrongError(msg)
    if len(set(names)) < len(names):
        msg = "names the same thing twice"
        raise WrongError(msg)
    return names


def _tags(node: yaml.Node) -> Mapping[str, str]:
    return MappingProxyType({key: text_of(value) for key, value in pairs(node)})


def _one_of(words: tuple[T, ...]) -> Callable[[yaml.Node], T]:
    def read(node: yaml.Node) -> T:
        text = text_of(node).lower()
        for word in words:
            if word == text:
                return word
        msg = f"must be one of {', '.join(words)} and not {text!r}"
        raise WrongError(msg)

    return read


def _shares(node: yaml.Node) -> tuple[Decimal, ...]:
    msg = "must be a list of shares of the limit, above 0 and at most 10, such as [0.5, 0.8, 1.0]"
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise WrongError(msg)
    try:
        shares = [Decimal(scalar(item, ("int", "float"), "a number")) for item in node.value]
    except InvalidOperation:
        raise WrongError(msg) from None
    if not all(share.is_finite() and Decimal("0.001") <= share <= 10 for share in shares):  # noqa: PLR2004 - as it says
        raise WrongError(msg)
    return tuple(sorted({*shares, Decimal(1)}))  # that all is spent is always said


def _exceeded(node: yaml.Node) -> tuple[OnExceed, str | None]:
    """`warn`, `block`, `fallback: MODEL` in quotes, or the mapping that it is without them."""
    msg = "must be one of warn, block, {fallback: MODEL}"
    if isinstance(node, yaml.MappingNode):
        given = {text_of(key): value for key, value in node.value}
        if given.keys() != {"fallback"}:
            raise WrongError(msg)
        return "fallback", text_of(given["fallback"])
    text = text_of(node)
    word, colon, model = text.partition(":")
    if word.strip().lower() == "fallback" and colon and model.strip():
        return "fallback", model.strip()
    for known in ON_EXCEED:
        if known == text.lower():
            return known, None
    msg = f"{msg} and not {text!r}"
    raise WrongError(msg)


def _unpriced(node: yaml.Node) -> tuple[OnUnpriced, int]:
    word, _, rest = text_of(node).partition(" ")
    if word == "assume":
        try:
            return "assume", parse_money(rest)
        except ValueError as error:
            msg = f"after `assume` {error}"
            raise WrongError(msg) from None
    known: dict[str, OnUnpriced] = {"allow": "allow", "warn": "warn", "block": "block"}
    if not rest and word in known:
        return known[word], 0
    msg = "must be allow, warn, block, or `assume` with an amount, such as `assume 0.01 USD` a call"
    raise WrongError(msg)


def _month_and_day(node: yaml.Node) -> tuple[int, int]:
    found = _DATE.fullmatch(text_of(node))
    if found is not None:
        month, day = int(found[1]), int(found[2])
        if 1 <= month <= len(_LENGTHS) and 1 <= day <= _LENGTHS[month - 1]:
            return month, day
    msg = f'must be a month and a day that every year has, in quotes, such as "04-01", and not {text_of(node)!r}'
    raise WrongError(msg)
