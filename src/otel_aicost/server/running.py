"""Listening and running: a socket, uvicorn over it, and a clean end."""

from __future__ import annotations

import ipaddress
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uvicorn

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.applications import Starlette

END_SECONDS: Final = 1
"""How long answers that are under way may take at the end."""
MOST_CONNECTIONS: Final = 200
KEPT_SECONDS: Final = 75
"""How long a connection is kept for the next scrape; the usual interval is a minute at the most."""


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: the certificate with its chain, and its key."""

    certificate: Path
    key: Path


def listen(host: str, port: int) -> socket.socket:
    """Listen there; port 0 stands for any that is free. Raises `OSError`."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family, backlog=128)


def is_local(host: str) -> bool:
    """Whether only this machine can connect to such an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run(application: Starlette, listening: socket.socket, tls: Tls | None = None) -> None:
    """Serve until Ctrl-C or SIGTERM; then it ends, within little more than `END_SECONDS`."""
    server_of(application, tls).run(sockets=[listening])


def end_well() -> None:
    """From now on Ctrl-C and SIGTERM end this process with exit code 0: to be told to stop is no failure.

    While uvicorn runs it sees to them itself; when it has ended, it raises the signal once more.
    """

    def end(*_: object) -> None:
        raise SystemExit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def server_of(application: Starlette, tls: Tls | None = None) -> uvicorn.Server:
    """The server, not running yet."""
    config = uvicorn.Config(
        application,
        log_config=None,  # what is logged goes where the process logs
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=KEPT_SECONDS,
        timeout_graceful_shutdown=END_SECONDS,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    return uvicorn.Server(config)
