"""Old calls become daily totals, and no total changes by that."""

from __future__ import annotations

import random
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from otel_aicost.ledger import schema, writer
from otel_aicost.ledger.row import row
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer
from otel_aicost.model import Unpriced
from records import cost, record

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Look
    from otel_aicost.model import Record

DAY_NS = 86_400 * 1_000_000_000
KEY = ", ".join(schema.ROLLUP_KEY)
SUMS = ", ".join(f"sum({column})" for column in schema.ROLLUP_SUMS)
SPEND = f"SELECT {KEY}, {SUMS} FROM spend GROUP BY {KEY} ORDER BY {KEY}"


def mixture(count: int, oldest_days: int) -> list[Record]:
    """Calls of many kinds over the last `oldest_days` days: priced, free, unpriced, failed, with many tags."""
    dice, now = random.Random(11), time.time_ns()
    records = []
    for _ in range(count):
        kind: dict[str, Any] = dice.choice(
            [
                {"cost": cost(str(Decimal(dice.randrange(10**7)) / 10**9))},
                {"cost": cost("0")},
                {"cost": None, "unpriced": Unpriced("unknown_model", "no price")},
                {"cost": None, "unpriced": Unpriced("unpriced_meter", "no price")},
                {"cost": None, "status": "error", "usage_state": "none", "usage": {}, "error_type": "429"},
            ]
        )
        kind["tags"] = dice.choice([{}, {"user": "a"}, {"user": "b", "feature": "c"}])
        kind["provider"] = dice.choice(["openai", "anthropic"])
        kind["estimated"] = dice.random() < 0.2
        kind["started_ns"] = now - dice.randrange(oldest_days * DAY_NS)
        records.append(record(**kind))
    return records


def test_totals_are_the_same_after_folding(ledger: Path, look: Look) -> None:
    """Each line of the `spend` view is the same before, in the middle of, and after folding."""
    store = FileStore(ledger)
    store.insert([row(one) for one in mixture(1500, 30)])
    before, total = look(SPEND), look(f"SELECT {SUMS} FROM spend")
    cutoff = time.time_ns() - 10 * DAY_NS
    folded = store.fold(cutoff, 200)
    assert folded == 200
    assert look(SPEND) == before
    while more := store.fold(cutoff, 200):
        folded += more
    assert look(SPEND) == before
    assert look(f"SELECT {SUMS} FROM spend") == total
    assert look("SELECT count(*) FROM calls WHERE started_ns < ?", cutoff) == [(0,)]
    assert look("SELECT count(*) FROM calls") == [(1500 - folded,)]
    assert 0 < look("SELECT count(*) FROM rollups")[0][0] < folded
    store.close()


def test_folding_again_changes_nothing(ledger: Path, look: Look) -> None:
    """When all old calls are folded, folding is done and writes nothing."""
    store = FileStore(ledger)
    store.insert([row(one) for one in mixture(300, 30)])
    cutoff = time.time_ns() - 10 * DAY_NS
    while store.fold(cutoff, 100):
        pass
    rollups = look("SELECT * FROM rollups ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11")
    assert store.fold(cutoff, 100) == 0
    assert look("SELECT * FROM rollups ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11") == rollups
    store.close()


def test_a_call_at_the_limit_stays(ledger: Path, look: Look) -> None:
    """A call that began exactly at the limit is kept, one nanosecond earlier is folded."""
    store = FileStore(ledger)
    store.insert([row(record(id="stays", started_ns=1000)), row(record(id="goes", started_ns=999))])
    assert store.fold(1000, 10) == 1
    assert look("SELECT id FROM calls") == [("stays",)]
    assert look("SELECT day, calls, cost_nano FROM rollups") == [("1970-01-01", 1, 6_250_000)]
    store.close()


def test_unpriced_stays_null(ledger: Path, look: Look) -> None:
    """A total of calls without a price is NULL and not 0, before and after."""
    store = FileStore(ledger)
    for number in range(2):
        store.insert([row(record(started_ns=number, cost=None, unpriced=Unpriced("unknown_model", "x")))])
        store.fold(10, 10)
    assert look("SELECT calls, cost_nano, unpriced, cost_source FROM spend") == [(2, None, "unknown_model", None)]
    store.close()


@pytest.mark.parametrize(("days", "left"), [(0, 900), (20, None)])
def test_the_writer_folds_in_the_background(
    ledger: Path, look: Look, monkeypatch: pytest.MonkeyPatch, days: int, left: int | None
) -> None:
    """A writer with a retention folds all that is older, slice by slice; one with 0 days keeps every call."""
    monkeypatch.setattr(writer, "FOLD_ROWS", 50)
    store = FileStore(ledger)
    store.insert([row(one) for one in mixture(900, 40)])
    before = look(SPEND)
    old = look("SELECT count(*) FROM calls WHERE started_ns < ?", time.time_ns() - 20 * DAY_NS)[0][0]
    store.close()
    writing = Writer.of_file(ledger, retention_days=days)
    writing.put(record(started_ns=time.time_ns(), id="new", service="new"))
    for _ in range(900 // 50 + 2):  # each flush lets one slice pass
        assert writing.flush(20)
    assert writing.close(20)
    assert old > 100
    assert look("SELECT count(*) FROM calls WHERE id <> 'new'") == [(left or 900 - old,)]
    after = [line for line in look(SPEND) if line[4] != "new"]
    assert after == before
