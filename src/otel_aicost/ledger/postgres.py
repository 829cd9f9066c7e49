"""A ledger on PostgreSQL: a connection that never waits longer than it may, and tables in a schema of their own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import select
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumper
from psycopg.waiting import Ready, Wait

from otel_aicost.errors import LedgerError
from otel_aicost.ledger import schema
from otel_aicost.ledger.forks import keep_for_ever
from otel_aicost.ledger.haste import deadline, hurried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from otel_aicost.config import Server
    from otel_aicost.ledger.row import Row

    T = TypeVar("T")

SCHEMA: Final = "aicost"
"""The PostgreSQL schema of our tables: the database may be shared with the application's own."""
VERSION_KEY: Final = "schema_version"
"""Where the table `meta` says which migrations were made."""

CONNECT_SECONDS: Final = 5
IDLE_SECONDS: Final = 5.0
"""A transaction whose process says nothing for so long is rolled back by the server, and what it locked is free."""
ROLLBACK_SECONDS: Final = 0.1
SERVER_SHARE: Final = 0.8
"""The server gives up a little earlier than we do: then the connection stays good."""
OPTIONS: Final = {
    "connect_timeout": str(CONNECT_SECONDS),
    "application_name": "otel-aicost",
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
"""What holds unless the URL says otherwise."""
AT_EASE_SECONDS: Final = 1.0
LONG_SECONDS: Final = 3600.0
_LOOK: Final = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = {SCHEMA}"
_MIGRATING: Final = "migrate"
_FOLDING: Final = "fold"


class OverdueError(LedgerError):
    """The server did not answer in time."""


class _Session(psycopg.Connection[tuple[Any, ...]]):
    """A connection of psycopg that waits until a deadline. libpq itself waits for ever for a server that is frozen."""

    deadline = float("inf")

    def wait(self, gen: Any, interval: float = 0.0, timeout: float | None = None) -> Any:  # noqa: ANN401, ARG002
        """Do what psycopg asks for; raise `OverdueError` at the deadline, after which the connection is of no use."""
        # Not psycopg's own loop, which not in every version comes back when there is nothing to be read.
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(_ready(self.pgconn.socket, wanted, self.deadline))
        except StopIteration as done:
            return done.value
        except OverdueError:
            gen.close()
            raise


def _ready(descriptor: int, wanted: Wait, deadline: float) -> Ready:
    """Wait for what is wanted of a socket. Raises `OverdueError` at the deadline."""
    poll = select.poll()
    poll.register(descriptor, (select.POLLIN if wanted & Wait.R else 0) | (select.POLLOUT if wanted & Wait.W else 0))
    left = deadline - time.monotonic()
    # A server that answered in time is heard, however late we ask.
    events = poll.poll(None if left == float("inf") else max(0.0, left) * 1000)
    if not events:
        raise OverdueError
    found = events[0][1]
    if found & ~(select.POLLIN | select.POLLOUT):  # closed, or worse: libpq finds out
        return Ready.RW
    return Ready((Ready.R if found & select.POLLIN else 0) | (Ready.W if found & select.POLLOUT else 0))


class Connection:
    """Inside of one transaction: SQL with `?` for parameters, as for SQLite."""

    def __init__(self, session: _Session) -> None:
        self._session = session

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run one statement."""
        if not parameters:
            return self._session.execute(sql)
        return self._session.execute(_placeholders(sql), [_sendable(value) for value in parameters])


class PostgresStore:
    """A connection to a ledger of the newest schema; see `Store`.

    A method raises `LedgerError` when the server cannot be reached or does not answer in time; then, and whenever
    `moved` says so, a new store has to be made.
    """

    def __init__(self, server: Server, landed: Callable[[Sequence[str]], object] | None = None) -> None:
        """Connect, and make or migrate the tables: who cannot wait for that raises, and it goes on without them.

        `landed` is told after each transaction which calls (their ids) the server has for sure.
        """
        self.server = server
        self._landed = landed
        self._inserted: list[str] = []
        self._inside: Connection | None = None
        self._pid = os.getpid()
        self.lost = False
        """Whether the connection, or an answer, was lost: what the server has is not known for sure."""
        self.connection = _connect(server, _migrate)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All that is done inside is done, or nothing. Each step sees what others have committed before it."""
        self.connection.deadline = until = deadline()
        with self._errors():
            try:
                self.connection.execute(_begin(until - time.monotonic()), prepare=False)
                self._inside = Connection(self.connection)
                yield self._inside
                self._commit()
            finally:
                self._inside = None
                inserted, self._inserted = self._inserted, []
                self._tidy()
        if inserted and self._landed is not None:
            self._landed(inserted)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """All that is read inside is of the same moment, and nobody waits for it."""
        self.connection.deadline = deadline()
        with self._errors():
            try:
                self.connection.execute(_LOOK, prepare=False)
                yield Connection(self.connection)
            finally:
                self._tidy()

    def insert(self, rows: Sequence[Row]) -> set[str]:
        """Add calls, in the transaction if one is open; one that is there already (by its id) stays as it is."""
        if self._inside is None:
            with self.transaction():
                return self.insert(rows)
        # In one order everywhere: two processes that send the same rows wait for each other, and not in a circle.
        ordered = sorted(rows, key=lambda row: str(row[0]))
        documents = [dict(zip(schema.CALL_COLUMNS, row, strict=True)) for row in ordered]
        new = self._inside.execute(_INSERT, [json.dumps(documents, ensure_ascii=False)]).fetchall()
        self._inserted += [str(row[0]) for row in ordered]
        return {identifier for (identifier,) in new}

    def lock(self, keys: Iterable[tuple[str, str]]) -> None:
        """Wait until nobody else has one of these (budget, key), and keep others from them until the end."""
        numbers = sorted({_number(*key) for key in keys})
        if numbers and self._inside is not None:
            self._inside.execute(_LOCK, [numbers])

    def keep_calls(self) -> None:
        """Wait until nobody folds or reprices calls, and keep others from it until the end."""
        if self._inside is not None:
            self._inside.execute(_LOCK, [[_number(_FOLDING)]])

    def wait_at_most(self, seconds: float) -> None:
        """Nothing: a server is no neighbour's lock. Whoever is in a hurry says so with `hurried`."""

    def fold(self, before_ns: int, limit: int) -> int:
        """Move up to `limit` calls that started before `before_ns` into `rollups`; returns how many.

        0 as well while another process is at it.
        """
        with self.transaction() as connection:
            (mine,) = connection.execute("SELECT pg_try_advisory_xact_lock(?)", [_number(_FOLDING)]).fetchone() or (0,)
            if not mine:
                return 0
            (count,) = connection.execute(_FOLD, (before_ns, limit)).fetchone() or (0,)
            return int(count)

    def ask(self, work: Callable[[Connection], T]) -> T:
        """Read, in a transaction all the same: that is how answers are waited for here."""
        with self.reading() as connection:
            return work(connection)

    def stamp(self) -> None:
        """Nothing: to ask is a round trip, what a slice is there to save."""

    def moved(self) -> bool:
        """Whether the connection is gone. One that nobody uses has nothing to say unless the server closes it."""
        if self._pid == os.getpid() and not _gone(self.connection):
            return False
        self.lost = True
        return True

    def close(self) -> None:
        """Close the connection; in a forked child it is left alone, for it is the parent's."""
        if self._pid != os.getpid():
            keep_for_ever(self.connection)
            return
        with contextlib.suppress(psycopg.Error):
            self.connection.close()

    def _commit(self) -> None:
        done = self.connection.execute("COMMIT", prepare=False)
        if done.statusmessage != "COMMIT":  # a step had failed, and somebody passed over it
            msg = f"{self.server} took nothing of a transaction in which a step had failed"
            raise LedgerError(msg)

    def _tidy(self) -> None:
        """End a transaction that is open still; close the connection if its state is not known."""
        status = self.connection.pgconn.transaction_status
        if status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
            self.connection.deadline = time.monotonic() + ROLLBACK_SECONDS
            with contextlib.suppress(psycopg.Error, OverdueError):
                self.connection.execute("ROLLBACK", prepare=False)
                return
        if status != TransactionStatus.IDLE:
            self.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with _errors(self.server):
                yield
        except LedgerError:
            self.lost = True
            raise


@contextlib.contextmanager
def looking_at(server: Server, wait_seconds: float) -> Iterator[tuple[Connection, int]]:
    """The ledger on a server at one moment, read-only, and its version (0: there is none).

    Who can wait only for a moment gets an answer, or a `LedgerError`, within it; who waits longer may read for long.
    """
    with hurried(wait_seconds):
        session = _connect(server)
    session.deadline = time.monotonic() + (wait_seconds if wait_seconds < AT_EASE_SECONDS else LONG_SECONDS)
    try:
        with _errors(server):
            session.execute(_LOOK, prepare=False)
            connection = Connection(session)
            yield connection, version_of(lambda sql: connection.execute(sql).fetchone())
    finally:
        session.close()


def version_of(ask: Callable[[str], Sequence[Any] | None]) -> int:
    """The version of the ledger in a database, 0 where there is none; `ask` gives the first row of an answer."""
    there = ask(f"SELECT to_regclass('{SCHEMA}.meta')")
    if there is None or there[0] is None:
        return 0
    found = ask(f"SELECT value FROM {SCHEMA}.meta WHERE key = '{VERSION_KEY}'")  # noqa: S608 - constants
    return int(found[0]) if found else 0


def _migrate(session: _Session, server: Server) -> None:
    """Make or migrate the tables, in one transaction; processes that start at once do it once."""
    session.deadline = deadline()
    with _errors(server):
        session.execute(_begin(session.deadline - time.monotonic()), prepare=False)
        connection = Connection(session)
        if _version(connection, server) < schema.VERSION:
            connection.execute("SELECT pg_advisory_xact_lock(?)", [_number(_MIGRATING)])
            session.deadline = time.monotonic() + LONG_SECONDS  # of a million calls it may take minutes
            connection.execute("SET LOCAL statement_timeout = 0")
            _make_tables(connection, server)
        session.execute("COMMIT", prepare=False)


def _make_tables(connection: Connection, server: Server) -> None:
    if not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", [SCHEMA]).fetchone():
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
    for version in range(_version(connection, server), schema.VERSION):
        connection.execute(";\n".join(filter(None, map(translated, schema.MIGRATIONS[version]))))
        connection.execute(_SET_VERSION, (VERSION_KEY, str(version + 1)))


def _version(connection: Connection, server: Server) -> int:
    version = version_of(lambda sql: connection.execute(sql).fetchone())
    if version > schema.VERSION:
        msg = (
            f"{server} was written by a newer otel-aicost (schema {version}, "
            f"this one knows {schema.VERSION}); upgrade otel-aicost here"
        )
        raise LedgerError(msg)
    return version


def _gone(session: _Session) -> bool:
    """Whether a connection that waits for nothing was closed by the other side."""
    look = select.poll()
    try:
        look.register(session.pgconn.socket, select.POLLIN)
        while look.poll(0):
            session.pgconn.consume_input()
    except (psycopg.Error, OSError):
        return True
    return bool(session.closed)


def _connect(server: Server, prepare: Callable[[_Session, Server], object] | None = None) -> _Session:
    """Connect, and `prepare`, within the time there is.

    In a thread: neither a name server nor libpq can be told to hurry, and tables that are being made should be made
    though nobody waits for them any more.
    """
    until = deadline()
    outcome: Future[_Session] = Future()
    thread = threading.Thread(target=_connect_into, args=(outcome, server, prepare), name="aicost-connect", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter is shutting down
        _connect_into(outcome, server, prepare)
    try:
        return outcome.result(max(0.001, until - time.monotonic()))
    except FutureTimeoutError:
        outcome.add_done_callback(_discard)
        msg = f"{server} does not answer in time"
        raise OverdueError(msg) from None
    except psycopg.ProgrammingError:  # it quotes what it cannot read, which may be the password
        raise unreadable(server) from None
    except psycopg.Error as error:
        msg = f"{server} cannot be reached: {_first_line(error)}"
        raise LedgerError(msg) from None


@contextlib.contextmanager
def _errors(server: Server) -> Iterator[None]:
    try:
        yield
    except OverdueError:
        msg = f"{server} does not answer in time"
        raise OverdueError(msg) from None
    except (psycopg.DataError, psycopg.IntegrityError):
        raise  # of what we wrote, not of the server
    except psycopg.Error as error:
        msg = f"{server} cannot be used: {_first_line(error)}"
        raise LedgerError(msg) from error


def unreadable(server: Server) -> LedgerError:
    """What to say of an address that libpq does not understand."""
    return LedgerError(
        f"the address of {server} cannot be read: write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
        "with %40 for an @ in a part of it, and so on"
    )


def _connect_into(
    outcome: Future[_Session], server: Server, prepare: Callable[[_Session, Server], object] | None
) -> None:
    try:
        outcome.set_result(_connected(server, prepare))
    except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
        outcome.set_exception(error)


def _connected(server: Server, prepare: Callable[[_Session, Server], object] | None) -> _Session:
    parameters = {**OPTIONS, **conninfo_to_dict(server.url)}
    session = _Session.connect(autocommit=True, **parameters)  # type: ignore[arg-type]
    session.adapters.register_dumper(int, Int8Dumper)  # one type whatever the number: one prepared statement
    session.adapters.register_dumper(str, StrDumper)
    try:
        if prepare is not None:
            prepare(session, server)
    except BaseException:
        session.close()
        raise
    return session


def _discard(outcome: Future[_Session]) -> None:
    if outcome.exception() is None:
        outcome.result().close()


def _begin(seconds: float) -> str:
    """The beginning of a transaction of `seconds`, with all that has to hold in it: one message to the server."""
    limit = max(1, int(seconds * SERVER_SHARE * 1000))
    return (
        f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path = {SCHEMA}; "
        f"SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {int(IDLE_SECONDS * 1000)}"
    )


def _number(*words: str) -> int:
    """What an advisory lock is known by: 64 bits, so that neither two budgets nor another program share one."""
    digest = hashlib.blake2b("\0".join(("aicost", *words)).encode("utf-8", "replace"), digest_size=8)
    return int.from_bytes(digest.digest(), "big", signed=True)


@lru_cache(maxsize=256)
def _placeholders(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


def _sendable(value: Any) -> Any:  # noqa: ANN401
    """Text as PostgreSQL takes it: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str) or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


# --- SQLite's statements as PostgreSQL's -------------------------------------------------------------------------

DAY: Final = """(to_char(to_timestamp(started_ns / 1000000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD') COLLATE "C")"""
_NOW: Final = """to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
# An index takes a few kilobytes of a row; tags may be longer.
ROLLUP_CONFLICT: Final = schema.ROLLUP_CONFLICT.replace("tags", "md5(tags)")


def translated(statement: str) -> str | None:
    """A statement of a migration for PostgreSQL; `None` where it is about SQLite's file."""
    if statement.lstrip().startswith("PRAGMA"):
        return None
    statement = re.sub(r"\bINTEGER\b", "BIGINT", statement.replace("WITHOUT ROWID", ""))
    # Compared byte by byte, as SQLite does, whatever language the database was made for.
    statement = re.sub(r"\bTEXT\b", 'TEXT COLLATE "C"', statement)
    statement = statement.replace(schema.DAY, DAY).replace("strftime('%Y-%m-%dT%H:%M:%SZ', 'now')", _NOW)
    statement = statement.replace(schema.NOW_NS, _NOW_NS).replace(schema.ANY_ID, _ANY_ID)
    return statement.replace(f"({schema.ROLLUP_CONFLICT})", f"({ROLLUP_CONFLICT})")


_ANY_ID: Final = "replace(CAST(gen_random_uuid() AS TEXT), '-', '')"
_NOW_NS: Final = "CAST(extract(epoch FROM now()) * 1000000000 AS BIGINT)"

# One parameter, whatever the number of calls: the statement is prepared once.
_COLUMNS: Final = ", ".join(schema.CALL_COLUMNS)
_INSERT: Final = f"""
    INSERT INTO calls ({_COLUMNS}) SELECT {_COLUMNS} FROM json_populate_recordset(NULL::calls, CAST(? AS json))
    ON CONFLICT (id) DO NOTHING RETURNING id
"""  # noqa: S608 - constants
_LOCK: Final = "SELECT pg_advisory_xact_lock(number) FROM unnest(CAST(? AS bigint[])) AS number"
_SET_VERSION: Final = """
    INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""
# One statement: what is deleted is what is added up, whatever others insert meanwhile.
_FOLD: Final = f"""
    WITH gone AS (
        DELETE FROM calls WHERE id IN (SELECT id FROM calls WHERE started_ns < ? ORDER BY started_ns, id LIMIT ?)
        RETURNING *
    ), folded AS (
        INSERT INTO rollups ({", ".join(schema.ROLLUP_KEY + schema.ROLLUP_SUMS)})
        SELECT {DAY} AS day, {", ".join(schema.ROLLUP_KEY[1:])}, count(*),
               {", ".join(f"sum({column})" for column in schema.ROLLUP_SUMS[1:])}
        FROM gone GROUP BY {", ".join(str(number + 1) for number in range(len(schema.ROLLUP_KEY)))}
        ON CONFLICT ({ROLLUP_CONFLICT}) DO UPDATE SET
        {", ".join(f"{column} = rollups.{column} + excluded.{column}" for column in schema.ROLLUP_SUMS)}
    )
    SELECT count(*) FROM gone
"""  # noqa: S608 - constants
