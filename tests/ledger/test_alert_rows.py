"""Alerts in a real ledger: raised once by whoever is first, listed, read, resolved, and queued for channels."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from alerts.raised import NOW, reached
from otel_aicost.alerts.alert import alert
from otel_aicost.alerts.settings import Channel
from otel_aicost.ledger import deliveries
from otel_aicost.ledger.alerts import UnknownAlertError, Which, is_raised, list_alerts, raise_alert, set_state
from otel_aicost.ledger.store import FileStore

SECOND = 10**9
DAY = 86_400 * SECOND
OPS = Channel("ops", url="json://unused")


@pytest.fixture
def transaction(ledger):
    """A transaction of a connection that is opened for it."""

    @contextmanager
    def begin():
        with closing(FileStore(ledger, 10)) as store, store.transaction() as connection:
            yield connection

    return begin


def made(number=0, severity="warning", at_ns=NOW, **columns):
    row = alert(
        "spend_spike", severity, f"alert {number}", once=("all", str(number)), at_ns=at_ns, details={"n": number}
    )
    return replace(row, **columns)


def test_an_alert_comes_back_as_it_was(transaction):
    """Every column is kept."""
    row = reached("0.8")
    with transaction() as connection:
        assert raise_alert(connection, row) is True
    with transaction() as connection:
        assert list_alerts(connection, Which()) == [row]
        assert is_raised(connection, row.fingerprint)
        assert not is_raised(connection, row.fingerprint + "1")


def test_the_second_one_is_not_the_first(transaction):
    """Whatever it says, and whatever became of the first."""
    with transaction() as connection:
        assert raise_alert(connection, made())
        set_state(connection, None, "resolved", NOW)
        assert raise_alert(connection, replace(made(), title="again", at_ns=NOW + 1)) is False
        (found,) = list_alerts(connection, Which())
    assert (found.title, found.state) == ("alert 0", "resolved")


def test_one_that_is_rolled_back_was_never_raised(transaction):
    """The alert and what it is about are one transaction."""
    with pytest.raises(ZeroDivisionError), transaction() as connection:  # noqa: PT012 - the transaction is what it is about
        raise_alert(connection, made())
        raise ZeroDivisionError
    with transaction() as connection:
        assert raise_alert(connection, made()) is True


def test_among_threads_one_is_first(transaction, ledger):
    """Of many that raise the same ones at once, each is raised by exactly one."""
    FileStore(ledger).close()
    barrier, firsts = threading.Barrier(8), []

    def work():
        barrier.wait()
        for number in range(20):
            with transaction() as connection:
                if raise_alert(connection, made(number)):
                    firsts.append(number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(firsts) == list(range(20))


RACE = """
import sys, time
from contextlib import closing
from pathlib import Path
from ledger.test_alert_rows import made
from otel_aicost.ledger.alerts import raise_alert
from otel_aicost.ledger.store import FileStore
with closing(FileStore(Path(sys.argv[1]), 10)) as store:
    sys.stdin.readline()
    for number in range(50):
        with store.transaction() as connection:
            if raise_alert(connection, made(number)):
                print(number)
"""


def test_among_processes_one_is_first(spawn, ledger):
    """As among threads: a fleet warns once."""
    FileStore(ledger).close()
    children = [spawn(RACE, ledger) for _ in range(4)]
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [child.communicate() for child in children]
    assert [error for _, error in told if error] == []
    assert sorted(int(number) for out, _ in told for number in out.split()) == list(range(50))


@pytest.fixture
def several(transaction):
    """An old unread one, a new read one, a resolved one, and an unread one of a budget."""
    rows = [made(0, "info", NOW - 3), made(1, "critical", NOW), made(2, "warning", NOW - 1), reached("0.8")]
    rows[3] = replace(rows[3], at_ns=NOW - 2)
    with transaction() as connection:
        for row in rows:
            raise_alert(connection, row)
        set_state(connection, [rows[1].id], "read", NOW)
        set_state(connection, [rows[2].id], "resolved", NOW)
    return rows


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (Which(), [3, 0, 1, 2]),
        (Which(states=("unread", "read")), [3, 0, 1]),
        (Which(severity="warning"), [3, 1, 2]),
        (Which(severity="critical"), [1]),
        (Which(kind="threshold_reached"), [3]),
        (Which(budget="user-day"), [3]),
        (Which(budget="user"), []),
        (Which(since_ns=NOW - 1), [1, 2]),
        (Which(limit=2), [3, 0]),
    ],
)
def test_they_are_listed_unread_first(transaction, several, which, expected):
    """And of those the newest first."""
    with transaction() as connection:
        assert [row.id for row in list_alerts(connection, which)] == [several[index].id for index in expected]


def test_states_go_one_way(transaction, several):
    """Unread, read, resolved: nothing comes back, and what is so already does not count."""
    unread, read, resolved, _ = (row.id for row in several)
    with transaction() as connection:
        assert set_state(connection, [unread, read, resolved], "read", NOW + 7) == 1
        assert set_state(connection, [unread, read, resolved], "resolved", NOW + 8) == 2
        assert set_state(connection, [unread], "read", NOW + 9) == 0
        states = {row.id: (row.state, row.state_at_ns) for row in list_alerts(connection, Which())}
    assert states[unread] == states[read] == ("resolved", NOW + 8)
    assert states[resolved] == ("resolved", NOW)


def test_all_of_them_at_once(transaction, several):
    """Without ids it is every one that is not so yet."""
    with transaction() as connection:
        assert set_state(connection, None, "read", NOW) == 2
        assert set_state(connection, None, "resolved", NOW) == 3


def test_an_id_may_be_its_beginning(transaction):
    """Eight characters, if they stand for one only; else nothing at all is changed."""
    rows = [replace(made(number), id=f"deadbeef{number:024x}") for number in range(2)]
    with transaction() as connection:
        for row in (*rows, made(7)):
            raise_alert(connection, row)
        for wrong in ("deadbeef", "deadbee", "0123456789abcdef", "", "DROP TABLE", "%%%%%%%%", made(7).id + "0"):
            with pytest.raises(UnknownAlertError):
                set_state(connection, [made(7).id, wrong], "read", NOW)
        assert set_state(connection, ["DEADBEEF" + "0" * 23 + "1", made(7).id[:8], made(7).id], "read", NOW) == 2


# --- the queue -------------------------------------------------------------------------------------------------------


def take(connection, now_ns, channel=OPS):
    deliveries.enqueue(connection, [channel], now_ns)
    return deliveries.take(connection, channel.name, now_ns)


def test_each_channel_gets_what_it_wants(transaction):
    """Alerts that are bad enough; the daily summary goes to every channel that has not said otherwise."""
    summary = alert("daily_summary", "info", "summary", once=("1",), at_ns=NOW, details={})
    channels = [
        Channel("info", "info"),
        Channel("warning", "warning"),
        Channel("critical", "critical", daily_summary=False),
        Channel("chatty", "info", daily_summary=False),
    ]
    rows = [made(0, "info"), made(1, "warning"), made(2, "critical"), summary]
    with transaction() as connection:
        for row in rows:
            raise_alert(connection, row)
        deliveries.enqueue(connection, channels, NOW)
        found = {
            each.name: {taken.alert.id for taken in deliveries.take(connection, each.name, NOW)} for each in channels
        }
    assert found == {channel.name: {row.id for row in rows if channel.wants(row)} for channel in channels}
    assert [len(ids) for ids in found.values()] == [4, 3, 1, 3]


def test_what_was_taken_is_left_alone_until_its_lease_ends(transaction):
    """Nobody else sends it meanwhile; if it was not noted as sent by then, whoever took it is gone."""
    with transaction() as connection:
        raise_alert(connection, made())
        assert [each.attempt for each in take(connection, NOW)] == [1]
    with transaction() as connection:
        assert take(connection, NOW + deliveries.LEASE_NS - 1) == []
        assert [each.attempt for each in take(connection, NOW + deliveries.LEASE_NS)] == [2]


def test_what_has_arrived_is_sent_no_more(transaction):
    """However often it is asked for."""
    with transaction() as connection:
        raise_alert(connection, made())
        deliveries.sent(connection, "ops", take(connection, NOW), NOW + 5)
        assert take(connection, NOW + DAY) == []
        assert deliveries.next_ns(connection, ["ops"], NOW) is None
        ((stood,),) = deliveries.deliveries(connection, [made().id]).values()
    assert stood == deliveries.Delivery("ops", 1, NOW + deliveries.LEASE_NS, NOW + 5, None)


def test_what_has_failed_is_tried_again_after_growing_pauses(transaction):
    """Half a minute, then twice that each time, and never more than a day; the last error is kept."""
    assert [deliveries.pause_ns(n) // SECOND for n in (1, 2, 3, 12, 13, 99)] == [30, 60, 120, 61_440, 86_400, 86_400]
    now = NOW
    with transaction() as connection:
        raise_alert(connection, made())
        for attempt in range(1, 5):
            taken = take(connection, now)
            assert [each.attempt for each in taken] == [attempt]
            deliveries.failed(connection, "ops", taken, f"error {attempt}", now)
            due = deliveries.next_ns(connection, ["ops", "other"], now)
            assert due == now + deliveries.pause_ns(attempt)
            assert take(connection, due - 1) == []
            now = due
        ((stood,),) = deliveries.deliveries(connection, [made().id]).values()
        assert (stood.error, stood.sent_ns) == ("error 4", None)
        deliveries.sent(connection, "ops", take(connection, now), now)
        ((stood,),) = deliveries.deliveries(connection, [made().id]).values()
        assert (stood.error, stood.sent_ns) == (None, now)


def test_a_failure_that_comes_late_changes_nothing(transaction):
    """The lease was over, and another process took it, or sent it."""
    with transaction() as connection:
        raise_alert(connection, made())
        late = take(connection, NOW)
        current = take(connection, NOW + deliveries.LEASE_NS)
        deliveries.failed(connection, "ops", late, "late", NOW + deliveries.LEASE_NS + 1)
        assert take(connection, NOW + deliveries.LEASE_NS + 31 * SECOND) == []
        deliveries.sent(connection, "ops", current, NOW)
        deliveries.failed(connection, "ops", current, "later still", NOW)
        ((stood,),) = deliveries.deliveries(connection, [made().id]).values()
    assert (stood.error, stood.sent_ns) == (None, NOW)


def test_what_is_resolved_or_old_is_not_sent(transaction):
    """A week of failures is enough, and nobody needs to hear of what is settled; not even the first time."""
    with transaction() as connection:
        raise_alert(connection, made(0, at_ns=NOW - deliveries.KEPT_NS))
        raise_alert(connection, made(1, at_ns=NOW - deliveries.KEPT_NS - 1))
        raise_alert(connection, made(2))
        set_state(connection, [made(2).id], "resolved", NOW)
        taken = take(connection, NOW)
        assert [each.alert.id for each in taken] == [made(0).id]
        deliveries.failed(connection, "ops", taken, "down", NOW)
        assert deliveries.next_ns(connection, ["ops"], NOW) is not None
        assert deliveries.next_ns(connection, ["ops"], NOW + 1) is None
        assert take(connection, NOW + 31 * SECOND) == []


def test_one_that_was_read_is_still_sent(transaction):
    """Somebody has seen it; the channel is for the others."""
    with transaction() as connection:
        raise_alert(connection, made())
        set_state(connection, None, "read", NOW)
        assert len(take(connection, NOW)) == 1


SENDERS = """
import sys, time
from contextlib import closing
from pathlib import Path
from ledger.test_alert_rows import NOW, OPS, take
from otel_aicost.ledger.store import FileStore
with closing(FileStore(Path(sys.argv[1]), 10)) as store:
    sys.stdin.readline()
    for step in range(40):
        with store.transaction() as connection:
            for each in take(connection, NOW + step):
                print(each.alert.id)
"""


def test_two_processes_never_have_the_same_message(spawn, transaction, ledger):
    """Of many that ask at once, each message goes to one."""
    with transaction() as connection:
        for number in range(30):
            raise_alert(connection, made(number))
    children = [spawn(SENDERS, ledger) for _ in range(4)]
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [child.communicate() for child in children]
    assert [error for _, error in told if error] == []
    assert sorted(line for out, _ in told for line in out.split()) == sorted(made(number).id for number in range(30))
