"""Holds what Prometheus and the dashboards say against the ledger: `python -m tools.accuracy`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # the servers that the tests run
