"""What the budgets of a program are is put down in the ledger: an audit trail."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BUDGETS = "budgets: [{name: cap, limit: %s USD, period: day}]\n"
PROGRAM = """
import sys, time
from pathlib import Path
import otel_aicost
otel_aicost.instrument()
otel_aicost.flush()
file = Path("aicost.yaml")
for amount in sys.argv[1:]:
    file.write_text("budgets: [{name: cap, limit: %s USD, period: day}]\\n" % amount)
    otel_aicost.record("openai", "gpt-4o", {"input_tokens": 10})
otel_aicost.flush()
"""


def run(directory: Path, *amounts: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environ["OTEL_AICOST_LEDGER"] = str(directory / "ledger.db")
    subprocess.run([sys.executable, "-c", PROGRAM, *amounts], cwd=directory, env=environ, check=True, timeout=60)


def events(directory: Path) -> list[tuple[str, str, str, str | None, str | None]]:
    with closing(sqlite3.connect(directory / "ledger.db")) as connection:
        return connection.execute("SELECT kind, subject, who, was, became FROM events ORDER BY at_ns, id").fetchall()


def test_definitions_and_their_changes_are_events(tmp_path: Path) -> None:
    """Added at the first start, changed while the program runs; a start with the same file adds nothing."""
    (tmp_path / "aicost.yaml").write_text(BUDGETS % 1)
    run(tmp_path, "2")
    run(tmp_path)
    found = events(tmp_path)
    assert [kind for kind, *_ in found] == ["definition_added", "definition_changed"]
    assert {subject for _, subject, *_ in found} == {"cap"}
    assert all(who.startswith("aicost.yaml (") for _, _, who, *_ in found)
    assert "1.00 USD" in str(found[1][3])
    assert "2.00 USD" in str(found[1][4])
