"""A damaged ledger is moved aside, never deleted, and calls go on being recorded."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING
from unittest import mock

import pytest

import records
from otel_aicost.ledger import file
from otel_aicost.ledger.row import row
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer
from records import record

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Look

ROWS = 400


def ledger_in(here: Path, *, killed: bool) -> Path:
    """Make a ledger of 400 calls: as its process leaves it, or, half in the log, as one that was killed."""
    here.mkdir()
    store = FileStore(here / "making" / "ledger.db")
    # The same bytes whatever ran before: which damage SQLite can see depends on them.
    with mock.patch.object(records, "_numbers", count(1)):
        calls = [row(record()) for _ in range(ROWS)]
    store.insert(calls[: ROWS // 2])
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.insert(calls[ROWS // 2 :])
    if not killed:
        store.close()
    shutil.copytree(here / "making", here / "made")
    store.close()
    return here / "made"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ledger_in(tmp_path_factory.mktemp("closed") / "it", killed=False)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ledger_in(tmp_path_factory.mktemp("killed") / "it", killed=True)


def damage(path: Path, seed: int) -> None:
    dice = random.Random(seed)
    content = bytearray(path.read_bytes())
    if seed % 3 == 0:
        del content[dice.randrange(len(content)) :]
    elif seed % 3 == 1:
        for _ in range(dice.choice((1, 3, 30, 300))):
            content[dice.randrange(len(content))] ^= dice.randrange(1, 256)
    else:
        start = dice.randrange(0, len(content), 512)
        length = dice.choice((512, 4096, 16_384))
        content[start : start + length] = dice.choice((b"\0", b"\xff")) * len(content[start : start + length])
    path.write_bytes(content)


def record_ten(ledger: Path, look: Look) -> bool:
    """Write ten calls to a damaged ledger and find them there; whether the damaged one was moved aside."""
    size = ledger.stat().st_size
    writer = Writer.of_file(ledger, retention_days=0)
    with mock.patch.object(records, "_numbers", count(100000)):
        new = [record() for _ in range(10)]
    for one in new:
        writer.put(one)
    flushed, stats = writer.flush(20), writer.stats()
    writer.close(10)
    assert flushed
    assert (stats["written"], stats["lost"]) == (10, 0)
    wanted = ", ".join(f"'{one.id}'" for one in new)
    assert look(f"SELECT count(*) FROM calls WHERE id IN ({wanted})") == [(10,)]
    asides = [path for path in ledger.parent.iterdir() if path.name.endswith("Z")]
    if asides:
        assert asides[0].stat().st_size >= size
        assert look("SELECT count(*) FROM calls") == [(10,)]
    return bool(asides)


@pytest.mark.parametrize("seed", range(48))
def test_calls_are_recorded_whatever_is_damaged(closed: Path, ledger: Path, look: Look, seed: int) -> None:
    """With the file cut, flipped or overwritten anywhere, new calls are recorded; the old file stays somewhere."""
    shutil.copytree(closed, ledger.parent)
    damage(ledger, seed)
    record_ten(ledger, look)


@pytest.mark.parametrize("which", ["ledger.db", "ledger.db-wal", "ledger.db-shm"])
@pytest.mark.parametrize("seed", range(20))
def test_calls_are_recorded_after_a_kill_and_damage(
    sound: Path, ledger: Path, look: Look, seed: int, which: str
) -> None:
    """After a kill, with the file, its log or its index damaged, new calls are recorded."""
    shutil.copytree(sound, ledger.parent)
    damage(ledger.parent / which, seed)
    record_ten(ledger, look)


def test_damage_is_found(closed: Path, ledger: Path, look: Look) -> None:
    """Damage that SQLite meets on its way moves the file aside: the cases above are no formality."""
    moved = 0
    for seed in range(48):
        shutil.copytree(closed, ledger.parent)
        damage(ledger, seed)
        moved += record_ten(ledger, look)
        shutil.rmtree(ledger.parent)
    assert moved >= 10


def test_a_table_whose_text_is_no_text_is_damage(closed: Path, ledger: Path, look: Look) -> None:
    """A byte of the schema that is no UTF-8, which SQLite's own message then holds, is met like any damage."""
    shutil.copytree(closed, ledger.parent)
    content = ledger.read_bytes()
    assert content.count(b"cache_write_tokens") > 1
    ledger.write_bytes(content.replace(b"CHECK (cost_nano >= 0)", b"CHE\xacK (cost_nano >= 0)"))
    assert record_ten(ledger, look)


def test_a_file_that_is_not_the_damaged_one_stays(ledger: Path) -> None:
    """Whoever comes late with an old finding of damage does not move the new ledger."""
    FileStore(ledger).close()
    there = file.identity(ledger)
    assert there is not None
    assert file.set_aside(ledger, (there[0], there[1] + 1)) is None
    assert file.identity(ledger) == there
    assert file.set_aside(ledger, there) is not None
    assert file.identity(ledger) is None


def garble(ledger: Path) -> bytes:
    """Spoil everything of the file but its header."""
    content = ledger.read_bytes()
    spoilt = content[:100] + b"\xff" * (len(content) - 100)
    ledger.write_bytes(spoilt)
    return spoilt


def test_a_damaged_file_is_kept_under_another_name(
    sound: Path, ledger: Path, look: Look, caplog: pytest.LogCaptureFixture
) -> None:
    """The damaged file is beside the new one byte for byte, with its log, and the name is said once."""
    shutil.copytree(sound, ledger.parent)
    log = (ledger.parent / "ledger.db-wal").read_bytes()
    (ledger.parent / "ledger.db-wal").write_bytes(b"")
    (ledger.parent / "ledger.db-shm").unlink()
    spoilt = garble(ledger)
    writer = Writer.of_file(ledger, retention_days=0)
    for _ in range(3):
        writer.put(record())
        assert writer.flush(20)
    writer.close(10)
    (aside,) = [path for path in ledger.parent.glob("ledger.db.corrupt-*") if path.name.endswith("Z")]
    assert aside.read_bytes() == spoilt
    assert log
    assert len([line for line in caplog.messages if str(aside) in line]) == 1
    assert look("SELECT count(*) FROM calls") == [(3,)]
    assert ledger.stat().st_mode & 0o777 == 0o600


def test_a_file_that_breaks_under_a_running_writer_is_moved_aside(ledger: Path, look: Look) -> None:
    """Damage after the start is met the same way, and the call at hand is in the new file."""
    writer = Writer.of_file(ledger, retention_days=0)
    for _ in range(500):
        writer.put(record())
    assert writer.close(20)
    garble(ledger)
    last = record()
    writer.put(last)
    writer.close(20)
    assert look("SELECT id FROM calls") == [(last.id,)]
    assert len(list(ledger.parent.glob("ledger.db.corrupt-*"))) == 1


def test_many_that_meet_the_damage_move_it_once(ledger: Path, look: Look) -> None:
    """Writers that find the damage at the same moment leave one damaged file and one ledger with all their calls."""
    store = FileStore(ledger)
    store.insert([row(record()) for _ in range(ROWS)])
    store.close()
    garble(ledger)
    gate = threading.Barrier(6)
    flushed: list[bool] = []

    def write() -> None:
        writer = Writer.of_file(ledger, retention_days=0)
        gate.wait()
        for _ in range(20):
            writer.put(record())
        done = False
        for _ in range(50):
            done = done or writer.flush(20)
        flushed.append(done)
        writer.close(20)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert flushed == [True] * 6
    asides = [path for path in ledger.parent.glob("ledger.db.corrupt-*") if not path.name.endswith(("wal", "shm"))]
    assert len(asides) == 1
    assert look("SELECT count(*) FROM calls") == [(120,)]


def test_rows_can_be_brought_back_as_the_documentation_says(sound: Path, ledger: Path, look: Look) -> None:
    """The documented statement copies the rows of another ledger, each once, however often it is run."""
    shutil.copytree(sound, ledger.parent)
    aside = ledger.with_name("ledger.db.corrupt-20261122T000000Z")
    for companion in ("", "-wal", "-shm"):
        ledger.with_name(f"ledger.db{companion}").rename(f"{aside}{companion}")
    store = FileStore(ledger)
    store.insert([row(record())])
    store.close()
    for _ in range(2):
        with closing(sqlite3.connect(ledger)) as connection:
            connection.execute("ATTACH ? AS aside", (str(aside),))
            connection.execute("INSERT INTO calls SELECT * FROM aside.calls WHERE true ON CONFLICT (id) DO NOTHING")
            connection.commit()
    assert look("SELECT count(*) FROM calls") == [(ROWS + 1,)]
