"""A copy of the ledger: whole, of one moment, private, and never in the way of another file."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from ledgers import sample, write
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import backup, verify
from otel_aicost.ledger.backup import back_up
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.queries import Query
from otel_aicost.ledger.questions import Filter
from otel_aicost.ledger.reader import open_ledger
from records import record


def _copy(path, target, *, force=False, progress=lambda _left, _total: None):
    return back_up(path, target, force=force, progress=progress)


def _total(path):
    ledger = open_ledger(path)
    with ledger.read() as connection:
        return Query(ledger, connection).totals(Filter())


def _others(directory):
    return [file.name for file in directory.iterdir() if not file.name.startswith("ledger.db")]


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "ledger.db", *sample())


def test_the_copy_is_the_ledger(path, tmp_path):
    """It holds the same, is one file that only its owner may read, and can be written like the ledger."""
    target = tmp_path / "copies" / "copy.db"
    target.parent.mkdir()
    seen = []
    assert _copy(path, target, progress=lambda left, total: seen.append((left, total))) == 10
    assert seen[-1][0] == 0 < seen[-1][1]
    assert _total(target) == _total(path)
    assert target.stat().st_mode & 0o777 == 0o600
    assert _others(target.parent) == ["copy.db"]
    write(target, *sample())
    assert _total(target).calls == 20


def test_calls_that_wait_in_the_log_are_in_it(path, tmp_path):
    """What a program that runs has written, and not yet merged into the file, is copied."""
    with closing(sqlite3.connect(path)) as open_by_another:
        open_by_another.execute(
            "INSERT INTO rollups SELECT '2020-01-01', 'p', 'o', 'm', 's', 'ok', 'none', 0, NULL, NULL, '{}', 7, 0, 0, 0, 0, 0, 0, 0, 0"
        )
        open_by_another.commit()
        _copy(path, tmp_path / "copy.db")
    assert _total(tmp_path / "copy.db").calls == 17


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_nothing_is_overwritten(path, tmp_path, kind):
    """Something that is there stays as it is, unless it is a file and --force is given."""
    target = tmp_path / "copy.db"
    if kind == "directory":
        target.mkdir()
    else:
        (tmp_path / "other").write_text("mine")
        target.symlink_to("other") if kind == "link" else target.write_text("mine")
    with pytest.raises(FileExistsError):
        _copy(path, target)
    if kind == "directory":
        with pytest.raises(FileExistsError):
            _copy(path, target, force=True)
        return
    assert target.read_text() == "mine"
    assert _copy(path, target, force=True) == 10
    assert (tmp_path / "other").read_text() == "mine"  # a link is replaced, not what it points to


def test_a_file_that_appears_meanwhile_is_not_overwritten(path, tmp_path):
    """Whoever was there first keeps the name."""
    target = tmp_path / "copy.db"
    with pytest.raises(FileExistsError):
        _copy(path, target, progress=lambda _left, _total: target.write_text("mine"))
    assert target.read_text() == "mine"
    assert _others(tmp_path) == ["copy.db"]


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "link.db"])
def test_the_ledger_is_no_place_for_its_copy(path, tmp_path, name):
    """Not even by another name, and not even with --force."""
    (tmp_path / "link.db").symlink_to(path)
    with pytest.raises(LedgerError, match="is the ledger itself"):
        _copy(path, tmp_path / name, force=True)
    assert _total(path).calls == 10


def test_a_copy_that_is_not_sound_is_thrown_away(path, tmp_path, monkeypatch):
    """Where the check finds anything, there is no copy, and the old one is still there."""
    target = tmp_path / "copy.db"
    target.write_text("old")
    real = backup._check

    def spoil(made):
        with closing(sqlite3.connect(made, isolation_level=None)) as copy:
            copy.execute("PRAGMA writable_schema = 1")
            copy.execute("DELETE FROM sqlite_master WHERE name = 'calls_started'")
        return real(made)

    monkeypatch.setattr(backup, "_check", spoil)
    with pytest.raises(LedgerError, match="not sound"):
        _copy(path, target, force=True)
    assert target.read_text() == "old"
    assert _others(tmp_path) == ["copy.db"]


def test_an_interrupt_leaves_nothing(path, tmp_path):
    """A copy that is not finished is not there."""

    def interrupt(_left, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _copy(path, tmp_path / "copy.db", progress=interrupt)
    assert _others(tmp_path) == []


BUSY = """
import sys, time
from pathlib import Path
from budgets.lines import line, taking
from otel_aicost.ids import new_id
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.writer import Writer
from records import record

writer = Writer.of_file(Path(sys.argv[1]))
one = line(10**6, limit=10**15)
print("on", flush=True)
while True:
    name = new_id()
    writer.reserve(name, [one])
    writer.put(record(id=name, started_ns=time.time_ns()), Settlement(name, (taking(one, 6_250_000, 2500),)))
"""


def test_it_is_of_one_moment_while_others_write(ledger, tmp_path, spawn, monkeypatch):
    """With two processes writing all the time it comes to an end, and balances and entries in it agree."""
    monkeypatch.setattr(backup, "PAGES", 2)  # many steps, with writes between each two
    write(ledger, record())
    children = [spawn(BUSY, ledger) for _ in range(2)]
    for child in children:
        assert child.stdout.readline() == "on\n"
    while _total(ledger).calls < 200:
        time.sleep(0.02)
    before, calls = _total(ledger).calls, _copy(ledger, tmp_path / "copy.db")
    assert before <= calls <= _total(ledger).calls
    with looking(tmp_path / "copy.db") as connection:
        found = list(verify.findings(connection, time.time_ns()))
    assert [finding for finding in found if finding.level == verify.WRONG] == []
    assert all(child.poll() is None for child in children)
