"""Opening a ledger that is there already: to look at it with the plain driver, or to change something in it."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from otel_aicost.config import Server
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import schema
from otel_aicost.ledger.haste import hurried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from otel_aicost.ledger.store import Connection, Store


class NoLedgerYetError(LedgerError):
    """No call has been written there: there is no file, or an empty one."""


BUSY_SECONDS: Final = 5.0
MIGRATION_SECONDS: Final = 3600.0
"""Who asks for a migration waits for it: of a million calls it may take minutes."""
INSTRUCTIONS_BETWEEN_SIGNALS: Final = 1_000_000
"""Steps of SQLite's machine after which Python gets a look at Ctrl-C: about ten milliseconds."""

FORK_SECONDS: Final = 1.0
"""The longest a fork waits for those who look at a ledger."""


class _Lookers:
    """How many threads look at a ledger: a child forked meanwhile would inherit SQLite's memory of locks it has not."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._forking = False

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def before_fork(self) -> None:
        """Let nobody begin, and wait until those who look are done."""
        self._changed.acquire()
        self._forking = True
        self._changed.wait_for(lambda: not self._count, FORK_SECONDS)

    def after_fork_in_parent(self) -> None:
        """Look again."""
        self._forking = False
        self._changed.notify_all()
        self._changed.release()

    def after_fork_in_child(self) -> None:
        """Forget the threads of the parent."""
        self.__init__()  # type: ignore[misc]  # the same object, which has been registered


_lookers = _Lookers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lookers.before_fork,
        after_in_parent=_lookers.after_fork_in_parent,
        after_in_child=_lookers.after_fork_in_child,
    )


@contextmanager
def looking(path: Path | Server, wait_seconds: float = BUSY_SECONDS) -> Iterator[Connection]:
    """The ledger in a file or on a server, read-only, at one moment; waits `wait_seconds` at most for whoever holds it.

    Raises `LedgerError` when there is none, it cannot be read, is no ledger, or has not our schema.
    """
    if isinstance(path, Server):
        with _looking_at(path, wait_seconds) as (connection, version):
            check_readable(path, version)
            yield connection
        return
    existing(path)
    with _lookers, errors_named(path), closing(connector(path, wait_seconds)()) as connection:
        check_readable(path, schema.check(connection, path))
        connection.execute("BEGIN")
        yield connection


def opener(path: Path | Server) -> Callable[[], Store]:
    """What opens the ledger in a file or on a server for writing, and makes it where it is missing."""
    if isinstance(path, Server):
        from otel_aicost.ledger.fleet import opened  # noqa: PLC0415 - for a server only

        return partial(opened, path)
    from otel_aicost.ledger.store import FileStore  # noqa: PLC0415 - not needed to look

    return partial(FileStore, path, BUSY_SECONDS)


def changing(path: Path | Server, *, migrate: bool = False) -> Store:
    """The store at `path`, to be closed by the caller. One of an older schema only to `migrate` it.

    Raises `LedgerError` as `looking` does, and when it cannot be written.
    """
    version = version_of(path)
    if not migrate:
        check_readable(path, version)
        return opener(path)()
    with hurried(MIGRATION_SECONDS):
        return opener(path)()


def version_of(path: Path | Server) -> int:
    """The version of the schema, 0 where there is none yet. Raises `LedgerError` as `looking` does."""
    if isinstance(path, Server):
        with _looking_at(path, BUSY_SECONDS) as (_, version):
            return version
    existing(path)
    with errors_named(path), closing(connector(path)()) as connection:
        return schema.check(connection, path)


def existing(path: Path) -> None:
    """Raise a `LedgerError` that says what to do unless there is a file at `path`."""
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
        raise NoLedgerYetError(msg)


@contextmanager
def _looking_at(server: Server, wait_seconds: float) -> Iterator[tuple[Connection, int]]:
    from otel_aicost.ledger.fleet import MISSING  # noqa: PLC0415 - for a server only

    try:
        from otel_aicost.ledger.postgres import looking_at  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise LedgerError(MISSING) from error
    with looking_at(server, wait_seconds) as found:
        yield found


def check_readable(path: Path | Server, version: int) -> None:
    """Raise a `LedgerError` that says what to do unless `version` is ours."""
    if version == 0 and isinstance(path, Server):
        msg = (
            f"there is no ledger in {path}. The first call of a program instrumented with this address makes it, or "
            "aicost ledger migrate"
        )
        raise NoLedgerYetError(msg)
    if version > schema.VERSION:
        msg = (
            f"{path} was written by a newer otel-aicost (schema {version}, this one knows {schema.VERSION}); "
            "upgrade otel-aicost here"
        )
        raise LedgerError(msg)
    if version == 0:
        msg = f"{path} is an empty database; the first call of an instrumented program makes it a ledger"
        raise NoLedgerYetError(msg)
    if version < schema.VERSION:
        msg = (
            f"{path} is of an older otel-aicost (schema {version}, this one reads {schema.VERSION}); `aicost ledger "
            "migrate`, or the next call of a program instrumented with this version, brings it up to date"
        )
        raise LedgerError(msg)


def connector(path: Path, wait_seconds: float = BUSY_SECONDS) -> Callable[[], sqlite3.Connection]:
    """How to connect to the file; found by trying.

    A WAL database needs its `-shm` file. SQLite makes it where it is missing, which it cannot in a directory
    that is not ours to write. If nothing waits in the `-wal` file either, no process has the ledger open and
    the main file is complete: it can be read as one that does not change.
    """
    path = path.resolve()  # SQLite names the files beside it after the target of a link
    address = f"{path.as_uri()}?mode=ro"
    try:
        _connect(address, wait_seconds).close()
    except sqlite3.OperationalError:
        wal = path.with_name(path.name + "-wal")
        if wal.exists() and wal.stat().st_size > 0:
            raise
        address += "&immutable=1"
        _connect(address, wait_seconds).close()
    return lambda: _connect(address, wait_seconds)


@contextmanager
def errors_named(path: Path | Server) -> Iterator[None]:
    """Raise SQLite's errors as a `LedgerError` that names the file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if str(error) == "interrupted":  # Ctrl-C arrived in the progress handler
            raise KeyboardInterrupt from None
        msg = f"the ledger {path} cannot be read: {error}"
        raise LedgerError(msg) from error


def _connect(address: str, wait_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=wait_seconds, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    connection.set_progress_handler(lambda: 0, INSTRUCTIONS_BETWEEN_SIGNALS)
    return connection
