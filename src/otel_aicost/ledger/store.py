"""An open ledger: what every kind of one does, and the one in a file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeVar

from otel_aicost import faults
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import file, schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from otel_aicost.ledger.row import Row
    from otel_aicost.ledger.slices import Stamp

T = TypeVar("T")

BUSY_SECONDS: Final = 1.0
"""How long a write waits for the lock of another process; then the writer keeps the rows."""
LOOK_MS: Final = 10
"""So long SQLite looks for the write lock by itself before it begins anew to look often: after 1, 2 and 5 ms."""
JOURNAL_BYTES: Final = 16 * 1024 * 1024

# Every step of a statement gives the interpreter away, and beside a busy thread it comes back 5 ms later. So
# the rows of one insert are one statement, of one of few sizes, each prepared once.
SIZES: Final = (1, 4, 16, 64, 256)
BATCH: Final = SIZES[-1]

# SQLite quotes what it cannot read; a message that is not UTF-8 reaches Python as the second of these.
_FROM_SQLITE: Final = (sqlite3.DatabaseError, UnicodeDecodeError)
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


_numbers = count()
"""What one connection calls the version of its file means nothing to another."""

OLDEST_SQLITE: Final = (3, 35)
"""The first that has RETURNING; of March 2021."""


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...  # noqa: ANN401 - a row

    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """A database that runs statements with `?` for each parameter, as `sqlite3.Connection` does."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor: ...


class Store(Protocol):
    """A ledger that is open for writing. One thread at a time, and never across a fork.

    A method raises `LedgerError` when the ledger cannot be used now.
    """

    @property
    def connection(self) -> object:
        """What must not be closed in the child of a fork."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """All that is done inside is done, or nothing."""

    def reading(self) -> AbstractContextManager[Connection]:
        """All that is read inside is of the same moment, and nobody waits for it."""

    def ask(self, work: Callable[[Connection], T]) -> T:
        """Read without a transaction, where it does not matter that statements see different moments."""

    def insert(self, rows: Sequence[Row]) -> set[str]:
        """Add calls, in the transaction if one is open; one that is there already (by its id) stays as it is.

        Returns the ids of those that were not.
        """

    def lock(self, keys: Iterable[tuple[str, str]]) -> None:
        """Nobody else changes the balances of these (budget, key) until the transaction ends."""

    def keep_calls(self) -> None:
        """Nobody else changes a call that is there, or folds it, until the transaction ends."""

    def wait_at_most(self, seconds: float) -> None:
        """How long each later step may wait for others."""

    def fold(self, before_ns: int, limit: int) -> int:
        """Move up to `limit` calls that started before `before_ns` into daily totals; returns how many."""

    def moved(self) -> bool:
        """Whether what is written here would not be found any more."""

    def stamp(self) -> Stamp:
        """Another value whenever others have written; `None` where that cannot be told at once."""

    def close(self) -> None:
        """Close the connection."""


class DamagedLedgerError(LedgerError):
    """The file is not what was written to it; `identity` is the file's, so that no other is moved aside."""

    def __init__(self, path: Path, identity: file.Identity, reason: object) -> None:
        self.path = path
        self.identity = identity
        super().__init__(f"{path} is damaged ({reason})")


class BusyLedgerError(LedgerError):
    """Others write; sooner or later it is free."""


class FileStore:
    """A connection to a ledger file of the newest schema; see `Store`.

    A method raises `DamagedLedgerError` when the file is corrupt, `LedgerError` when it cannot be used now.
    """

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        """Open `path`, make it where it is missing, migrate it where it is old.

        `busy_seconds`: how long a step of it, and of everything later, waits for the lock of another process.
        """
        self._busy_seconds = busy_seconds
        self._number = next(_numbers)
        # SQLite follows links and names its companions after the target; so must whoever moves the file.
        self.path = path = Path(os.path.realpath(path))
        self._place = str(path)
        self._most = BATCH
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            msg = f"{path} needs SQLite 3.35 or newer; this Python has {sqlite3.sqlite_version}"
            raise LedgerError(msg)
        try:
            file.prepare(path)
            self.identity = file.identity(path) or (0, 0)
            self.connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            msg = f"{path} cannot be opened: {error}"
            raise LedgerError(msg) from error
        try:
            self._set_up()
            self._ask_version = self.connection.cursor().execute
        except BaseException:
            self.close()
            raise

    def insert(self, rows: Sequence[Row]) -> set[str]:
        """Add calls, `BATCH` rows a statement; one that is there already (by its id) stays as it is."""
        new: set[str] = set()
        for start in range(0, len(rows), self._most):
            some = rows[start : start + self._most]
            size = next(size for size in SIZES if size >= len(some))
            # A repeated row changes nothing, its id conflicts; it saves a statement for every length.
            filled = [*some, *[some[-1]] * (size - len(some))]
            try:
                known = self._known([row[0] for row in filled]) if size > 1 else set()
                added = self._patiently(_insert(size), list(chain.from_iterable(filled))).rowcount
            except _FROM_SQLITE as error:
                self._explain(error)
            new.update({str(row[0]) for row in some} - known if added else ())
        return new

    def _known(self, ids: Sequence[object]) -> set[str]:
        """Which of these calls are there: in one step, where RETURNING would take one for each that is not."""
        (found,) = self._patiently(_which(len(ids)), ids).fetchone()
        return {bytes.fromhex(one).decode() for one in found.split(",")} if found else set()

    def fold(self, before_ns: int, limit: int) -> int:
        """Move up to `limit` calls that started before `before_ns` into `rollups`; returns how many.

        One short transaction: the `spend` view says the same before and after. The write lock is taken only
        when there is something to fold.
        """
        try:
            if self._patiently(_ANY_OLD, (before_ns,)).fetchone() is None:
                return 0
        except _FROM_SQLITE as error:
            self._explain(error)
        with self.transaction() as connection:
            connection.execute(_FOLD, (before_ns, limit))
            return connection.execute(_DELETE, (before_ns, limit)).rowcount

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, with the write lock from the beginning; all that is done inside is done, or nothing."""
        connection = self.connection
        try:
            self._patiently("BEGIN IMMEDIATE")
            try:
                yield connection
                self._patiently("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except _FROM_SQLITE as error:
            self._explain(error)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, without a lock that others wait for: they may write meanwhile, and that is not seen."""
        connection = self.connection
        try:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except _FROM_SQLITE as error:
            self._explain(error)

    def ask(self, work: Callable[[Connection], T]) -> T:
        """Read without a transaction: to begin and end one takes as long as to read."""
        try:
            return work(self.connection)
        except _FROM_SQLITE as error:
            self._explain(error)

    def lock(self, keys: Iterable[tuple[str, str]]) -> None:
        """Nothing to do: a transaction holds the write lock of the whole file."""

    def keep_calls(self) -> None:
        """Nothing to do: as above."""

    def wait_at_most(self, seconds: float) -> None:
        """How long a step waits for the lock of another process."""
        self._busy_seconds = seconds

    def moved(self) -> bool:
        """Whether another file, or none, is at the path by now: what is written here would not be found."""
        return file.identity(self._place) != self.identity

    def stamp(self) -> Stamp:
        """How the file is now: another value whenever another connection has written, of whatever process."""
        try:
            return self._number, self._ask_version("PRAGMA data_version").fetchone()[0]
        except _FROM_SQLITE as error:
            self._explain(error)

    def close(self) -> None:
        """Close the connection; the last one of all processes takes the WAL file with it."""
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()

    def _set_up(self) -> None:
        try:
            version = schema.check(self.connection, self.path)
            self._choose_journal()
            self.connection.execute("PRAGMA synchronous = NORMAL")
            self.connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
            variables = self.connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
            self._most = max(size for size in SIZES if size * len(schema.CALL_COLUMNS) <= variables)
            if version < schema.VERSION:
                schema.migrate(self.connection, self.path)
            schema.verify(self.connection)
            self.connection.execute(f"PRAGMA busy_timeout = {LOOK_MS}")
        except _FROM_SQLITE as error:
            if _code(error) == sqlite3.SQLITE_ERROR:  # our own statements are right: the tables are not
                raise DamagedLedgerError(self.path, self.identity, error) from error
            self._explain(error)

    def _patiently(self, statement: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run a statement that may need the lock of another process.

        SQLite looks for it ever more rarely, at last ten times a second, so that of many who wait some never get it.
        """
        deadline = 0.0
        while True:
            try:
                return self.connection.execute(statement, parameters)
            except sqlite3.OperationalError as error:
                now = time.monotonic()
                deadline = deadline or now + self._busy_seconds - LOOK_MS / 1000
                if _code(error) != sqlite3.SQLITE_BUSY or now >= deadline:
                    raise

    def _choose_journal(self) -> None:
        wanted = "delete" if file.on_network(self.path) else "wal"
        mode = self.connection.execute("PRAGMA journal_mode").fetchone()[0]
        deadline = time.monotonic() + self._busy_seconds
        while mode != wanted:
            try:
                mode = self.connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0]
                break
            except sqlite3.OperationalError as error:
                # SQLite does not wait for the lock here, and many processes may start at once.
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
        if mode != "wal":
            faults.say(
                "ledger journal",
                "otel-aicost: %s is on a filesystem without write-ahead logging, a slower way (journal: %s)",
                self.path,
                mode,
            )

    def _explain(self, error: Exception) -> NoReturn:
        """Raise what `error` means to the user; an error of the data (not of the file) is raised as it is."""
        if type(error) not in {sqlite3.DatabaseError, sqlite3.OperationalError, UnicodeDecodeError}:
            raise error
        if _code(error) in _DAMAGE or isinstance(error, UnicodeDecodeError):
            raise DamagedLedgerError(self.path, self.identity, error) from error
        msg = f"{self.path} cannot be written: {error}"
        raise (BusyLedgerError if _code(error) == sqlite3.SQLITE_BUSY else LedgerError)(msg) from error


def _code(error: Exception) -> int:
    """The primary result code, 0 if the error is not SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


@cache
def _insert(size: int) -> str:
    row = f"({', '.join('?' * len(schema.CALL_COLUMNS))})"
    columns = ", ".join(schema.CALL_COLUMNS)
    return f"INSERT INTO calls ({columns}) VALUES {', '.join([row] * size)} ON CONFLICT (id) DO NOTHING"  # noqa: S608


@cache
def _which(size: int) -> str:
    return f"SELECT group_concat(hex(id)) FROM calls WHERE id IN ({', '.join('?' * size)})"  # noqa: S608


_ANY_OLD: Final = "SELECT 1 FROM calls WHERE started_ns < ? LIMIT 1"
_OLDEST: Final = "SELECT id FROM calls WHERE started_ns < ? ORDER BY started_ns, id LIMIT ?"
_DELETE: Final = f"DELETE FROM calls WHERE id IN ({_OLDEST})"  # noqa: S608 - constants
_FOLD: Final = f"""
    INSERT INTO rollups ({", ".join(schema.ROLLUP_KEY + schema.ROLLUP_SUMS)})
    SELECT {schema.DAY} AS day, {", ".join(schema.ROLLUP_KEY[1:])}, count(*),
           {", ".join(f"sum({column})" for column in schema.ROLLUP_SUMS[1:])}
    FROM calls WHERE id IN ({_OLDEST})
    GROUP BY {", ".join(str(number + 1) for number in range(len(schema.ROLLUP_KEY)))}
    ON CONFLICT ({schema.ROLLUP_CONFLICT}) DO UPDATE SET
    {", ".join(f"{column} = rollups.{column} + excluded.{column}" for column in schema.ROLLUP_SUMS)}
"""  # noqa: S608 - constants
