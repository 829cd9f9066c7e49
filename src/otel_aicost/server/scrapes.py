"""`GET /metrics`: the ledger is read by one thread at a time, for all who ask meanwhile."""

from __future__ import annotations

import asyncio
import gzip
import math
import threading
from concurrent.futures import Future
from copy import copy
from typing import TYPE_CHECKING, Final, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted
from starlette.responses import PlainTextResponse, Response

from otel_aicost import faults
from otel_aicost.exporter.exposition import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client import Metric
    from starlette.requests import Request

T = TypeVar("T")

TIMEOUT_HEADER: Final = "X-Prometheus-Scrape-Timeout-Seconds"
LONGEST_SECONDS: Final = 60.0
"""How long a scrape may take for those who do not say how long they wait."""
SHARE_OF_TIMEOUT: Final = 0.95
"""A scraper that hears "not in time" just before it gives up can tell that from a dead server."""
COMPRESSION: Final = 5


class Scrapes:
    """The endpoint. What it serves is read anew for each scrape, unless one is under way: then both get that."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._current: _Scrape | None = None

    async def answer(self, request: Request) -> Response:
        """Give the metrics in the format asked for; 503 if they are not read in the time that the scraper waits."""
        accept = request.headers.get("accept", "")
        compressed = gzip_accepted(request.headers.get("accept-encoding", ""))
        seconds = _patience(request.headers.get(TIMEOUT_HEADER))
        if self._current is None or self._current.done:  # between here and its start nothing is awaited
            self._current = _Scrape(self._registry)
        scrape = self._current
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(asyncio.wrap_future(scrape.families))
                form, page = await asyncio.shield(asyncio.wrap_future(scrape.page(accept, compressed=compressed)))
        except TimeoutError:
            return PlainTextResponse(f"the ledger was not read within {seconds:.1f} s; raise scrape_timeout\n", 503)
        except Exception as error:  # noqa: BLE001 - whatever fails in a collector, the server goes on
            faults.report("scrape", error)
            return PlainTextResponse("the metrics could not be made; the log of aicost serve says why\n", 500)
        finally:
            if scrape.done and self._current is scrape:
                self._current = None  # what it holds is large
        headers = {"Content-Type": form, "Vary": "Accept, Accept-Encoding"}
        if compressed:
            headers["Content-Encoding"] = "gzip"
        return Response(page, headers=headers)


class _Scrape:
    """One look at the ledger, in a thread of its own, and the pages made of it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._pages: dict[tuple[str, bool], Future[tuple[str, bytes]]] = {}
        self.families: Future[_Collected] = _in_thread(lambda: _Collected(registry.collect()))

    @property
    def done(self) -> bool:
        """Whether the ledger has been read: who asks from now on wants to know what is in it now."""
        return self.families.done()

    def page(self, accept: str, *, compressed: bool) -> Future[tuple[str, bytes]]:
        """The content type and the page; made once for all who ask for that format."""
        form = choose_encoder(accept)[1]
        if (form, compressed) not in self._pages:
            families = self.families.result()

            def make() -> tuple[str, bytes]:
                named, page = render(families, accept)
                return named, gzip.compress(page, COMPRESSION) if compressed else page

            self._pages[form, compressed] = _in_thread(make)
        return self._pages[form, compressed]


class _Collected(CollectorRegistry):
    """What a registry gave; it gives the same again, for each format that is asked for."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__()
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return map(copy, self._families)  # whoever writes a page may change what it was given


def _in_thread(work: Callable[[], T]) -> Future[T]:
    """Do it in a thread that does not hold up the end of the process."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
            future.set_exception(error)

    threading.Thread(target=run, name="aicost-scrape", daemon=True).start()
    return future


def _patience(text: str | None) -> float:
    """How long a scraper waits, in seconds, a little less than it says."""
    try:
        seconds = float(text or "") * SHARE_OF_TIMEOUT
    except ValueError:
        return LONGEST_SECONDS
    return min(seconds, LONGEST_SECONDS) if seconds > 0 and math.isfinite(seconds) else LONGEST_SECONDS
