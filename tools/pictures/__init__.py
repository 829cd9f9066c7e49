"""The pictures of the dashboards in the README: a made-up company, a real ledger, a real Prometheus."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # the history that the dashboards are tested with
