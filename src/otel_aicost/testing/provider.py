"""The fake provider: a script of replies, the requests it has seen, and where to reach it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from otel_aicost.testing.answering import REMEMBERED, Answering
from otel_aicost.testing.reply import Reply
from otel_aicost.testing.server import Outgoing, Server

if TYPE_CHECKING:
    from types import TracebackType

    from otel_aicost.testing.request import Request

CREATED = 1_767_225_600
"""2026-01-01T00:00:00Z, the time every answer carries unless told otherwise."""
Script = Reply | Callable[["Request"], Reply]


class FakeProvider:
    """OpenAI and Anthropic on a port of 127.0.0.1.

    ```python
    with FakeProvider() as provider:
        client = OpenAI(base_url=provider.openai_url, api_key="x")
    ```

    The same requests in the same order get the same bytes, in every run; `seed` makes other ids, `created`
    is the time of the answers in seconds since the epoch. `port` 0 takes any free one.
    """

    def __init__(self, *, port: int = 0, seed: int = 0, created: int = CREATED) -> None:
        self._wanted_port = port
        self._lock = threading.Lock()
        self._server: Server | None = None
        self._always: Script = Reply()
        self._queue: deque[Reply] = deque()
        self._requests: deque[Request] = deque(maxlen=REMEMBERED)
        self._answering = Answering(seed, created)

    # --- running it -----------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen and serve in a background thread."""
        if self._server is None:
            self._server = Server(self._wanted_port, self._respond)
            self._server.start()
        return self

    def close(self) -> None:
        """Break open connections and stop; it takes milliseconds, also in the middle of a slow stream."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- where it is ----------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            msg = "the fake provider is not running: use `with FakeProvider() as provider:` or call start()"
            raise RuntimeError(msg)
        return self._server.port

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`: the base URL of the Azure and Bedrock clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """The `base_url` of `openai.OpenAI`."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """The `base_url` of `anthropic.Anthropic`."""
        return self.url

    @property
    def vertex_url(self) -> str:
        """The `base_url` of `anthropic.AnthropicVertex`."""
        return f"{self.url}/v1"

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables that lead the SDKs here, with keys that are worth nothing."""
        return {
            "OPENAI_BASE_URL": self.openai_url,
            "OPENAI_API_KEY": "fake",
            "ANTHROPIC_BASE_URL": self.anthropic_url,
            "ANTHROPIC_API_KEY": "fake",
        }

    # --- what it says ---------------------------------------------------------------------------------------

    def next(self, *replies: Reply) -> None:
        """Queue replies for the next requests, whatever their path. A reply serves `times` requests."""
        with self._lock:
            self._queue.extend(replies)

    def always(self, script: Script) -> None:
        """What a request gets when nothing is queued: a reply, or what a function of the request returns."""
        with self._lock:
            self._always = script

    def fail(self, status: int = 500, *, times: int = 1) -> None:
        """Let the next `times` requests fail with an HTTP status."""
        self.next(Reply(status=status, times=times))

    @property
    def requests(self) -> list[Request]:
        """The requests received so far, the oldest first, 10,000 at the most."""
        with self._lock:
            return list(self._requests)

    def reset(self) -> None:
        """Forget script, requests and stored responses; the next answers are those of a new provider."""
        with self._lock:
            self._always = Reply()
            self._queue.clear()
            self._requests.clear()
        self._answering.reset()

    def _respond(self, request: Request) -> Outgoing:
        with self._lock:
            self._requests.append(request)
            script = self._take()
        return self._answering.respond(request, script)

    def _take(self) -> Script:
        """The next queued reply, or the standing one. Called with the lock held."""
        if not self._queue:
            return self._always
        reply = self._queue.popleft()
        if reply.times > 1:
            self._queue.appendleft(replace(reply, times=reply.times - 1))
        return reply
