"""A server for tests: the real application behind a real socket, an Alertmanager that remembers, and what both are told."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from prometheus_client import CollectorRegistry

from otel_aicost.server.app import Served, app
from otel_aicost.server.running import listen, server_of


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    port: int, path: str, method: str = "GET", body: bytes | None = None, tls: Any = None, **headers: str
) -> Answer:
    """One request; headers are named with `_` for `-`."""
    connect = http.client.HTTPConnection if tls is None else http.client.HTTPSConnection
    options = {} if tls is None else {"context": tls}
    connection = connect("127.0.0.1", port, timeout=30, **options)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@contextlib.contextmanager
def served(place, registry=None, **options):
    """Serve in this process; gives the port."""
    listening = listen("127.0.0.1", 0)
    server = server_of(app(Served(place, registry or CollectorRegistry(), **options)))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        until(lambda: server.started)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def until(holds, seconds: float = 20.0):
    """Wait until it holds, and give what it gave."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)
    return found


class Pager:
    """Alertmanager's `/api/v2/alerts`, which remembers what was posted, and can be broken."""

    def __init__(self) -> None:
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                pager.asked.append((self.path, dict(self.headers)))
                if pager.status == 200:
                    pager.posts.append(json.loads(body))
                self.send_response(pager.status)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"sorry")

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.status = 200
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.posts: list[list[dict[str, Any]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
