"""After real calls of every kind, the ledger agrees with itself, and each call can be explained."""

from __future__ import annotations

import gc
import json
import time
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import openai
import pytest
from click.testing import CliRunner

from capture.scenarios import CHAT_ASKED
from capture.world import Counting, settings
from otel_aicost import BudgetExceeded
from otel_aicost.budgets.reading import parse
from otel_aicost.cli.app import app
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.verify import checked, findings
from otel_aicost.ledger.writer import Writer
from otel_aicost.observers.budgets import BudgetObserver
from otel_aicost.observers.plans import Plans
from otel_aicost.testing import Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otel_aicost.testing import FakeProvider

ASKED = {**CHAT_ASKED, "max_tokens": 100}
FILE = b"""budgets:
  - {name: all, limit: 1 USD, period: day}
  - {name: strict, limit: 0.01 USD, period: month, on_exceed: block, mode: strict}
  - {name: roll, tokens: 100000, period: rolling 30d, on_exceed: block}
  - {name: claude, match: {provider: anthropic}, calls: 3, period: forever, on_exceed: block}
"""


@pytest.fixture
def counting(provider: FakeProvider, tmp_path: Path) -> Iterator[Counting]:
    plan = parse(FILE, "aicost.yaml")
    observer = BudgetObserver(Plans(None, lambda: (plan, [])), Writer.of_file(tmp_path / "ledger.db"))
    with Counting(settings(provider, "openai"), budgets=observer) as counted:
        yield counted


def test_after_calls_of_every_kind(counting: Counting, provider: FakeProvider, gpt: Any, tmp_path: Path) -> None:
    """Answered, streamed, broken off, failed and blocked calls: balances, entries and calls agree to the nano-dollar."""
    provider.always(Reply(usage=Usage(input_tokens=32, output_tokens=100)))
    gpt.chat.completions.create(**ASKED)
    list(gpt.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))
    stream = gpt.chat.completions.create(**ASKED, stream=True)
    next(iter(stream))
    stream.close()
    del stream
    gc.collect()
    with pytest.raises(openai.NotFoundError):
        gpt.post("/no-such-endpoint", cast_to=object, body=ASKED)
    with suppress(BudgetExceeded):
        for _ in range(20):
            gpt.chat.completions.create(**ASKED)
    assert counting.pipeline.flush(10)

    path = tmp_path / "ledger.db"
    with looking(path) as connection:
        assert list(findings(connection, time.time_ns())) == []
        counts = checked(connection)
        paid = connection.execute("SELECT count(*) FROM calls WHERE cost_nano > 0").fetchone()[0]
        blocked = connection.execute("SELECT id FROM calls WHERE status = 'blocked'").fetchone()[0]
    assert counts["entries"] == 3 * paid + 1 > 9  # and which budget refused the last one
    assert counts["reservations"] == 0

    result = CliRunner().invoke(app, ["budgets", "explain", blocked, "--json", "--ledger", str(path)])
    told = json.loads(result.stdout)
    assert told["blocked"] is True
    assert [(each["budget"], each["refused"]) for each in told["budgets"]] == [("strict", True)]
    assert Decimal(told["budgets"][0]["needed"]["usd"]) == Decimal(
        "0.00108"
    )  # 32 bytes of prompt, 100 tokens of answer
