"""Each rule of the linter, tried on a dashboard with just that fault."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from tools.dashboards.lint import faults, main, read, rules

if TYPE_CHECKING:
    from collections.abc import Callable


def _faults(change: Callable[[dict[str, Any]], object]) -> list[str]:
    """What the linter says of the dashboards when Health is changed like that."""
    boards = deepcopy(read())
    change(next(board for board in boards if board["uid"] == "aicost-health"))
    return list(faults(boards, rules()))


def _panel(board: dict[str, Any], title: str) -> dict[str, Any]:
    return next(panel for panel in board["panels"] if panel["title"] == title)


def _asking(expr: str) -> Callable[[dict[str, Any]], object]:
    """The query of a graph replaced by this one."""
    return lambda board: _panel(board, "How many calls wait in memory?")["targets"][0].update(expr=expr)


def _of(panel: str, /, **fields: Any) -> Callable[[dict[str, Any]], object]:
    """Fields of a panel replaced."""
    return lambda board: _panel(board, panel).update(fields)


def test_dashboards_have_no_fault():
    """The linter has nothing to say of the dashboards there are."""
    assert list(faults(read(), rules())) == []
    assert main() == 0


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no title": (_of("Lost calls", title=""), "has no title"),
    "a metric for a title": (_of("Lost calls", title="aicost_writer_lost_calls"), "has no title"),
    "two of one title": (_of("Lost calls", title="Write errors"), "two panels are called 'Write errors'"),
    "no description": (_of("Lost calls", description="Calls lost."), "panel 'Lost calls' has no description"),
    "no unit": (
        lambda board: _panel(board, "Lost calls")["fieldConfig"]["defaults"].pop("unit"),
        "panel 'Lost calls' has no unit",
    ),
    "dollars as numbers": (
        _asking(
            'sum by (service) (max without (instance, job) (rate(aicost_cost_usd_total{service=~"$service"}[$__rate_interval])))'
        ),
        "shows dollars without their unit",
    ),
    "numbers as dollars": (
        lambda board: _panel(board, "Lost calls")["fieldConfig"]["defaults"].update(unit="currencyUSD"),
        "panel 'Lost calls' shows as dollars what is none",
    ),
    "a data source by name": (
        lambda board: _panel(board, "Lost calls")["targets"][0].update(datasource={"uid": "prometheus"}),
        "panel 'Lost calls' does not ask $datasource",
    ),
    "no data source to choose": (
        lambda board: board["templating"]["list"].pop(0),
        "there is no variable datasource",
    ),
    "past the last column": (
        lambda board: _panel(board, "Internal errors")["gridPos"].update(w=5),
        "panel 'Internal errors' is not within 24 columns",
    ),
    "one over another": (
        lambda board: _panel(board, "Internal errors")["gridPos"].update(x=19),
        "panels 'Write errors' and 'Internal errors' overlap",
    ),
    "one id twice": (
        lambda board: _panel(board, "Lost calls").update(id=_panel(board, "Write errors")["id"]),
        "panels do not have ids of their own",
    ),
    "no id": (lambda board: _panel(board, "Lost calls").update(id=None), "panels do not have ids of their own"),
    "a uid of nobody": (lambda board: board.update(uid="x1"), "no uid that begins with aicost-"),
    "a uid twice": (lambda board: board.update(uid="aicost-models"), "two dashboards have one uid"),
    "too new a schema": (lambda board: board.update(schemaVersion=42), "schemaVersion 42 is not one of 39 to 41"),
    "a hidden legend": (
        lambda board: _panel(board, "How many calls wait in memory?")["options"]["legend"].update(showLegend=False),
        "hides its legend",
    ),
    "a variable that is not there": (
        _asking('sum(max without (instance) (aicost_writer_queued_calls{service=~"$svc"}))'),
        "there is no variable svc",
    ),
    "a variable for nothing": (
        lambda board: board["templating"]["list"].append({"name": "x", "type": "custom"}),
        "nothing uses the variable x",
    ),
    "a variable of yesterday": (
        lambda board: board["templating"]["list"][1].update(refresh=1),
        "variable service is not looked up when the time range changes",
    ),
    "a link to nowhere": (
        lambda board: board["links"][0].update(url="/d/aicost-gone"),
        "a link leads to aicost-gone, which is no dashboard",
    ),
    "a link that forgets": (
        lambda board: board["links"][0].update(includeVars=False),
        "link 'Overview' forgets the time or the variables",
    ),
    "no PromQL": (_asking("sum by (service"), "query A: "),
    "zero for nothing": (
        _asking("sum(max without (instance) (aicost_writer_queued_calls)) or vector(0)"),
        "vector() shows a number where there is none",
    ),
    "a counter by itself": (
        _asking("sum(max without (instance) (aicost_calls_total))"),
        "aicost_calls_total is a counter, and means nothing by itself",
    ),
    "a difference of two counters": (
        _asking(
            "sum(max without (instance) (aicost_calls_total)) - sum(max without (instance) (aicost_unpriced_calls_total))"
        ),
        "aicost_calls_total is a counter, and means nothing by itself",
    ),
    "a rate over five minutes": (
        _asking("sum(max without (instance) (rate(aicost_calls_total[5m])))"),
        "a rate over something else than $__rate_interval",
    ),
    "two exporters added": (
        _asking("sum(aicost_writer_queued_calls)"),
        "aicost_writer_queued_calls counts twice with two exporters",
    ),
    "somebody's job": (
        _asking('max(aicost_writer_queued_calls{job="aicost"})'),
        "job is not the same everywhere",
    ),
    "a metric that is none": (_asking("max(aicost_cost_dollars)"), "nothing exports aicost_cost_dollars"),
    "a counter without its ending": (_asking("max(aicost_calls)"), "nothing exports aicost_calls"),
    "a label that is none": (
        _asking('max(aicost_writer_queued_calls{model="x"})'),
        "aicost_writer_queued_calls has no label model",
    ),
    "a grouping by what is none": (
        _asking("max by (model) (aicost_writer_queued_calls)"),
        "no metric there has a label model",
    ),
    "values of a label that is none": (
        lambda board: board["templating"]["list"][1].update(query={"query": "label_values(aicost_calls_total, user)"}),
        "no metric there has a label user",
    ),
    "a metric on no dashboard": (
        lambda board: board["panels"].remove(_panel(board, "Size of the ledger")),
        "aicost_ledger_size_bytes is exported and shown nowhere",
    ),
}


@pytest.mark.parametrize(("change", "told"), FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_told(change, told):
    """A dashboard with a fault is told of in a sentence that names it."""
    assert [fault for fault in _faults(change) if told in fault]


def test_two_queries_of_one_name_are_told():
    """Queries of a panel have refIds of their own."""

    def change(board: dict[str, Any]) -> None:
        panel = _panel(board, "Lost calls")
        panel["targets"] *= 2

    assert "aicost-health: queries of panel 'Lost calls' do not have refIds of their own" in _faults(change)


def test_a_recorded_series_may_be_asked_for():
    """What a rule of Prometheus records counts as a metric there is."""
    boards = deepcopy(read())
    health_board = next(board for board in boards if board["uid"] == "aicost-health")
    _asking("max(aicost:spend:rate1h)")(health_board)
    recorded = [*rules(), {"record": "aicost:spend:rate1h", "expr": "max(aicost_writer_queued_calls)"}]
    assert list(faults(boards, recorded)) == []
