"""Seven weeks of a company with four teams, the last ten days of them seen by Prometheus."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from grafana.history import Story
from otel_aicost.budgets.reading import parse
from otel_aicost.prices.catalogue import Catalogue
from records import record

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from otel_aicost.ledger.posting import Posted
    from otel_aicost.model import Record

DAY: Final = 86_400
WEEKS: Final = 7
OUTAGE: Final = 400
"""At which scrape a host did not reach the ledger."""
BUDGETS: Final = parse(
    b"""
timezone: UTC
budgets:
  - {name: company-month, limit: 2200 USD, period: month}
  - {name: search-day, limit: 30 USD, period: day, match: {tags: {team: search}}, alert_at: [0.5, 0.8]}
  - {name: research-week, limit: 220 USD, period: week, match: {tags: {team: research}}}
  - {name: user-day, per: [user], limit: 9 USD, period: day}
  - {name: agent-run, per: [job], limit: 60 USD, period: day, on_exceed: block}
  - {name: tokens-day, tokens: 30000000, period: day}
""",
    "aicost.yaml",
)


class Work(NamedTuple):
    """What a team does with a model."""

    share: float
    service: str
    team: str
    feature: str
    models: tuple[tuple[str, str], ...]
    users: tuple[str, ...]
    tokens: tuple[int, int]
    """In and out, about."""
    cached: float
    job: str | None = None


GPT: Final = ("openai", "gpt-5")
MINI: Final = ("openai", "gpt-5-mini")
SONNET: Final = ("anthropic", "claude-sonnet-4-6")
HAIKU: Final = ("anthropic", "claude-haiku-4-5")
OPUS: Final = ("anthropic", "claude-opus-4-5")
WORK: Final = (
    Work(5, "shop", "search", "answers", (GPT, MINI), ("ann", "bob", "carol", "dave", "erin"), (26_000, 5_200), 0.6),
    Work(3, "helpdesk", "support", "triage", (HAIKU, SONNET), ("frank", "grace", "heidi"), (32_000, 3_600), 0.7),
    Work(2, "crm", "sales", "pitch", (SONNET, GPT), ("ivan", "judy", "ken"), (15_000, 7_000), 0.2),
    Work(1, "lab", "research", "agent", (SONNET,), ("lena", "mike"), (80_000, 9_000), 0.5, "nightly-evals"),
)
LATELY: Final = Work(2, "lab", "research", "agent", (OPUS,), ("lena", "mike"), (60_000, 8_000), 0.4, "nightly-evals")
"""What the researchers took up four days ago: the reason why the spend rose."""


class Company(Story):
    """More by day than by night, and less at weekends."""

    step = 1800
    scrapes = 480
    closer = 12
    budgets = BUDGETS.budgets

    def __init__(self) -> None:
        """It ends now: dashboards say how long ago things were."""
        self.end = int(time.time()) // self.step * self.step
        self._prices = Catalogue.load()

    def troubles(self, number: int) -> tuple[int, int, int, int]:
        """One bad half hour."""
        return (340, 0, 0, 0) if number == OUTAGE else (0, 0, 3 * (number > OUTAGE), 0)

    def waiting(self, number: int) -> int:
        """In which one host did not reach the server."""
        return {OUTAGE: 180, OUTAGE + 1: 60}.get(number, 0)

    def before(self, chance: random.Random) -> Iterator[Posted]:
        """From October on, until Prometheus looks."""
        first = self.end - WEEKS * 7 * DAY
        for now in range(first, self.end - self.step * self.scrapes, self.step):
            yield from self.calls(now, 1, chance)

    def calls(self, now: int, number: int, chance: random.Random) -> Iterator[Posted]:
        """Of half an hour."""
        work = (*WORK, LATELY) if now > self.end - 4 * DAY else WORK
        for _ in range(_how_many(now, chance)):
            one = chance.choices(work, [each.share for each in work])[0]
            yield self.posted(self._call(one, now - chance.randrange(1, self.step), chance), now)
        if number % 24 == 0:
            yield from self.odd(now)

    def _call(self, work: Work, at: int, chance: random.Random) -> Record:
        provider, model = chance.choice(work.models)
        tokens_in, tokens_out = (int(about * chance.lognormvariate(0, 0.6)) for about in work.tokens)
        usage = {
            "input_tokens": tokens_in,
            "cache_read_tokens": int(tokens_in * work.cached * chance.random()),
            "output_tokens": tokens_out,
            "reasoning_tokens": int(tokens_out * chance.uniform(0.1, 0.5)),
        }
        batch = {"processing": "batch"} if work.job and chance.random() < 0.5 else {}  # noqa: PLR2004 - half of them
        cost = self._prices.price(provider, (model,), usage, batch, at * 10**9)
        seconds = max(0.8, tokens_out / 600 * chance.lognormvariate(0, 0.35))
        tags = {"team": work.team, "feature": work.feature, "user": chance.choice(work.users)}
        made = record(
            started_ns=at * 10**9,
            duration_ns=int(seconds * 1e9),
            first_chunk_ns=int(chance.lognormvariate(-0.6, 0.5) * 1e9),
            provider=provider,
            request_model=model,
            response_model=model,
            service=work.service,
            usage=usage,
            conditions=batch,
            cost=cost if hasattr(cost, "total") else None,
            tags=tags if work.job is None else {**tags, "job": work.job},
            trace_id=f"{chance.getrandbits(128):032x}",
            span_id=f"{chance.getrandbits(64):016x}",
        )
        if chance.random() < 0.012:  # noqa: PLR2004 - about one in a hundred
            return replace(made, status="error", error_type="RateLimitError", cost=None, usage={}, usage_state="none")
        return made


def _how_many(now: int, chance: random.Random) -> int:
    moment = datetime.fromtimestamp(now, UTC)
    day = math.exp(-((moment.hour + moment.minute / 60 - 13.5) ** 2) / 18)
    weekend = 0.25 if moment.weekday() >= 5 else 1  # noqa: PLR2004 - Saturday
    return int((2 + 24 * day * weekend) * chance.uniform(0.7, 1.3))
