"""Every query of every dashboard, asked of a real Prometheus that knows a day of a real ledger."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tools.dashboards.lint import read
from tools.dashboards.queries import filled, queries

from grafana.history import END, SCRAPES, STEP, Stored, Story, blocks, write_history

if TYPE_CHECKING:
    from pathlib import Path

    from tools.dashboards.queries import Asked

    from prometheus import Prometheus

RANGE = 6 * 3600
MOST_SERIES = 60
"""More would be no picture any more."""
CHOSEN = {
    "__range": "6h",
    "__range_s": str(RANGE),
    "__interval": f"{STEP}s",
    "__rate_interval": f"{4 * STEP}s",
    "period": "month",
    "month": "0",
}
BOARDS = {board["uid"]: board for board in read()}
ASKED = [(uid, asked) for uid, board in BOARDS.items() for asked in queries(board)]


class World(NamedTuple):
    prometheus: Prometheus
    ledger: Path

    def ask(self, asked: Asked) -> list[tuple[dict[str, str], list[float]]]:
        """The series that a panel would show, with all their values."""
        expr = filled(asked.expr, CHOSEN)
        if asked.over_time:
            # What marks a moment is looked for in all the time there is.
            during = STEP * SCRAPES if asked.kind == "annotation" else RANGE
            found = self.prometheus.range(expr, END - during, END, STEP)
            return [(one.labels, one.values) for one in found]
        return [(one.labels, [one.value]) for one in self.prometheus.query(expr, END)]

    def sql(self, statement: str, *parameters: Any) -> Any:
        with closing(sqlite3.connect(self.ledger)) as connection:
            return connection.execute(statement, parameters).fetchone()[0]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A ledger and what Prometheus knows of it."""
    folder = tmp_path_factory.mktemp("history")
    write_history(folder / "ledger.db", folder / "scrapes.om", Story())
    blocks(folder / "scrapes.om", folder / "data")
    with Stored(folder / "data") as prometheus:
        yield World(prometheus, folder / "ledger.db")


@pytest.mark.parametrize(("uid", "asked"), ASKED, ids=[f"{uid}: {asked.where}" for uid, asked in ASKED])
def test_every_query_has_an_answer(world, uid, asked):
    """Panels, variables and annotations all find numbers that can be drawn, and not too many of them."""
    found = world.ask(asked)
    assert found, f"no data: {asked.expr}"
    assert all(math.isfinite(value) for _, values in found for value in values)
    if asked.kind == "panel":
        assert len(found) <= MOST_SERIES
    if asked.label:
        assert any(labels.get(asked.label) for labels, _ in found)


def _shown(world: World, uid: str, title: str, letter: str = "A") -> float:
    """The sum of what a query of a panel shows now."""
    panel = next(each for each in BOARDS[uid]["panels"] if each["title"] == title)
    (asked,) = (each for each in queries({**BOARDS[uid], "panels": [panel]}) if each.where.endswith(f"query {letter}"))
    return sum(values[-1] for _, values in world.ask(asked))


SINCE = {"range": END - RANGE, "day": 1_795_132_800, "week": 1_794_787_200, "month": 1_793_491_200}
DOLLARS = [
    ("range", "aicost-models", "Cost"),
    ("range", "aicost-overview", "Which models cost the most?"),
    ("range", "aicost-models", "Paid and listed by model"),
    ("range", "aicost-models", "Which models made it?"),
    ("day", "aicost-overview", "Today"),
    ("week", "aicost-overview", "This week"),
    ("month", "aicost-overview", "This month"),
    ("month", "aicost-overview", "Top features"),
    ("month", "aicost-overview", "Top teams"),
    ("month", "aicost-chargeback", "Spent in the month"),
    ("month", "aicost-chargeback", "Bill by team"),
    ("month", "aicost-chargeback", "Bill by feature"),
    ("month", "aicost-chargeback", "Bill by user"),
    ("month", "aicost-chargeback", "Bill by job"),
]


@pytest.mark.parametrize(("since", "uid", "title"), DOLLARS)
def test_dollars_are_the_ledgers_own(world, since, uid, title):
    """What a panel adds up to is what the calls cost by the ledger, although two exporters serve it."""
    nano = world.sql("SELECT sum(cost_nano) FROM calls WHERE started_ns >= ?", SINCE[since] * 10**9)
    assert _shown(world, uid, title) == pytest.approx(nano / 1e9, abs=1e-7)


@pytest.mark.parametrize(
    ("uid", "title", "count"),
    [
        ("aicost-engineering", "Calls", "count(*)"),
        ("aicost-models", "Tokens", "sum(input_tokens + output_tokens)"),
    ],
)
def test_counts_are_the_ledgers_own(world, uid, title, count):
    """Calls and tokens of a range are those that the ledger has."""
    found = world.sql(f"SELECT {count} FROM calls WHERE started_ns >= ?", SINCE["range"] * 10**9)
    assert _shown(world, uid, title) == pytest.approx(found)


def test_reasons_of_a_change_add_up(world):
    """Volume, mix and price together are the change of the cost, and that is the ledger's."""
    change, *parts = (
        _shown(world, "aicost-models", "What made the difference to the range before?", letter) for letter in "ABCD"
    )
    ranges = [(END - RANGE * (back + 1), END - RANGE * back) for back in (0, 1)]
    now, before = (
        world.sql(
            "SELECT sum(cost_nano) FROM calls WHERE started_ns >= ? AND started_ns < ?", *(at * 10**9 for at in one)
        )
        for one in ranges
    )
    assert change == pytest.approx((now - before) / 1e9, abs=1e-7)
    assert sum(parts) == pytest.approx(change)


def test_a_range_that_begins_in_the_dark_has_no_number(world):
    """Where Prometheus did not know the ledger at the beginning of the range, no sum of it is shown."""
    panel = next(each for each in BOARDS["aicost-models"]["panels"] if each["title"] == "Cost")
    expr = filled(panel["targets"][0]["expr"], {**CHOSEN, "__range": "3d", "__range_s": str(3 * 86_400)})
    assert world.prometheus.query(expr, END) == []
