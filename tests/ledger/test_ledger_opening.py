"""Looking at a ledger with the plain driver: at one moment, never writing, beside threads and forks."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import warnings
from contextlib import closing

import pytest

from ledgers import sample, write
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import opening
from otel_aicost.ledger.opening import NoLedgerYetError, changing, looking, version_of
from otel_aicost.ledger.row import row
from otel_aicost.ledger.store import FileStore
from records import record


def _count(connection):
    return connection.execute("SELECT count(*) FROM calls").fetchone()[0]


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "ledger.db", *sample())


def test_one_moment(path):
    """What another process writes meanwhile is not seen, and what is written here is refused."""
    with closing(FileStore(path)) as store, looking(path) as connection:
        assert _count(connection) == 10
        store.insert([row(record())])
        assert _count(connection) == 10
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM calls")
    with looking(path) as connection:
        assert _count(connection) == 11


def test_many_threads_look_at_once(path):
    """One that takes its time keeps nobody waiting."""
    with looking(path):
        done = []
        other = threading.Thread(target=lambda: done.append(_look(path)))
        other.start()
        other.join(10)
        assert done == [10]


def _look(path):
    with looking(path, 0.01) as connection:
        return _count(connection)


def test_a_fork_waits_for_those_who_look(path):
    """The child is forked with no connection open, and can look and write itself."""
    looks, go = threading.Event(), threading.Event()
    held = []

    def look():
        with looking(path) as connection:
            looks.set()
            go.wait(10)
            held.append((_count(connection), time.monotonic()))

    thread = threading.Thread(target=look)
    thread.start()
    looks.wait(10)
    threading.Timer(0.2, go.set).start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads; that is what is tried
        child = os.fork()
    if not child:
        try:
            write(path, record())
            os._exit(0 if _look(path) == 11 and opening._lookers._count == 0 else 1)
        finally:
            os._exit(2)
    forked = time.monotonic()
    thread.join(10)
    assert os.waitpid(child, 0)[1] == 0
    assert held[0][1] <= forked
    assert _look(path) == 11


def test_a_fork_does_not_wait_for_ever(path, monkeypatch):
    """Whoever looks for too long is not waited for."""
    monkeypatch.setattr(opening, "FORK_SECONDS", 0.05)
    looks, go = threading.Event(), threading.Event()

    def look():
        with looking(path):
            looks.set()
            go.wait(10)

    thread = threading.Thread(target=look)
    thread.start()
    looks.wait(10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as above
        child = os.fork()
    if not child:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert thread.is_alive()
    go.set()
    thread.join(10)
    assert _look(path) == 10


@pytest.mark.parametrize("function", [looking, changing, version_of])
def test_nothing_is_made(tmp_path, function):
    """Where there is no ledger none is made."""
    with pytest.raises(NoLedgerYetError, match="there is no ledger"):
        _enter(function(tmp_path / "none.db"))
    assert list(tmp_path.iterdir()) == []


def _enter(value):
    if hasattr(value, "__enter__"):
        value.__enter__()


@pytest.mark.parametrize("function", [looking, changing, version_of])
def test_the_file_of_another_program(tmp_path, function):
    """Another program's database is left as it is."""
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE songs (title TEXT)")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="another program"):
        _enter(function(path))
    assert path.read_bytes() == before
