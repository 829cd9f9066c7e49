"""Top spenders, the dearest calls and list prices: kept from one look of the background to the next."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from otel_aicost.exporter.families import dollars, gauge
from otel_aicost.exporter.periods import Calendar
from otel_aicost.exporter.ranges import NS, Range, Sum, Summing
from otel_aicost.exporter.spenders import costliest, models_used, tops
from otel_aicost.ledger.repriced import how_many
from otel_aicost.prices.rates import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prometheus_client import Metric

    from otel_aicost.config import Server
    from otel_aicost.exporter.spenders import Call, Top
    from otel_aicost.ledger.store import Connection
    from otel_aicost.model import PriceSource
    from otel_aicost.prices.catalogue import Catalogue
    from otel_aicost.prices.rates import Price

PERIODS: Final = (("day", 0), ("day", 1), ("week", 0), ("week", 1), ("month", 0), ("month", 1), ("month", 2))
DAY_NS: Final = 86_400 * NS
PRICES_SECONDS: Final = 600.0
MOST_MODELS: Final = 200
METERS: Final = ("input", "output", "cache_read", "cache_write")
MILLION: Final = 10**6


@dataclass(frozen=True, slots=True)
class _Spenders:
    period: Range
    sum: Sum
    repriced: int
    """How often a call was repriced until then: that may move money within a sum."""
    tops: dict[str, Top]


@dataclass(slots=True)
class _Prices:
    dollars: dict[tuple[str, str, str], float] = field(default_factory=dict)
    """Provider, model and type -> dollars per million tokens."""
    made: dict[PriceSource, float] = field(default_factory=dict)


class Details:
    """What was found out last. The background fills it, scrapes show it."""

    def __init__(
        self,
        ledger: Path | Server,
        by: tuple[str, ...],
        zone_of: Callable[[], str],
        catalogue_of: Callable[[], Catalogue] | None,
        now_ns: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._by = by
        self._zone_of = zone_of
        self._catalogue_of = catalogue_of
        self._now_ns = now_ns
        self._spenders: dict[tuple[str, int], _Spenders] = {}
        self._calls: list[Call] = []
        self._catalogue: Catalogue | None = None
        self._prices = _Prices()
        self._priced: list[tuple[str, str]] | None = None
        """The models whose prices were looked up, and when."""
        self._priced_at = 0.0

    def find(self, connection: Connection, *, prices: bool = True) -> None:
        """Look at the ledger; what has not changed since the last look is not read again."""
        calendar = Calendar(ZoneInfo(self._zone_of()), self._now_ns())
        summing = Summing(connection, calendar.zone)
        periods = {place: calendar.period(*place) for place in PERIODS}
        sums = dict(zip(periods, summing.sums(list(periods.values())), strict=True))
        repriced = how_many(connection)
        found = {}
        for place, period in periods.items():
            known = self._known(period, sums[place], repriced)
            if known is None:
                by = tops(connection, self._ledger, self._by, summing.days, period)
                known = _Spenders(period, sums[place], repriced, by)
            found[place] = known
        self._spenders = found
        self._calls = costliest(connection, calendar.now_ns - DAY_NS)
        if prices and self._catalogue_of is not None:
            self._look_up(connection, calendar.now_ns)

    def families(self) -> Iterator[Metric]:
        """What is known by now; nothing before the first look."""
        spend, calls, tokens = (gauge(f"aicost_top_{what}") for what in ("spend_usd", "calls", "tokens"))
        names = gauge("aicost_top_names")
        for (kind, offset), spenders in self._spenders.items():
            for by, top in spenders.tops.items():
                for name, spent in top.shown():
                    labels = (by, name, kind, str(offset))
                    spend.add_metric(labels, dollars(spent.nano))
                    calls.add_metric(labels, spent.calls)
                    tokens.add_metric(labels, spent.tokens)
                names.add_metric((by, kind, str(offset)), top.names)
        yield from (spend, calls, tokens, names)
        dearest = gauge("aicost_costliest_call_usd")
        for call in self._calls:
            dearest.add_metric(call.labels, dollars(call.nano))
        yield dearest
        prices = gauge("aicost_list_price_usd_per_million_tokens")
        for model, price in self._prices.dollars.items():
            prices.add_metric(model, price)
        yield prices
        made = gauge("aicost_price_table_timestamp_seconds")
        for source, at in self._prices.made.items():
            made.add_metric((source,), at)
        yield made

    def _known(self, period: Range, found: Sum, repriced: int) -> _Spenders | None:
        """What was found of a period that has not changed since; a month may be what was this month before."""
        for known in self._spenders.values():
            if (known.period, known.sum, known.repriced) == (period, found, repriced):
                return known
        return None

    def _look_up(self, connection: Connection, now_ns: int) -> None:
        models = sorted(models_used(connection, MOST_MODELS))
        if models == self._priced and time.monotonic() - self._priced_at < PRICES_SECONDS:
            return
        if self._catalogue_of is not None and (self._catalogue is None or self._catalogue.is_outdated()):
            self._catalogue = self._catalogue_of()
        catalogue = self._catalogue
        assert catalogue is not None  # noqa: S101 - as it was just loaded
        found = {}
        for provider, model in models:
            price, _ = catalogue.resolve(Query(provider, (model,), {}, now_ns))
            for meter, amount in _per_million(price).items():
                found[provider, model, meter] = amount
        made = {
            source: datetime(*day.timetuple()[:3], tzinfo=UTC).timestamp() for source, day in catalogue.made().items()
        }
        self._prices, self._priced = _Prices(found, made), models
        self._priced_at = time.monotonic()


def _per_million(price: Price | object) -> dict[str, float]:
    """Type -> dollars per million tokens, of the types of `METERS` that have a price of their own."""
    if getattr(price, "free", False):
        return dict.fromkeys(METERS, 0.0)
    rates = {rate.meter.removesuffix("_tokens"): rate for rate in getattr(price, "rates", ())}
    return {meter: float(rates[meter].price * MILLION / rates[meter].per) for meter in METERS if meter in rates}
