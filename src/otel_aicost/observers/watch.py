"""What watches over a ledger in the background: looks for what to warn of, and sends the alerts that are due.

None of it is on the way of a call. One process of a ledger looks every five minutes, by a lease in the ledger; every
process sends, each message by whoever takes it. `aicost alerts check` does both once.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from otel_aicost import faults
from otel_aicost.alerts.message import message
from otel_aicost.alerts.settings import ChannelError
from otel_aicost.errors import LedgerError
from otel_aicost.ledger import deliveries, watching
from otel_aicost.ledger.alerts import raise_alert
from otel_aicost.observers.channels import SECONDS, Sending
from otel_aicost.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.alerts.alert import AlertRow
    from otel_aicost.alerts.settings import AlertSettings, Channel
    from otel_aicost.ledger.balances import Settlement
    from otel_aicost.ledger.deliveries import Taken
    from otel_aicost.ledger.visits import Visits
    from otel_aicost.model import Record

EVERY_SECONDS: Final = 300.0
EARLY_SECONDS: Final = 5.0
"""A lease ends a little before the next round, so that the process that has it keeps it."""
FIRST_SECONDS: Final = 5.0
"""After the first call: a program that lives no longer has no time for it."""
EXIT_SECONDS: Final = 3.0
"""The longest a message that was raised at the end may hold up the exit."""
TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.5
_LEAST_PAUSE: Final = 1.0
_SECOND: Final = 10**9


class Watch:
    """Watches in a thread that begins with the first call and ends with the process; an observer of calls by that."""

    def __init__(
        self,
        visits: Visits,
        settings: Callable[[], AlertSettings | None],
        announce: Callable[[AlertRow], None],
    ) -> None:
        """`settings` are asked for in each round; `announce` is told of what this process raised."""
        self._visits = visits
        self._settings = settings
        self._announce = announce
        self._closing = False
        self._begin()
        self._worker: Worker[None] = Worker("aicost-alerts", self._work, self._after_fork)

    def _begin(self) -> None:
        self._begun = False
        self._timer: threading.Timer | None = None
        self._look_at = 0.0

    def after(self, record: Record, settlement: Settlement | None) -> None:  # noqa: ARG002 - the protocol's
        """Begin with the first call."""
        if not self._begun:
            self._begun = True
            self._look_at = time.monotonic() + FIRST_SECONDS
            self._later(FIRST_SECONDS)

    def wake(self) -> None:
        """There is something to send."""
        if not self._closing:
            self._begun = True
            self._worker.put(None)

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - the protocol's
        """Wait for nothing: messages are sent whenever they can be."""
        return True

    def close(self, timeout: float) -> bool:
        """End. What is being sent has a moment; what has not arrived by then is sent by whoever comes next."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._worker.close(min(timeout, EXIT_SECONDS))
        return True

    def _work(self, _wakes: list[None]) -> None:
        settings = self._settings()
        pause = EVERY_SECONDS
        try:
            if settings is None:
                return
            now = time.monotonic()
            if not self._closing and now >= self._look_at:
                self._look_at = now + EVERY_SECONDS
                self._look(settings)
            if settings.channels:
                send_due(self._visits, settings, EXIT_SECONDS if self._closing else SECONDS, _say)
                pause = self._pause(settings)
        except LedgerError as error:
            faults.report("alerts", error)
        finally:
            self._later(min(pause, max(_LEAST_PAUSE, self._look_at - time.monotonic())))

    def _look(self, settings: AlertSettings) -> None:
        now_ns = time.time_ns()
        until_ns = now_ns + int((EVERY_SECONDS - EARLY_SECONDS) * _SECOND)
        with self._visits.visit() as store, store.transaction() as connection:
            mine = watching.claim(connection, now_ns, until_ns)
        if mine:
            for row in check(self._visits, settings, now_ns):
                self._announce(row)

    def _pause(self, settings: AlertSettings) -> float:
        """Until the next message is due."""
        names = [channel.name for channel in settings.channels]
        with self._visits.visit() as store, store.reading() as connection:
            found = deliveries.next_ns(connection, names, time.time_ns())
        return EVERY_SECONDS if found is None else max(_LEAST_PAUSE, (found - time.time_ns()) / _SECOND)

    def _later(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._closing:
            return
        self._timer = threading.Timer(seconds, self._worker.put, (None,))
        self._timer.daemon = True
        try:
            self._timer.start()
        except RuntimeError:  # the interpreter is shutting down
            self._timer = None

    def _after_fork(self) -> None:
        self._begin()
        self._visits.after_fork()


def check(visits: Visits, settings: AlertSettings, now_ns: int) -> list[AlertRow]:
    """Look at the ledger now, and raise what is due: the alerts that were raised by that. Raises `LedgerError`."""
    with visits.visit() as store:
        with store.reading() as connection:
            found = watching.look(connection, settings, now_ns)
        if not found:
            return []
        with store.transaction() as connection:
            return [row for row in found if raise_alert(connection, row)]


def send_due(
    visits: Visits,
    settings: AlertSettings,
    seconds: float = SECONDS,
    failed: Callable[[ChannelError], object] = lambda _: None,
) -> int:
    """Send to each channel what is due, all of them at once; how many alerts have arrived. Raises `LedgerError`.

    A message that does not arrive within `seconds` is tried again later; `failed` is told of it.
    """
    now_ns = time.time_ns()
    with visits.visit() as store, store.transaction() as connection:
        deliveries.enqueue(connection, settings.channels, now_ns)
        taken = {channel: deliveries.take(connection, channel.name, now_ns) for channel in settings.channels}
    sendings = [
        (Sending(channel, message([each.alert for each in some], settings.timezone)), some)
        for channel, some in taken.items()
        if some
    ]
    for sending, _ in sendings:
        sending.start()
    arrived = 0
    until = time.monotonic() + seconds
    for sending, some in sendings:
        error = None
        try:
            sending.wait(until)
            arrived += len(some)
        except ChannelError as found:
            error = found
            failed(found)
        _note(visits, sending.channel, some, error)
    return arrived


def _note(visits: Visits, channel: Channel, some: list[Taken], error: ChannelError | None) -> None:
    """Put down how it went; a ledger that is busy is tried again, as a message that is not noted is sent twice."""
    for tried in range(1, TRIES + 1):
        try:
            with visits.visit() as store, store.transaction() as connection:
                if error is None:
                    deliveries.sent(connection, channel.name, some, time.time_ns())
                else:
                    deliveries.failed(connection, channel.name, some, str(error), time.time_ns())
        except LedgerError:
            if tried == TRIES:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _say(error: ChannelError) -> None:
    faults.say(f"alerts {error.args[0]}", "otel-aicost: an alert was not sent, and is tried again: %s", error)
