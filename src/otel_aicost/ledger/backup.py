"""A copy of a SQLite ledger, of one moment, while others write."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from otel_aicost.errors import LedgerError
from otel_aicost.ledger import schema
from otel_aicost.ledger.file import COMPANIONS
from otel_aicost.ledger.opening import looking

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES: Final = 500
"""So many pages between two looks at Ctrl-C."""


def back_up(path: Path, target: Path, *, force: bool, progress: Callable[[int, int], None]) -> int:
    """Copy the ledger at `path` to `target` (mode 0600); returns how many calls are in the copy.

    `progress` is told the pages that are left, and all. Nothing is at `target` before the copy is whole and checked.
    Raises `LedgerError` when the ledger cannot be read or the copy is not sound, `FileExistsError` when something is
    there already and `force` is not given, `OSError` when it cannot be written.
    """
    if target.exists() and (not force or not target.is_file()):
        raise FileExistsError(17, "it is there already; --force replaces it", str(target))
    if _is_of(target, path):
        msg = f"{target} is the ledger itself"
        raise LedgerError(msg)
    made = target.with_name(f".{target.name}.{os.getpid()}.part")
    os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        _copy(path, made, progress)
        calls = _check(made)
        _put(made, target, force=force)
    finally:
        for suffix in ("", *COMPANIONS):
            with suppress(OSError):
                Path(f"{made}{suffix}").unlink()
    return calls


def _copy(path: Path, made: Path, progress: Callable[[int, int], None]) -> None:
    with looking(path) as connection, closing(sqlite3.connect(made, isolation_level=None)) as copy:
        source = cast("sqlite3.Connection", connection)  # of a file
        # A transaction that has read holds its moment: without it, every write of another process begins it anew.
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(copy, pages=PAGES, progress=lambda _, left, total: progress(left, total), sleep=0.0)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, whole by itself
    with made.open("rb") as file:
        os.fsync(file.fileno())


def _check(made: Path) -> int:
    with closing(sqlite3.connect(made, isolation_level=None)) as copy:
        said = [row[0] for row in copy.execute("PRAGMA integrity_check").fetchall()]
        if said != ["ok"] or schema.check(copy, made) != schema.VERSION:
            msg = f"the copy is not sound and was deleted: {'; '.join(map(str, said[:3]))}"
            raise LedgerError(msg)
        return int(copy.execute("SELECT count(*) FROM calls").fetchone()[0])


def _put(made: Path, target: Path, *, force: bool) -> None:
    if force:
        made.replace(target)
        return
    try:
        os.link(made, target)  # fails where somebody has put a file there meanwhile
    except FileExistsError:
        raise
    except OSError:  # a filesystem without links
        made.replace(target)


def _is_of(target: Path, path: Path) -> bool:
    """Whether `target` is the ledger, or a file that belongs to it."""
    ledger = Path(os.path.realpath(path))
    return Path(os.path.realpath(target)) in {Path(f"{ledger}{suffix}") for suffix in ("", *COMPANIONS)}
