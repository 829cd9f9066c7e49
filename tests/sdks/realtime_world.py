"""Drives the connections of the OpenAI SDK, synchronous and asynchronous ones, in the same words."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import openai

from capture.world import KEY, TRUST
from otel_aicost.config import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdks.socket_server import SocketServer

DEPRECATED = r"ignore:connect\(\) must be used as a context manager:DeprecationWarning"
"""The SDK calls `websockets` in a way that its newest version deprecates."""


def socket_settings(sockets: SocketServer, paid: str = "openai", **others: Any) -> Settings:
    """No ledger, and the server stands for `paid`."""
    return Settings(**{"ledger": None, "provider_hosts": {f"127.0.0.1:{sockets.port}": paid}, **others})


def realtime_of(client: Any) -> Any:
    """Realtime, which older SDKs have among their beta APIs alone."""
    return client.realtime if hasattr(client, "realtime") else client.beta.realtime


class Driver:
    """A client, and what waits for whatever it returns."""

    def __init__(self, kind: str, sockets: SocketServer) -> None:
        self.kind = kind
        self._loop = asyncio.Runner() if kind == "async" else None
        prefix = "Async" if kind == "async" else ""
        transport = getattr(openai, f"Default{prefix}HttpxClient")(verify=TRUST)
        self.client = getattr(openai, f"{prefix}OpenAI")(
            base_url=f"{sockets.url}/v1",
            websocket_base_url=f"ws://127.0.0.1:{sockets.port}/v1",
            api_key=KEY,
            http_client=transport,
            max_retries=0,
        )

    @property
    def realtime(self) -> Any:
        return realtime_of(self.client)

    def do(self, result: Any) -> Any:
        """`result`, awaited if it is to be."""
        if self._loop is None or not inspect.isawaitable(result):
            return result

        async def wait() -> Any:
            return await result

        return self._loop.run(wait(), context=contextvars.copy_context())

    @contextmanager
    def connected(self, manager: Any) -> Iterator[Any]:
        """The connection, which is closed at the end."""
        connection = self.do(manager.enter())
        try:
            yield connection
        finally:
            self.do(connection.close())

    def hear(self, connection: Any, count: int) -> list[str]:
        """The types of the next events."""
        return [self.do(connection.recv()).type for _ in range(count)]

    def close(self) -> None:
        self.do(self.client.close())
        if self._loop is not None:
            self._loop.close()
