"""Budgets for tests of the SDKs: read from YAML, held against a ledger of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capture.world import Counting, settings
from otel_aicost.budgets.reading import parse
from otel_aicost.ledger.writer import Writer
from otel_aicost.observers.budgets import BudgetObserver
from otel_aicost.observers.plans import Plans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from otel_aicost.testing import FakeProvider


def holding(text: str, path: Path | None) -> BudgetObserver:
    """The budgets of a YAML list, with a ledger at `path`."""
    plan = parse(f"budgets: [{text}]".encode(), "aicost.yaml")
    return BudgetObserver(Plans(None, lambda: (plan, [])), None if path is None else Writer.of_file(path))


def starting(provider: FakeProvider, ledger: Path | None) -> Iterator[Callable[..., Counting]]:
    """Count calls under budgets until the test ends: the body of a fixture."""
    opened: list[Counting] = []

    def start(
        text: str, *, paid: str = "openai", path: Path | None = ledger, spans: Any = None, **others: Any
    ) -> Counting:
        opened.append(Counting(settings(provider, paid, **others), spans, budgets=holding(text, path)))
        return opened[-1].__enter__()

    yield start
    for counting in opened:
        counting.__exit__()
