"""A day of calls and some older ones, as Prometheus would know it: a real ledger, scraped as it grew."""

from __future__ import annotations

import json
import random
import re
import subprocess
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry

from alerts.raised import reached
from otel_aicost.budgets.budget import Amounts, Line, Plan
from otel_aicost.budgets.reading import parse
from otel_aicost.budgets.window import window_at
from otel_aicost.exporter.collector import LedgerCollector
from otel_aicost.exporter.exposition import render
from otel_aicost.ledger import repriced
from otel_aicost.ledger.adjustments import Change
from otel_aicost.ledger.alerts import raise_alert
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.limits import note_definitions
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.posting import Posted, post
from otel_aicost.ledger.row import row
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.stored_calls import these
from otel_aicost.model import Unpriced
from otel_aicost.prices.catalogue import Catalogue
from prometheus import Prometheus, program, scraping
from records import cost, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otel_aicost.budgets.budget import Budget
    from otel_aicost.model import Record

END = 1_795_183_200
"""2026-11-20 14:00 UTC, a Friday."""
STEP = 900
"""Seconds between scrapes."""
SCRAPES = 100
"""25 hours."""
TAGS = ("feature", "team", "job")
BUDGETS = parse(
    b"""
timezone: UTC
budgets:
  - {name: all-day, limit: 40 USD, period: day, alert_at: [0.5, 0.8]}
  - {name: all-week, limit: 2000 USD, period: week, on_exceed: warn}
  - {name: all-month, limit: 5000 USD, period: month}
  - {name: search-team, limit: 10 USD, period: day, match: {tags: {team: search}}, alert_at: [0.5]}
  - {name: each-user, per: [user], limit: 9 USD, period: day}
  - {name: tokens, tokens: 900000, period: day}
  - {name: calls, calls: 9000, period: month}
""",
    "aicost.yaml",
)
_OLDER = (1_788_220_860, 1_790_812_860, 1_793_491_260, 1_794_182_460)
"""A minute after September, October, November and the week before this one began."""
MODELS = (
    ("openai", "gpt-4o", "2.50", "10"),
    ("openai", "gpt-4o-mini", "0.15", "0.60"),
    ("anthropic", "claude-3-5-haiku-20241022", "0.80", "4"),
)
WORK = (("shop", "search", "search"), ("shop", "sales", "pitch"), ("jobs", "sales", "pitch"))
_JOB = re.compile(r"(?<=[{,])job=")
HEARTBEAT = """
    INSERT INTO processes (id, host, pid, service, version, sdks, started_ns, seen_ns, written, queued, lost, errors,
                           internal_errors, outbox_calls, outbox_oldest_ns)
    VALUES (?, ?, 7, ?, ?, ?, ?, ?, 9, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET seen_ns = excluded.seen_ns, version = excluded.version, queued = excluded.queued,
        lost = excluded.lost, errors = excluded.errors, internal_errors = excluded.internal_errors,
        outbox_calls = excluded.outbox_calls, outbox_oldest_ns = excluded.outbox_oldest_ns
"""


class Story:
    """What happens, and how often Prometheus looks; another one can be told in its place."""

    step = STEP
    scrapes = SCRAPES
    closer = 1
    """From how many scrapes to the next the exporter looks for top spenders: it takes the most time."""
    end = END
    budgets: tuple[Budget, ...] = BUDGETS.budgets

    def troubles(self, number: int) -> tuple[int, int, int, int]:
        """At that scrape: calls queued, lost, errors in writing them, other errors of ours."""
        return number % 3, number // 40, number // 20, number // 60

    def waiting(self, number: int) -> int:
        """Calls in the outbox of a host at that scrape."""
        return number % 5

    def before(self, chance: random.Random) -> Iterator[Posted]:
        """Calls from before Prometheus knew of any."""
        for day in _OLDER:
            yield from (self.posted(_call(day, chance), day) for _ in range(9))

    def calls(self, now: int, number: int, chance: random.Random) -> Iterator[Posted]:
        """What is written between the scrape of that number, which is now, and the one before it."""
        for _ in range(6):
            yield self.posted(_call(now - chance.randrange(1, STEP), chance), now)
        if number % 9 == 0:
            yield from self.odd(now)

    def odd(self, now: int) -> Iterator[Posted]:
        """Calls without a price, cut short, failed, and blocked."""
        yield self.posted(_odd(now, cost=None, unpriced=Unpriced("unknown_model", "gpt-9"), request_model="gpt-9"), now)
        yield self.posted(_odd(now, estimated=True, status="partial", usage_state="missing", cost=cost("0.02")), now)
        yield self.posted(_odd(now, status="error", error_type="RateLimitError", cost=cost("0.001")), now)
        yield self.posted(_odd(now, status="blocked", cost=None, usage={}, usage_state="none"), now, refused=True)

    def posted(self, one: Record, now: int, *, refused: bool = False) -> Posted:
        """A call with what it takes of the budgets."""
        return _posted(one, now, self.budgets, refused=refused)


@dataclass
class Clock:
    """What the exporter takes for the time."""

    now: int

    def ns(self) -> int:
        return self.now * 10**9


def write_history(ledger: Path, scrapes: Path, story: Story) -> None:
    """Let a ledger grow until `END`, and write what each scrape of it gave as OpenMetrics."""
    clock = Clock(story.end - story.step * story.scrapes)
    chance = random.Random(4)
    plan = Plan(budgets=story.budgets, timezone="UTC")
    collector = LedgerCollector(ledger, lambda: plan, Catalogue.load, now_ns=clock.ns)
    collector._background._closed = True  # its clock is not ours: what it does is done below
    registry = CollectorRegistry()
    registry.register(collector)
    with closing(FileStore(ledger)) as store, scrapes.open("w") as out:
        with store.transaction() as connection:
            note_definitions(connection, plan, "test", clock.ns())
            post(store, connection, list(story.before(chance)), tags=TAGS)
        for number in range(story.scrapes + 1):
            clock.now = story.end - story.step * (story.scrapes - number)
            with store.transaction() as connection:
                post(store, connection, list(story.calls(clock.now, number, chance)), tags=TAGS)
                _beat(connection, clock.ns(), number, story)
                if number == story.scrapes // 2:
                    raise_alert(connection, reached("0.5"))
                if number % 9 == 4:
                    _reprice(connection, clock.ns())
            if number % story.closer == 0:
                collector._details._priced = None  # the clock of prices is the machine's
                with looking(ledger) as connection:
                    collector._details.find(connection)
            if number == story.scrapes // 2:
                _renew_prices(collector)
            out.writelines(_stamped(render(registry, "application/openmetrics-text; version=1.0.0")[1], clock.now))
        out.write("# EOF\n")
    collector.close()


def _reprice(connection: Any, now_ns: int) -> None:
    """Count calls as repriced, one of which had no price. No cost changes: what is told of money stays the ledger's."""
    wanted = ("cost_nano > 10000000", "unpriced IS NOT NULL")
    rows = [connection.execute(f"SELECT id FROM calls WHERE {one} LIMIT 1", ()).fetchone() for one in wanted]
    found = [row[0] for row in rows if row is not None]
    lowered = 1_000_000
    changes = [
        Change(call, max(0, (call.cost_nano or 0) - lowered), "supplement", None, None, None, "[]", 0, 0)
        for call in these(connection, found)
    ]
    repriced.add(connection, changes, TAGS, now_ns)


def _renew_prices(collector: LedgerCollector) -> None:
    """A price list of the next day is installed."""
    prices = collector._details._prices
    collector._details._prices = replace(prices, made={name: at + 86_400 for name, at in prices.made.items()})


class Stored(Prometheus):
    """A Prometheus with samples from before it was started."""

    def __init__(self, data: Path, lookback: str = "20m") -> None:
        """`lookback`: longer than between two scrapes."""
        self.data = data
        self._lookback = lookback
        super().__init__(scraping("127.0.0.1:1", interval="1h"))

    def arguments(self) -> list[str]:
        given = [one for one in super().arguments() if not one.startswith("--storage.tsdb.path")]
        return [*given, f"--storage.tsdb.path={self.data}", f"--query.lookback-delta={self._lookback}"]


def blocks(scrapes: Path, data: Path) -> None:
    """Prometheus' own storage of these scrapes."""
    command = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(scrapes), str(data)]
    subprocess.run(command, check=True, capture_output=True)


def _call(now: int, chance: random.Random) -> Record:
    provider, model, price, answer = chance.choice(MODELS)
    service, team, feature = chance.choice(WORK)
    cached, fresh, out, thought = (chance.randrange(100, 2000) for _ in range(4))
    amount = (fresh * Decimal(price) + cached * Decimal(price) / 2 + (out + thought) * Decimal(answer)) / 1_000_000
    return record(
        started_ns=now * 10**9 + chance.randrange(10**9),
        duration_ns=chance.randrange(10**8, 4 * 10**9),
        first_chunk_ns=chance.randrange(10**7, 10**8),
        provider=provider,
        request_model=model,
        response_model=model,
        service=service,
        usage={
            "input_tokens": fresh + cached,
            "cache_read_tokens": cached,
            "output_tokens": out + thought,
            "reasoning_tokens": thought,
        },
        cost=_saving(amount, Decimal(price) * cached / 2_000_000),
        tags={
            "feature": feature,
            "team": team,
            "user": f"u{chance.randrange(12)}",
            **({"job": "nightly"} if service == "jobs" else {}),
        },
        trace_id=f"{chance.getrandbits(128):032x}",
        span_id=f"{chance.getrandbits(64):016x}",
    )


def _odd(now: int, **fields: Any) -> Record:
    """A call of which something is not as it should be, without a team."""
    return record(started_ns=(now - 1) * 10**9, tags={"feature": "search", "user": "u1"}, **fields)


def _saving(amount: Decimal, saved: Decimal) -> Any:
    nano = int(saved * 10**9)
    return replace(cost(str(amount)), cache_saved_nano=nano, batch_saved_nano=nano // 4)


def _posted(one: Record, now: int, budgets: tuple[Budget, ...], *, refused: bool = False) -> Posted:
    amounts = Amounts(
        0 if one.cost is None else int(one.cost.total * 10**9),
        int(one.usage.get("input_tokens", 0) + one.usage.get("output_tokens", 0)),
        1,
    )
    lines = tuple(
        Line(
            budget,
            one.tags[budget.per[0]] if budget.per else "",
            window_at(budget.period, now, ZoneInfo("UTC")),
            budget.limits,
            amounts,
            budget.limits,
        )
        for budget in budgets
        if budget.match.tags.items() <= one.tags.items() and set(budget.per) <= one.tags.keys()
    )
    if refused:
        wanted = max(lines, key=lambda line: line.budget.blocks)._replace(amounts=Amounts(7_000_000, 900, 1))
        return Posted(row(one), Settlement(None, (), refused=wanted))
    return Posted(row(one), Settlement(None, lines))


def _beat(connection: Any, now_ns: int, number: int, story: Story) -> None:
    for service, host in (("shop", "web-1"), ("jobs", "batch-1")):
        version = "0.2.0" if number >= story.scrapes // 2 else "0.1.0"
        calls = story.waiting(number)
        waiting = (calls, now_ns - 30 * 10**9 if calls else None)
        sdks = json.dumps({"openai": "3.54.0"})
        connection.execute(
            HEARTBEAT, (host, host, service, version, sdks, now_ns, now_ns, *story.troubles(number), *waiting)
        )


def _stamped(exposition: bytes, at: int) -> Iterator[str]:
    """A scrape of two exporters at this moment, without exemplars and without when counters began."""
    for line in exposition.decode().splitlines():
        if line.startswith("# TYPE"):
            yield f"{line}\n"
        elif not line.startswith("#") and "_created" not in line:
            yield from (f"{_from(instance, line.partition(' # ')[0])} {at}\n" for instance in "ab")
    # What Prometheus itself would say of a rule.
    labels = 'alertname="AICostBudgetThreshold",alertstate="firing",budget="all-day",severity="warning"'
    yield f"# TYPE ALERTS gauge\nALERTS{{{labels}}} 1 {at}\n"


def _from(instance: str, sample: str) -> str:
    """A sample with the labels that Prometheus gives it, and its label `job` out of their way."""
    series, _, value = sample.rpartition(" ")
    target = f'instance="{instance}",job="aicost"'
    if not series.endswith("}"):
        return f"{series}{{{target}}} {value}"
    return f"{_JOB.sub('exported_job=', series)[:-1]},{target}}} {value}"
