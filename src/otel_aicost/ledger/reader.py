"""The ledger opened for reading: never created, never written, also while other processes write to it."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, NullPool, Table, create_engine, event, inspect
from sqlalchemy.exc import DBAPIError, NoSuchTableError

from otel_aicost.config import Server
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import schema
from otel_aicost.ledger.opening import check_readable, connector, errors_named, existing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger that can be read, with the tables as the file has them."""

    engine: Engine
    path: Path | Server
    version: int
    calls: Table
    rollups: Table

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One connection and one transaction: every query inside sees the ledger at the same moment.

        Raises `LedgerError` when it cannot be read: damaged, no permission, locked for good, not to be reached.
        """
        with _errors_named(self.path), self.engine.connect() as connection, connection.begin():
            yield connection


def open_ledger(path: Path | Server) -> Ledger:
    """Open the SQLite file or the ledger on a server, read-only.

    Raises `LedgerError` when there is no such ledger, it cannot be read, is no ledger, or has not our schema.
    """
    return _open_server(path) if isinstance(path, Server) else _open_file(path)


def _open_server(server: Server) -> Ledger:
    from otel_aicost.ledger.server_reader import server_engine  # noqa: PLC0415 - needs psycopg

    with _errors_named(server):
        engine, version = server_engine(server)
        check_readable(server, version)
        with engine.connect() as connection, connection.begin():
            return Ledger(engine, server, version, _reflected(connection, "calls"), _reflected(connection, "rollups"))


def _open_file(path: Path) -> Ledger:
    existing(path)
    with _errors_named(path):
        connect = connector(path)
        with closing(connect()) as raw:
            version = schema.check(raw, path)
        check_readable(path, version)
        engine = _engine(connect)
        try:
            calls, rollups = _reflected(engine, "calls"), _reflected(engine, "rollups")
        except NoSuchTableError as error:
            msg = f"{path} is a database but no ledger: it has no table {error}"
            raise LedgerError(msg) from None
        return Ledger(engine, path, version, calls, rollups)


def _reflected(connection: Engine | Connection, name: str) -> Table:
    """The table with its columns only; SQLAlchemy would warn of an index over expressions."""
    columns = inspect(connection).get_columns(name)
    return Table(name, MetaData(), *(Column(column["name"], column["type"]) for column in columns))


def _engine(connect: Callable[[], sqlite3.Connection]) -> Engine:
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    # The driver begins no transaction before a SELECT; without one, two queries see two states of the ledger.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


@contextmanager
def _errors_named(path: Path | Server) -> Iterator[None]:
    try:
        with errors_named(path):
            yield
    except DBAPIError as error:
        with errors_named(path):
            if isinstance(path, Server):
                msg = f"the ledger {path} cannot be read: {str(error.orig or error).partition(chr(10))[0]}"
                raise LedgerError(msg) from error
            raise getattr(error, "orig", None) or error from error
