"""Waiting for what happens in other threads and processes."""

from __future__ import annotations

import time


def until(look, seconds=30):
    """What `look` gives as soon as that is something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    msg = "it did not come about"
    raise AssertionError(msg)
