"""`python -m tools.pictures`: draw every dashboard into docs/images, with the data of a made-up company."""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from grafana.history import Stored, blocks, write_history
from tools.pictures import ROOT
from tools.pictures.company import Company

RENDER = ROOT / "tools" / "render" / "render.mjs"
BOARDS = ROOT / "grafana" / "dashboards"


def main() -> None:
    """Make the data, start Prometheus on it, and draw."""
    parser = argparse.ArgumentParser("python -m tools.pictures", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", metavar="DIR")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--hours", type=int, default=72, help="how much of the past is shown (72)")
    parser.add_argument("boards", nargs="*", help="names of dashboards; all of them unless given")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="aicost-pictures-") as directory:
        folder = Path(directory)
        print("seven weeks of calls (a few minutes) ...", flush=True)
        company = Company()
        write_history(folder / "ledger.db", folder / "scrapes.om", company)
        blocks(folder / "scrapes.om", folder / "data")
        with Stored(folder / "data", lookback="60m") as prometheus:
            for name in options.boards or sorted(path.stem for path in BOARDS.glob("*.json")):
                print(f"{name} ...", flush=True)
                draw(name, prometheus.url, company.end, options)


def draw(name: str, url: str, end: int, options: argparse.Namespace) -> None:
    """One dashboard at the moment at which the data ends."""
    command = ["node", str(RENDER), "--prometheus", url, "--dashboard", str(BOARDS / f"{name}.json")]
    command += ["--out", str(options.out / f"{name}.png"), "--theme", options.theme, "--scrape", f"{Company.step}s"]
    begin, end_at = (datetime.fromtimestamp(at, UTC).isoformat() for at in (end - options.hours * 3600, end))
    command += ["--from", begin.replace("+00:00", "Z"), "--to", end_at.replace("+00:00", "Z")]
    subprocess.run(command, check=True, env=os.environ)


if __name__ == "__main__":
    main()
