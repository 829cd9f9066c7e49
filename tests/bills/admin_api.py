"""An admin API on the loopback that speaks the documented schemas of OpenAI and Anthropic, some buckets a page."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

KEY = "sk-admin-not-a-real-key"


class AdminApi:
    """Inside the `with` it listens. `reports` are the buckets of each path; `asked` is what it was asked."""

    def __init__(self, reports: dict[str, list[dict[str, Any]]], *, at_once: int = 2) -> None:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                parameters = parse_qsl(parts.query)
                api.asked.append((parts.path, parameters, dict(self.headers)))
                status, headers, document = api.answer(parts.path, dict(parameters), self.headers)
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.reports = reports
        self.at_once = at_once
        self.asked: list[tuple[str, list[tuple[str, str]], dict[str, str]]] = []
        self.instead: list[tuple[int, dict[str, str], Any]] = []
        """Answered first, one after the other."""
        self.refused: dict[str, tuple[int, dict[str, str], Any]] = {}
        """Answered to a path, always."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, path: str, parameters: dict[str, str], headers: Any) -> tuple[int, dict[str, str], Any]:
        if self.instead:
            return self.instead.pop(0)
        if path in self.refused:
            return self.refused[path]
        if headers.get("Authorization") != f"Bearer {KEY}" and headers.get("x-api-key") != KEY:
            return 401, {}, {"error": {"message": f"Incorrect API key provided: {headers.get('x-api-key')}"}}
        buckets = self.reports[path]
        start = int(parameters.get("page", "page_0").removeprefix("page_"))
        end = start + self.at_once
        more = end < len(buckets)
        return 200, {}, {"data": buckets[start:end], "has_more": more, "next_page": f"page_{end}" if more else None}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
