"""`GET /`: what is served here, on one plain page."""

from __future__ import annotations

from html import escape
from importlib.metadata import version
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from otel_aicost.config import Server
    from otel_aicost.server.alertmanager import Alertmanager

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>aicost serve</title>
<h1>aicost serve {version}</h1>
<p>The ledger {ledger}, for Prometheus and Alertmanager.</p>
<ul>
<li><a href="metrics">metrics</a>: for Prometheus to scrape</li>
<li><a href="healthz">healthz</a>: this process is alive</li>
<li><a href="readyz">readyz</a>: the ledger can be read</li>
<li>alerts/alertmanager: for Alertmanager's webhook (POST)</li>
{posting}</ul>
</html>
"""


class Front:
    """The endpoint."""

    def __init__(self, place: Path | Server, alertmanagers: Sequence[Alertmanager]) -> None:
        self._place = place
        self._alertmanagers = alertmanagers

    async def answer(self, _request: Request) -> Response:
        """The page; addresses are shown without user and password."""
        posting = "".join(f"<li>{escape(line)}</li>\n" for line in self._posting())
        page = _PAGE.format(version=version("otel-aicost"), ledger=escape(str(self._place)), posting=posting)
        return HTMLResponse(page, headers={"Content-Security-Policy": "default-src 'none'"})

    def _posting(self) -> Iterator[str]:
        for each in self._alertmanagers:
            yield f"budget alerts go to {each}: {each.posted} posts were taken, {each.failed} tries failed"
