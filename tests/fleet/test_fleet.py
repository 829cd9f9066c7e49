"""A ledger on a server: what is put is there once, with its budgets, and nothing of it stays behind."""

from __future__ import annotations

import time
from decimal import Decimal

import psycopg
import pytest

from budgets.lines import HALF, line, settle, taking
from fleet.load import give_up, strict, until
from otel_aicost import faults
from otel_aicost.budgets.budget import Budget, Limits, Match
from otel_aicost.budgets.window import Period, Window
from otel_aicost.config import server
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import fleet as fleets
from otel_aicost.ledger import haste, schema
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.fleet import BusyError, Fleet, ship
from otel_aicost.ledger.haste import hurried
from otel_aicost.ledger.outbox import OutboxStore, Shelf
from otel_aicost.ledger.parcels import decoded, encoded
from otel_aicost.ledger.postgres import PostgresStore
from otel_aicost.ledger.row import row
from otel_aicost.ledger.slices import Share
from otel_aicost.ledger.writer import StoreDownError
from records import record

pytestmark = pytest.mark.usefixtures("patient")


def test_a_call_is_on_the_server_and_no_longer_in_the_outbox(fleet, ask, waiting):
    """What was put is on the server after a flush, and leaves the outbox."""
    for _ in range(300):
        fleet.put(record())
    assert fleet.flush(10)
    assert ask("SELECT count(*), sum(cost_nano) FROM calls") == [(300, 300 * 6_250_000)]
    assert fleet.stats()["written"] == 300
    assert (fleet.stats()["lost"], fleet.stats()["errors"]) == (0, 0)
    until(lambda: waiting() == 0)


def test_reserve_refuse_settle(fleet, ask, balanced):
    """Budgets hold on a server as in a file: what was reserved is in the way of others, what was spent stays."""
    told = []
    fleet.alert = told.append
    assert fleet.reserve("1", [strict(6, alert_at=(HALF,))]) is None
    refused = fleet.reserve("2", [strict(5)])
    assert refused is not None
    assert (refused.spent.nano, refused.reserved.nano) == (0, 6)
    settle(fleet, "1", taking(strict(alert_at=(HALF,)), 5))
    assert fleet.reserve("3", [strict(5)]) is None
    fleet.release(Settlement("3", (taking(strict(), 0, calls=0),)))
    assert fleet.flush(10)
    assert ask("SELECT spent_nano, spent_calls, reserved_nano FROM budget_windows") == [(5, 1, 0)]
    assert [(alert.share, alert.spent.nano) for alert in told] == [(HALF, 5)]
    balanced()


def test_every_share_of_a_limit_is_told_once(fleet):
    """A share that a float cannot hold is told once all the same."""
    told = []
    fleet.alert = told.append
    shares = (Decimal("0.1"), Decimal("0.7"), Decimal("0.9"))
    for number in range(10):
        settle(fleet, f"c{number}", taking(line(limit=10, alert_at=shares), 1))
        assert fleet.flush(10)
    assert [alert.share for alert in told] == list(shares)


def test_a_rolling_window_is_the_sum_of_its_steps(fleet):
    """The order of window names is that of their bytes, whatever language the database is of."""
    steps = [Window(f"rolling 1h {at}", at, at + 60, "rolling 1h ") for at in (9_000_000_000, 10_000_000_000)]
    period = Period("rolling", rolling_seconds=3600)
    for number, step in enumerate(steps):
        settle(fleet, f"c{number}", taking(strict(window=step, period=period), 4))
    assert fleet.flush(10)
    settle(fleet, "other", taking(strict(window=Window("rolling 1hx 9", 0, 60, "rolling 1hx "), period=period), 4))
    assert fleet.flush(10)
    refused = fleet.reserve("1", [strict(3, window=steps[0], period=period)])
    assert refused is not None
    assert refused.spent.nano == 8


def test_balanced_budgets_are_leased_in_slices(fleet, ask, balanced):
    """Far from its limit a balanced budget asks the server once in a while; nothing of a slice stays reserved."""
    for number in range(100):
        assert fleet.reserve(f"c{number}", [line(1, limit=10**6)]) is None
        settle(fleet, f"c{number}", taking(line(limit=10**6), 1))
    assert fleet.flush(10)
    assert fleet.close(10)
    assert ask("SELECT sum(spent_nano) FROM budget_windows") == [(100,)]
    balanced()


def test_text_that_postgresql_does_not_take_is_mended(fleet, ask):
    """Half a surrogate pair and a NUL, in a tag, a model or the key of a budget, keep no call out."""
    odd = "a\0b\ud800c"
    fleet.put(record(id="odd", tags={"user": odd}, response_model=odd), Settlement(None, (taking(line(key=odd), 1),)))
    fleet.put(record(id="even"))
    assert fleet.flush(10)
    assert ask("SELECT id, model FROM calls ORDER BY id") == [("even", "gpt-4o-2024-08-06"), ("odd", "a\ufffdb?c")]
    assert ask("SELECT key, spent_nano FROM budget_windows") == [("a\ufffdb?c", 1)]


def test_a_call_that_is_sent_again_changes_nothing(place, fleet, ask, tmp_path, balanced):
    """A call that is on the server already, and whose outbox was not told, counts once: call, entry and balance."""
    settlement = Settlement(None, (taking(line(), 3),))
    fleet.put(record(id="twice"), settlement)
    assert fleet.flush(10)
    other = tmp_path / "other.db"
    store = OutboxStore(other, {"twice": settlement, "late": settlement})
    store.insert([row(record(id="twice")), row(record(id="late"))])
    store.close()
    assert ship(other, place) == 2
    assert ask("SELECT id FROM calls ORDER BY id") == [("late",), ("twice",)]
    assert ask("SELECT spent_nano, spent_calls FROM budget_windows") == [(6, 2)]
    assert ship(other, place) == 0
    balanced()


def test_a_call_from_the_outbox_frees_what_its_process_had_reserved(place, fleet, ask, balanced):
    """A process that was killed between the call and the server is settled from the outbox."""
    assert fleet.reserve("killed", [strict(4)]) is None
    store = OutboxStore(place.outbox, {"killed": Settlement("killed", (taking(strict(), 3),))})
    store.insert([row(record(id="killed"))])
    store.close()
    assert ship(place.outbox, place) == 1
    assert ask("SELECT spent_nano, reserved_nano FROM budget_windows") == [(3, 0)]
    balanced()


def test_one_process_sends_at_a_time(place):
    """While another process sends what waits, nobody else does; it may go on itself."""
    store = OutboxStore(place.outbox)
    store.insert([row(record())])
    store.close()
    first, second = Shelf(place.outbox), Shelf(place.outbox)
    assert first.mine()
    assert not second.mine()
    assert first.mine()
    with pytest.raises(BusyError):
        ship(place.outbox, place)
    first.yours()
    assert ship(place.outbox, place) == 1


def test_nothing_to_send(place):
    """An outbox that is not there, or empty, is no reason to ask the server."""
    nowhere = server("postgresql://127.0.0.1:1/none", place.outbox)
    assert ship(place.outbox, nowhere) == 0
    assert not place.outbox.exists()


def test_an_outbox_that_cannot_be_written_keeps_no_call_from_the_server(database, tmp_path, ask):
    """In a container whose files cannot be written, calls go to the server all the same; that it is so is said."""
    (tmp_path / "file").write_text("")
    fleet = Fleet(server(database, tmp_path / "file" / "outbox.db"))
    fleet.put(record())
    assert fleet.flush(10)
    assert ask("SELECT count(*) FROM calls") == [(1,)]
    assert faults.counts()["ledger"] >= 1
    assert fleet.close(5)
    assert "ledger loss" not in faults.counts()
    give_up(fleet)


def test_what_neither_takes_is_counted(tmp_path, monkeypatch, caplog):
    """Only where the outbox cannot be written and no server answers a call is lost, and that is said."""
    monkeypatch.setattr("otel_aicost.ledger.writer.KEPT", 5)
    (tmp_path / "file").write_text("")
    fleet = Fleet(server("postgresql://u:geheim@127.0.0.1:1/none", tmp_path / "file" / "outbox.db"))
    fleet.put(record())
    until(lambda: fleet.stats()["errors"] >= 2)
    for _ in range(9):
        fleet.put(record())
    assert fleet.stats()["lost"] > 0
    assert not fleet.close(1)
    assert "calls lost so far" in caplog.text
    assert "geheim" not in caplog.text
    give_up(fleet)


def test_without_psycopg_it_says_what_to_install(place, monkeypatch, caplog, waiting):
    """The application goes on without the driver; calls wait in the outbox, and what to install is logged."""
    monkeypatch.setitem(__import__("sys").modules, "otel_aicost.ledger.postgres", None)
    fleet = Fleet(place)
    with pytest.raises(StoreDownError):
        fleet.reserve("1", [strict()])
    fleet.put(record())
    assert not fleet.flush(1)
    assert fleet.close(1)
    give_up(fleet)
    assert waiting() == 1
    assert 'pip install "otel-aicost[postgresql]"' in caplog.text


@pytest.mark.parametrize("url", ["postgresql://u:p%zz@127.0.0.1/db", "postgresql://u:geheim@127.0.0.1/db?bogus=geheim"])
def test_an_address_that_cannot_be_read_is_said_without_its_secrets(url, tmp_path):
    """What libpq does not understand it quotes; we do not."""
    with pytest.raises(LedgerError) as found:
        PostgresStore(server(url, tmp_path / "o.db"))
    assert "cannot be read" in str(found.value)
    assert not any(secret in str(found.value) for secret in ("geheim", "p%zz"))


def test_many_begin_a_ledger_at_once(place, spawn, ask):
    """Twelve processes that find an empty database make one ledger of it."""
    code = """
print("ready", flush=True); sys.stdin.readline()
fleet = Fleet(place)
fleet.put(record(id=sys.argv[3]))
assert fleet.flush(60) and fleet.stats()["errors"] == 0, fleet.stats()
"""
    children = [spawn(code, number) for number in range(12)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    assert [(child.communicate(timeout=60)[1], child.returncode) for child in children] == [("", 0)] * 12
    assert ask("SELECT count(*) FROM calls") == [(12,)]
    assert ask("SELECT value FROM meta WHERE key = 'schema_version'") == [(str(schema.VERSION),)]


def test_tables_are_made_though_nobody_waits_for_them(place, ask, monkeypatch):
    """Who has waited long enough goes on without the ledger; a migration that takes long is not broken off for it."""
    monkeypatch.setattr(haste, "PATIENCE_SECONDS", 2.0)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS[:-1], ("SELECT pg_sleep(3)", *schema.MIGRATIONS[-1])))
    with pytest.raises(LedgerError, match="in time"), hurried(0.1):
        PostgresStore(place)
    until(lambda: ask("SELECT 1 FROM pg_tables WHERE tablename = 'meta'"))
    assert ask("SELECT value FROM meta WHERE key = 'schema_version'") == [(str(schema.VERSION),)]


def test_a_ledger_of_a_newer_version_is_left_alone(place, cluster, database):
    """A newer otel-aicost's tables are not written; it says what to do."""
    PostgresStore(place).close()
    cluster.execute(database, "UPDATE aicost.meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(LedgerError, match="newer otel-aicost"):
        PostgresStore(place)


def test_a_role_without_the_right_to_make_tables(place, cluster, database, warmed):
    """Who may not make the schema is told so; with tables made by another, and rights on them, it writes."""
    cluster.execute(database, "DROP ROLE IF EXISTS writer_only")
    cluster.execute(database, "CREATE ROLE writer_only LOGIN PASSWORD 'w'")
    role = server(database.replace("aicost_test:" + cluster.password, "writer_only:w"), place.outbox)
    with pytest.raises(LedgerError, match="permission denied"):
        PostgresStore(role)
    PostgresStore(place).close()
    for right in (
        "GRANT USAGE ON SCHEMA aicost TO writer_only",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA aicost TO writer_only",
    ):
        cluster.execute(database, right)
    fleet = warmed(role)
    assert fleet.reserve("1", [strict(4)]) is None
    settle(fleet, "1", taking(strict(), 3))
    assert fleet.flush(10)
    assert fleet.close(5)


def test_a_lease_that_ran_out_gets_a_second_chance(warmed, monkeypatch):
    """A lease that ran out is marked, and given back if it was not renewed in half a lease: its server was away."""
    dead, other = warmed(lease_seconds=0.6), warmed(lease_seconds=0.6)
    assert dead.reserve("1", [strict(8)]) is None
    monkeypatch.setattr(dead._remote._leases, "due", lambda: False)  # as if it were killed
    time.sleep(0.7)
    assert other.reserve("2", [strict(8)]) is not None  # marks it
    assert other.reserve("3", [strict(8)]) is not None
    until(lambda: other.reserve("4", [strict(8)]) is None)


def test_a_settlement_survives_the_outbox():
    """What an outbox keeps of a settlement is all of it; what a newer version adds is passed over."""
    budget = Budget(
        "b", Period("year", year_start=(4, 1)), Limits(5, None, 7), Match(tags={"a": "b"}), ("user",),
        alert_at=(HALF, Decimal(1)), overrides={"x": Limits(1)}, timezone="Europe/Berlin",
    )  # fmt: skip
    one = taking(line(key="ü", alert_at=(HALF,)), 4)._replace(budget=budget)
    settlement = Settlement("r", (one, taking(line(), 0)), (Share("slice 1", one),))
    assert decoded(encoded(settlement)) == settlement
    assert decoded(encoded(settlement).replace('"name":', '"colour":"red","name":')) == settlement
    for text in ("{}", "3", '{"is":"Settlement"}', '{"is":"Fallback"}', "nonsense"):
        with pytest.raises(ValueError):  # noqa: PT011 - whichever
            decoded(text)


def test_the_connection_says_who_it_is(place, cluster, database):
    """The server's administrator sees what the connection is for; the URL may say otherwise."""
    store = PostgresStore(place)
    assert ("otel-aicost",) in cluster.execute(database, "SELECT application_name FROM pg_stat_activity")
    store.close()
    named = server(f"{database}?application_name=shop", place.outbox)
    store = PostgresStore(named)
    assert ("shop",) in cluster.execute(database, "SELECT application_name FROM pg_stat_activity")
    store.close()


def test_a_step_that_fails_takes_nothing_with_it(place, cluster, database):
    """A transaction is all or nothing, also when somebody passes over an error inside of it."""
    store = PostgresStore(place)

    def work(*, pass_over):
        with store.transaction() as connection:
            connection.execute("INSERT INTO meta VALUES (?, ?)", ("a", "b"))
            try:
                connection.execute("SELECT nonsense")
            except psycopg.Error:
                if not pass_over:
                    raise

    for pass_over in (False, True):
        with pytest.raises(LedgerError):
            work(pass_over=pass_over)
    assert cluster.execute(database, "SELECT * FROM aicost.meta WHERE key = 'a'") == []
    assert not store.moved()
    store.close()


def test_old_calls_become_daily_totals(place, ask):
    """Past retention, single calls are folded, with tags longer than an index takes; the view says the same."""
    long = {f"tag{number}": "x" * 256 for number in range(40)}
    fleet = Fleet(place, retention_days=30)
    for number in range(7):
        fleet.put(record(id=f"old-{number}", tags=long, started_ns=10**9 * 86_400 * (1 + number % 2)))
    fleet.put(record(id="new", started_ns=time.time_ns()))
    assert fleet.flush(10)
    until(lambda: ask("SELECT count(*) FROM calls") == [(1,)])
    assert ask("SELECT day, calls FROM rollups ORDER BY day") == [("1970-01-02", 4), ("1970-01-03", 3)]
    assert ask("SELECT sum(calls), sum(cost_nano) FROM spend") == [(8, 8 * 6_250_000)]
    assert fleet.close(5)


def test_constants_are_as_documented():
    """docs/fleet.md promises these."""
    assert (fleets.SWEEP_SECONDS, fleets.FRESH_SECONDS, fleets.AT_ONCE) == (10.0, 5.0, 64)


def test_running_totals_are_kept_on_the_server(place, ask):
    """Calls of two hosts are in one total, sent again they change nothing, and labels may be of any length."""
    long = {f"tag{number}": "\N{SNOWMAN}" * 256 for number in range(40)}
    for outbox in ("one.db", "two.db"):
        fleet = Fleet(server(place.url, place.outbox.with_name(outbox)), total_tags=("feature", *long))
        for number in range(3):
            fleet.put(record(id=f"same-{number}"))
        fleet.put(record(tags=long, service="s" * 5000))
        assert fleet.close(10)
    assert ask("SELECT tags, calls, cost_nano FROM totals WHERE service = 'shop'") == [
        ('{"feature":"search"}', 3, 3 * 6_250_000)
    ]
    assert ask("SELECT sum(calls), sum(duration_7) FROM totals WHERE service <> 'shop'") == [(2, 2)]
    assert ask("SELECT sum(calls), sum(cost_nano) FROM totals") == ask("SELECT sum(calls), sum(cost_nano) FROM spend")
