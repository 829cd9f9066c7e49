"""The HTTP side: connections, threads, chunked bodies. It knows no provider."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from otel_aicost.testing.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STOP_SECONDS = 5.0
"""How long `close` waits for the threads of connections."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A response ready to be sent."""

    status: int
    headers: Sequence[tuple[str, str]]
    chunks: Sequence[bytes]
    chunked: bool = False
    delay: float = 0.0
    chunk_delay: float = 0.0
    drop_after: int | None = None
    hang_up: bool = False


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A threaded HTTP/1.1 server on the IPv4 loopback that can be stopped at once."""

    allow_reuse_address = True
    request_queue_size = 256
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, answer: Callable[[Request], Outgoing]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="fake-provider", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def close(self) -> None:
        """Break every connection and wait for the threads."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            open_now = list(self._connections.items())
        for connection, _ in open_now:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in [self._thread, *(thread for _, thread in open_now)]:
            thread.join(STOP_SECONDS)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Give the connection a thread that `close` can find."""
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._lock:
            self._connections[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        """Forget the connection, then close it."""
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Say nothing: the only errors that get here are clients gone in the middle of a request."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def answer(self) -> None:
        """Read the whole request, have it answered, send the answer."""
        headers = tuple(self.headers.items())
        request = Request(self.command, self.path, headers, b"".join(self._body()))
        outgoing = self.server.answer(request)
        try:
            self._send(outgoing)
        except OSError:  # the client has gone
            self.close_connection = True

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing; `FakeProvider.requests` knows what came in."""

    def _body(self) -> Iterator[bytes]:
        if "chunked" not in (self.headers.get("transfer-encoding") or ""):
            yield self.rfile.read(int(self.headers.get("content-length") or 0))
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, outgoing: Outgoing) -> None:
        if outgoing.hang_up or self._stopped_within(outgoing.delay):
            self._break()
            return
        self.send_response_only(outgoing.status)
        for name, value in outgoing.headers:
            self.send_header(name, value)
        if outgoing.chunked:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(sum(map(len, outgoing.chunks))))
        self.end_headers()
        self._send_chunks(outgoing)

    def _send_chunks(self, outgoing: Outgoing) -> None:
        for number, chunk in enumerate(outgoing.chunks):
            if number == outgoing.drop_after or self._stopped_within(outgoing.chunk_delay):
                self._break()
                return
            if chunk:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if outgoing.chunked else chunk)
        if outgoing.drop_after is not None and outgoing.drop_after >= len(outgoing.chunks):
            self._break()
        elif outgoing.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _stopped_within(self, seconds: float) -> bool:
        return seconds > 0 and self.server.stopping.wait(seconds)

    def _break(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
