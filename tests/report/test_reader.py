"""The ledger is opened for reading only, whoever owns it and whoever writes it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ledgers import sample, write
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import schema
from otel_aicost.ledger.queries import Query
from otel_aicost.ledger.questions import Filter
from otel_aicost.ledger.reader import open_ledger
from otel_aicost.ledger.row import row
from otel_aicost.ledger.store import FileStore
from records import record


def _count(path):
    ledger = open_ledger(path)
    with ledger.read() as connection:
        return Query(ledger, connection).totals(Filter()).calls


@pytest.fixture
def directory():
    """A directory that other users may enter, which those of pytest are not."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@contextmanager
def _unwritable(directory):
    """The directory as one that this user may not write; root stops being root for that."""
    directory.chmod(0o555)
    for file in directory.iterdir():
        file.chmod(0o444)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        assert not os.access(directory, os.W_OK, effective_ids=True)
        yield
    finally:
        if root:
            os.seteuid(0)
        directory.chmod(0o755)


def test_a_missing_ledger_is_not_made(tmp_path):
    """Where there is no file, the error says where it looked, and there still is none afterwards."""
    path = tmp_path / "deep" / "ledger.db"
    with pytest.raises(LedgerError, match=f"no ledger at {path}"):
        open_ledger(path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_can_be_written(tmp_path):
    """The connection refuses to write."""
    ledger = open_ledger(write(tmp_path / "ledger.db", *sample()))
    with pytest.raises(LedgerError, match="readonly"), ledger.read() as connection:
        connection.exec_driver_sql("DELETE FROM calls")
    assert _count(ledger.path) == 10


def test_a_writer_does_not_disturb(tmp_path):
    """The ledger is read while another connection holds it open and in the middle of a write."""
    path = write(tmp_path / "ledger.db", *sample())
    with closing(FileStore(path)) as store:
        store.insert([row(record())])
        store.connection.execute("BEGIN IMMEDIATE")
        store.connection.execute("DELETE FROM calls")
        assert _count(path) == 11
        store.connection.execute("ROLLBACK")


@pytest.mark.parametrize("name", ["plain.db", "a b?c#d%20é.db"])
def test_any_file_name(tmp_path, name):
    """A name with characters that mean something in an address is a name like another."""
    assert _count(write(tmp_path / name, *sample())) == 10


def test_a_link(tmp_path):
    """A link to a ledger is the ledger."""
    (tmp_path / "link.db").symlink_to(write(tmp_path / "ledger.db", *sample()))
    assert _count(tmp_path / "link.db") == 10


def test_a_directory_that_cannot_be_written(directory):
    """A closed ledger is read where its directory is not writable."""
    path = write(directory / "ledger.db", *sample())
    with _unwritable(directory):
        assert _count(path) == 10


def test_a_directory_that_cannot_be_written_while_a_writer_writes(directory):
    """An open ledger is read, its last call included, where its directory is not writable."""
    path = write(directory / "ledger.db", *sample())
    with closing(FileStore(path)) as store:
        store.insert([row(record())])
        with _unwritable(directory):
            assert _count(path) == 11


def test_waiting_calls_are_not_passed_over(tmp_path, directory):
    """Calls that wait in a log nobody can open are an error, not a smaller total."""
    with closing(FileStore(tmp_path / "ledger.db")) as store:
        store.insert([row(record())])
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"ledger.db{suffix}", directory / f"ledger.db{suffix}")
    with _unwritable(directory), pytest.raises(LedgerError, match="cannot be read"):
        _count(directory / "ledger.db")


def test_a_newer_schema(tmp_path):
    """A ledger of a newer version is an error that says what to do."""
    path = write(tmp_path / "ledger.db", *sample())
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    with pytest.raises(LedgerError, match=r"newer otel-aicost.*upgrade"):
        open_ledger(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"not a database at all, but long enough to be looked at" * 30, "cannot be read"), (b"", "empty database")],
)
def test_no_ledger_at_all(tmp_path, content, message):
    """A file that is something else is an error, and stays what it is."""
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=message):
        open_ledger(path)
    assert path.read_bytes() == content


def test_another_programs_database(tmp_path):
    """Another program's database is not taken for a ledger."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE calls (number TEXT)")
    with pytest.raises(LedgerError, match="another program"):
        open_ledger(path)


def test_a_damaged_ledger(tmp_path):
    """Damage found while reading is an error that names the file."""
    path = write(tmp_path / "ledger.db", *(record() for _ in range(500)))
    with path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * 20 * 4096)
    with pytest.raises(LedgerError, match=str(path)):
        _count(path)
