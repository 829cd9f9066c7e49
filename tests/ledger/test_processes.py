"""Heartbeats in a ledger: what is read of them, and that the sums outlive the rows."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from otel_aicost.config import Server, server
from otel_aicost.ledger.opening import looking, opener
from otel_aicost.ledger.processes import (
    DEAD_SECONDS,
    KEPT_SECONDS,
    STEP,
    TIDY_SECONDS,
    Counts,
    Heartbeat,
    Outbox,
    beat,
    dead,
    living,
    outboxes,
    prune,
    seen,
    sums,
    tidy,
)
from postgres import cluster, database  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otel_aicost.ledger.store import Store

SECOND = 10**9
NOW = 1_795_000_000 * SECOND
DAY_SECONDS = 86_400
SHOP = Heartbeat(
    id="0199-a",
    host="web-1",
    pid=4711,
    service="shop",
    version="0.1.0",
    sdks={"openai": "3.54.0", "anthropic": "2.12.0"},
    started_ns=NOW - 100 * SECOND,
    seen_ns=NOW,
    ended=False,
    queued=3,
    counts=Counts(written=40, lost=2, errors=5, internal_errors=6),
)


def ago(seconds: float, heartbeat: Heartbeat = SHOP, **changed: Any) -> Heartbeat:
    """The same, seen so long before `NOW`."""
    return replace(heartbeat, seen_ns=NOW - int(seconds * SECOND), **changed)


@pytest.fixture(params=["file", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | Server:
    """A ledger in a file, and one on a server."""
    if request.param == "file":
        return tmp_path / "ledger.db"
    return server(request.getfixturevalue("database"), tmp_path / "outbox.db")


@pytest.fixture
def store(place: Path | Server) -> Iterator[Store]:
    with closing(opener(place)()) as opened:
        yield opened


def put(store: Store, *heartbeats: Heartbeat) -> None:
    with store.transaction() as connection:
        for each in heartbeats:
            beat(connection, each)


def test_a_heartbeat_is_read_as_it_was_said(store: Store, place: Path | Server) -> None:
    """Every field comes back, with an outbox and without; what was said before is replaced."""
    fleet = replace(SHOP, id="0199-b", host="web-2", outbox=Outbox(7, NOW - 60 * SECOND), ended=True)
    put(store, ago(30, queued=9, counts=Counts(1, 0, 0, 0)), ago(1, fleet), SHOP)
    with looking(place) as connection:
        assert seen(connection, NOW, 300) == [SHOP, ago(1, fleet)]


def test_who_is_silent_or_has_ended_does_not_live(store: Store) -> None:
    """A process counts as living until it says that it ends, or says nothing for the time that is asked for."""
    put(store, SHOP, ago(299, id="late"), ago(301, id="silent"), ago(1, id="gone", ended=True))
    with store.reading() as connection:
        assert [each.id for each in living(connection, NOW, 300)] == [SHOP.id, "late"]
        assert [each.id for each in seen(connection, NOW, 300)] == [SHOP.id, "gone", "late"]


def test_of_an_outbox_the_latest_word_counts() -> None:
    """Each host has one outbox, of which its processes say how it stood when they looked."""
    said = [
        ago(9, outbox=Outbox(50, NOW)),
        ago(2, outbox=Outbox(3, NOW)),
        ago(1),
        ago(40, host="web-2", outbox=Outbox(0, None)),
    ]
    assert outboxes(said) == {"web-1": Outbox(3, NOW), "web-2": Outbox(0, None)}


def test_sums_outlive_the_rows(store: Store) -> None:
    """Folding the dead, again and again, changes no sum of any service, and leaves who lives alone."""
    old = KEPT_SECONDS + 1
    put(store, SHOP, ago(old, id="1", ended=True), ago(old + 5, id="2"), ago(old, id="3", service="jobs", ended=True))
    with store.transaction() as connection:
        before = sums(connection)
        assert before == {"jobs": SHOP.counts, "shop": Counts(120, 6, 15, 18)}
        cut = NOW - int(KEPT_SECONDS * SECOND)
        assert dead(connection, cut, NOW) == prune(connection, cut, NOW) == 3
        assert dead(connection, cut, NOW) == prune(connection, cut, NOW) == 0
        assert sums(connection) == before
        beat(connection, ago(old, id="4", ended=True))
        assert prune(connection, cut, NOW) == 1
        assert sums(connection)["shop"] == Counts(160, 8, 20, 24)
        assert connection.execute("SELECT count(*) FROM processes").fetchone()[0] == 3
        assert [each.id for each in seen(connection, NOW, 10 * DAY_SECONDS)] == [SHOP.id]


def test_who_may_still_speak_is_not_folded(store: Store) -> None:
    """A process that did not say that it ended keeps its row for `DEAD_SECONDS`, whatever is to be pruned."""
    put(store, ago(DEAD_SECONDS - 1, id="may wake"), ago(DEAD_SECONDS + 1, id="dead"), ago(5, id="over", ended=True))
    with store.transaction() as connection:
        assert prune(connection, NOW, NOW) == 2
        assert connection.execute("SELECT id FROM processes WHERE pid > 0").fetchall() == [("may wake",)]


def test_many_are_folded_in_steps(store: Store) -> None:
    """No transaction folds more than `STEP`, the longest dead first."""
    put(store, *(ago(KEPT_SECONDS + number, id=f"{number}", ended=True) for number in range(1, STEP + 4)))
    with store.transaction() as connection:
        assert prune(connection, NOW, NOW) == STEP
        left = connection.execute("SELECT id FROM processes WHERE pid > 0 ORDER BY id").fetchall()
        assert left == [("1",), ("2",), ("3",)]
        assert prune(connection, NOW, NOW) == 3
        assert sums(connection)["shop"].written == 40 * (STEP + 3)


def test_the_long_dead_are_folded_once_an_hour(store: Store) -> None:
    """The first process that asks folds them; the others leave it for `TIDY_SECONDS`, and the young dead stay."""
    put(store, ago(KEPT_SECONDS + 1, id="1", ended=True), ago(KEPT_SECONDS - 60, id="2", ended=True))
    with store.transaction() as connection:
        assert tidy(connection, NOW) == 1
        beat(connection, ago(KEPT_SECONDS + 1, id="3", ended=True))
        assert tidy(connection, NOW + int((TIDY_SECONDS - 1) * SECOND)) == 0
        assert tidy(connection, NOW + int((TIDY_SECONDS + 1) * SECOND)) == 2


def test_two_that_prune_at_once_count_nothing_twice(store: Store, place: Path | Server) -> None:
    """Each row is folded by one of them, and the sums are as before."""
    put(store, *(ago(KEPT_SECONDS + number, id=f"{number}", ended=True) for number in range(1, 201)))
    together = threading.Barrier(4)
    folded: list[int] = []

    def go() -> None:
        with closing(opener(place)()) as mine:
            together.wait()
            with mine.transaction() as connection:
                folded.append(prune(connection, NOW, NOW))

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(folded) == 200
    with store.reading() as connection:
        assert sums(connection) == {"shop": Counts(8000, 400, 1000, 1200)}
