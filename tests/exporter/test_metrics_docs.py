"""docs/metrics.md shows the families as they are."""

from __future__ import annotations

import re
from pathlib import Path

from otel_aicost.names import EXPORTED

METRICS = Path(__file__).parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(aicost_\w+)` \|.*$", re.MULTILINE)


def row(name):
    """The line of the table that a family has."""
    family = EXPORTED[name]
    shown = f"{name}_total" if family.kind == "counter" else name
    labels = ", ".join(f"`{label}`" for label in family.labels) or "none"
    return f"| `{shown}` | {family.kind} | {labels} | {family.help} |"


def test_every_family_is_in_the_tables():
    """Each family has one line, with its kind, its labels and its help; there is no line of anything else."""
    shown = sorted(found[0] for found in ROW.finditer(METRICS.read_text()))

    assert shown == sorted(row(name) for name in EXPORTED)


def test_what_the_text_names_exists():
    """Every metric that is named in the text or in a question is a family, or a sample of one."""
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    known = {name + suffix for name, family in EXPORTED.items() for suffix in suffixes[family.kind]}

    named = set(re.findall(r"\baicost_[a-z_]+\b", ROW.sub("", METRICS.read_text())))
    assert named <= known
