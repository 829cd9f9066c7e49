"""Rules on what dashboards ask for, held against `names.EXPORTED` and the recording rules."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import promql_parser as promql

from otel_aicost.names import EXPORTED, RUNNING_TOTALS
from tools.dashboards.queries import Asked, asked_for, children, labels_used, parsed, queries, selectors

if TYPE_CHECKING:
    from collections.abc import Iterator

Dashboard = dict[str, Any]
TAGS = frozenset({"feature", "team"})
"""Tags that are labels of the running totals unless OTEL_AICOST_METRIC_TAGS says otherwise."""
TARGET = frozenset({"instance", "job", "pod"})
"""Labels that Prometheus gives to what it scrapes."""
PROMETHEUS_OWN = frozenset({"ALERTS", "ALERTS_FOR_STATE", "up"})
EACH_EXPORTER = frozenset({"aicost_build_info"})
"""Where exporters are counted, there is no taking one of them."""
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_MADE = frozenset({"by", "name"})
"""Labels that `label_replace` may make."""


def family_of(metric: str) -> str | None:
    """The family of `EXPORTED` that a series is of."""
    for name, family in EXPORTED.items():
        if metric in {name + suffix for suffix in _SUFFIXES[family.kind]}:
            return name
    return None


def labels_of(metric: str) -> frozenset[str]:
    """The labels that the series of a metric have."""
    name = family_of(metric)
    if name is None:
        return frozenset()
    tags = TAGS if name in RUNNING_TOTALS else frozenset()
    return frozenset({*EXPORTED[name].labels, *tags, *({"le"} if metric.endswith("_bucket") else ())})


def is_counter(metric: str) -> bool:
    """Whether the value of a series only ever grows."""
    name = family_of(metric)
    return name is not None and EXPORTED[name].kind in {"counter", "histogram"}


def parses(dashboard: Dashboard) -> Iterator[str]:
    """Each query is PromQL."""
    for asked in queries(dashboard):
        try:
            parsed(asked.expr)
        except ValueError as error:
            yield f"{asked.where}: {error}"


def says_no_data(dashboard: Dashboard) -> Iterator[str]:
    """Where there is nothing, nothing is shown: no `or vector(0)`."""
    for asked, tree in _trees(dashboard):
        if any(isinstance(node, promql.Call) and node.func.name == "vector" for node in _nodes(tree)):
            yield f"{asked.where}: vector() shows a number where there is none"


def counters(dashboard: Dashboard) -> Iterator[str]:
    """A counter stands in a rate or an increase, or in the difference to itself some time ago."""
    for asked, _ in _trees(dashboard):
        if asked.kind == "variable":
            continue
        for name in _bare_counters(asked.expr):
            yield f"{asked.where}: {name} is a counter, and means nothing by itself"


def rates(dashboard: Dashboard) -> Iterator[str]:
    """Rates are over `$__rate_interval`, so that no scrape falls between two points."""
    for asked, _ in _trees(dashboard):
        if any(_in_rate(above) for _, above in asked_for(asked.expr)) and "$__rate_interval" not in asked.expr:
            yield f"{asked.where}: a rate over something else than $__rate_interval"


def one_exporter(dashboard: Dashboard) -> Iterator[str]:
    """Two exporters of one ledger never double a number: the greatest is taken before anything is added up."""
    for asked, _ in _trees(dashboard):
        for selector, above in asked_for(asked.expr):
            groups = [node for node in above if isinstance(node, promql.AggregateExpr)]
            ours = (selector.name or "").startswith("aicost_") and selector.name not in EACH_EXPORTER
            if asked.kind != "variable" and ours and (not groups or str(groups[-1].op) != "max"):
                yield f"{asked.where}: {selector.name} counts twice with two exporters"


def no_target(dashboard: Dashboard) -> Iterator[str]:
    """No query names a job, an instance or a pod of somebody's."""
    for asked, _ in _trees(dashboard):
        for selector, _ in asked_for(asked.expr):
            for matcher in selector.matchers.matchers:
                if matcher.name in TARGET:
                    yield f"{asked.where}: {matcher.name} is not the same everywhere"


def exists(dashboard: Dashboard, recorded: set[str]) -> Iterator[str]:
    """Each metric is one that the exporter gives or a rule records, and has the labels that are asked for."""
    for asked, tree in _trees(dashboard):
        known: set[str] = {*TARGET, *_MADE}
        foreign = False
        for selector, _ in asked_for(asked.expr):
            metric = selector.name or ""
            foreign = foreign or metric in recorded or metric in PROMETHEUS_OWN
            if metric in recorded or metric in PROMETHEUS_OWN:
                continue
            if family_of(metric) is None:
                yield f"{asked.where}: nothing exports {metric}"
                continue
            labels = labels_of(metric)
            known |= labels
            for matcher in selector.matchers.matchers:
                if matcher.name not in labels | TARGET:
                    yield f"{asked.where}: {metric} has no label {matcher.name}"
        wanted = labels_used(tree) | ({asked.label} if asked.label else set())
        for label in sorted(wanted - known) if not foreign else ():
            yield f"{asked.where}: no metric there has a label {label}"


def used(expressions: list[str]) -> set[str]:
    """The families that some expressions ask for."""
    found = set()
    for expr in expressions:
        with suppress(ValueError):  # `parses` tells
            found |= {family_of(selector.name or "") for selector, _ in asked_for(expr)}
    return {name for name in found if name is not None}


def unseen(dashboards: list[Dashboard], rules: list[str]) -> Iterator[str]:
    """Every family that is exported is on a dashboard or in a rule."""
    asked = [each.expr for dashboard in dashboards for each in queries(dashboard)]
    for name in EXPORTED.keys() - used([*asked, *rules]):
        yield f"{name} is exported and shown nowhere"


def _trees(dashboard: Dashboard) -> Iterator[tuple[Asked, promql.Expr]]:
    for asked in queries(dashboard):
        try:
            yield asked, parsed(asked.expr)
        except ValueError:
            continue  # `parses` tells


@cache
def _bare_counters(expr: str) -> tuple[str, ...]:
    return tuple(
        name
        for selector, above in asked_for(expr)
        if is_counter(name := selector.name or "") and not (_in_rate(above) or _in_difference(selector, above))
    )


def _nodes(tree: Any) -> Iterator[Any]:  # noqa: ANN401 - promql_parser's nodes have no common attributes
    yield tree
    for child in children(tree):
        yield from _nodes(child)


def _in_rate(above: tuple[Any, ...]) -> bool:
    return any(isinstance(node, promql.Call) and node.func.name in {"rate", "increase"} for node in above)


def _in_difference(selector: promql.VectorSelector, above: tuple[Any, ...]) -> bool:
    for node in above:
        if isinstance(node, promql.BinaryExpr) and str(node.op) == "-":
            both = [each for each, _ in selectors(node) if each.name == selector.name]
            if any(each.offset for each in both) and not all(each.offset for each in both):
                return True
    return False
