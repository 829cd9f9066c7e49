"""`python -m tools.accuracy`: traffic, a ledger, `aicost serve`, two Prometheus, and what each says of the same money.

Real programs write a real ledger; one Prometheus runs with the flags that we ask for, one without. At the end every
figure is held against the ledger's own sum over the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.report import machine, table
from prometheus_client.parser import text_string_to_metric_families

from prometheus import Prometheus, free_port, scraping
from tools.accuracy import ROOT, pages
from tools.accuracy.traffic import SHOWN
from tools.dashboards.promql import grown

DOCUMENT: Final = ROOT / "docs" / "accuracy.md"
MARK: Final = "<!-- figures: written by `python -m tools.accuracy --write`, not by hand -->"
SETTLING: Final = 5
"""Scrapes after the last call."""
LENGTHS: Final = (60, 240, 900, 3600, 6 * 3600, 24 * 3600)
LEAST: Final = 20
"""Scrapes in a window: in a shorter one the edges are all there is to see."""


class Window(NamedTuple):
    """A stretch of time up to the end of the run."""

    seconds: int

    @property
    def range(self) -> str:
        return f"{self.seconds}s"

    def __str__(self) -> str:
        return f"{self.seconds // 60} min" if self.seconds < 3600 else f"{self.seconds / 3600:g} h"  # noqa: PLR2004


def main() -> None:
    """Run, measure, print, and put the figures into the document where that is asked for."""
    parser = argparse.ArgumentParser("python -m tools.accuracy", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="how long there are calls (5)")
    parser.add_argument("--scrape", type=int, default=1, metavar="SECONDS", help="how often Prometheus asks (1)")
    parser.add_argument("--pace", type=float, default=1, help="how much longer the pauses between calls are (1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put the figures into docs/accuracy.md")
    options = parser.parse_args()
    os.environ["PACE"] = str(options.pace)
    found = f"{measured(int(options.minutes * 60), options.scrape, options.seed)}\n\n{pages.measured()}"
    told = f"`python -m tools.accuracy {' '.join(sys.argv[1:])}`, {datetime.now(UTC):%Y-%m-%d}. {machine()}"
    text = f"{told}\n\n{found}"
    print(text)
    if options.write:
        head = DOCUMENT.read_text().partition(MARK)[0]
        DOCUMENT.write_text(f"{head}{MARK}\n\n{text}\n")


def measured(seconds: int, scrape: int, seed: int) -> str:
    """All tables."""
    with tempfile.TemporaryDirectory(prefix="aicost-accuracy-") as directory, ExitStack() as running:
        ledger, port = Path(directory, "ledger.db"), free_port()
        environ = {**os.environ, "OTEL_AICOST_LEDGER": str(ledger), "OTEL_AICOST_CONFIG": "none"}
        environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        environ |= {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")}
        serve = [sys.executable, "-m", "otel_aicost.cli", "serve", "--port", str(port)]
        exporter = running.enter_context(subprocess.Popen(serve, env=environ, stdout=subprocess.DEVNULL, cwd=directory))
        running.callback(exporter.terminate)
        config = scraping(f"127.0.0.1:{port}", interval=f"{scrape}s")
        flagged = running.enter_context(Prometheus(config))
        plain = running.enter_context(Prometheus(config, features=""))
        time.sleep(3 * scrape)
        until = time.time() + seconds
        _run_traffic(environ, until, seed)
        for one in (flagged, plain):
            one.wait_scrape(2)
        end = until + 2 * scrape
        time.sleep(max(0, end - time.time()) + SETTLING * scrape)
        windows = [Window(each) for each in LENGTHS if LEAST * scrape <= each <= seconds * 0.95]
        return "\n\n".join([_tables(ledger, flagged, plain, end, windows), _whole(ledger, port, flagged)])


def _run_traffic(environ: dict[str, str], until: float, seed: int) -> None:
    command = [sys.executable, "-m", "tools.accuracy.traffic"]
    programs = [
        subprocess.Popen([*command, kind, str(until), str(seed)], env={**environ, "OTEL_SERVICE_NAME": kind}, cwd=ROOT)
        for kind in SHOWN
    ]
    while any(program.poll() is None for program in programs):
        if sys.stderr.isatty():
            print(f"\r\033[K{max(0, until - time.time()):.0f} s of calls are left", end="", file=sys.stderr, flush=True)
        time.sleep(1)


def _tables(ledger: Path, flagged: Prometheus, plain: Prometheus, end: float, windows: list[Window]) -> str:
    titles = ["program", "window", "ledger, $", "panel and `x - x offset`", "`increase`", "`increase`, no flags"]
    rows = [titles]
    for kind in SHOWN:
        for window in windows:
            truth = _spent(ledger, kind, end - window.seconds, end)
            exact = flagged.value(_filled(grown("aicost_cost_usd_total", f'service="{kind}"'), window), end)
            increase = f'sum(increase(aicost_cost_usd_total{{service="{kind}"}}[{window.range}]))'
            shapes = [one.value(increase, end) for one in (flagged, plain)]
            errors = [f"{100 * (said / truth - 1):+.2f} %" for said in (exact, *shapes)]
            rows.append([kind, str(window), f"{truth:.4f}", *errors])
    return f"Errors against the ledger's own sum over the same time:\n\n{table(rows)}"


def _whole(ledger: Path, port: int, prometheus: Prometheus) -> str:
    """What is exact at any moment, told as what each place says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
    samples = [sample for sample in families["aicost_cost_usd"].samples if sample.name == "aicost_cost_usd_total"]
    rows = [["all that was spent", "$"]]
    rows.append(["ledger: sum of the calls", f"{_spent(ledger, None, 0, 2e9):.9f}"])
    rows.append(["`/metrics`: sum of `aicost_cost_usd_total`", f"{sum(sample.value for sample in samples):.9f}"])
    rows.append(["Prometheus: `sum(aicost_cost_usd_total)`", f"{prometheus.value('sum(aicost_cost_usd_total)'):.9f}"])
    for period in ("day", "month"):
        query = f'max(aicost_spend_usd{{period="{period}",offset="0"}})'
        rows.append([f"period panel: `{query}`", f"{prometheus.value(query):.9f}"])
    rows.append(["`aicost report`", json.loads(_report(ledger))["total"]["cost_usd"]])
    return table(rows)


def _report(ledger: Path) -> str:
    command = [sys.executable, "-m", "otel_aicost.cli", "report", "--ledger", str(ledger), "--format", "json"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _filled(expression: str, window: Window) -> str:
    return expression.replace("$__range_s", str(window.seconds)).replace("$__range", window.range)


def _spent(ledger: Path, service: str | None, start: float, end: float) -> float:
    """Dollars of the calls that began between two Unix times."""
    where, more = ("", []) if service is None else (" AND service = ?", [service])
    sql = f"SELECT coalesce(sum(cost_nano), 0) FROM calls WHERE started_ns > ? AND started_ns <= ?{where}"  # noqa: S608
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        (nano,) = connection.execute(sql, [int(start * 1e9), int(end * 1e9), *more]).fetchone()
    return float(nano / 1e9)


if __name__ == "__main__":
    main()
