"""Our own errors: counted, logged once a minute at the most, and never passed on to the application.

They are caught in few named places (reading a response, calling an observer, a background worker); each hands the
exception to `report`. `counts` is what `aicost.client.internal_errors` and `aicost doctor` show.
"""

from __future__ import annotations

import logging
import time
from collections import Counter

LOGGER = logging.getLogger("otel_aicost")
QUIET_SECONDS = 60.0

_counts: Counter[str] = Counter()
_last_said: dict[str, float] = {}


def report(where: str, error: BaseException) -> None:
    """Count an internal error at `where` and log it unless `where` was logged within the last minute."""
    _counts[where] += 1
    say(where, "otel-aicost failed in %s and carries on: %s: %s", where, type(error).__name__, error)
    LOGGER.debug("the error in %s", where, exc_info=error)


def say(topic: str, message: str, *arguments: object) -> None:
    """Log a warning on `topic`, once a minute at the most."""
    now = time.monotonic()
    if now - _last_said.get(topic, -QUIET_SECONDS) < QUIET_SECONDS:
        return
    _last_said[topic] = now
    LOGGER.warning(message, *arguments)


def counts() -> dict[str, int]:
    """How often each place has failed in this process."""
    return dict(_counts)


def reset() -> None:
    """Forget all; for tests."""
    _counts.clear()
    _last_said.clear()
