"""A WebSocket server on loopback: it greets, and answers each message of a client with what the test wrote down."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

Event = dict[str, Any]
CLOSE: Event = {"close": 1000}
LOSE: Event = {"close": 1011}
"""In place of an event: the server closes the connection, in good order or not."""


class SocketServer:
    """Speaks to any number of connections, and keeps what they sent."""

    def __init__(self, trust: ssl.SSLContext | None = None) -> None:
        self.greeting: list[Event] = []
        self.received: list[Event] = []
        self.paths: list[str] = []
        self._answers: dict[str, deque[list[Event]]] = defaultdict(deque)
        self._server = serve(self._talk, "127.0.0.1", 0, ssl=trust, max_size=None)
        self.port = int(self._server.socket.getsockname()[1])
        self.secure = trust is not None

    def answer(self, kind: str, *events: Event) -> None:
        """Send these when the next message of that kind comes: its `type`, or else its first key."""
        self._answers[kind].append(list(events))

    @property
    def url(self) -> str:
        return f"http{'s' if self.secure else ''}://127.0.0.1:{self.port}"

    def _talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        self._send(connection, self.greeting)
        try:
            for message in connection:
                event = json.loads(message)
                self.received.append(event)
                waiting = self._answers[event.get("type") or next(iter(event))]
                if waiting:
                    self._send(connection, waiting.popleft())
        except ConnectionClosed:
            return

    @staticmethod
    def _send(connection: ServerConnection, events: Iterable[Event]) -> None:
        for event in events:
            if "close" in event:
                connection.close(event["close"])
                return
            connection.send(json.dumps(event))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
