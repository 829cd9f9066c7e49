"""A ledger file is made, migrated, written and refused as it should be."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from otel_aicost.errors import LedgerError
from otel_aicost.ledger import file, schema
from otel_aicost.ledger.row import row
from otel_aicost.ledger.store import BATCH, SIZES, DamagedLedgerError, FileStore
from records import record

if TYPE_CHECKING:
    from collections.abc import Callable


BUDGET_TABLES = (
    "budget_windows",
    "reservations",
    "budget_entries",
    "budget_limits",
    "budget_definitions",
    "events",
    "alerts",
    "deliveries",
    "refusals",
    "adjustments",
    "repriced",
)


def test_a_new_ledger_has_the_tables(ledger: Path, look: Callable[..., list[tuple[str, ...]]]) -> None:
    """A new file has the tables, the view, the version, the mark and the write-ahead log."""
    FileStore(ledger).close()
    names = {name for (name,) in look("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
    assert names == {"calls", "rollups", "spend", "meta", "totals", "processes", *BUDGET_TABLES}
    assert look("PRAGMA user_version") == [(schema.VERSION,)]
    assert look("PRAGMA application_id") == [(schema.APPLICATION_ID,)]
    assert look("PRAGMA journal_mode") == [("wal",)]
    assert [name for _, name, *_ in look("PRAGMA table_info(calls)")] == list(schema.CALL_COLUMNS)


def test_files_are_private_whatever_the_umask(ledger: Path) -> None:
    """With umask 0 the file, its companions and the directories made for it are the user's alone."""
    before = os.umask(0)
    try:
        store = FileStore(ledger)
        store.insert([row(record())])
        modes = {one.name: one.stat().st_mode & 0o777 for one in ledger.parent.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
    assert ledger.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 16, 17, 64, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH])
def test_any_number_of_rows_is_inserted(ledger: Path, look: Callable[..., list[tuple[int]]], count: int) -> None:
    """Every row given is in the file once, on both sides of each size of a statement."""
    store = FileStore(ledger)
    store.insert([row(record()) for _ in range(count)])
    store.close()
    assert look("SELECT count(*) FROM calls") == [(count,)]
    assert max(SIZES) == BATCH


def test_an_id_is_written_once(ledger: Path, look: Callable[..., list[tuple[object, ...]]]) -> None:
    """A row inserted again, alone or among new ones, stays as it was."""
    store, one = FileStore(ledger), record(service="first")
    store.insert([row(one)])
    store.insert([row(record(id=one.id, service="second")), row(record())])
    store.close()
    assert look("SELECT service FROM calls WHERE id = ?", one.id) == [("first",)]
    assert look("SELECT count(*) FROM calls") == [(2,)]


def test_an_insert_tells_which_calls_are_new(ledger: Path) -> None:
    """Of one call, of many, of some that are there and some that come twice."""
    store = FileStore(ledger)
    rows = [row(record(id=f"c,'-{number}")) for number in range(300)]
    assert store.insert(rows[:1]) == {rows[0][0]}
    assert store.insert(rows[:1]) == set()
    assert store.insert([*rows[:20], rows[5], rows[19]]) == {each[0] for each in rows[1:20]}
    assert store.insert(rows) == {each[0] for each in rows[20:]}
    assert store.insert(rows) == set()
    store.close()


def test_a_newer_ledger_is_refused(ledger: Path, look: Callable[..., list[tuple[int]]]) -> None:
    """A file of a newer schema is left alone, and the error says what to do."""
    FileStore(ledger).close()
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    with pytest.raises(LedgerError, match=r"newer otel-aicost .* upgrade"):
        FileStore(ledger)
    assert look("PRAGMA user_version") == [(schema.VERSION + 1,)]


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """A database with other tables is refused before anything of it changes."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (name)")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="another program"):
        FileStore(path)
    assert path.read_bytes() == before


def test_a_file_that_was_never_a_ledger_is_not_moved(tmp_path: Path) -> None:
    """A text file named by mistake is refused, and stays where it is."""
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n" * 1000)
    with pytest.raises(DamagedLedgerError) as caught:
        FileStore(path)
    with pytest.raises(LedgerError, match="no ledger and is left as it is"):
        file.set_aside(path, caught.value.identity)
    assert path.read_text() == "my notes\n" * 1000


def test_many_that_start_at_once_make_one_ledger(ledger: Path, look: Callable[..., list[tuple[int]]]) -> None:
    """Connections opened at the same moment on no file at all migrate it once and all can write."""
    gate, wrong = threading.Barrier(8), []

    def start() -> None:
        gate.wait()
        try:
            store = FileStore(ledger)
            store.insert([row(record())])
            store.close()
        except Exception as error:  # noqa: BLE001 - shown below
            wrong.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert look("SELECT count(*) FROM calls") == [(8,)]
    assert look("SELECT count(*) FROM meta") == [(1,)]


def while_locked(ledger: Path, journal: str, meanwhile: Callable[[sqlite3.Connection], None]) -> None:
    """Open a store while another connection holds the write lock of an empty file, and let go of it soon."""
    file.prepare(ledger)
    opened: list[FileStore] = []
    with closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute(f"PRAGMA journal_mode = {journal}")
        other.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=lambda: opened.append(FileStore(ledger)))
        thread.start()
        thread.join(0.3)
        meanwhile(other)
        other.execute("COMMIT")
        thread.join()
    assert len(opened) == 1
    opened[0].insert([row(record())])
    opened[0].close()


def test_a_migration_waits_for_another(ledger: Path, look: Callable[..., list[tuple[int]]]) -> None:
    """A process that starts while another one migrates waits for it, and then has nothing left to do."""

    def migrate(other: sqlite3.Connection) -> None:
        for migration in schema.MIGRATIONS:
            for statement in migration:
                other.execute(statement)
        other.execute(f"PRAGMA user_version = {schema.VERSION}")

    while_locked(ledger, "wal", migrate)
    assert look("SELECT count(*) FROM meta") == [(1,)]
    assert look("SELECT count(*) FROM calls") == [(1,)]


def test_the_change_of_journal_waits_for_a_lock(ledger: Path, look: Callable[..., list[tuple[object]]]) -> None:
    """A file that another process writes with a rollback journal gets its write-ahead log when that one is done."""
    while_locked(ledger, "delete", lambda _: None)
    assert look("PRAGMA journal_mode") == [("wal",)]


def test_a_migration_that_fails_leaves_nothing(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a step of a migration fails, the file is as it was, and a later start completes it."""
    broken = (*schema.MIGRATIONS[:-1], (*schema.MIGRATIONS[-1], "CREATE TABLE calls (again)"))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", broken)
        with pytest.raises(LedgerError):
            FileStore(ledger)
    with closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    FileStore(ledger).close()


def test_an_old_ledger_is_migrated_with_its_rows(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of this version opened by one with a further migration keeps its rows and gets the new version."""
    store = FileStore(ledger)
    store.insert([row(record())])
    store.close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("ALTER TABLE calls ADD COLUMN extra TEXT",)))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    FileStore(ledger).close()
    with closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert connection.execute("SELECT count(*), max(extra) FROM calls").fetchone() == (1, None)


def test_a_full_file_is_refused_and_then_written(ledger: Path, look: Callable[..., list[tuple[int]]]) -> None:
    """SQLite's own "disk full" raises a `LedgerError`, nothing of the batch is in, and later it is."""
    store, rows = FileStore(ledger), [row(record()) for _ in range(BATCH)]
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(LedgerError, match="full"):
        store.insert(rows)
    assert look("SELECT count(*) FROM calls") == [(0,)]
    store.connection.execute("PRAGMA max_page_count = 100000")
    store.insert(rows)
    store.close()
    assert look("SELECT count(*) FROM calls") == [(BATCH,)]


@pytest.mark.parametrize(
    ("column", "value"), [("cost_nano", -1), ("input_tokens", -1), ("estimated", 2), ("provider", None)]
)
def test_the_tables_themselves_refuse_the_impossible(ledger: Path, column: str, value: object) -> None:
    """Even a row made by other means cannot hold negative money or no provider."""
    store = FileStore(ledger)
    values = dict(zip(schema.CALL_COLUMNS, row(record()), strict=True)) | {column: value}
    with pytest.raises(sqlite3.IntegrityError):
        store.insert([tuple(values.values())])  # type: ignore[arg-type]
    store.close()


def test_a_link_is_followed(tmp_path: Path) -> None:
    """A ledger behind a symbolic link is made private at the target, and the link stays a link."""
    target, link = tmp_path / "real.db", tmp_path / "link.db"
    link.symlink_to(target)
    before = os.umask(0)
    try:
        FileStore(link).close()
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home/u rw,relatime shared:1 - nfs4 server:/home rw
31 30 0:41 / /home/u/my\\040disk rw,relatime - xfs /dev/vdb rw
32 22 0:42 / /mnt/share rw - cifs //server/share rw
"""


@pytest.mark.parametrize(
    ("path", "network"),
    [
        ("/var/ledger.db", False),
        ("/home/u/.local/state/ledger.db", True),
        ("/home/user/ledger.db", False),
        ("/home/u/my disk/ledger.db", False),
        ("/mnt/share/ledger.db", True),
    ],
)
def test_a_network_filesystem_is_recognised(path: str, *, network: bool) -> None:
    """The innermost mount decides, and a longer name beside a mount point is not inside it."""
    assert file.on_network(Path(path), MOUNTS) is network


def test_without_a_write_ahead_log_the_ledger_still_works(
    ledger: Path,
    look: Callable[..., list[tuple[object]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where the filesystem counts as a network one, a rollback journal is used, and that is said."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    here = frozenset(line.partition(" - ")[2].split()[0] for line in lines)
    monkeypatch.setattr(file, "NETWORK_FILESYSTEMS", here)
    store = FileStore(ledger)
    store.insert([row(record())])
    store.close()
    assert look("PRAGMA journal_mode") == [("delete",)]
    assert look("SELECT count(*) FROM calls") == [(1,)]
    assert "without write-ahead logging" in caplog.text


def test_a_file_that_was_replaced_is_noticed(ledger: Path) -> None:
    """A store knows when its file is no longer the one at its path."""
    store = FileStore(ledger)
    assert not store.moved()
    ledger.rename(ledger.with_name("old.db"))
    assert store.moved()
    FileStore(ledger).close()
    assert store.moved()
    store.close()
