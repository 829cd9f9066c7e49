"""The figures as tables, for the terminal and for `docs/performance.md`."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.calls import WORKLOADS
from benchmarks.rounds import added, bare
from benchmarks.setups import SETUPS
from benchmarks.wire import CHUNKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.rounds import Pairs

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures: written by `python -m benchmarks --write`, not by hand -->", "<!-- end of figures -->"
PACKAGES = ("openai", "anthropic", "httpx2", "opentelemetry-sdk", "wrapt", "genai-prices")


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table that reads well in a terminal too."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    filled = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in filled]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


LEGEND = """- *bare*: the SDK itself, and the transport that answers from memory
- *wrapper*: a `wrapt` wrapper that does nothing
- *floor*: a span with ten attributes, two histograms, two counters, a price of two multiplications
- *ours, alone*: no ledger and no OpenTelemetry SDK; *ours, ledger*: with the ledger
- *ours, all*: span, metrics, price and ledger; the last column is that in floors"""


def calls(pairs: Mapping[tuple[str, str], Pairs]) -> str:
    """Added microseconds, and what they are in terms of the floor."""
    rows = [["CPU µs a call", "bare", *[title for title, _ in SETUPS.values()], "all / floor"]]
    for name, workload in WORKLOADS.items():
        found = {setup: added(pairs, setup, name) for setup in SETUPS}
        cells = [f"{one.each:+,.0f} ± {one.spread:,.0f}" for one in found.values()]
        ratio = found["full"].each / found["floor"].each
        rows.append([workload.title, f"{bare(pairs, name):,.0f}", *cells, f"**{ratio:.2f}**"])
    return table(rows)


def chunks(pairs: Mapping[tuple[str, str], Pairs]) -> str:
    """What one chunk adds: the difference of a stream and a call, divided by the chunks."""
    rows = [["added CPU µs a chunk", "OpenAI", "Anthropic"]]
    for setup, (title, _) in SETUPS.items():
        row = [title]
        for stream, call in (("stream", "chat"), ("message-stream", "messages")):
            each = (added(pairs, setup, stream).each - added(pairs, setup, call).each) / CHUNKS
            row.append(f"{each:+.2f}")
        rows.append(row)
    return table(rows)


def machine() -> str:
    """What it was measured on, and how quiet that was."""
    cpu = platform.processor() or platform.machine()
    found = re.search(r"model name\s*:\s*(.+)", _read("/proc/cpuinfo"))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{found[1] if found else cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; {versions}. Load averages at the end (1, 5, 15 minutes): {load}; "
        "a quiet machine would show about 1 while this runs."
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def write(figures: str) -> None:
    """Put the figures between the two marks of the document."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}")
