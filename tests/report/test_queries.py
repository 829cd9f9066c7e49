"""What the ledger answers is what its records add up to."""

from __future__ import annotations

import itertools
import sqlite3
from collections import defaultdict
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from ledgers import SAMPLE_TOTAL, at, sample, write
from otel_aicost.ledger.queries import Query
from otel_aicost.ledger.questions import DIMENSIONS, Doubts, Filter, Sums
from otel_aicost.ledger.reader import open_ledger
from otel_aicost.report.overview import grouped, overview, trust
from records import cost, record

ALL = Filter()
DAY = date(2026, 11, 19)


@pytest.fixture(params=[None, "2026-11-19", "2026-12-01"], ids=["calls", "some folded", "all folded"])
def query(request, tmp_path):
    """The sample as single calls, partly folded into daily totals, and wholly."""
    ledger = open_ledger(write(tmp_path / "ledger.db", *sample(), fold_before=request.param))
    with ledger.read() as connection:
        yield Query(ledger, connection)


@pytest.fixture
def asked(tmp_path):
    def ask(*records):
        ledger = open_ledger(write(tmp_path / f"{next(_numbers)}.db", *records))
        stack.append(ledger.read())
        return Query(ledger, stack[-1].__enter__())

    stack = []
    yield ask
    for opened in stack:
        opened.__exit__(None, None, None)


_numbers = itertools.count()


def _added(records, key):
    """Dollars and calls by `key`, added up without any of our own code."""
    sums = defaultdict(lambda: [Decimal(0), 0])
    for each in records:
        sums[key(each)][0] += each.cost.total if each.cost else 0
        sums[key(each)][1] += 1
    return {name: tuple(values) for name, values in sums.items()}


KEYS = {
    "model": lambda r: r.response_model or r.request_model,
    "provider": lambda r: r.provider,
    "operation": lambda r: r.operation,
    "service": lambda r: r.service,
    "status": lambda r: r.status,
    "usage_state": lambda r: r.usage_state,
    "unpriced": lambda r: r.unpriced and r.unpriced.reason,
    "estimated": lambda r: "yes" if r.estimated else "no",
    "cost_source": lambda r: r.cost and r.cost.source,
    "day": lambda r: f"{datetime.fromtimestamp(r.started_ns // 10**9, UTC):%Y-%m-%d}",
    "feature": lambda r: r.tags.get("feature"),
    "user": lambda r: r.tags.get("user"),
    "team.name": lambda r: r.tags.get("team.name"),
    "tag:user": lambda r: r.tags.get("user"),
}


def test_the_total_is_exact(query):
    """Dollars add up to the nano-dollar, and every kind of call is counted as what it is."""
    total = query.totals(ALL)
    assert Decimal(total.cost_nano).scaleb(-9) == SAMPLE_TOTAL
    assert (total.calls, total.priced, total.unpriced, total.errors) == (10, 7, 2, 1)
    assert (total.input_tokens, total.cache_read_tokens, total.output_tokens) == (1500 + 7 * 2500, 400, 2000)


@pytest.mark.parametrize("dimension", KEYS)
def test_groups_add_up(query, dimension):
    """Grouped by any dimension or tag, dollars and calls are those of the records, folded or not."""
    found = {
        group.keys[0]: (Decimal(group.sums.cost_nano).scaleb(-9), group.sums.calls)
        for group in query.groups(ALL, (dimension,))
    }
    assert found == _added(sample(), KEYS[dimension])


def test_every_dimension_is_tried():
    """A new dimension needs a line in the table above."""
    assert set(DIMENSIONS) <= set(KEYS)


def test_the_view_says_the_same(query):
    """The sums are those of the ledger's own view `spend`."""
    with closing(sqlite3.connect(query.ledger.path)) as raw:
        rows = raw.execute("SELECT day, model, sum(calls), sum(cost_nano) FROM spend GROUP BY 1, 2").fetchall()
    groups = query.groups(ALL, ("day", "model"))
    assert sorted((*g.keys, g.sums.calls, g.sums.cost_nano) for g in groups) == sorted(
        (day, model, calls, nano or 0) for day, model, calls, nano in rows
    )


@pytest.mark.parametrize(
    ("where", "calls"),
    [
        (Filter(since=DAY), 8),
        (Filter(until=DAY), 5),
        (Filter(since=DAY, until=DAY), 3),
        (Filter(since=date(2026, 11, 20), until=date(2026, 11, 20)), 0),
        (Filter(provider="anthropic"), 2),
        (Filter(model="gpt-4o*"), 7),
        (Filter(model="GPT-4?-2024-08-06"), 7),
        (Filter(model="gpt-4o"), 0),
        (Filter(model="%"), 0),
        (Filter(model="gpt_4o*"), 0),
        (Filter(operation="moderation"), 1),
        (Filter(service="jobs"), 1),
        (Filter(status="error"), 1),
        (Filter(tags=(("user", "u1"),)), 7),
        (Filter(tags=(("user", "u2"), ("feature", "pitch"))), 1),
        (Filter(tags=(("user", "u2"), ("feature", "search"))), 0),
        (Filter(tags=(("team.name", "red"),)), 1),
        (Filter(unpriced=True), 2),
        (Filter(estimated=True), 1),
        (Filter(provider="anthropic", estimated=True, tags=(("user", "u1"),)), 1),
    ],
)
def test_filters(query, where, calls):
    """Each filter takes what it says, days include their first and last nanosecond, and all must hold together."""
    assert query.totals(where).calls == calls


def test_a_day_ends_at_its_last_nanosecond(asked):
    """One nanosecond decides to which day a call belongs."""
    midnight = at("2026-11-20")
    query = asked(record(started_ns=midnight - 1), record(started_ns=midnight))
    assert query.totals(Filter(until=DAY)).calls == 1
    assert query.totals(Filter(since=date(2026, 11, 20))).calls == 1


def test_the_dearest_come_first(query):
    """Groups are in the order of their cost, and a limit keeps the dearest."""
    costs = [group.sums.cost_nano for group in query.groups(ALL, ("feature", "user"))]
    assert costs == sorted(costs, reverse=True)
    assert [group.keys for group in query.groups(ALL, ("user",), 1)] == [("u2",)]


def test_doubts(query):
    """Calls in doubt are counted by what is doubtful, the unpriced by their reason."""
    found = trust(query, ALL)
    assert found.doubts == Doubts(calls=10, unpriced=2, estimated=1, partial=1, missing=1, unread=1, invalid=0)
    assert {g.keys[0]: g.sums.unpriced for g in found.reasons} == {"unknown_model": 1, "no_usage": 1}


def test_rest_and_groups_make_the_total(query):
    """What --top leaves out is in the rest, to the nano-dollar; with nothing left out there is none."""
    table = grouped(query, ALL, ("model",), 1)
    assert table.rest is not None
    assert table.groups[0].sums + table.rest == table.total
    assert grouped(query, ALL, ("model",), None).rest is None


def test_days_come_in_order(query):
    """Grouped by day, the order is that of time, not of cost."""
    days = [group.keys[0] for group in grouped(query, ALL, ("day",), None).groups]
    assert days == ["2026-11-18", "2026-11-19", "2026-11-21"]


def test_the_overview_fills_days_without_calls(query):
    """The last seven days are all there, an idle one with nothing."""
    found = overview(query, Filter(since=date(2026, 11, 1)), 10, date(2026, 11, 21))
    assert [group.keys[0] for group in found.days] == [f"2026-11-{day}" for day in range(15, 22)]
    assert found.days[5].sums == Sums()
    assert found.days[4].sums.calls == 3


def test_the_overview_has_spenders_only_where_tags_are(asked):
    """Without a `user` or `feature` tag there is no table of them."""
    bare = overview(asked(record(tags={"team": "red"})), ALL, 10, DAY)
    tagged = overview(asked(record(tags={"user": "u1"})), ALL, 10, DAY)
    assert [table.by for table in bare.spenders] == []
    assert [table.by for table in tagged.spenders] == [("user",)]


def test_large_sums_stay_exact(asked):
    """Thousands of dollars and one nano-dollar are added without rounding."""
    query = asked(*(record(cost=cost("99999.999999999")) for _ in range(200)), record(cost=cost("0.000000001")))
    assert query.totals(ALL).cost_nano == 200 * 99_999_999_999_999 + 1


def test_calls_are_newest_first(query):
    """Single calls come newest first and stop at the limit; folded ones are no longer single."""
    rows = query.calls(ALL, 2)
    assert [row["started_ns"] for row in rows] == sorted((row["started_ns"] for row in rows), reverse=True)
    singles = sum(1 for _ in query.every_call(ALL))
    assert len(rows) == min(singles, 2)


def test_every_call_once(query):
    """Single calls and daily totals together hold every call exactly once, in the order of time."""
    calls = list(query.every_call(ALL))
    days = list(query.every_rollup(ALL))
    assert len(calls) + sum(row["calls"] for row in days) == 10
    assert query.count(ALL) == len(calls) + len(days)
    assert [row["started_ns"] for row in calls] == sorted(row["started_ns"] for row in calls)


def test_tag_keys(query):
    """All keys of all calls are known, folded or not."""
    assert query.tag_keys() == ["feature", "team.name", "user"]


def test_one_moment(tmp_path):
    """What another process writes between two questions is in neither answer."""
    path = write(tmp_path / "ledger.db", *sample())
    ledger = open_ledger(path)
    with ledger.read() as connection:
        query = Query(ledger, connection)
        before = query.totals(ALL)
        write(path, record(), fold_before="2026-11-20")
        assert query.totals(ALL) == before
        assert sum(1 for _ in query.every_call(ALL)) == 10
    with ledger.read() as connection:
        assert Query(ledger, connection).totals(ALL).calls == 11


def test_hosts_without_a_provider(asked):
    """Hosts nobody mapped are told with the number of their calls, recent ones only."""
    new, old = {"started_ns": at("2026-11-20")}, {"started_ns": at("2026-11-18")}
    unmapped = {"provider": "openai_compatible", "host": "proxy.corp"}
    query = asked(record(**new, **unmapped), record(**new, **unmapped), record(**old, **unmapped), record(**new))
    assert query.hosts_of("openai_compatible", at("2026-11-19")) == [("proxy.corp", 2)]
