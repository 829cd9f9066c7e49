"""The collector: one look at the ledger for each scrape, in one order, at one moment."""

from __future__ import annotations

import os
import threading
import time
import weakref
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from otel_aicost import config, faults
from otel_aicost.budgets.budget import Plan
from otel_aicost.errors import LedgerError
from otel_aicost.exporter import budgets, health, periods, running
from otel_aicost.exporter.background import Background
from otel_aicost.exporter.details import Details
from otel_aicost.exporter.families import gauge
from otel_aicost.exporter.labels import MOST_VALUES, Cap
from otel_aicost.exporter.past import Past
from otel_aicost.exporter.ranges import Sum, Summing
from otel_aicost.exporter.spenders import BY
from otel_aicost.exporter.totals import read_totals
from otel_aicost.ledger.opening import NoLedgerYetError, looking
from otel_aicost.names import EXPORTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prometheus_client import Metric

    from otel_aicost.config import Server
    from otel_aicost.ledger.store import Connection
    from otel_aicost.prices.catalogue import Catalogue

WAIT_SECONDS: Final = 5.0
"""The longest a scrape waits for a ledger that does not answer."""
SMALL: Final = 20_000
"""With so many calls the first scrape itself looks for the top spenders."""


@dataclass(frozen=True, slots=True)
class Options:
    """What can be chosen."""

    most_values: int = MOST_VALUES
    """Of each label that applications fill; the others are `other`."""
    top_by: tuple[str, ...] = BY
    """What top spenders are listed by: `spenders.COLUMNS`, else tags."""


class LedgerCollector(Collector):
    """What a ledger holds, as the families of `names.EXPORTED`.

    It may be scraped from any thread; scrapes come one after another. A ledger that is not there, or does not answer,
    is `aicost_ledger_up 0` and nothing else: a number that is not known is not shown as zero.
    """

    def __init__(
        self,
        ledger: Path | Server,
        plan_of: Callable[[], Plan] = Plan,
        catalogue_of: Callable[[], Catalogue] | None = None,
        options: Options = Options(),
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Open nothing yet.

        `plan_of`: the budgets and the time zone that hold now. `catalogue_of` loads the prices, in the background;
        `None`: no list prices. `now_ns`: the clock.
        """
        self._ledger = ledger
        self._plan_of = plan_of
        self._now_ns = now_ns
        self._cap = Cap(options.most_values)
        self._past = Past()
        self._details = Details(ledger, options.top_by, lambda: plan_of().timezone, catalogue_of, now_ns)
        self._background = Background(ledger, self._details.find)
        self.begin()
        _all.add(self)

    def begin(self) -> None:
        """Nobody scrapes: at the start, and in the child of a fork."""
        self._turn = threading.Lock()
        self._looked = False

    def describe(self) -> list[Metric]:
        """Nothing: to be registered is no reason to read the ledger."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family, in the order of `names.EXPORTED`."""
        began = time.perf_counter()
        with self._turn:
            found = self._found()
        up = gauge("aicost_ledger_up")
        up.add_metric((), int(bool(found)))
        took = gauge("aicost_collect_seconds")
        took.add_metric((), time.perf_counter() - began)
        build = gauge("aicost_build_info")
        build.add_metric((_version(),), 1)
        families = {family.name: family for family in (*found, up, took, build)}
        yield from (families[name] for name in EXPORTED if name in families)

    def close(self) -> None:
        """End the thread in the background."""
        self._background.close()

    def _found(self) -> list[Metric]:
        try:
            # At once: what cannot be read to the end must not be shown by half.
            with looking(self._ledger, WAIT_SECONDS) as connection:
                found = list(self._look(connection))
        except NoLedgerYetError:
            return []
        except LedgerError as error:
            faults.say("exporter", "otel-aicost: there are no metrics: %s", error)
            return []
        return [*found, *self._details.families()]

    def _look(self, connection: Connection) -> Iterator[Metric]:
        plan, now_ns = self._plan_of(), self._now_ns()
        totals = read_totals(connection, self._cap)
        yield from running.families(totals)
        yield from running.refusals(connection)
        calendar = periods.Calendar(ZoneInfo(plan.timezone), now_ns)
        summing = Summing(connection, calendar.zone)
        yield from periods.families(self._past, summing, calendar, Sum(totals.calls, totals.nano), totals.repriced)
        yield from budgets.families(connection, plan.budgets, now_ns)
        yield from health.alerts(connection)
        yield from health.prices(config.stale_days(plan))
        yield from health.ledger(connection, self._ledger, totals.calls)
        yield from health.outboxes(connection, self._ledger, now_ns)
        yield from health.writers(connection, now_ns)
        self._look_closer(connection, totals.calls)

    def _look_closer(self, connection: Connection, calls: int) -> None:
        """See to the top spenders: in the background, but for the first time where that takes no time."""
        if not self._looked and calls <= SMALL:
            self._details.find(connection, prices=False)
        self._looked = True
        self._background.wanted()


def registry(
    ledger: Path | Server,
    plan_of: Callable[[], Plan] = Plan,
    catalogue_of: Callable[[], Catalogue] | None = None,
    options: Options = Options(),
) -> CollectorRegistry:
    """A registry with a `LedgerCollector` and nothing else."""
    made = CollectorRegistry(auto_describe=False)
    made.register(LedgerCollector(ledger, plan_of, catalogue_of, options))
    return made


def _version() -> str:
    try:
        return version("otel-aicost")
    except PackageNotFoundError:
        return "unknown"


_all: weakref.WeakSet[LedgerCollector] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for one in list(_all):
        one.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
