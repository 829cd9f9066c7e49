"""How a ledger on PostgreSQL is opened for reading: a connection for SQLAlchemy, of transactions that write nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import NullPool, create_engine, event

from otel_aicost.errors import LedgerError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from otel_aicost.config import Server

MISSING = 'a ledger on PostgreSQL needs psycopg: pip install "otel-aicost[postgresql]"'


def server_engine(server: Server) -> tuple[Engine, int]:
    """An engine for the ledger of `server`, and the version of its tables: 0 if it has none.

    Raises `LedgerError` when psycopg is not installed or the address cannot be read; an error of SQLAlchemy when the
    server cannot be reached.
    """
    try:
        import psycopg  # noqa: PLC0415 - an extra
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

        from otel_aicost.ledger.postgres import OPTIONS, SCHEMA, unreadable, version_of  # noqa: PLC0415
    except ImportError as error:
        raise LedgerError(MISSING) from error
    try:
        parameters = {**OPTIONS, **conninfo_to_dict(server.url)}
    except psycopg.ProgrammingError:
        raise unreadable(server) from None

    def begin(connection: Connection) -> None:
        # Every query of a transaction sees the ledger at the same moment.
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.exec_driver_sql(f"SET LOCAL search_path = {SCHEMA}")

    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(**parameters),  # type: ignore[arg-type]  # text, as libpq has it
        poolclass=NullPool,
        use_native_hstore=False,
    )
    event.listen(engine, "begin", begin)
    with engine.connect() as connection:
        return engine, version_of(lambda sql: connection.exec_driver_sql(sql).fetchone())
