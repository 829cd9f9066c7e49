"""Check the dashboards: `python -m tools.dashboards.lint`. One line a fault; exits with 1 where there is one."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tools.dashboards import panel_rules, query_rules
from tools.dashboards.__main__ import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

Dashboard = dict[str, Any]
RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules"


def read(folder: Path = FOLDER) -> list[Dashboard]:
    """The dashboards of a folder."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def rules(folder: Path = RULES) -> list[dict[str, str]]:
    """The rules of Prometheus: each has `expr`, and `record` or `alert`."""
    groups = [group for path in sorted(folder.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def faults(dashboards: list[Dashboard], prometheus: list[dict[str, str]]) -> Iterator[str]:
    """What is wrong with dashboards, given the rules of Prometheus."""
    uids = [dashboard.get("uid", "") for dashboard in dashboards]
    recorded = {rule["record"] for rule in prometheus if "record" in rule}
    checks = (
        panel_rules.titles,
        panel_rules.units,
        panel_rules.money,
        panel_rules.datasources,
        panel_rules.grid,
        panel_rules.ids,
        panel_rules.schema,
        panel_rules.legends,
        panel_rules.chosen,
        partial(panel_rules.links, uids=set(uids)),
        query_rules.parses,
        query_rules.says_no_data,
        query_rules.counters,
        query_rules.rates,
        query_rules.one_exporter,
        query_rules.no_target,
        partial(query_rules.exists, recorded=recorded),
    )
    for dashboard in dashboards:
        for check in checks:
            yield from (f"{dashboard.get('uid')}: {fault}" for fault in check(dashboard))
    if len(set(uids)) < len(uids):
        yield "two dashboards have one uid"
    yield from query_rules.unseen(dashboards, [rule["expr"] for rule in prometheus])


def main() -> int:
    """Print every fault of the dashboards in the repository."""
    found = list(faults(read(), rules()))
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
