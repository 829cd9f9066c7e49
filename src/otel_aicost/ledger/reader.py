"""The ledger opened for reading: never created, never written, also while other processes write to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, NullPool, Table, create_engine, event, inspect
from sqlalchemy.exc import DatabaseError, NoSuchTableError

from otel_aicost.errors import LedgerError
from otel_aicost.ledger import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

BUSY_SECONDS = 5.0
INSTRUCTIONS_BETWEEN_SIGNALS = 1_000_000
"""Steps of SQLite's machine after which Python gets a look at Ctrl-C: about ten milliseconds."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger that can be read, with the tables as the file has them."""

    engine: Engine
    path: Path
    version: int
    calls: Table
    rollups: Table

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One connection and one transaction: every query inside sees the ledger at the same moment.

        Raises `LedgerError` when the file cannot be read: damaged, no permission, locked for good.
        """
        with _errors_named(self.path), self.engine.connect() as connection, connection.begin():
            yield connection


def open_ledger(path: Path) -> Ledger:
    """Open the SQLite ledger at `path` read-only.

    Raises `LedgerError` when there is no such file, it cannot be read, is no ledger, or has not our schema.
    """
    try:
        exists = path.is_file()
    except OSError as error:
        msg = f"the ledger {path} cannot be read: {error.strerror}"
        raise LedgerError(msg) from error
    if not exists:
        msg = (
            f"there is no ledger at {path}. The first call of an instrumented program makes it: "
            "opentelemetry-instrument python app.py. Another place: --ledger FILE or OTEL_AICOST_LEDGER."
        )
        raise LedgerError(msg)
    with _errors_named(path):
        connect = _connector(path)
        with closing(connect()) as raw:
            version = schema.check(raw, path)
        _check_readable(path, version)
        engine = _engine(connect)
        try:
            calls, rollups = _reflected(engine, "calls"), _reflected(engine, "rollups")
        except NoSuchTableError as error:
            msg = f"{path} is a database but no ledger: it has no table {error}"
            raise LedgerError(msg) from None
        return Ledger(engine, path, version, calls, rollups)


def _reflected(engine: Engine, name: str) -> Table:
    """The table with its columns only; SQLAlchemy would warn of an index over expressions."""
    columns = inspect(engine).get_columns(name)
    return Table(name, MetaData(), *(Column(column["name"], column["type"]) for column in columns))


def _check_readable(path: Path, version: int) -> None:
    if version == 0:
        msg = f"{path} is an empty database; the first call of an instrumented program makes it a ledger"
        raise LedgerError(msg)
    if version < schema.VERSION:
        msg = (
            f"{path} is of an older otel-aicost (schema {version}, this one reads {schema.VERSION}); "
            "the next call of a program instrumented with this version brings it up to date"
        )
        raise LedgerError(msg)


def _connector(path: Path) -> Callable[[], sqlite3.Connection]:
    """How to connect to the file; found by trying.

    A WAL database needs its `-shm` file. SQLite makes it where it is missing, which it cannot in a directory
    that is not ours to write. If nothing waits in the `-wal` file either, no process has the ledger open and
    the main file is complete: it can be read as one that does not change.
    """
    path = path.resolve()  # SQLite names the files beside it after the target of a link
    address = f"{path.as_uri()}?mode=ro"
    try:
        _connect(address).close()
    except sqlite3.OperationalError:
        wal = path.with_name(path.name + "-wal")
        if wal.exists() and wal.stat().st_size > 0:
            raise
        address += "&immutable=1"
        _connect(address).close()
    return lambda: _connect(address)


def _connect(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    connection.set_progress_handler(lambda: 0, INSTRUCTIONS_BETWEEN_SIGNALS)
    return connection


def _engine(connect: Callable[[], sqlite3.Connection]) -> Engine:
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    # The driver begins no transaction before a SELECT; without one, two queries see two states of the ledger.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


@contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.DatabaseError, DatabaseError) as error:
        reason = getattr(error, "orig", None) or error
        if str(reason) == "interrupted":  # Ctrl-C arrived in the progress handler
            raise KeyboardInterrupt from None
        msg = f"the ledger {path} cannot be read: {reason}"
        raise LedgerError(msg) from error
