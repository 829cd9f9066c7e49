"""The ledger observer hands every record to the ledger."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from otel_aicost.ledger.writer import Writer
from otel_aicost.observers.ledger import LedgerObserver
from records import record

if TYPE_CHECKING:
    from pathlib import Path

    from otel_aicost.observers import Observer


def test_each_record_is_a_row(tmp_path: Path) -> None:
    """A record given after a call is a row after a flush."""
    path = tmp_path / "ledger.db"
    observer: Observer = LedgerObserver(Writer.of_file(path, 400))
    one, other = record(), record()
    observer.after(one, None)
    observer.after(other, None)
    assert observer.flush(10)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM calls ORDER BY id").fetchall() == [(one.id,), (other.id,)]
    assert observer.close(10)


def test_it_tells_how_it_fares(tmp_path: Path) -> None:
    """The writer behind it counts what was written."""
    observer = LedgerObserver(Writer.of_file(tmp_path / "ledger.db"))
    observer.after(record(started_ns=1), None)
    assert observer.close(10)
    assert observer.writer.stats()["written"] == 1


def test_a_refusing_file_is_no_exception(tmp_path: Path) -> None:
    """With a ledger that cannot be made, a record is taken all the same and the flush says it is not there."""
    (tmp_path / "file").write_text("")
    observer = LedgerObserver(Writer.of_file(tmp_path / "file" / "ledger.db"))
    observer.after(record(), None)
    assert not observer.flush(10)
    observer.close(0.1)
    (tmp_path / "file").unlink()


def test_it_loads_nothing_heavy(tmp_path: Path) -> None:
    """An instrumented process that writes a ledger has not imported SQLAlchemy, click, rich or jsonschema."""
    import subprocess

    code = (
        "import sys; from pathlib import Path; from otel_aicost.observers.ledger import LedgerObserver; "
        "from otel_aicost.ledger.writer import Writer; from records import record; o = LedgerObserver(Writer.of_file(Path(sys.argv[1]), 1)); o.after(record(), None); o.close(10); "
        "print(sorted({'sqlalchemy', 'click', 'rich', 'jsonschema', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "ledger.db")],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
