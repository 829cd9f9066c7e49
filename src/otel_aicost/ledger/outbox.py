"""The outbox: a SQLite ledger on this host in which calls wait until a server has them. It keeps no balances."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_aicost import faults, ids
from otel_aicost.ledger import forks, schema
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.parcels import decoded, encoded
from otel_aicost.ledger.processes import Outbox
from otel_aicost.ledger.store import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, MutableMapping, Sequence
    from pathlib import Path

    from otel_aicost.ledger.balances import Settlement
    from otel_aicost.ledger.row import Row
    from otel_aicost.ledger.store import Connection

LEASE_SECONDS: Final = 60.0
"""How long nobody else sends what waits when the process that does is killed."""
KEPT_SECONDS: Final = 60.0
"""How long a call stays in the outbox after the server took it: a standby that takes over may be behind by so much."""
TURN_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.5


class Parcel(NamedTuple):
    """A call that waits, with what it takes of its budgets."""

    number: int
    """In the order in which they were put."""
    row: Row
    settlement: Settlement | None


class OutboxStore(FileStore):
    """An open outbox. Beside the calls it holds, in `parcels`, which of them wait and what they settle."""

    def __init__(self, path: Path, settlements: MutableMapping[str, Settlement] | None = None) -> None:
        """`settlements`, by the id of the call: each is taken out when it is in the file."""
        super().__init__(path)
        self._settlements = {} if settlements is None else settlements
        try:
            if self.connection.execute(_THERE).fetchone() is None:
                with self.transaction() as connection:
                    connection.execute(_TABLE)
                    connection.execute(_INDEX)
        except BaseException:
            self.close()
            raise

    def insert(self, rows: Sequence[Row]) -> set[str]:
        """Add calls, and what they settle, in one transaction."""
        now = time.time_ns()
        identifiers = [str(row[0]) for row in rows]
        with self.transaction() if not self.connection.in_transaction else contextlib.nullcontext(self.connection):
            new = super().insert(rows)
            self.connection.executemany(_PUT, [(each, now, self._settled(each)) for each in identifiers])
        for identifier in identifiers:
            self._settlements.pop(identifier, None)
        return new

    def _settled(self, identifier: str) -> str | None:
        settlement = self._settlements.get(identifier)
        try:
            return None if settlement is None else encoded(settlement)
        except TypeError as error:
            faults.report("outbox", error)
            return None


def landed(connection: Connection, identifiers: Iterable[str]) -> None:
    """The server has these calls. They are kept a little longer, and then taken out."""
    now = time.time_ns()
    connection.execute(_LANDED, (now, json.dumps(list(identifiers))))
    before = now - int(KEPT_SECONDS * 1e9)
    connection.execute("DELETE FROM calls WHERE id IN (SELECT call_id FROM parcels WHERE landed_ns < ?)", (before,))
    connection.execute("DELETE FROM parcels WHERE landed_ns < ?", (before,))


def doubt(connection: Connection) -> None:
    """The connection was lost: who answers next may be another server, which has not all of what lately landed."""
    before = time.time_ns() - int(KEPT_SECONDS * 1e9)
    connection.execute("UPDATE parcels SET landed_ns = NULL WHERE landed_ns >= ?", (before,))


def lag(path: Path, before_ns: int) -> Outbox:
    """How many calls wait in an outbox that were put before then, and since when. Read-only; raises `LedgerError`."""
    with looking(path, LOOK_SECONDS) as connection:
        return Outbox(*connection.execute(_LAG, (before_ns,)).fetchone())


class Shelf:
    """What waits in an outbox, for whoever sends it on. The file is open during a step only: a process may fork."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._token = ids.new_id()
        self._turn = forks.Turn(lambda: None)

    def any(self, before_ns: int) -> bool:
        """Whether anything waits since then; what landed long ago is taken out."""
        if not self.path.exists():
            return False
        with self._open() as connection:
            landed(connection, ())
            return connection.execute(_ANY, (before_ns,)).fetchone() is not None

    def count(self) -> int:
        """How many calls wait."""
        if not self.path.exists():
            return 0
        with self._open() as connection:
            return int(connection.execute("SELECT count(*) FROM parcels WHERE landed_ns IS NULL").fetchone()[0])

    def lag(self, before_ns: int) -> Outbox:
        """How many wait that were put before then, and since when."""
        if not self.path.exists():
            return Outbox(0, None)
        with self._open() as connection:  # which makes what is missing: it may be only just begun
            return Outbox(*connection.execute(_LAG, (before_ns,)).fetchone())

    def waiting(self, after: int, before_ns: int, most: int) -> list[Parcel]:
        """The oldest that were put before then, behind the number `after`; none that this version cannot read."""
        with self._open() as connection:
            rows = connection.execute(_WAITING, (after, before_ns, most)).fetchall()
        return [parcel for row in rows if (parcel := _parcel(row)) is not None]

    def landed(self, parcels: Iterable[Parcel]) -> None:
        """The server has them."""
        with self._open() as connection:
            landed(connection, [str(parcel.row[0]) for parcel in parcels])

    def mine(self) -> bool:
        """Be the one who sends, or stay it, for `LEASE_SECONDS`; `False` while another process is."""
        now = time.time_ns()
        value = f"{now + int(LEASE_SECONDS * 1e9)} {self._token}"
        with self._open() as connection:
            return connection.execute(_LEASE, (value, now, self._token)).rowcount == 1

    def yours(self) -> None:
        """Let another process send."""
        with self._open() as connection:
            connection.execute("DELETE FROM meta WHERE key = 'shipping' AND value LIKE '% ' || ?", (self._token,))

    @contextlib.contextmanager
    def _open(self) -> Iterator[Connection]:
        if not self._turn.take(TURN_SECONDS):
            msg = "the process forks, and that takes long"
            raise TimeoutError(msg)
        try:
            store = OutboxStore(self.path)
            try:
                with store.transaction() as connection:
                    yield connection
            finally:
                store.close()
        finally:
            self._turn.give()


def _parcel(row: Sequence[object]) -> Parcel | None:
    number, text, *values = row
    try:
        settlement = None if text is None else decoded(str(text))
    except ValueError as error:
        faults.report("outbox", error)  # a newer version put it there, and will send it
        return None
    return Parcel(int(str(number)), tuple(values), settlement)  # type: ignore[arg-type]  # as they were put


_THERE: Final = "SELECT 1 FROM sqlite_master WHERE name = 'parcels'"
_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS parcels (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        call_id TEXT NOT NULL UNIQUE,
        at_ns INTEGER NOT NULL,
        landed_ns INTEGER,
        settlement TEXT
    )
"""
_INDEX: Final = "CREATE INDEX IF NOT EXISTS parcels_landed ON parcels (landed_ns, number)"
_ANY: Final = "SELECT 1 FROM parcels WHERE landed_ns IS NULL AND at_ns <= ? LIMIT 1"
_LAG: Final = "SELECT count(*), min(at_ns) FROM parcels WHERE landed_ns IS NULL AND at_ns <= ?"
_LANDED: Final = """
    UPDATE parcels SET landed_ns = ? WHERE landed_ns IS NULL AND call_id IN (SELECT value FROM json_each(?))
"""
_PUT: Final = "INSERT INTO parcels (call_id, at_ns, settlement) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_WAITING: Final = f"""
    SELECT parcels.number, parcels.settlement, {", ".join(f"calls.{column}" for column in schema.CALL_COLUMNS)}
    FROM parcels JOIN calls ON calls.id = parcels.call_id
    WHERE parcels.landed_ns IS NULL AND parcels.number > ? AND parcels.at_ns <= ? ORDER BY parcels.number LIMIT ?
"""  # noqa: S608 - constants
_LEASE: Final = """
    INSERT INTO meta (key, value) VALUES ('shipping', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value
    WHERE CAST(meta.value AS INTEGER) < ? OR meta.value LIKE '% ' || ?
"""
