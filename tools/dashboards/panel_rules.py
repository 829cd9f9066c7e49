"""Rules on how dashboards and panels are built. Each rule yields one sentence a fault."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING, Any

from tools.dashboards.board import WIDTH
from tools.dashboards.look import USD
from tools.dashboards.queries import panels, queries, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

Dashboard = dict[str, Any]
SCHEMAS = range(39, 42)
"""What Grafana 10.4 to 13 read."""
WORDS = 6
"""A description of fewer words says no more than the title."""
_SEE_LEGEND = {"timeseries", "piechart"}
_OURS = re.compile(r"/d/([\w-]+)")


def titles(dashboard: Dashboard) -> Iterator[str]:
    """A panel has a title, no other panel's, and a description that says something."""
    seen: set[str] = set()
    for panel in panels(dashboard):
        title = panel.get("title", "")
        if not title or title.startswith("aicost_"):
            yield f"panel {panel.get('id')} has no title"
        if title in seen:
            yield f"two panels are called {title!r}"
        seen.add(title)
        if len(panel.get("description", "").split()) < WORDS:
            yield f"panel {title!r} has no description"


def units(dashboard: Dashboard) -> Iterator[str]:
    """A panel with numbers says their unit."""
    for panel in panels(dashboard):
        if panel["type"] != "text" and not panel["fieldConfig"]["defaults"].get("unit"):
            yield f"panel {panel['title']!r} has no unit"


def money(dashboard: Dashboard) -> Iterator[str]:
    """Dollars are shown as dollars, and nothing else is; only a quotient of dollars is a share."""
    for panel in panels(dashboard):
        dollars = USD in _units(panel)
        for target in panel.get("targets", ()):
            asked = "_usd" in target["expr"]
            if asked and not dollars and "/" not in target["expr"]:
                yield f"panel {panel['title']!r} shows dollars without their unit"
        if dollars and not any("_usd" in target["expr"] for target in panel.get("targets", ())):
            yield f"panel {panel['title']!r} shows as dollars what is none"


def _units(panel: Dashboard) -> set[str]:
    config = panel.get("fieldConfig", {"defaults": {}, "overrides": []})
    own = {each["value"] for override in config["overrides"] for each in override["properties"] if each["id"] == "unit"}
    return {config["defaults"].get("unit", ""), *own}


def datasources(dashboard: Dashboard) -> Iterator[str]:
    """Everything that asks, asks the data source that was chosen."""
    found = dashboard["templating"]["list"]
    if not any(each["name"] == "datasource" and each["type"] == "datasource" for each in found):
        yield "there is no variable datasource"
    asking = [(f"panel {panel['title']!r}", panel) for panel in panels(dashboard) if panel["type"] != "text"]
    asking += [(f"panel {panel['title']!r}", target) for _, panel in list(asking) for target in panel["targets"]]
    asking += [(f"variable {each['name']}", each) for each in found if each["type"] == "query"]
    asking += [
        (f"annotation {each['name']!r}", each) for each in dashboard["annotations"]["list"] if not each.get("builtIn")
    ]
    for where, each in asking:
        if (each.get("datasource") or {}).get("uid") != "$datasource":
            yield f"{where} does not ask $datasource"


def grid(dashboard: Dashboard) -> Iterator[str]:
    """Panels stand within the columns there are, and none covers another."""
    places = [(panel["title"], panel["gridPos"]) for panel in dashboard["panels"]]
    for title, at in places:
        if at["x"] < 0 or at["x"] + at["w"] > WIDTH or at["w"] < 1 or at["h"] < 1:
            yield f"panel {title!r} is not within {WIDTH} columns"
    for (one, a), (other, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        if not beside and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]:
            yield f"panels {one!r} and {other!r} overlap"


def ids(dashboard: Dashboard) -> Iterator[str]:
    """Panels and queries have ids of their own, and the dashboard a uid that says whose it is."""
    found = [panel.get("id") for panel in dashboard["panels"]]
    if None in found or len(set(found)) < len(found):
        yield "panels do not have ids of their own"
    for panel in panels(dashboard):
        letters = [target.get("refId") for target in panel.get("targets", ())]
        if None in letters or len(set(letters)) < len(letters):
            yield f"queries of panel {panel['title']!r} do not have refIds of their own"
    if not str(dashboard.get("uid", "")).startswith("aicost-") or dashboard.get("id") is not None:
        yield "the dashboard has no uid that begins with aicost-, or an id of some database"


def schema(dashboard: Dashboard) -> Iterator[str]:
    """Grafana 10 to 13 load it."""
    if dashboard.get("schemaVersion") not in SCHEMAS or "panels" not in dashboard:
        yield f"schemaVersion {dashboard.get('schemaVersion')} is not one of {SCHEMAS.start} to {SCHEMAS.stop - 1}"


def legends(dashboard: Dashboard) -> Iterator[str]:
    """Graphs of several things say which is which."""
    for panel in panels(dashboard):
        if panel["type"] in _SEE_LEGEND and not panel["options"]["legend"]["showLegend"]:
            yield f"panel {panel['title']!r} hides its legend"


def links(dashboard: Dashboard, uids: set[str]) -> Iterator[str]:
    """Links lead to dashboards there are, and take the time and the variables along."""
    for link in dashboard.get("links", ()):
        if not (link.get("keepTime") and link.get("includeVars")):
            yield f"link {link['title']!r} forgets the time or the variables"
    urls = [link["url"] for link in dashboard.get("links", ())]
    urls += [link["url"] for panel in panels(dashboard) for link in panel.get("links", ())]
    for url in urls:
        for uid in _OURS.findall(url):
            if uid not in uids:
                yield f"a link leads to {uid}, which is no dashboard"


def chosen(dashboard: Dashboard) -> Iterator[str]:
    """Every variable that is used is there, is used, and is looked up anew when the time range changes."""
    there = {each["name"]: each for each in dashboard["templating"]["list"]}
    used = set().union(*(variables(asked.expr) for asked in queries(dashboard)))
    used |= set().union(*(variables(str(panel)) for panel in panels(dashboard)))
    for name in sorted(name for name in used if not name.startswith("__") and name not in there):
        yield f"there is no variable {name}"
    for name, each in there.items():
        if name not in used:
            yield f"nothing uses the variable {name}"
        if each["type"] == "query" and each["refresh"] != 2:  # noqa: PLR2004 - Grafana's "on time range change"
            yield f"variable {name} is not looked up when the time range changes"
