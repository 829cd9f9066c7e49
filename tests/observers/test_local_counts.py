"""The count a process keeps of its own: what it knows of each window while the ledger does not answer."""

from __future__ import annotations

import os
import threading

import pytest

from budgets.lines import DAY, line, taking
from otel_aicost.budgets.budget import Amounts, Limits
from otel_aicost.budgets.window import Period, Window, parse_period, window_at
from otel_aicost.observers import local_counts
from otel_aicost.observers.local_counts import KEPT, LocalCounts

NEXT = Window("2026-11-22", DAY.end, DAY.end + 86_400)


def here(asked=1, **more):
    """A line of a budget that is counted here."""
    return line(asked, **{"on_exceed": "block", "on_store_down": "local", **more})


def fits(counts, *lines):
    return counts.admit(lines) is None


@pytest.fixture
def counts():
    return LocalCounts()


def test_it_begins_with_nothing_and_ends_at_the_limit(counts):
    """A window that was never seen is taken for unspent."""
    assert [fits(counts, here(3)) for _ in range(5)] == [True, True, True, False, False]
    assert fits(counts, here(1))
    refusal = counts.admit([here(1)])
    assert (refusal.spent, refusal.unit, refusal.resets_at) == (Amounts(10, 0, 4), 0, DAY.end)


def test_it_begins_with_what_was_seen_last(counts):
    """The ledger told twice: the second time counts, and then what the process admitted."""
    counts.saw(here(), Amounts(2, 0, 1))
    counts.admitted([here(1)])
    counts.saw(here(), Amounts(7, 0, 5))
    counts.admitted([here(2)])
    assert [fits(counts, here(1)) for _ in range(2)] == [True, False]


def test_all_or_none(counts):
    """A call that one window has no room for is counted in none."""
    assert not fits(counts, here(5), here(5, name="c", limit=4))
    assert fits(counts, here(10))


def test_a_look_counts_nothing(counts):
    """It says what `admit` would."""
    assert [counts.look([here(asked)]) is None for asked in (10, 10, 11)] == [True, True, False]
    assert fits(counts, here(10))
    assert counts.look([here(1)]).spent == Amounts(10, 0, 1)


def test_what_a_call_took_takes_the_place_of_what_was_foreseen(counts):
    """More or less than foreseen, or nothing."""
    for took, left in ((taking(here(), 3), 7), (taking(here(), 0, calls=0), 7)):
        assert counts.admit([here(5)]) is None
        counts.settled([here(5)], [took])
        assert not fits(counts, here(left + 1))
    counts.settled([], [taking(here(), 7)])  # a second response of a call, or one made by hand
    assert not fits(counts, here(1))


def test_tokens_and_calls_have_their_limits(counts):
    """Each unit is counted by itself."""
    assert [fits(counts, here(0, calls=2)) for _ in range(3)] == [True, True, False]


def test_other_budgets_are_passed_over(counts):
    """What is open or closed, or only warns, is not counted."""
    for more in ({"on_store_down": "open"}, {"on_store_down": "closed"}, {"on_exceed": "warn"}):
        assert all(fits(counts, here(10, **more)) for _ in range(3))
        counts.saw(here(**more), Amounts(10, 0, 1))
        counts.settled([], [here(10, **more)])
    assert not counts._counts


def test_what_passes_is_counted_and_not_stopped(counts):
    """The call a budget falls back to."""
    passing = here(8)._replace(passes=True)
    assert [fits(counts, passing) for _ in range(3)] == [True] * 3
    assert not fits(counts, here(1))


def test_a_new_window_begins_with_nothing(counts):
    """The next day has its own count."""
    assert [fits(counts, here(10)), fits(counts, here(10)), fits(counts, here(10, window=NEXT))] == [True, False, True]


def test_limits_that_were_set_in_the_ledger_go_on_to_hold(counts):
    """The last ones seen; what is not checked on purpose stays so."""
    counts.saw(here(limit=20), Amounts(9, 0, 1))
    assert [fits(counts, here(6)) for _ in range(2)] == [True, False]
    assert fits(counts, here(6)._replace(checked=Limits()))


def test_a_rolling_window_moves_on(counts):
    """What was admitted counts for the length of the period, and not for ever."""
    from zoneinfo import ZoneInfo

    period = parse_period("rolling 1m")

    def at(second, asked=10):
        return here(asked, window=window_at(period, 1_800_000_000 + second, ZoneInfo("UTC")), period=period)

    assert fits(counts, at(0))
    assert [fits(counts, at(second, 1)) for second in (1, 30, 59)] == [False] * 3
    assert fits(counts, at(62))
    assert len(counts._counts) == 1
    assert all(len(count.taken) <= 61 for count in counts._counts.values())
    counts.saw(at(70), Amounts(10, 0, 3))
    assert not fits(counts, at(100, 1))
    assert fits(counts, at(132))


def test_forever_is_for_ever(counts):
    """A window without an end."""
    window = Window("forever", None, None)
    assert [fits(counts, here(6, window=window, period=Period("forever"))) for _ in range(2)] == [True, False]


def test_memory_is_bounded(counts):
    """Of very many windows those looked at longest ago are forgotten."""
    for number in range(KEPT + 10):
        counts.saw(here(key=str(number)), Amounts(10, 0, 1))
    assert len(counts._counts) == KEPT
    assert fits(counts, here(key="3"))
    assert not fits(counts, here(key=str(KEPT)))


def test_threads_together_pass_no_limit(counts):
    """Twenty threads race for a hundred calls."""
    admitted, start = [], threading.Barrier(20)

    def race():
        start.wait()
        admitted.extend(fits(counts, here(1, limit=100)) for _ in range(20))

    threads = [threading.Thread(target=race) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(admitted) == 100


def test_a_fork_in_the_middle_of_a_count_stops_no_child(counts):
    """The child has a lock of its own, and knows what its parent knew."""
    assert fits(counts, here(6))
    with local_counts._lock:
        pid = os.fork()
        if pid == 0:
            os._exit(0 if [fits(counts, here(6)), fits(counts, here(4))] == [False, True] else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert fits(counts, here(4))
