"""The application: which address gives what."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from otel_aicost.budgets.budget import Plan
from otel_aicost.server.alertmanager import Alertmanager
from otel_aicost.server.filing import Filing
from otel_aicost.server.front import Front
from otel_aicost.server.guard import Guard
from otel_aicost.server.health import Readiness, healthz
from otel_aicost.server.scrapes import Scrapes
from otel_aicost.server.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from prometheus_client import CollectorRegistry

    from otel_aicost.config import Server


@dataclass(frozen=True, slots=True)
class Served:
    """What is served, and to whom."""

    place: Path | Server
    """The ledger; it may come into being later."""
    registry: CollectorRegistry
    """What `/metrics` gives; it is asked in a thread, by one at a time."""
    plan_of: Callable[[], Plan] = Plan
    """The budgets as they are now."""
    token: str | None = field(default=None, repr=False)
    """What callers must send; `None`: nothing."""
    alertmanagers: tuple[str, ...] = field(default=(), repr=False)
    """Where budget alerts are posted; the addresses may hold passwords."""


def app(served: Served) -> Starlette:
    """The ASGI application. While it runs (its lifespan), budget alerts are posted, if it has an Alertmanager."""
    alertmanagers = [Alertmanager(url) for url in served.alertmanagers]
    watcher = Watcher(served.place, served.plan_of, alertmanagers)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if alertmanagers:
            watcher.start()
        yield
        watcher.stop()
        for each in alertmanagers:
            each.close()

    routes = [
        Route("/", Front(served.place, alertmanagers).answer, methods=["GET"]),
        Route("/metrics", Scrapes(served.registry).answer, methods=["GET"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", Readiness(served.place).answer, methods=["GET"]),
        Route("/alerts/alertmanager", Filing(served.place).answer, methods=["POST"]),
    ]
    guard = [] if served.token is None else [Middleware(Guard, token=served.token)]
    return Starlette(routes=routes, middleware=guard, lifespan=lifespan)
