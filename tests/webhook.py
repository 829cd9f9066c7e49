"""A real HTTP server that takes messages as `json://` channels send them, and can be slow, wrong or gone."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Webhook:
    """Inside the `with` it listens; `messages` is what it took with a good answer."""

    def __init__(self, port: int = 0) -> None:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.asked.append(dict(self.headers))
                if not hook.open.wait(30):
                    return
                if hook.status < 300:
                    hook.messages.append(json.loads(body))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.status = 200
        self.open = threading.Event()
        self.open.set()
        self.asked: list[dict[str, str]] = []
        self.messages: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        """With a password and a token in it."""
        return f"json://user:{PASSWORD}@127.0.0.1:{self.port}/{TOKEN}/"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.messages]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


PASSWORD = "tr0ub4dor"
TOKEN = "B0T0KEN42"
SECRETS = (PASSWORD, TOKEN)
