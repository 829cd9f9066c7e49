"""From a request and a reply to the bytes of a response; remembers what a provider would remember."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter, OrderedDict
from email.utils import formatdate
from typing import TYPE_CHECKING

from otel_aicost.testing import delivery, routes
from otel_aicost.testing.exchange import Answer, Exchange
from otel_aicost.testing.failures import failure
from otel_aicost.testing.server import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.testing.reply import Reply
    from otel_aicost.testing.request import Request

REMEMBERED = 10_000
"""How many requests, and how many responses to fetch again, are kept."""
_FIRST_ERROR_STATUS = 400


class Answering:
    """Turns requests into responses. The same requests in the same order get the same bytes."""

    def __init__(self, seed: int, created: int) -> None:
        self._seed = seed
        self._created = created
        self._lock = threading.Lock()
        self._seen: Counter[bytes] = Counter()
        self._stored: OrderedDict[str, Exchange] = OrderedDict()

    def reset(self) -> None:
        """Forget what was asked before."""
        with self._lock:
            self._seen.clear()
            self._stored.clear()

    def respond(self, request: Request, script: Reply | Callable[[Request], Reply]) -> Outgoing:
        """The response to a request. A mistake in the script becomes an error 500 that says so."""
        try:
            reply = script(request) if callable(script) else script
            return self._outgoing(request, reply)
        except Exception as error:  # whoever wrote the script has to see it  # noqa: BLE001
            told = f"the fake provider failed: {type(error).__name__}: {error}"
            body = json.dumps({"error": {"message": told, "type": "fake_provider_error"}})
            headers = [("content-type", "application/json"), ("x-should-retry", "false")]
            return Outgoing(500, headers, [body.encode()])

    def _outgoing(self, request: Request, reply: Reply) -> Outgoing:
        route = routes.find(request.method, request.target.partition("?")[0])
        exchange = Exchange(request, reply, self._key(request), self._created, route.names, self._recall, self._within)
        answer = _verbatim(exchange) or self._served(exchange, route)
        headers = {
            "content-type": reply.content_type or answer.content_type,
            "date": formatdate(self._created, usegmt=True),
            "x-request-id": exchange.id("req_"),
            "request-id": exchange.id("req_"),
            **({"content-encoding": "gzip"} if reply.gzip else {}),
            **answer.headers,
            **{name.lower(): value for name, value in reply.headers.items()},
        }
        return Outgoing(
            status=answer.status,
            headers=list(headers.items()),
            chunks=delivery.chunks(answer, reply),
            chunked=answer.streamed or reply.chunk_bytes is not None,
            delay=reply.delay,
            chunk_delay=reply.chunk_delay,
            drop_after=reply.drop_after,
            hang_up=reply.hang_up,
        )

    def _key(self, request: Request) -> str:
        """Names this request: its path, its content, and how often it came.

        `stream_options` is left out: asking for the usage of a stream must not change the stream's content.
        """
        content = {key: value for key, value in request.payload.items() if key != "stream_options"}
        digest = hashlib.sha256(repr((self._seed, request.path, content or request.body)).encode())
        with self._lock:
            self._seen[digest.digest()] += 1
            digest.update(str(self._seen[digest.digest()]).encode())
        return digest.hexdigest()

    def _served(self, exchange: Exchange, route: routes.Route) -> Answer:
        if exchange.reply.status >= _FIRST_ERROR_STATUS:
            return failure(exchange, route.family)
        for prefix in routes.STORES.get(route.endpoint, ()):
            self._store(exchange.id(prefix), exchange)
        return route.endpoint(exchange)

    def _store(self, name: str, exchange: Exchange) -> None:
        with self._lock:
            self._stored[name] = exchange
            if len(self._stored) > REMEMBERED:
                self._stored.popitem(last=False)

    def _recall(self, name: str) -> Exchange | None:
        with self._lock:
            return self._stored.get(name)

    def _within(self, request: Request, reply: Reply) -> Answer:
        """The answer to a line of a batch; the same line of the same batch gets the same."""
        route = routes.find(request.method, request.target)
        key = hashlib.sha256(repr((self._seed, request.path, request.body)).encode()).hexdigest()
        return route.endpoint(Exchange(request, reply, key, self._created, route.names))


def _verbatim(exchange: Exchange) -> Answer | None:
    """The body or JSON that the reply spells out itself."""
    reply = exchange.reply
    if reply.body is None and reply.json is None:
        return None
    return Answer([reply.body if reply.body is not None else exchange.encode(reply.json)], status=reply.status)
