"""The kinds of panels and what they have in common, as the dicts of Grafana's classic model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tools.dashboards import look, overrides

Panel = dict[str, Any]
ROOMY = 9
"""From this height on there is room for a legend with numbers."""
PROMETHEUS = {"type": "prometheus", "uid": "$datasource"}


@dataclass(frozen=True)
class Query:
    """A PromQL expression, and what its series are called."""

    expr: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True)
class About:
    """What a panel is: its id within the dashboard for ever, its title, what it shows and from where, its unit."""

    id: int
    title: str
    description: str
    unit: str
    decimals: int | None = None
    steps: look.Steps = look.ALWAYS
    empty: str | None = None
    """Said in place of "No data"."""
    width: int = 6
    height: int = 4
    overrides: tuple[dict[str, Any], ...] = ()
    links: tuple[dict[str, Any], ...] = ()
    limits: tuple[float, float] | None = None
    """The least and the greatest value of a bar or an axis."""
    mappings: tuple[dict[str, Any], ...] = field(default=())


def stat(about: About, *queries: Query, colour: str = "value", text: str = "auto") -> Panel:
    """One number each, large."""
    options = {
        "colorMode": colour,
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": _last(),
        "text": {"titleSize": 14, "valueSize": 38 if text == "auto" and len(queries) == 1 else 26},
        "textMode": "value_and_name" if len(queries) > 1 else text,
        "wideLayout": False,
    }
    return _panel("stat", about, _instant(queries), options, {})


def bars(about: About, *queries: Query) -> Panel:
    """One horizontal bar for each series, in the order the query gives them: let it sort."""
    options = {
        "displayMode": "basic",
        "minVizHeight": 16,
        "minVizWidth": 8,
        "namePlacement": "left",
        "orientation": "horizontal",
        "reduceOptions": _last(),
        "showUnfilled": True,
        "sizing": "auto",
        "text": {"titleSize": 11, "valueSize": 14},
        "valueMode": "color",
    }
    panel = _panel("bargauge", about, _instant(queries), options, {})
    panel["fieldConfig"]["defaults"].setdefault("min", 0)
    return panel


def pie(about: About, *queries: Query) -> Panel:
    """Shares of a whole."""
    options = {
        "displayLabels": ["percent"],
        "legend": {"displayMode": "table", "placement": "right", "showLegend": True, "values": ["value", "percent"]},
        "pieType": "donut",
        "reduceOptions": _last(),
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return _panel("piechart", about, _instant(queries), options, {})


def series(about: About, *queries: Query, stacked: bool = False, drawn: str = "line", shown: str = "") -> Panel:
    """Values over time. `shown` is what the legend says of each: `max`, `sum`; the last value is always there."""
    custom = {
        "axisSoftMin": 0,
        "drawStyle": drawn,
        "fillOpacity": {"bars": 80}.get(drawn, 30 if stacked else 5),
        "lineInterpolation": "linear",
        "lineWidth": 1 if stacked else 2,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
        "thresholdsStyle": {"mode": "off" if about.steps == look.ALWAYS else "dashed"},
    }
    options = {
        "legend": {
            "calcs": [*filter(None, (shown,)), "lastNotNull"],
            "displayMode": "table" if about.height >= ROOMY else "list",
            "placement": "bottom",
            "showLegend": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    targets = [_target(query, number) for number, query in enumerate(queries)]
    return _panel("timeseries", about, targets, options, custom)


def table(about: About, columns: dict[str, str], *queries: Query, sort: str) -> Panel:
    """Rows by label set. `columns`: field -> heading, in their order; `Value #A` is the first query's value."""
    options = {
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""},
        "showHeader": True,
        "sortBy": [{"desc": True, "displayName": sort}],
    }
    panel = _panel(
        "table", about, _instant(queries, table=True), options, {"align": "auto", "filterable": False, "minWidth": 70}
    )
    only = "Value" if len(queries) == 1 else None
    names = {(only if only and key == "Value #A" else key): heading for key, heading in columns.items()}
    panel["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "filterFieldsByName", "options": {"include": {"names": list(names)}}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "indexByName": {key: place for place, key in enumerate(names)},
                "renameByName": names,
            },
        },
    ]
    return panel


def text(about: About, markdown: str) -> Panel:
    """Words."""
    panel = _panel("text", about, [], {"content": markdown, "mode": "markdown"}, {})
    del panel["targets"], panel["datasource"], panel["fieldConfig"]
    return panel


def _panel(kind: str, about: About, targets: list[Panel], options: Panel, custom: Panel) -> Panel:
    palette = kind in {"timeseries", "piechart"}
    defaults: Panel = {
        "color": {"mode": "palette-classic" if palette else "thresholds"},
        "custom": custom,
        "mappings": list(about.mappings),
        "thresholds": overrides.thresholds(about.steps),
        "unit": about.unit,
    }
    if about.decimals is not None:
        defaults["decimals"] = about.decimals
    if about.empty is not None:
        defaults["noValue"] = about.empty
    if about.limits is not None:
        defaults["min"], defaults["max"] = about.limits
    return {
        "id": about.id,
        "type": kind,
        "title": about.title,
        "description": about.description,
        "datasource": PROMETHEUS,
        "fieldConfig": {"defaults": defaults, "overrides": list(about.overrides)},
        "gridPos": {"h": about.height, "w": about.width, "x": 0, "y": 0},
        "links": list(about.links),
        "options": options,
        "targets": targets,
    }


def _target(query: Query, number: int) -> Panel:
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "exemplar": query.exemplars,
        "expr": query.expr,
        "format": "time_series",
        "instant": False,
        "legendFormat": query.legend or "__auto",
        "range": True,
        "refId": chr(ord("A") + number),
    }


def _instant(queries: tuple[Query, ...], *, table: bool = False) -> list[Panel]:
    kind = "table" if table else "time_series"
    return [
        {**_target(query, number), "format": kind, "instant": True, "range": False}
        for number, query in enumerate(queries)
    ]


def _last() -> Panel:
    return {"calcs": ["lastNotNull"], "fields": "", "values": False}
