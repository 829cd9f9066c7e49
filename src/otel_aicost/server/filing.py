"""`POST /alerts/alertmanager`: Alertmanager's notifications, filed in the ledger next to our own alerts."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse

from otel_aicost.errors import LedgerError
from otel_aicost.ledger.opening import changing
from otel_aicost.ledger.received import file_alert, own_alerts, resolve
from otel_aicost.server.webhook import WrongPayloadError, read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from otel_aicost.config import Server
    from otel_aicost.ledger.store import Connection
    from otel_aicost.server.webhook import Received

LARGEST: Final = 1024 * 1024
"""Bytes of a notification; Alertmanager's `max_alerts` keeps them smaller."""
_RETRY: Final = {"Retry-After": "10"}


class Filing:
    """The endpoint."""

    def __init__(self, place: Path | Server) -> None:
        self._place = place

    async def answer(self, request: Request) -> Response:
        """File what the body tells; 503 while the ledger cannot be written, so that Alertmanager tries again."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _refused(415, "expected Content-Type: application/json, as Alertmanager's webhook sends it")
        try:
            body = await _body(request)
        except ClientDisconnect:
            return _refused(400, "the caller left")
        if body is None:
            return _refused(413, f"the body is larger than {LARGEST:,} bytes; lower max_alerts of the webhook")
        try:
            told = await run_in_threadpool(read, body, time.time_ns())
            new = await run_in_threadpool(self._file, told)
        except WrongPayloadError as error:
            return _refused(400, f"expected a notification of Alertmanager's webhook, version 4; {error}")
        except LedgerError as error:
            return PlainTextResponse(f"the alerts were not filed: {error}\n", 503, _RETRY)
        return JSONResponse({"alerts": len(told), "new": new})

    def _file(self, told: Sequence[Received]) -> int:
        with closing(changing(self._place)) as store, store.transaction() as connection:
            return sum(_filed(connection, each) for each in told)


def _filed(connection: Connection, received: Received) -> bool:
    """File one alert. A budget alert that is there already, as ours, is not filed again."""
    row = received.row
    if received.crossing is not None and (own := own_alerts(connection, received.crossing, row.at_ns)):
        if row.state == "resolved":
            for each in own:
                if each.same:
                    resolve(connection, each.id, row.state_at_ns or row.at_ns)
        return False
    return file_alert(connection, row)


async def _body(request: Request) -> bytes | None:
    """The body; `None` if it is too large, and then the rest of it is not read."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > LARGEST:
        return None
    body = bytearray()
    async for some in request.stream():
        body += some
        if len(body) > LARGEST:
            return None
    return bytes(body)


def _refused(status: int, why: str) -> Response:
    return PlainTextResponse(f"{why}\n", status)
