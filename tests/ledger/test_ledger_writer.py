"""The writer keeps what the file does not take, says so, and never stands in the way."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from otel_aicost import faults
from otel_aicost.ledger import forks, schema, writer
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import BUSY_EXIT_SECONDS, Writer
from records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Look, Spawn


@pytest.fixture
def one(ledger: Path) -> Iterator[Writer]:
    writing = Writer.of_file(ledger, retention_days=0)
    yield writing
    writing.close(10)


def until(condition: Callable[[], bool]) -> bool:
    """Wait for what happens in the background; far longer than it should ever take."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_nothing_is_made_before_the_first_record(one: Writer, ledger: Path) -> None:
    """A writer that is given nothing makes no file, not even when it is flushed and closed."""
    assert one.flush(1)
    assert one.close(1)
    assert not ledger.parent.exists()


def test_a_record_is_in_the_file_after_a_flush(one: Writer, look: Look) -> None:
    """What was put before a flush is in the file after it, and the counts say so."""
    records = [record() for _ in range(700)]
    for each in records:
        one.put(each)
    assert one.flush(10)
    assert [got for (got,) in look("SELECT id FROM calls ORDER BY id")] == [each.id for each in records]
    assert one.stats() == {"written": 700, "queued": 0, "lost": 0, "errors": 0, "path": one.name}


def test_a_record_is_written_without_a_flush(one: Writer, ledger: Path, look: Look) -> None:
    """A record alone is written at once; nothing waits for a batch to fill."""
    one.put(record())
    assert until(lambda: one.stats()["written"] == 1)
    assert look("SELECT count(*) FROM calls") == [(1,)]
    assert ledger.exists()


def test_the_last_close_leaves_one_file(one: Writer, ledger: Path) -> None:
    """After the close of the only writer the write-ahead log is inside the file."""
    one.put(record())
    assert one.close(10)
    assert [path.name for path in ledger.parent.iterdir()] == ["ledger.db"]


def test_a_record_put_after_the_close_is_written(one: Writer, look: Look, ledger: Path) -> None:
    """A record of a stream collected at the very end is written by the thread that puts it."""
    one.put(record())
    one.close(10)
    one.put(record())
    assert look("SELECT count(*) FROM calls") == [(2,)]
    assert [path.name for path in ledger.parent.iterdir()] == ["ledger.db"]


def test_a_record_that_is_none_keeps_no_other_out(one: Writer, look: Look) -> None:
    """One broken record among good ones is counted as lost; the good ones are written."""
    for each in (record(), record(provider=None), record()):
        one.put(each)
    assert one.flush(10)
    assert look("SELECT count(*) FROM calls") == [(2,)]
    assert (one.stats()["written"], one.stats()["lost"]) == (2, 1)
    assert faults.counts() == {"ledger loss": 1}


def test_records_wait_until_the_directory_can_be_made(
    one: Writer, ledger: Path, look: Look, caplog: pytest.LogCaptureFixture
) -> None:
    """While the ledger cannot be made, records wait; without a further record or flush they are written later."""
    ledger.parent.write_text("a file where the directory should be")
    for _ in range(300):
        one.put(record())
    assert not one.flush(10)
    assert one.stats()["queued"] == 300
    ledger.parent.unlink()
    assert until(lambda: one.stats()["queued"] == 0)
    assert look("SELECT count(*) FROM calls") == [(300,)]
    assert one.stats()["lost"] == 0
    assert one.stats()["errors"] > 0
    assert len([line for line in caplog.messages if "wait in memory" in line]) == 1


def test_what_does_not_fit_into_memory_is_counted(
    one: Writer, ledger: Path, look: Look, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the limit records are lost, each is counted, it is said once, and those that waited are written."""
    monkeypatch.setattr(writer, "KEPT", 1000)
    ledger.parent.write_text("in the way")
    one.put(record())
    assert not one.flush(10)
    for _ in range(1500):
        one.put(record())
    got = one.stats()
    # Those in hand (at most one batch) wait beside the limit.
    assert got["queued"] + got["lost"] == 1501
    assert 1000 <= got["queued"] <= 1000 + writer.BATCH
    assert faults.counts()["ledger loss"] == got["lost"]
    assert len([line for line in caplog.messages if "lost so far" in line]) == 1
    ledger.parent.unlink()
    assert one.flush(10)
    assert look("SELECT count(*) FROM calls") == [(got["queued"],)]


def test_a_busy_file_loses_nothing(one: Writer, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for a file that refuses: a burst larger than it is written whole."""
    monkeypatch.setattr(writer, "KEPT", 100)
    for _ in range(5000):
        one.put(record())
    assert one.flush(30)
    assert look("SELECT count(*) FROM calls") == [(5000,)]


def test_a_newer_ledger_is_refused_and_the_records_wait(
    one: Writer, ledger: Path, look: Look, caplog: pytest.LogCaptureFixture
) -> None:
    """A ledger of a newer version is not touched: the records wait, and the message says what to do."""
    FileStore(ledger).close()
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    one.put(record())
    assert not one.flush(10)
    assert "upgrade otel-aicost here" in caplog.text
    assert look("SELECT count(*) FROM calls") == [(0,)]
    assert [path.name for path in ledger.parent.iterdir()] == ["ledger.db"]
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    assert one.flush(10)
    assert look("SELECT count(*) FROM calls") == [(1,)]


def test_a_deleted_ledger_is_begun_again(one: Writer, ledger: Path, look: Look) -> None:
    """When somebody deletes the files under a running process, later calls are in a new file."""
    one.put(record())
    assert one.flush(10)
    for path in list(ledger.parent.iterdir()):
        path.unlink()
    last = record()
    one.put(last)
    assert one.flush(10)
    assert look("SELECT id FROM calls") == [(last.id,)]


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO meta VALUES ('held', '1')")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_frozen_lock_holds_nobody_up(one: Writer, ledger: Path, look: Look, spawn: Spawn) -> None:
    """While a stopped process holds the write lock, records wait, a close gives up, and later all are written."""
    one.put(record())
    assert one.flush(10)
    holder = spawn(HOLDER, ledger)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.send_signal(19)  # SIGSTOP: it keeps the lock and does nothing
    ended = threading.Event()

    def put_and_close() -> None:
        for _ in range(50):
            one.put(record())
        assert not one.close(1)
        ended.set()

    threading.Thread(target=put_and_close, daemon=True).start()
    assert ended.wait(BUSY_EXIT_SECONDS + 6)
    assert one.stats()["queued"] == 50
    holder.kill()
    holder.wait()
    assert until(lambda: one.stats()["queued"] == 0)
    assert look("SELECT count(*) FROM calls") == [(51,)]


FILLER = """
import resource, sys, time
from pathlib import Path
from records import record
from otel_aicost.ledger.writer import Writer
writer = Writer.of_file(Path(sys.argv[1]), 0)
writer.put(record())
assert writer.flush(10)
limit = 400_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
count = 1
while writer.flush(10) and count < 50_000:
    for _ in range(100):
        writer.put(record())
        count += 1
before = writer.stats()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
end = time.monotonic() + 20
while writer.stats()["queued"] and time.monotonic() < end:
    time.sleep(0.02)
print(count, before["queued"] > 0, before["lost"], writer.stats()["queued"], writer.stats()["lost"], flush=True)
writer.close(5)
"""


def test_records_survive_a_full_disk(ledger: Path, look: Look, spawn: Spawn) -> None:
    """When no file may grow any more, records wait; when there is room again, every one of them is written."""
    child = spawn(FILLER, ledger)
    out, err = child.communicate(timeout=60)
    count, waited, lost_before, queued, lost = out.split()
    assert (waited, lost_before, queued, lost) == ("True", "0", "0", "0"), err
    assert look("SELECT count(*) FROM calls") == [(int(count),)]
    assert look("PRAGMA integrity_check") == [("ok",)]
    assert int(count) < 50_000


def test_threads_may_put_together(one: Writer, look: Look) -> None:
    """Records put by many threads at once are all in the file, each once."""
    threads = [threading.Thread(target=lambda: [one.put(record()) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.flush(20)
    assert look("SELECT count(*), count(DISTINCT id) FROM calls") == [(4000, 4000)]


def test_the_file_is_private_under_umask_0(one: Writer, ledger: Path) -> None:
    """The writer's files are for the user alone, whatever the umask."""
    before = os.umask(0)
    try:
        one.put(record())
        assert one.flush(10)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in ledger.parent.iterdir()} == {0o600}


def test_calls_that_are_faster_are_no_hang(one: Writer, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """What many calls, one after the other, keep from its turn for long does not take that for a ledger that hangs."""
    monkeypatch.setattr(forks, "WAIT_SECONDS", 0.0)
    stopping = threading.Event()
    found: list[bool] = []

    def calls() -> None:
        while not stopping.is_set():
            assert one._turn.take(60)
            time.sleep(0.05)
            one._turn.give()

    threads = [threading.Thread(target=calls) for _ in range(4)]
    for thread in threads:
        thread.start()
    one.put(record())
    for _ in range(100):
        time.sleep(0.02)
        found.append(one.failing)
    stopping.set()
    for thread in threads:
        thread.join(60)
    assert not any(found)
    assert one.flush(10)
    assert look("SELECT count(*) FROM calls") == [(1,)]
