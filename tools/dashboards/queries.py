"""The queries of a dashboard, with Grafana's variables filled in, and what they ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import promql_parser as promql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Dashboard = dict[str, Any]
BUILT_IN = {
    "__range": "6h",
    "__range_s": "21600",
    "__interval": "1m",
    "__rate_interval": "4m",
}
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")
_LABEL_VALUES = re.compile(r"label_values\((.*), *(\w+)\)$", re.DOTALL)


@dataclass(frozen=True)
class Asked:
    """One query of a dashboard: where it stands, as written, and whether it is asked over time."""

    where: str
    expr: str
    kind: str
    over_time: bool = False
    label: str = ""
    """Of `label_values`: which."""


def queries(dashboard: Dashboard) -> Iterator[Asked]:
    """Those of the panels, the variables and the annotations."""
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            where = f"panel {panel['id']} {panel['title']!r}, query {target['refId']}"
            yield Asked(where, target["expr"], "panel", bool(target["range"]))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = _LABEL_VALUES.match(variable["query"]["query"])
            expr, label = found.groups() if found else (variable["query"]["query"], "")
            yield Asked(f"variable {variable['name']}", expr, "variable", label=label)
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield Asked(f"annotation {annotation['name']!r}", annotation["expr"], "annotation", over_time=True)


def panels(dashboard: Dashboard) -> Iterator[Dashboard]:
    """Every panel but the headings of rows."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def variables(expr: str) -> set[str]:
    """The names of the variables in an expression, Grafana's own included."""
    return {braced or bare for braced, bare in _VARIABLE.findall(expr)}


def filled(expr: str, values: Mapping[str, str]) -> str:
    """The expression with values in place of variables; those that are not given match anything."""
    known = {**BUILT_IN, **values}
    return _VARIABLE.sub(lambda found: known.get(found[1] or found[2], ".*"), expr)


@cache
def parsed(expr: str) -> promql.Expr:
    """The tree of an expression with variables. Raises ValueError where it is none."""
    tree: promql.Expr = promql.parse(filled(expr, {}))
    return tree


@cache
def asked_for(expr: str) -> tuple[tuple[promql.VectorSelector, tuple[Any, ...]], ...]:
    """Each selector of an expression, and the nodes above it, the nearest last. Raises as `parsed` does."""
    return tuple(selectors(parsed(expr)))


def children(node: Any) -> list[Any]:  # noqa: ANN401 - promql_parser's nodes have no common attributes
    """What a node is made of."""
    if isinstance(node, promql.AggregateExpr):
        return [part for part in (node.expr, node.param) if isinstance(part, promql.Expr)]
    if isinstance(node, promql.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, promql.Call):
        return list(node.args)
    if isinstance(node, promql.ParenExpr | promql.SubqueryExpr | promql.UnaryExpr):
        return [node.expr]
    if isinstance(node, promql.MatrixSelector):
        return [node.vector_selector]
    return []


def selectors(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[promql.VectorSelector, tuple[Any, ...]]]:  # noqa: ANN401
    """Each selector of a tree, and the nodes above it, the nearest last."""
    if isinstance(node, promql.VectorSelector):
        yield node, above
    for child in children(node):
        yield from selectors(child, (*above, node))


def labels_used(node: Any) -> set[str]:  # noqa: ANN401
    """The labels that aggregations and joins of a tree name."""
    found: set[str] = set()
    modifier = getattr(node, "modifier", None)
    if isinstance(node, promql.AggregateExpr) and modifier is not None:
        found.update(modifier.labels)
    if isinstance(node, promql.BinaryExpr) and modifier is not None:
        found.update(getattr(modifier.matching, "labels", ()) or ())
        found.update(modifier.group_labels or ())
    for child in children(node):
        found |= labels_used(child)
    return found
