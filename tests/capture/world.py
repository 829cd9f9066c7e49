"""What the capture tests share: clients of the real SDKs, and a pipeline that keeps its records in a list."""

from __future__ import annotations

import asyncio
import gc
import ssl
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Self

import anthropic
import openai

from otel_aicost.capture.installing import Capture
from otel_aicost.config import Settings
from otel_aicost.observers.ledger import LedgerObserver
from otel_aicost.pipeline import Pipeline
from otel_aicost.prices.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from otel_aicost.ledger.balances import Settlement
    from otel_aicost.model import Record
    from otel_aicost.observers import Observer
    from otel_aicost.observers.budgets import BudgetObserver
    from otel_aicost.observers.spans import SpanObserver
    from otel_aicost.testing import FakeProvider

KEY = "sk-canary-key"
GPT = "gpt-4o"
CLAUDE = "claude-haiku-4-5"
BEDROCK_CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
VERTEX_CLAUDE = "claude-haiku-4-5@20251001"
TRUST = ssl.create_default_context()
"""One for all clients: making one takes longer than any test."""


@cache
def catalogue(prices: Path | None = None) -> Catalogue:
    return Catalogue.load(prices)


class Collect:
    """An observer that keeps every record."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def after(self, record: Record, settlement: Settlement | None) -> None:
        self.records.append(record)

    def flush(self, timeout: float) -> bool:
        return True

    def close(self, timeout: float) -> bool:
        return True


class Counting:
    """Calls are counted inside the `with`; `records` is what came of them."""

    def __init__(
        self,
        settings: Settings,
        spans: SpanObserver | None = None,
        *,
        observers: Sequence[Observer] = (),
        warm: bool = True,
        budgets: BudgetObserver | None = None,
    ) -> None:
        self.collected = Collect()
        kept: list[Observer] = [] if budgets is None or budgets.writer is None else [LedgerObserver(budgets.writer)]
        if budgets is not None and budgets.alerts is not None:
            kept.append(budgets.alerts)
        self.pipeline = Pipeline(
            settings, partial(catalogue, settings.prices), spans, [self.collected, *kept, *observers], budgets
        )
        if warm:
            self.pipeline.warm()
        self._capture = Capture(self.pipeline)

    def __enter__(self) -> Self:
        self._capture.install()
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.remove()
        self.pipeline.close(5)

    @property
    def records(self) -> list[Record]:
        assert self.pipeline.flush(5)
        return list(self.collected.records)

    @property
    def only(self) -> Record:
        (record,) = self.records
        return record


async def left_alone(counting: Counting, expected: int = 1) -> None:
    """Give the garbage collector and the event loop time to close streams that nobody closed."""
    for _ in range(5_000):
        if len(counting.records) >= expected:
            return
        gc.collect()
        await asyncio.sleep(0.001)


def settings(provider: FakeProvider, paid: str = "openai", **others: Any) -> Settings:
    """No ledger, and the fake provider stands for `paid`."""
    return Settings(ledger=None, provider_hosts={f"127.0.0.1:{provider.port}": paid}, **others)


def sync_client(kind: str, provider: FakeProvider, **options: Any) -> Any:
    """A client of the real SDK whose calls go to the fake provider."""
    return _make(kind, "", provider, options)


def async_client(kind: str, provider: FakeProvider, **options: Any) -> Any:
    return _make(kind, "Async", provider, options)


def _make(kind: str, prefix: str, provider: FakeProvider, options: dict[str, Any]) -> Any:
    package = openai if kind in {"openai", "azure"} else anthropic
    transport = getattr(package, f"Default{prefix or ''}HttpxClient")
    common = {"max_retries": 0, "http_client": transport(verify=TRUST), **options}
    return _CLIENTS[kind](prefix, provider, common)


_CLIENTS: dict[str, Callable[[str, FakeProvider, dict[str, Any]], Any]] = {
    "openai": lambda prefix, provider, options: getattr(openai, f"{prefix}OpenAI")(
        base_url=provider.openai_url, api_key=KEY, **options
    ),
    "azure": lambda prefix, provider, options: getattr(openai, f"{prefix}AzureOpenAI")(
        azure_endpoint=provider.url, api_key=KEY, api_version="2024-10-21", **options
    ),
    "anthropic": lambda prefix, provider, options: getattr(anthropic, f"{prefix}Anthropic")(
        base_url=provider.anthropic_url, api_key=KEY, **options
    ),
    "bedrock": lambda prefix, provider, options: getattr(anthropic, f"{prefix}AnthropicBedrock")(
        base_url=provider.url, aws_access_key="x", aws_secret_key="x", aws_region="us-east-1", **options
    ),
    "vertex": lambda prefix, provider, options: getattr(anthropic, f"{prefix}AnthropicVertex")(
        base_url=provider.vertex_url, project_id="p", region="us-east5", access_token=KEY, **options
    ),
}
PAID = {
    "openai": "openai",
    "azure": "azure.ai.openai",
    "anthropic": "anthropic",
    "bedrock": "aws.bedrock",
    "vertex": "gcp.vertex_ai",
}
"""Kind of client -> who is paid."""
