"""What prune deletes, and what it never does."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from budgets.lines import DAY, line, settle, taking
from otel_aicost.budgets.window import Window
from otel_aicost.ledger import pruning, verify
from otel_aicost.ledger.balances import Settlement
from otel_aicost.ledger.balances import settle as settle_now
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.pruning import Old, old, prune_alerts, prune_refusals, prune_windows
from otel_aicost.ledger.store import FileStore
from otel_aicost.ledger.writer import Writer

NANO = 6_250_000
END_NS = DAY.end * 10**9
NEXT = Window("2026-11-22", DAY.end, DAY.end + 86_400)
FOREVER = Window("forever", None, None)


@pytest.fixture
def ledger(tmp_path):
    """Three windows with a call each: one over, one that goes on, one that never ends."""
    path = tmp_path / "ledger.db"
    writer = Writer.of_file(path)
    for number, window in enumerate((DAY, NEXT, FOREVER)):
        settle(writer, f"c{number}", taking(line(limit=10**12, window=window), NANO, 2500))
    writer.close(5)
    return path


def _windows(path):
    with looking(path) as connection:
        windows = connection.execute("SELECT window_id FROM budget_windows ORDER BY 1").fetchall()
        entries = connection.execute("SELECT window_id FROM budget_entries ORDER BY 1").fetchall()
    assert windows == entries
    return [window for (window,) in windows]


def _prune(path, before_ns):
    with closing(FileStore(path)) as store, store.transaction() as connection:
        return prune_windows(connection, before_ns)


def test_windows_that_are_over(ledger):
    """A window goes with its entries once it ended before the day, and not one second earlier; those without an end stay."""
    with looking(ledger) as connection:
        assert old(connection, END_NS)[1:3] == (0, 0)
        assert old(connection, END_NS + 10**9) == Old(3, 1, 1, 0)
    assert _prune(ledger, END_NS) == (0, 0)
    assert _prune(ledger, END_NS + 10**9) == (1, 1)
    assert _windows(ledger) == ["2026-11-22", "forever"]
    assert _prune(ledger, 2**62) == (1, 1)
    assert _windows(ledger) == ["forever"]
    with looking(ledger) as connection:
        assert list(verify.findings(connection, time.time_ns())) == []


def test_a_window_that_somebody_holds_stays(ledger):
    """A reservation keeps its window, however old."""
    writer = Writer.of_file(ledger)
    writer.reserve("late", [line(limit=10**12)])
    assert _prune(ledger, 2**62) == (1, 1)
    assert _windows(ledger) == ["2026-11-21", "forever"]
    writer.close(5)


def test_steps_are_small(ledger, monkeypatch):
    """One transaction takes a step's worth, the next the rest."""
    monkeypatch.setattr(pruning, "STEP", 1)
    assert [_prune(ledger, 2**62) for _ in range(3)] == [(1, 1), (1, 1), (0, 0)]


def test_refusals(ledger):
    """Which budget refused a call goes with the day; what calls took stays."""
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        for number, at_ns in enumerate((5, 9)):
            settlement = Settlement(None, (), refused=line(7, window=FOREVER))
            settle_now(connection, f"blocked-{number}", settlement, at_ns)
        assert prune_refusals(connection, 9) == 1
        assert connection.execute(
            "SELECT call_id, nano, tokens, calls, reserved_nano, reserved_calls FROM budget_entries WHERE nano = 0"
        ).fetchall() == [("blocked-1", 0, 0, 0, 7, 1)]
        assert connection.execute("SELECT count(*) FROM budget_entries").fetchone() == (4,)


def test_alerts_that_were_seen(ledger):
    """Alerts that were read or are resolved go with what was sent of them; those that nobody has read stay."""
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        for number, (at_ns, state) in enumerate(((5, "read"), (5, "resolved"), (5, "unread"), (9, "read"))):
            connection.execute(
                "INSERT INTO alerts (id, fingerprint, at_ns, kind, severity, title, details, state) "
                "VALUES (?, ?, ?, 'k', 'info', 't', '{}', ?)",
                (f"a{number}", f"f{number}", at_ns, state),
            )
            connection.execute(
                "INSERT INTO deliveries (alert_id, channel, next_ns) VALUES (?, 'mail', 1)", (f"a{number}",)
            )
        assert old(connection, 9).alerts == 2
        assert prune_alerts(connection, 9) == 2
        for column, table in (("id", "alerts"), ("alert_id", "deliveries")):
            assert connection.execute(f"SELECT {column} FROM {table} ORDER BY 1").fetchall() == [("a2",), ("a3",)]
