"""The metrics over HTTP from inside an application: of many processes one has the port, and another when that dies."""

from __future__ import annotations

import errno
import os
import socket
import socketserver
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from otel_aicost import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client import CollectorRegistry

AGAIN_SECONDS: Final = 2.0
"""How long those without the port wait before they try to have it."""
SHUT_SECONDS: Final = 1.0
_FRONT: Final = b"otel-aicost: what the AI calls of this ledger cost is at /metrics\n"


class Port:
    """Serves `/metrics` from a daemon thread, as soon and as long as this process has the port.

    There is no error for the application: what goes wrong is reported, and tried again. A child of a fork lets go of
    the socket it inherits, so that the port is free when its parent dies, and tries for itself.
    """

    def __init__(self, host: str, port: int, make_registry: Callable[[], CollectorRegistry]) -> None:
        """Do nothing yet. `make_registry` is called once the port is ours: it may import much."""
        self._address = (host, port)
        self._make_registry = make_registry
        self._begin()
        _all.add(self)

    def start(self) -> None:
        """Try for the port, now and every `AGAIN_SECONDS`."""
        try:
            threading.Thread(target=self._run, args=(self._end,), name="otel-aicost-port", daemon=True).start()
        except RuntimeError as error:  # no more threads; the application has other worries
            faults.report("prometheus port", error)

    def close(self) -> None:
        """Give the port back."""
        self._end.set()
        server = self._server
        if server is not None:
            # Its thread takes half a second to notice; nobody waits for that.
            server.socket.close()
            server.ended = True

    @property
    def serving(self) -> bool:
        """Whether this process has the port."""
        return self._server is not None

    def before_fork(self) -> None:
        """Have no socket that a child would not know of."""
        self._parked = self._binding.acquire(timeout=SHUT_SECONDS)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._parked:
            self._parked = False
            self._binding.release()

    def after_fork_in_child(self) -> None:
        """Let go of the parent's socket, and try for the port like everybody else."""
        server, ended = self._server, self._end.is_set()
        self._begin()
        if server is not None:
            server.socket.close()
        if ended:
            self._end.set()
        else:
            self.start()

    def _begin(self) -> None:
        self._end = threading.Event()
        self._binding = threading.Lock()
        self._parked = False
        self._server: _HTTPServer | None = None

    def _run(self, end: threading.Event) -> None:
        while not end.is_set():
            try:
                server = self._bound()
                if server is not None:
                    self._serve(server, end)
            except Exception as error:  # noqa: BLE001 - a guest's thread: whatever it is, the application goes on
                faults.report("prometheus port", error)
            end.wait(AGAIN_SECONDS)

    def _bound(self) -> _HTTPServer | None:
        """A server on the port; `None`: another process has it."""
        with self._binding:
            try:
                self._server = _HTTPServer(self._address)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            return self._server

    def _serve(self, server: _HTTPServer, end: threading.Event) -> None:
        try:
            server.set_app(_application(self._make_registry()))
            while not end.is_set():
                server.handle_request()
        except (OSError, ValueError):
            if not server.ended:
                raise
        finally:
            server.socket.close()
            self._server = None


class _HTTPServer(socketserver.ThreadingMixIn, WSGIServer):
    """A thread for each scrape; binds without asking a name server who we are."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False  # or every process would have the port, and the same numbers none of the time
    timeout = SHUT_SECONDS
    ended = False

    def __init__(self, address: tuple[str, int]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, *_: object) -> None:
        """Say nothing: a scraper that went away."""


class _Handler(WSGIRequestHandler):
    timeout = 30

    def log_message(self, *_: object) -> None:
        """Say nothing: the application's own log is not for scrapes."""


def _application(registry: CollectorRegistry) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    from otel_aicost.exporter.exposition import render  # noqa: PLC0415 - only who has the port needs it

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, content_type, body = "200 OK", "text/plain; charset=utf-8", _FRONT
        if environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
            status, body = "405 Method Not Allowed", b"only GET and HEAD\n"
        elif environ.get("PATH_INFO") == "/metrics":
            try:
                content_type, body = render(registry, environ.get("HTTP_ACCEPT", ""))
            except Exception as error:  # noqa: BLE001 - a scrape that fails is no fault of the application
                faults.report("scrape", error)
                status, body = "500 Internal Server Error", b"the metrics could not be read; see the log\n"
        elif environ.get("PATH_INFO") not in {"/", ""}:
            status, body = "404 Not Found", _FRONT
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        start_response(status, headers)
        return [b"" if environ.get("REQUEST_METHOD") == "HEAD" else body]

    return answer


_all: weakref.WeakSet[Port] = weakref.WeakSet()


def _each(step: Callable[[Port], Any]) -> Callable[[], None]:
    def all_of_them() -> None:
        for one in list(_all):
            step(one)

    return all_of_them


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_each(Port.before_fork),
        after_in_parent=_each(Port.after_fork_in_parent),
        after_in_child=_each(Port.after_fork_in_child),
    )
