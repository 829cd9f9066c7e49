"""What single columns and series of a panel have of their own: unit, colour, link."""

from __future__ import annotations

from typing import Any

from tools.dashboards import look

Override = dict[str, Any]


def of(name: str, **properties: Any) -> Override:  # noqa: ANN401 - JSON
    """Properties of the column or series of this name; `custom.` is written `custom_`."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key.replace("custom_", "custom."), "value": value} for key, value in properties.items()],
    }


def money(name: str, decimals: int = 2) -> Override:
    """A column of dollars."""
    return of(name, unit=look.USD, decimals=decimals)


def count(name: str) -> Override:
    """A column of counts: whole numbers, of great ones the first digits."""
    return of(name, unit=look.COUNT)


def share(name: str, steps: look.Steps | None = None) -> Override:
    """A column of shares, coloured by `steps`."""
    if steps is None:
        return of(name, unit=look.SHARE, decimals=1)
    return of(
        name,
        unit=look.SHARE,
        decimals=1,
        thresholds=thresholds(steps),
        color={"mode": "thresholds"},
        custom_cellOptions={"type": "color-text"},
    )


def gauge(name: str, steps: look.Steps, most: float = 1) -> Override:
    """A column of shares as bars."""
    return of(
        name,
        unit=look.SHARE,
        decimals=0,
        min=0,
        max=most,
        thresholds=thresholds(steps),
        color={"mode": "thresholds"},
        custom_cellOptions={"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
    )


def moment(name: str) -> Override:
    """A column of instants in milliseconds, as "in 3 days"."""
    return of(name, unit=look.MOMENT)


def coloured(colours: dict[str, str]) -> tuple[Override, ...]:
    """The same colour for the same thing on each dashboard."""
    return tuple(of(name, color={"mode": "fixed", "fixedColor": colour}) for name, colour in colours.items())


def dashed(name: str, colour: str) -> Override:
    """A line to compare with."""
    return of(
        name,
        color={"mode": "fixed", "fixedColor": colour},
        custom_fillOpacity=0,
        custom_lineStyle={"dash": [10, 10], "fill": "dash"},
    )


def thresholds(steps: look.Steps) -> dict[str, Any]:
    """Steps as Grafana has them."""
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for value, colour in steps]}
