"""The next moment at which there is something to do: one timer at a time, the earliest of those asked for."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER: Final = float("inf")


class Ticker:
    """Calls `wake` after a while, in a thread of its own; never after the interpreter has begun to end."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._at = NEVER

    def later(self, seconds: float) -> None:
        """Wake in so many seconds, unless that is to happen earlier already."""
        at = time.monotonic() + seconds
        if at >= self._at:
            return
        self._at = at
        timer = threading.Timer(seconds, self._tick)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # the interpreter is shutting down
            self._at = NEVER

    def _tick(self) -> None:
        self._at = NEVER
        self._wake()
