"""A server that is frozen, crashed, cut off or not there: nothing is lost, nothing counted twice, nobody held up."""

from __future__ import annotations

import time

import pytest

from fleet.load import Load, at_ease, give_up, strict, until
from otel_aicost import faults
from otel_aicost.config import server
from otel_aicost.ledger import fleet as fleets
from otel_aicost.ledger.fleet import Fleet
from otel_aicost.ledger.outbox import LEASE_SECONDS
from otel_aicost.ledger.writer import StoreDownError

THREADS = 4


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(fleets, "SWEEP_SECONDS", 0.5)
    monkeypatch.setattr(fleets, "FRESH_SECONDS", 0.3)


@pytest.fixture
def whole(ask, waiting, balanced):
    """Check that exactly these calls are on the server, that balances agree, and that nothing waits any more."""

    def check(made):
        until(lambda: waiting() == 0)
        until(lambda: ask("SELECT count(*) FROM calls") == [(len(made),)])
        assert sorted(name for (name,) in ask("SELECT id FROM calls")) == sorted(made)
        until(lambda: ask("SELECT count(*) FROM reservations") == [(0,)])
        balanced()
        assert ask("SELECT sum(spent_nano), sum(spent_calls) FROM budget_windows") == [(len(made), len(made))]

    return check


def test_frozen_under_load(cluster, fleet, whole):
    """While not a process of the server runs, of each thread's calls one waits at most; all is counted afterwards."""
    with Load(fleet, threads=THREADS) as load:
        load.goes_on()
        with cluster.frozen():
            load.goes_on(100)
            before = load.waited
            load.goes_on(300)
            assert load.waited - before <= THREADS
        load.goes_on()
    assert load.unasked > 0
    assert fleet.flush(30)
    whole(load.made)


def test_crashed_under_load(cluster, fleet, whole):
    """A server that crashes, is away for a while, and comes back three times over, has every call once."""
    with Load(fleet, threads=THREADS) as load:
        for _ in range(3):
            load.goes_on()
            cluster.stop()
            load.goes_on(200)
            cluster.start()
        load.goes_on()
    assert fleet.flush(30)
    whole(load.made)


def test_connections_lost_under_load(cluster, database, fleet, whole, monkeypatch):
    """Connections that the server ends in the middle of anything lose no call; an idle one costs no call a moment."""
    with Load(fleet, threads=THREADS, pause=0.001) as load:
        for _ in range(20):
            load.goes_on(20)
            cluster.drop_connections(database)
        load.goes_on()
    assert fleet.flush(30)
    errors = fleet.stats()["errors"]
    at_ease(monkeypatch.setattr)
    cluster.drop_connections(database)
    time.sleep(0.5)  # until the connection hears of it
    assert fleet.reserve("idle", [strict(2, limit=10**9)]) is None
    assert fleet.stats()["errors"] == errors
    fleet.put(*_settled("idle"))
    assert fleet.flush(30)
    whole([*load.made, "idle"])


def test_not_there_at_the_start(cluster, place, waiting, whole):
    """A process that starts while the server is down keeps its calls on the disk, and sends them when it is up."""
    cluster.stop()
    try:
        fleet = Fleet(place)
        fleet.warm()
        with Load(fleet, threads=THREADS) as load:
            load.goes_on(200)
        assert not fleet.flush(1)
        assert waiting() == len(load.made)
        assert load.unasked == len(load.made)
    finally:
        cluster.start()
    whole(load.made)
    assert fleet.close(10)


def test_more_calls_than_memory_holds(cluster, fleet, monkeypatch, whole):
    """What does not fit in memory while the server is away is sent from the outbox; it is not lost, nor said to be."""
    monkeypatch.setattr("otel_aicost.ledger.writer.KEPT", 30)
    with Load(fleet, threads=THREADS) as load:
        load.goes_on()
        cluster.stop()
        load.goes_on(200)
        cluster.start()
        load.goes_on()
    assert fleet.flush(30)
    whole(load.made)
    assert fleet.stats()["lost"] == 0
    assert "ledger loss" not in faults.counts()


def test_the_end_while_the_server_is_frozen(cluster, place, waiting, whole):
    """A process that ends beside a frozen server loses nothing and says of nothing that it is lost."""
    fleet = Fleet(place)
    with Load(fleet) as load:
        load.goes_on()
        with cluster.frozen():
            load.goes_on()
            began = time.monotonic()
            assert fleet.close(2)
            assert time.monotonic() - began < 5  # what the exit of an application may take
            give_up(fleet)
            load._stopping.set()
            for thread in load._threads:
                thread.join(60)
            fleet._outbox.flush(5)
    assert "ledger loss" not in faults.counts()
    assert waiting() > 0
    following = Fleet(place)
    following.warm()
    until(lambda: waiting() == 0)
    assert following.close(5)


def test_another_process_sends_what_a_killed_one_left(cluster, spawn, place, waiting, whole):
    """Rows in the outbox of a process that was killed, and what it had reserved, are settled by the next one."""
    child = spawn(KILLED)
    made = child.stdout.readline().split()
    assert len(made) == 30, child.stderr.read()
    child.stdin.write("down\n")
    child.stdin.flush()
    cluster.stop()
    try:
        child.stdin.write("on\n")
        child.stdin.flush()
        made += child.stdout.readline().split()
        assert len(made) == 50
        child.kill()
        child.wait()
        assert waiting() == 30
    finally:
        cluster.start()
    other = Fleet(place)
    other.warm()
    whole(made)
    assert other.close(5)


KILLED = """
at_ease()
fleet = Fleet(place)
fleet.warm()
assert fleet.flush(30)
one = line(2, limit=10**9, mode="strict")
for number in range(30):
    assert fleet.reserve(f"k{number}", [one]) is None
for number in range(20):
    settle(fleet, f"k{number}", taking(one, 1))
assert fleet.flush(10)
print(*(f"k{number}" for number in range(30)), flush=True)
sys.stdin.readline()
sys.stdin.readline()
for number in range(20, 50):
    settle(fleet, f"k{number}", taking(one, 1))
assert not fleet.flush(1)
print(*(f"k{number}" for number in range(30, 50)), flush=True)
sys.stdin.readline()
"""


@pytest.mark.usefixtures("patient")
def test_killed_at_any_moment(spawn, place, ask, waiting, balanced):
    """Of processes killed while they reserve and settle, every call that was in the outbox counts, and once."""
    made = []
    for turn in range(8):
        child = spawn(ACKNOWLEDGER, turn)
        made += child.stdout.readline().split()
        time.sleep(0.021 * turn)
        child.kill()
        # What is cut short by the kill was not acknowledged.
        made += [word for text in child.stdout.read().split("\n")[:-1] for word in text.split()]
    other = Fleet(place, lease_seconds=0.5)
    other.warm()
    until(
        lambda: waiting() == 0, LEASE_SECONDS + 40
    )  # one that was killed may have been sending: then its turn has to end
    assert len(made) >= 8 * 5
    present = {name for (name,) in ask("SELECT id FROM calls")}
    assert [name for name in made if name not in present] == []
    ask("UPDATE reservations SET lease_until_ns = 1")  # their leases run out

    def free():
        other.reserve(f"probe {time.monotonic_ns()}", [strict(2 * 10**9, limit=10**9)])
        return ask("SELECT count(*) FROM reservations") == [(0,)]

    until(free)
    balanced()
    assert other.close(5)


ACKNOWLEDGER = """
at_ease()
fleet = Fleet(place)
fleet.warm()
assert fleet.flush(30)
one = line(2, limit=10**9, mode="strict")
number = 0
while True:
    some = [f"{sys.argv[3]}-{number + n}" for n in range(5)]
    number += 5
    for each in some:
        assert fleet.reserve(each, [one]) is None
        settle(fleet, each, taking(one, 1))
    assert fleet._outbox.flush(30)
    print(*some, flush=True)
"""


def test_an_abandoned_transaction_blocks_nobody_for_long(fleet, spawn, monkeypatch):
    """A process that is stopped while it holds a budget costs the others a moment, not for ever."""
    with monkeypatch.context() as patch:
        at_ease(patch.setattr)
        assert fleet.reserve("first", [strict(1)]) is None
    child = spawn(HOLDER)
    assert child.stdout.readline() == "locked\n"
    with pytest.raises(StoreDownError):
        fleet.reserve("second", [strict(1)])

    def again():
        try:
            return fleet.reserve("third", [strict(1)]) is None
        except StoreDownError:
            return False

    until(again)


HOLDER = """
from otel_aicost.ledger.postgres import PostgresStore
store = PostgresStore(place)
with store.transaction() as connection:
    store.lock([("b", "")])
    print("locked", flush=True)
    time.sleep(600)
"""


def test_a_standby_that_is_behind_takes_over(cluster, place, database, fleet, ask, whole):
    """After a failover to a server that lacks the last minute, the outbox sends that minute again."""
    with Load(fleet, "first") as first:
        first.goes_on()
    assert fleet.flush(30)
    fleet._remote._turn.before_fork()  # closes the connection: a database that is in use cannot be copied
    name = database.rpartition("/")[2]
    cluster.execute("postgres", f"CREATE DATABASE {name}_standby TEMPLATE {name}")
    fleet._remote._turn.after_fork_in_parent()
    with Load(fleet, "second") as second:
        second.goes_on()
        cluster.execute("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        cluster.drop_connections(cluster.url("postgres"), name)
        cluster.execute("postgres", f"ALTER DATABASE {name} RENAME TO {name}_dead")
        cluster.execute("postgres", f"ALTER DATABASE {name}_standby RENAME TO {name}")
        second.goes_on()
    assert fleet.flush(30)
    whole([*first.made, *second.made])


def test_no_server_at_all_costs_one_call_a_moment(tmp_path):
    """With an address that nobody answers, one call waits, and the rest are told at once."""
    fleet = Fleet(server("postgresql://10.255.255.1:5432/none?connect_timeout=2", tmp_path / "outbox.db"))
    with Load(fleet, threads=1, pause=0) as load:
        load.goes_on(100)
    assert load.waited <= 1
    assert load.unasked == len(load.made)
    assert fleet.close(1)
    give_up(fleet)


def _settled(identifier):
    from budgets.lines import taking
    from otel_aicost.ledger.balances import Settlement
    from records import record

    return record(id=identifier), Settlement(identifier, (taking(strict(limit=10**9), 1),))
