"""Who may ask: with a token set, only those who send it."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

OPEN: Final = frozenset({"/healthz", "/readyz"})
"""What a load balancer or an orchestrator asks for, who knows no token."""


class Guard:
    """Lets nothing but the open paths through without `Authorization: Bearer TOKEN`."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or pass it on."""
        if scope["type"] == "http" and scope["path"] not in OPEN and not self._knows(Headers(scope=scope)):
            answer = PlainTextResponse(
                "this needs the token of aicost serve: Authorization: Bearer TOKEN\n",
                401,
                {"WWW-Authenticate": 'Bearer realm="aicost"'},
            )
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._token)
        return right and scheme.lower() == "bearer"
