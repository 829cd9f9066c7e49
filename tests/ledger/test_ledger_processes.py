"""Killed, forked, crowded and leaving processes: no acknowledged call is ever missing."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from otel_aicost.ledger.writer import Writer
from records import record

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Look, Spawn

ACKNOWLEDGER = """
import sys
from pathlib import Path
from records import record
from otel_aicost.ledger.writer import Writer
writer = Writer.of_file(Path(sys.argv[1]), 0)
number = 0
while True:
    some = [record(id=f"{sys.argv[2]}-{number + n}") for n in range(7)]
    number += 7
    for each in some:
        writer.put(each)
    assert writer.flush(30)
    print("\\n".join(each.id for each in some), flush=True)
"""


def test_acknowledged_calls_survive_kill_9(ledger: Path, look: Look, spawn: Spawn) -> None:
    """Of 40 killed processes, two writing at any time, every acknowledged call is there and the file is sound."""
    moments = random.Random(7)
    acknowledged: list[str] = []
    for turn in range(20):
        pair = [spawn(ACKNOWLEDGER, ledger, f"{turn}-{side}") for side in range(2)]
        for child in pair:
            assert child.stdout is not None
            acknowledged.append(child.stdout.readline().rstrip("\n"))
        time.sleep(moments.uniform(0, 0.06))
        for child in pair:
            child.kill()
            assert child.stdout is not None
            # Not `communicate`: it passes over what `readline` has left in the buffer.
            acknowledged += child.stdout.read().split("\n")[:-1]  # the last one may be cut short by the kill
    present = {got for (got,) in look("SELECT id FROM calls")}
    assert len(acknowledged) > 40 * 7
    assert [one for one in acknowledged if one not in present] == []
    assert look("PRAGMA integrity_check") == [("ok",)]


FORKER = """
import os, sys
from pathlib import Path
from records import record
from otel_aicost.ledger.writer import Writer
writer = Writer.of_file(Path(sys.argv[1]), 0)
if sys.argv[2] == "used":
    writer.put(record(id="before"))
    assert writer.flush(10)
children = []
for child in range(4):
    pid = os.fork()
    if pid == 0:
        for number in range(300):
            writer.put(record(id=f"{child}-{number}"))
        os._exit(0 if writer.flush(20) and writer.stats()["written"] == 300 else 1)
    children.append(pid)
    for number in range(300):
        writer.put(record(id=f"parent-{child}-{number}"))
assert writer.close(20)
print([os.waitpid(pid, 0)[1] for pid in children], writer.stats()["written"], writer.stats()["errors"], flush=True)
"""


@pytest.mark.parametrize(("before", "extra"), [("used", 1), ("fresh", 0)])
def test_both_sides_of_a_fork_write(ledger: Path, look: Look, spawn: Spawn, before: str, extra: int) -> None:
    """A parent and its forked children write at once; each row is there once, whether the file was open or not."""
    out, err = spawn(FORKER, ledger, before).communicate(timeout=60)
    assert out == f"[0, 0, 0, 0] {1200 + extra} 0\n", err
    assert look("SELECT count(*) FROM calls") == [(2400 + extra,)]
    assert look("PRAGMA integrity_check") == [("ok",)]


FORK_AND_LEAVE = """
import os, sys
from pathlib import Path
from records import record
from otel_aicost.ledger.writer import Writer
writer = Writer.of_file(Path(sys.argv[1]), 0)
writer.put(record(id="parent"))
assert writer.flush(10)
go, goes = os.pipe()
done, dones = os.pipe()
pid = os.fork()
if pid == 0:
    writer.put(record(id="child-1"))
    assert writer.flush(10)
    os.write(dones, b"1")
    os.read(go, 1)
    writer.put(record(id="child-2"))
    assert writer.flush(10)
    os.kill(os.getpid(), 9)
os.read(done, 1)
assert writer.close(10)
os.write(goes, b"1")
print(os.waitpid(pid, 0)[1], flush=True)
"""


def test_a_child_keeps_its_rows_when_the_parent_leaves_first(ledger: Path, look: Look, spawn: Spawn) -> None:
    """The parent's close does not take the log away under a child, whose rows survive even its own `kill -9`."""
    out, err = spawn(FORK_AND_LEAVE, ledger).communicate(timeout=60)
    assert out == "9\n", err
    assert [got for (got,) in look("SELECT id FROM calls ORDER BY id")] == ["child-1", "child-2", "parent"]


FORK_WHILE_STUCK = """
import os, sqlite3, subprocess, sys, time
from pathlib import Path
from records import record
from otel_aicost.ledger import forks
from otel_aicost.ledger.writer import Writer
writer = Writer.of_file(Path(sys.argv[1]), 0)
writer.put(record(id="parent"))
assert writer.flush(10)
writer._turn.fork_seconds = 0.1
writer._turn.take(1)  # as by a write that hangs, so that the connection cannot be closed before the fork
pid = os.fork()
if pid == 0:
    writer.put(record(id="child"))
    flushed = writer.flush(10)
    print(flushed, writer.stats()["queued"], len(forks._inherited), flush=True)
    sys.exit(0)  # an ordinary end, which finalises everything
writer._turn.give()
print(os.waitpid(pid, 0)[1], flush=True)
writer.put(record(id="parent-2"))
assert writer.flush(10)
"""


def test_a_child_forked_in_the_middle_of_a_write_stays_away_from_the_file(
    ledger: Path, look: Look, spawn: Spawn
) -> None:
    """Rather than write unprotected, such a child keeps its calls, says why, and never closes the parent's file."""
    out, err = spawn(FORK_WHILE_STUCK, ledger).communicate(timeout=60)
    assert out == "False 1 1\n0\n", err
    assert "fork before the first call" in err
    assert [got for (got,) in look("SELECT id FROM calls ORDER BY id")] == ["parent", "parent-2"]
    assert look("PRAGMA integrity_check") == [("ok",)]


FORK_WHILE_OPENING = """
import os, sys, threading
from pathlib import Path
from records import record
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer
begun, go_on = threading.Event(), threading.Event()
def slowly():
    store = FileStore(Path(sys.argv[1]))
    begun.set()
    assert go_on.wait(30)
    return store
writer = Writer(slowly, sys.argv[1], near=True)
writer._turn.fork_seconds = float(sys.argv[2])
writer.put(record(id="parent"))
assert begun.wait(30)
if sys.argv[3:]:
    threading.Timer(2, go_on.set).start()
pid = os.fork()
if pid == 0:
    go_on.set()
    writer.put(record(id="child"))
    print(writer.flush(10), flush=True)
    os._exit(0)
go_on.set()
print(os.waitpid(pid, 0)[1], writer.close(10), flush=True)
"""


def test_a_fork_waits_for_a_file_that_is_just_opened(ledger: Path, look: Look, spawn: Spawn) -> None:
    """A slow disk takes nothing from a child: the fork begins when the parent has its file open, and closes it."""
    out, err = spawn(FORK_WHILE_OPENING, ledger, 20, "in two seconds").communicate(timeout=60)
    assert out == "True\n0 True\n", err
    assert [got for (got,) in look("SELECT id FROM calls ORDER BY id")] == ["child", "parent"]


def test_a_child_forked_while_the_file_is_opened_stays_away_from_it(ledger: Path, look: Look, spawn: Spawn) -> None:
    """SQLite's memory of locks passes to such a child, too, though the parent does not know its connection yet."""
    out, err = spawn(FORK_WHILE_OPENING, ledger, 0).communicate(timeout=60)
    assert out == "False\n0 True\n", err
    assert "fork before the first call" in err
    assert [got for (got,) in look("SELECT id FROM calls")] == ["parent"]


CHILDREN = """
import multiprocessing, sys
from pathlib import Path
from records import record
from otel_aicost.ledger.writer import Writer
writer = Writer.of_file(Path(sys.argv[1]), 0)
def work(side):
    for number in range(200):
        writer.put(record(id=f"{side}-{number}"))
context = multiprocessing.get_context("fork")
writer.put(record())
children = [context.Process(target=work, args=(side,)) for side in range(4)]
for child in children:
    child.start()
for child in children:
    child.join(30)
print([child.exitcode for child in children], flush=True)
writer.close(10)
"""


def test_forked_multiprocessing_children_flush_when_they_leave(ledger: Path, look: Look, spawn: Spawn) -> None:
    """A `multiprocessing` child that ends right after its last call, without `atexit`, leaves no call behind."""
    out, err = spawn(CHILDREN, ledger).communicate(timeout=60)
    assert out == "[0, 0, 0, 0]\n", err
    assert look("SELECT count(*) FROM calls") == [(801,)]


def _work(path: Path, side: int, count: int) -> None:
    writer = Writer.of_file(path, 0)
    for number in range(count):
        writer.put(record(id=f"{side}-{number}"))
    if not writer.close(60):
        raise SystemExit(1)


def test_eight_processes_write_at_once(ledger: Path, look: Look) -> None:
    """Eight spawned processes begin one ledger and write 500 calls each: none is lost, however slow the disk is."""
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_work, args=(ledger, side, 500)) for side in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0] * 8
    assert look("SELECT count(*) FROM calls") == [(4000,)]
    assert look("PRAGMA integrity_check") == [("ok",)]


LEAVER = """
import atexit, sys
from pathlib import Path
from records import record
from otel_aicost.ledger.writer import Writer
writer = Writer.of_file(Path(sys.argv[1]), 0)
atexit.register(writer.close, 4)
for _ in range(50):
    writer.put(record())
"""


def test_an_interpreter_that_ends_right_after_a_call_has_written_it(ledger: Path, look: Look, spawn: Spawn) -> None:
    """A script whose last line is a call leaves all its calls in the ledger, and nothing on its output."""
    child = spawn(LEAVER, ledger)
    assert child.communicate(timeout=60) == ("", "")
    assert child.returncode == 0
    assert look("SELECT count(*) FROM calls") == [(50,)]


OTHER = """
import multiprocessing, sys
from pathlib import Path
from records import record
from otel_aicost.ledger.writer import Writer
writer = Writer.of_file(Path(sys.argv[1]), 0)
def work():
    writer.put(record(id="child"))
context = multiprocessing.get_context("fork")
child = context.Process(target=work)
child.start()
child.join(60)
writer.put(record(id="parent"))
print(child.exitcode, writer.close(1), flush=True)
"""


def test_the_end_waits_for_a_ledger_that_another_process_writes(ledger: Path, look: Look, spawn: Spawn) -> None:
    """Longer than for one that cannot be written: calls of both are there though the lock was held for seconds."""
    ledger.parent.mkdir()
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        leaver = spawn(OTHER, ledger)
        time.sleep(6)
        assert leaver.poll() is None
        connection.execute("ROLLBACK")
    out, err = leaver.communicate(timeout=60)
    assert out == "0 True\n", err
    assert look("SELECT id FROM calls ORDER BY id") == [("child",), ("parent",)]


LAST_BREATH = """
import sys
from pathlib import Path
from records import record
from otel_aicost.ledger.writer import Writer
writer = Writer.of_file(Path(sys.argv[1]), 0)
class Stream:
    def __del__(self):
        writer.put(record(id="collected"))
import atexit
atexit.register(writer.close, 4)
stream = Stream()
stream.itself = stream
"""


def test_a_stream_collected_at_the_end_of_the_interpreter_is_recorded(ledger: Path, look: Look, spawn: Spawn) -> None:
    """A record put while the interpreter frees its last objects, after the close, is written all the same."""
    child = spawn(LAST_BREATH, ledger)
    assert child.communicate(timeout=60) == ("", "")
    assert look("SELECT id FROM calls") == [("collected",)]
