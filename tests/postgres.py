"""A PostgreSQL server for tests: a real one, in a directory of its own, that can be frozen, crashed and restarted."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

FETCHED = Path(__file__).parents[1] / ".tools" / "postgresql"
USER = "aicost_test"
NOBODY = "nobody"
"""PostgreSQL refuses to be run by root."""
_numbers = count(1)


def programs() -> Path:
    """The directory of `initdb` and `postgres`: fetched by `scripts/get-postgresql`, or installed."""
    for root in (FETCHED, Path("/")):
        for found in sorted(root.glob("usr/lib/postgresql/*/bin"), reverse=True):
            if (found / "initdb").exists() and (found / "postgres").exists():
                return found
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    msg = "no PostgreSQL server for the tests: run scripts/get-postgresql (make test does)"
    raise RuntimeError(msg)


class Cluster:
    """One server, on a port of its own on the loopback interface."""

    def __init__(self) -> None:
        self._bin = programs()
        self.directory = Path(tempfile.mkdtemp(prefix="aicost-postgres-"))
        self.password = secrets.token_hex(8)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._user = NOBODY if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self.directory, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        secret = self.directory / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)  # for the server's user; the directory is closed to all others
        self._run(
            "initdb", "--pgdata", self._data, "--username", USER, "--pwfile", secret, "--no-sync", "--locale", "C",
            "--encoding", "UTF8", "--auth-local", "trust", "--auth-host", "scram-sha-256",
        )  # fmt: skip
        self.start()

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def url(self, database: str, **parameters: object) -> str:
        """As a user writes it."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}{'?' + query if query else ''}"

    def create(self) -> str:
        """A new, empty database; its URL."""
        name = f"test_{next(_numbers)}"
        # Of a language: what depends on the order of bytes must say so.
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'")
        return self.url(name)

    def execute(self, database: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask a database, given by its name or its URL."""
        url = database if "://" in database else self.url(database)
        path = "-c search_path=aicost,public"
        with psycopg.connect(url, autocommit=True, connect_timeout=10, options=path) as connection:
            cursor = connection.execute(sql, parameters or None)  # type: ignore[arg-type]  # text of ours
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.directory,
            "fsync": "off",  # a killed server loses nothing by it; a machine that loses power would
            "max_connections": 200,
            "shared_buffers": "32MB",
            "log_min_messages": "fatal",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = self.directory / "log"
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *options],
                user=self._user, env=self._environment(), cwd="/", stdout=stream, stderr=stream,
                start_new_session=True,
            )  # fmt: skip
        for _ in range(600):
            with contextlib.suppress(psycopg.OperationalError):
                self.execute("postgres", "SELECT 1")
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        msg = f"the PostgreSQL server does not start: {log.read_text(errors='replace')[-2000:]}"
        raise RuntimeError(msg)

    def stop(self) -> None:
        """Stop it at once, as `pg_ctl stop -m immediate` does: no connection is closed properly, as in a crash."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def crash(self) -> None:
        """Stop it at once and start it again."""
        self.stop()
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Not a process of it runs: connections are accepted by the kernel, and nothing is ever answered."""
        halted = self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT, halted)

    def drop_connections(self, database: str, name: str | None = None) -> None:
        """End every other connection to this database (its URL), or to another one of that name; wait for it."""
        others = "datname = coalesce(%s, current_database()) AND pid <> pg_backend_pid()"
        self.execute(database, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}", name)

    def remove(self) -> None:
        """Stop it and delete all of it."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _signal(self, number: int, pids: list[int] | None = None) -> list[int]:
        assert self._process is not None
        parent = self._process.pid
        pids = [parent, *_children(parent)] if pids is None else pids
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._bin / program), *map(str, arguments)]
        done = subprocess.run(
            command, user=self._user, env=self._environment(), cwd="/", capture_output=True, text=True, check=False
        )
        if done.returncode:
            msg = f"{program} failed: {done.stderr[-2000:]}"
            raise RuntimeError(msg)

    def _environment(self) -> dict[str, str]:
        libraries = ":".join(str(place) for place in FETCHED.glob("usr/lib/*-linux-*")) if FETCHED.exists() else ""
        return {"PATH": f"{self._bin}:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "LD_LIBRARY_PATH": libraries}


def _children(parent: int) -> list[int]:
    """The processes whose parent this is (Linux); the server's all are."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name of a program stands in brackets and may hold anything.
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(status.parent.name))
    return found


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The server of this test run."""
    one = Cluster()
    yield one
    one.remove()


@pytest.fixture
def database(cluster: Cluster) -> str:
    """The URL of an empty database."""
    return cluster.create()
