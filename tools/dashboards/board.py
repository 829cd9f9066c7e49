"""A dashboard around its panels: rows, variables, annotations and the links to the others."""

from __future__ import annotations

from dataclasses import dataclass

from tools.dashboards.panels import PROMETHEUS, Panel

WIDTH = 24
SCHEMA = 39
"""The model of Grafana 10.4: newer ones read it and bring it up to date as they load it."""
TITLES = {
    "aicost-overview": "Overview",
    "aicost-budgets": "Budgets",
    "aicost-chargeback": "Chargeback",
    "aicost-models": "Models",
    "aicost-engineering": "Engineering",
    "aicost-health": "Health",
}


@dataclass(frozen=True)
class Row:
    """A question of the story, the panels that answer it, and the id of its heading."""

    id: int
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """A dashboard; its file is named by `uid` without the prefix."""

    uid: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Panel, ...]
    annotations: tuple[Panel, ...] = ()
    begins: str = "now-24h"

    def json(self) -> Panel:
        """Grafana's classic model of it."""
        return {
            "annotations": {"list": [_own_annotations(), *self.annotations]},
            "description": self.description,
            "editable": True,
            "fiscalYearStartMonth": 0,
            "graphTooltip": 1,
            "id": None,
            "links": [_link(uid) for uid in TITLES if uid != self.uid],
            "panels": _laid_out(self.rows),
            "refresh": "1m",
            "schemaVersion": SCHEMA,
            "tags": ["aicost"],
            "templating": {"list": [datasource("datasource", "Data source", "prometheus"), *self.variables]},
            "time": {"from": self.begins, "to": "now"},
            "timepicker": {},
            "timezone": "browser",
            "title": f"AI cost / {TITLES[self.uid]}",
            "uid": self.uid,
            "version": 1,
            "weekStart": "",
        }


def datasource(name: str, label: str, plugin: str) -> Panel:
    """Which of the data sources of a kind; the first there is unless one is chosen."""
    return {
        "current": {},
        "hide": 0,
        "includeAll": False,
        "label": label,
        "multi": False,
        "name": name,
        "options": [],
        "query": plugin,
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
        "type": "datasource",
    }


def choice(label: str, series: str, of: str | None = None, name: str | None = None) -> Panel:
    """Values of a label, several or all of them. All is any value, none included."""
    query = f"label_values({series}, {of or label.lower()})"
    return {
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": PROMETHEUS,
        "definition": query,
        "hide": 0,
        "includeAll": True,
        "label": label,
        "multi": True,
        "name": name or label.lower(),
        "options": [],
        "query": {"query": query, "refId": "Values"},
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
        "type": "query",
    }


def picks(name: str, label: str, values: dict[str, str]) -> Panel:
    """One of some fixed values, by their names; the first unless one is chosen."""
    options = [
        {"selected": place == 0, "text": text, "value": value} for place, (text, value) in enumerate(values.items())
    ]
    return {
        "current": options[0],
        "hide": 0,
        "includeAll": False,
        "label": label,
        "multi": False,
        "name": name,
        "options": options,
        "query": ", ".join(f"{text} : {value}" for text, value in values.items()),
        "skipUrlSync": False,
        "type": "custom",
    }


def annotation(name: str, expr: str, colour: str, words: str, *, shown: bool = True) -> Panel:
    """Marks on every graph of a dashboard while `expr` has an answer."""
    return {
        "datasource": PROMETHEUS,
        "enable": shown,
        "expr": expr,
        "hide": False,
        "iconColor": colour,
        "name": name,
        "step": "60s",
        "textFormat": words,
        "titleFormat": name,
        "useValueForTime": False,
    }


def _own_annotations() -> Panel:
    return {
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    }


def _link(uid: str) -> Panel:
    return {
        "asDropdown": False,
        "icon": "dashboard",
        "includeVars": True,
        "keepTime": True,
        "tags": [],
        "targetBlank": False,
        "title": TITLES[uid],
        "tooltip": f"AI cost / {TITLES[uid]}",
        "type": "link",
        "url": f"/d/{uid}",
    }


def _laid_out(rows: tuple[Row, ...]) -> list[Panel]:
    """Each panel of a row as high up as it fits, then as far left."""
    placed, top = [], 0
    for row in rows:
        placed.append(_heading(row, top))
        filled = [top + 1] * WIDTH
        for panel in row.panels:
            size = panel["gridPos"]
            width = size["w"]
            line, left = min((max(filled[x : x + width]), x) for x in range(WIDTH - width + 1))
            filled[left : left + width] = [line + size["h"]] * width
            placed.append({**panel, "gridPos": {**size, "x": left, "y": line}})
        top = max(filled)
    return placed


def _heading(row: Row, top: int) -> Panel:
    place = {"h": 1, "w": WIDTH, "x": 0, "y": top}
    return {"collapsed": False, "gridPos": place, "id": row.id, "panels": [], "title": row.title, "type": "row"}
