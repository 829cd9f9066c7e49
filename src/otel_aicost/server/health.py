"""`GET /healthz`: the process is alive. `GET /readyz`: the ledger can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse

from otel_aicost.alerts.alert import plain
from otel_aicost.errors import LedgerError
from otel_aicost.ledger.opening import looking

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from otel_aicost.config import Server

WAIT_SECONDS: Final = 2.0
"""How long a probe waits for a ledger that is held or far away."""


async def healthz(_request: Request) -> Response:
    """Answer, which is all there is to it."""
    return PlainTextResponse("ok\n")


class Readiness:
    """The endpoint `/readyz`."""

    def __init__(self, place: Path | Server) -> None:
        self._place = place

    async def answer(self, _request: Request) -> Response:
        """200, or 503 with one line that says what is wrong with the ledger and what to do."""
        trouble = await run_in_threadpool(unreadable, self._place)
        return PlainTextResponse("ok\n" if trouble is None else f"{trouble}\n", 200 if trouble is None else 503)


def unreadable(place: Path | Server) -> str | None:
    """Why the ledger cannot be read now, in one line without secrets; `None`: it can."""
    try:
        with looking(place, WAIT_SECONDS) as connection:
            connection.execute("SELECT 1 FROM totals LIMIT 1").fetchone()
    except LedgerError as error:
        return plain(str(error))
    return None
