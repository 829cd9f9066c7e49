"""How long a step on a server may take: what a call waits for must be over soon, what is in the background need not."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS: Final = 10.0
"""How long a transaction in the background may take, connecting included."""

_here = threading.local()


@contextlib.contextmanager
def hurried(seconds: float) -> Iterator[None]:
    """All that this thread asks a server inside, connecting included, is over after `seconds`, one way or the other."""
    _here.deadline = time.monotonic() + seconds
    try:
        yield
    finally:
        _here.deadline = None


def deadline() -> float:
    """When what this thread begins now must be over, by the monotonic clock."""
    return getattr(_here, "deadline", None) or time.monotonic() + PATIENCE_SECONDS
