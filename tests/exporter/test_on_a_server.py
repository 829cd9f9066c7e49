from __future__ import annotations

import random
import socket
import time
from contextlib import closing
from dataclasses import replace

from budgets.lines import line, taking
from exporter.scraped import scrape
from ledgers import TOTAL_TAGS, at, sample, write
from otel_aicost.budgets.budget import Budget, Limits, Plan
from otel_aicost.budgets.window import Period
from otel_aicost.config import server
from otel_aicost.exporter.budgets import MOST_WINDOWS
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.fleet import Fleet
from otel_aicost.ledger.opening import changing
from postgres import cluster, database  # noqa: F401 - fixtures
from records import cost, record

NOW = at("2026-11-21T12:00:00")


def told(found):
    """What a scrape says, without what differs from ledger to ledger."""
    differs = ("_created", "aicost_collect_seconds", "aicost_ledger_size_bytes", "aicost_outbox")
    return {
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for sample in found.samples
        if not any(word in sample.name for word in differs)
    }


def many():
    """Sample calls, and some of every day of two years."""
    dice = random.Random(7)
    return [
        *sample(),
        *(
            record(
                id=f"{day:032x}",
                started_ns=NOW - day * 86_400 * 10**9 - dice.randrange(10**13),
                cost=cost(f"0.{dice.randrange(10**9):09}"),
                tags={"user": f"u{day % 50}", "feature": "a" if day % 3 else "b"},
            )
            for day in range(0, 700, 5)
        ),
    ]


def test_a_server_says_what_a_file_says(database, tmp_path, collector):  # noqa: F811 - the fixture
    """The same calls in PostgreSQL and in SQLite, some folded, give the same samples, and those are the ledger's."""
    place, calls = server(database, tmp_path / "outbox.db"), many()
    assert scrape(collector(place, now=NOW)).one("aicost_ledger_up") == 0
    fleet = Fleet(place, total_tags=TOTAL_TAGS)
    for each in calls:
        fleet.put(each)
    assert fleet.close(30)
    path = write(tmp_path / "ledger.db", *calls, fold_before="2026-11-01")
    with closing(changing(place)) as store:
        store.fold(at("2026-11-01"), 1000)
    found = scrape(collector(place, now=NOW))

    assert found.one("aicost_ledger_up") == 1
    assert found.nano("aicost_cost_usd_total") == sum(int(each.cost.total.scaleb(9)) for each in calls if each.cost)
    assert told(found) == told(scrape(collector(path, now=NOW)))
    assert found.one("aicost_ledger_size_bytes") > 100_000
    assert found.one("aicost_outbox_calls", host=socket.gethostname()) == 0


def test_budgets_on_a_server(database, tmp_path, collector):  # noqa: F811 - the fixture
    """Windows of a server are counted, the fullest shown, as those of a file."""
    place = server(database, tmp_path / "outbox.db")
    users = Budget("users", Period("forever"), Limits(10**9), per=("user",))
    fleet = Fleet(place)
    for number in range(MOST_WINDOWS + 5):
        one = line(name="users", key=f"u{number:03}", period=users.period)
        one = replace_window(one, users)
        name = f"{number:032x}"
        fleet.put(record(id=name), Settlement(name, (taking(one, number),)))
    assert fleet.close(30)
    found = scrape(collector(place, Plan((users,)), now=NOW))

    shown = found.by("key", "aicost_budget_spend_usd", budget="users")
    assert (len(shown), min(shown)) == (MOST_WINDOWS, "u005")
    assert found.one("aicost_budget_windows", budget="users") == MOST_WINDOWS + 5


def replace_window(one, budget):
    from otel_aicost.budgets.window import FOREVER

    return one._replace(budget=budget, window=FOREVER, limits=budget.limits)


def test_a_server_that_is_gone_is_down_and_comes_back(cluster, database, tmp_path, collector):  # noqa: F811
    """While the server does not answer the ledger is down and shows nothing; when it is back everything is there."""
    place = server(database, tmp_path / "outbox.db")
    fleet = Fleet(place)
    fleet.put(replace(sample()[0], started_ns=time.time_ns()))
    assert fleet.close(30)
    one = collector(place)
    assert scrape(one).one("aicost_calls_total") == 1
    cluster.stop()
    try:
        assert set(scrape(one).families) == {"aicost_ledger_up", "aicost_collect_seconds", "aicost_build_info"}
    finally:
        cluster.start()
    assert scrape(one).one("aicost_calls_total") == 1
