"""Reports, lists, exports and standings say the same of the same calls, whichever ledger holds them."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import date
from decimal import Decimal

import pytest
from click.testing import CliRunner

import ledgers
import otel_aicost
from budgets.lines import line, taking
from otel_aicost.budgets.window import FOREVER
from otel_aicost.cli.app import app
from otel_aicost.config import server
from otel_aicost.errors import LedgerError
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.fleet import Fleet
from otel_aicost.ledger.outbox import OutboxStore
from otel_aicost.ledger.postgres import PostgresStore
from otel_aicost.ledger.queries import Query
from otel_aicost.ledger.questions import DIMENSIONS, Filter
from otel_aicost.ledger.reader import open_ledger
from otel_aicost.ledger.row import row
from otel_aicost.ledger.writer import Writer
from records import record

BUDGETS = [
    line(1, limit=10**9, window=FOREVER),
    line(1, name="ä", key="Zoë", limit=None, tokens=500, calls=7, window=FOREVER),
    line(1, name="Z", key="a", limit=5, window=FOREVER),
]


@pytest.fixture
def both(tmp_path, place):
    """A file and a server that hold the same: single calls, folded ones, budgets."""
    odd = [
        record(tags={"user": "Ångström", "a.b": "x"}, response_model="Zeta", service="éclair"),
        record(
            started_ns=ledgers.at("2026-11-21"),
            tags={"user": "zebra"},
            response_model="alpha",
            service="Eclair",
            host=None,
        ),
        record(
            started_ns=ledgers.at("2026-11-21"),
            tags={"user": "Zebra", "quote": '"'},
            response_model="GPT_4",
            cost=None,
            usage={},
        ),
    ]
    records = [*ledgers.sample(), *odd]
    path = ledgers.write(tmp_path / "ledger.db", *records, fold_before="2026-11-19")
    with closing(PostgresStore(place)) as store:
        ledgers.fill(store, *records, fold_before="2026-11-19")
    names = (f"01990000-aaaa-7000-8000-00000000000{number}" for number in range(9))
    held = [
        (record(id=name), Settlement(None, (taking(one, 6_250_000, 2500),)))
        for name, one in zip(names, BUDGETS, strict=False)
    ]
    for writer in (Writer.of_file(path), Fleet(place)):
        for one, settlement in held:
            writer.put(one, settlement)
        assert writer.flush(10)
        assert writer.close(10)
    return path, place


def _run(place, *arguments):
    where = place.url if hasattr(place, "url") else str(place)
    result = CliRunner().invoke(app, [*arguments, "--ledger", where], prog_name="aicost", terminal_width=160)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "--since", "2026-01-01", "--by", "day,model"),
        ("report", "--since", "2026-11-18", "--until", "2026-11-19", "--by", "tag:user,estimated", "--format", "json"),
        ("report", "--since", "2026-01-01", "--model", "*g?t*", "--by", "a.b", "--format", "csv"),
        ("calls", "--format", "csv"),
        ("calls", "--tag", "user=Zebra", "--limit", "1", "--format", "json"),
        ("calls", "--unpriced"),
        ("export", "--format", "jsonl"),
        ("export", "--tag", "user=u1", "--format", "csv"),
        ("budgets", "list", "--all", "--json"),
        ("ledger", "verify", "--json"),
        ("ledger", "prune", "--before", "2026-11-20", "--dry-run"),
        ("budgets", "explain", "01990000-aaaa-7000-8000-000000000000", "--json"),
        ("budgets", "history", "--json"),
    ],
    ids=" ".join,
)
def test_commands_say_the_same(both, arguments):
    """Each command prints, to the byte, the same from a file and from a server."""
    file, server_ = (_run(place, *arguments) for place in both)
    assert server_ == file
    assert len(file) > 20


_BY = [
    (),
    *((dimension,) for dimension in (*DIMENSIONS, "tag:user", "a.b")),
    ("tag:user", "day"),
    ("model", "estimated"),
]


def test_every_sum_is_the_same(both):
    """Sums by every dimension, under every kind of filter, do not depend on the database."""
    answers = []
    filters = [
        Filter(),
        Filter(since=date(2026, 11, 19)),
        Filter(until=date(2026, 11, 19), unpriced=True),
        Filter(model="GPT_4"),
        Filter(model="gpt?4*", estimated=True),
        Filter(tags=(("user", "zebra"),)),
        Filter(provider="anthropic", operation="chat", service="shop", status="ok"),
    ]
    for place in both:
        ledger = open_ledger(place)
        with ledger.read() as connection:
            query = Query(ledger, connection)
            answers.append(
                [query.groups(where, by) for where in filters for by in _BY]
                + [(query.totals(where), query.doubts(where), query.count(where)) for where in filters]
                + [query.tag_keys(), query.any_call(), query.last_started_ns(), query.hosts_of("openai", 0)]
                + [query.calls(Filter(), 5), query.call("no such"), list(query.every_call(Filter()))]
                + [sorted(map(str, query.every_rollup(Filter())))]
            )  # fmt: skip
    assert answers[0] == answers[1]


def test_the_doctor_looks_at_the_server_and_the_outbox(place, monkeypatch):
    """The doctor says where the server is (not who we are there), what it holds, and what waits for it."""
    fleet = Fleet(place)
    fleet.put(record())
    assert fleet.flush(10)
    assert fleet.close(10)
    monkeypatch.setenv("OTEL_AICOST_LEDGER", place.url)
    monkeypatch.setenv("OTEL_AICOST_OUTBOX", str(place.outbox))
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert place.url not in result.output
    assert "aicost_test" not in result.output
    facts = next(each for each in json.loads(result.stdout)["sections"] if each["name"] == "Ledger")
    assert facts["facts"]["server"] == str(place)
    assert facts["facts"]["calls"] == 1
    assert facts["facts"]["waiting in the outbox"] == 0
    assert all(finding["level"] == "fine" for finding in facts["findings"]), facts


def test_what_cannot_be_read_is_one_line(cluster, place, tmp_path):
    """An empty database, a server that is not there, a wrong password: one line each, exit code 3, no password."""
    wrong = server(place.url.replace(cluster.password, "geheim"), tmp_path / "o.db")
    for where, said in (
        (place, "there is no ledger in"),
        (wrong, "password authentication failed"),
        (server("postgresql://u:geheim@127.0.0.1:1/x"), "cannot be read"),
        (server("postgresql://u:gehe%zzim@127.0.0.1:1/x"), "the address of"),
    ):
        result = CliRunner().invoke(app, ["report", "--ledger", where.url], prog_name="aicost")
        assert result.exit_code == 3
        assert said in result.stderr
        assert result.stderr.count("\n") == 1
        assert "gehe" not in result.stderr


@pytest.mark.usefixtures("patient")
def test_commands_that_change_a_ledger(place, ask, monkeypatch):
    """Tables are made, limits set and told, old calls folded, on a server as in a file; what only a file has is said."""
    assert "from schema 0 to" in _run(place, "ledger", "migrate")
    fleet = Fleet(place)
    settlement = Settlement(None, (taking(line(name="day", limit=10**9, window=FOREVER), 6_250_000, 2500),))
    fleet.put(record(id="old", started_ns=ledgers.at("2020-01-01")), settlement)
    assert fleet.flush(10)
    _run(place, "budgets", "set", "day", "2")
    assert ask("SELECT budget, key, limit_nano FROM budget_limits") == [("day", "", 2 * 10**9)]
    assert fleet.reserve("1", [line(10**9 + 1, name="day", limit=10**9, window=FOREVER, mode="strict")]) is None
    fleet.release(Settlement("1", (taking(line(name="day", window=FOREVER), 0, calls=0),)))
    assert fleet.flush(10)
    assert fleet.close(10)
    assert "pruned" in _run(place, "ledger", "prune", "--before", "2026-01-01")
    assert ask("SELECT day, calls FROM rollups") == [("2020-01-01", 1)]
    ask("UPDATE budget_windows SET spent_nano = 7 RETURNING 1")
    assert "1 balances were written anew" in _run(place, "ledger", "verify", "--repair")
    assert ask("SELECT spent_nano FROM budget_windows") == [(6_250_000,)]
    assert json.loads(_run(place, "ledger", "info", "--json"))["server"] == str(place)
    for arguments in (("backup", "x.db"), ("prune", "--before", "2026-01-01", "--vacuum")):
        result = CliRunner().invoke(app, ["ledger", *arguments, "--ledger", place.url], prog_name="aicost")
        assert result.exit_code == 2, result.output


def test_ship(place, ask, tmp_path):
    """What waits in an outbox is sent by a command, its own or another host's; a file has none."""
    for number, path in enumerate((place.outbox, tmp_path / "other.db")):
        store = OutboxStore(path)
        store.insert([row(record(id=f"ship-{number}"))])
        store.close()
    result = CliRunner().invoke(
        app, ["ledger", "ship"], env={"OTEL_AICOST_LEDGER": place.url, "OTEL_AICOST_OUTBOX": str(place.outbox)}
    )
    assert result.stdout == f"1 calls sent from {place.outbox} to {place}\n"
    assert "1 calls sent" in _run(place, "ledger", "ship", "--outbox", str(tmp_path / "other.db"))
    assert ask("SELECT id FROM calls ORDER BY id") == [("ship-0",), ("ship-1",)]
    for arguments in (("--ledger", str(tmp_path / "ledger.db")), ("--ledger", place.url, "--outbox", "none.db")):
        assert CliRunner().invoke(app, ["ledger", "ship", *arguments]).exit_code == 2


@pytest.mark.usefixtures("patient")
def test_an_application_asks_how_budgets_stand(place, monkeypatch, tmp_path):
    """`budget_status` reads the server, within the time a call may wait."""
    fleet = Fleet(place)
    fleet.put(record(), Settlement(None, (taking(line(name="day", limit=10**9, window=FOREVER), 10**8),)))
    assert fleet.flush(10)
    assert fleet.close(10)
    monkeypatch.setenv("OTEL_AICOST_LEDGER", place.url)
    monkeypatch.setenv("OTEL_AICOST_OUTBOX", str(place.outbox))
    (status,) = otel_aicost.budget_status("day")
    assert status.spent == Decimal("0.1")


def test_reading_writes_nothing(place):
    """Whoever reads cannot write, whatever is asked."""
    PostgresStore(place).close()
    with pytest.raises(LedgerError, match="read-only transaction"), open_ledger(place).read() as connection:
        connection.exec_driver_sql("INSERT INTO meta VALUES ('a', 'b')")
