"""Sees in a moment that a budget alert was raised, and tells every Alertmanager what fires."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final

from otel_aicost import faults
from otel_aicost.config import Server
from otel_aicost.errors import LedgerError
from otel_aicost.ledger.opening import NoLedgerYetError, looking
from otel_aicost.ledger.received import SKEW_NS
from otel_aicost.server.pages import pages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from otel_aicost.budgets.budget import Plan
    from otel_aicost.server.alertmanager import Alertmanager
    from otel_aicost.server.pages import Labels, Page

FILE_SECONDS: Final = 0.25
SERVER_SECONDS: Final = 1.0
"""How often a ledger in a file, and one on a server, is looked at: a look is a connection and one row."""
AT_LEAST_SECONDS: Final = 2.0
"""How often a file is looked into though it seems to be as it was: its times are not exact."""
EVERY_SECONDS: Final = 60.0
"""How often all that fires is worked out and posted anew."""
WAIT_SECONDS: Final = 1.0
RECENT_NS: Final = 3600 * 10**9
"""Rows of the last hour are counted: clocks of hosts differ, so that the newest row is not always the last."""
_SECOND: Final = 10**9


class Watcher:
    """A thread that looks while the server runs. What it cannot do is counted, said once a minute, and tried again."""

    def __init__(
        self,
        place: Path | Server,
        plan_of: Callable[[], Plan],
        alertmanagers: Sequence[Alertmanager],
    ) -> None:
        """`plan_of` gives the budgets of the file as they are now."""
        self._place = place
        self._plan_of = plan_of
        self._alertmanagers = alertmanagers
        self._stop = threading.Event()
        self._alerts: object = None
        self._rest: tuple[object, ...] = ()
        self._looked_ns = 0
        self._state: tuple[object, ...] = ()
        self._next_look = 0.0
        self._firing: dict[Labels, Page] = {}
        self._next_full = 0.0
        self._thread = threading.Thread(target=self._run, name="aicost-budget-alerts", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; it does not wait for a look that is under way."""
        self._stop.set()

    def _run(self) -> None:
        pause = SERVER_SECONDS if isinstance(self._place, Server) else FILE_SECONDS
        while not self._stop.wait(pause):
            try:
                if self._touched():
                    self._look(time.time_ns())
            except NoLedgerYetError:
                continue
            except LedgerError as error:
                faults.say("budget alerts", "budget alerts are not watched: %s", error)
            except Exception as error:  # noqa: BLE001 - a defect here must not end the watch
                faults.report("budget alerts", error)

    def _touched(self) -> bool:
        """Whether it is worth a look: a file that nobody wrote to has no news."""
        if isinstance(self._place, Server):
            return True
        path = os.path.realpath(self._place)  # SQLite names the files beside it after the target of a link
        state = tuple(_state(f"{path}{suffix}") for suffix in ("", "-wal"))
        now = time.monotonic()
        if state == self._state and now < self._next_look:
            return False
        self._state, self._next_look = state, now + AT_LEAST_SECONDS
        return True

    def _look(self, now_ns: int) -> None:
        plan = self._plan_of()
        with looking(self._place, WAIT_SECONDS) as connection:
            alerts, events = connection.execute(_NEWS, (now_ns - RECENT_NS,) * 2).fetchall()
            rest = (id(plan), events)
            everything = rest != self._rest or self._due(now_ns)
            if not everything and alerts == self._alerts:
                return
            found = pages(connection, plan.budgets, now_ns, 0 if everything else self._looked_ns - SKEW_NS)
        self._alerts, self._rest, self._looked_ns = alerts, rest, now_ns
        if everything:
            self._firing = {}
            self._next_full = time.monotonic() + EVERY_SECONDS
        self._firing |= {page.labels: page for page in found}
        for alertmanager in self._alertmanagers:
            alertmanager.tell(self._firing)

    def _due(self, now_ns: int) -> bool:
        """Whether it is time to say it all again, or something may be over."""
        now = now_ns // _SECOND
        over = any(page.look_at is not None and page.look_at <= now for page in self._firing.values())
        return over or time.monotonic() >= self._next_full


def _state(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - four times a second; half the time of `Path.stat`
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


_NEWS: Final = """
    SELECT 1, count(*), max(at_ns) FROM alerts WHERE at_ns >= ?
    UNION ALL
    SELECT 2, count(*), max(at_ns) FROM events WHERE at_ns >= ?
    ORDER BY 1
"""
