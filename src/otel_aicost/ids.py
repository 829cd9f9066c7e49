"""Ids of ours: unique over all machines, in the order of time, made without asking the kernel."""

from __future__ import annotations

import os
import random
import time

# Of our own, as applications seed the shared one; asking the kernel for each id takes ten times as long.
_noise = random.Random()  # noqa: S311 - unique, not secret
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_noise.seed)


def new_id() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, the rest random."""
    now = time.time_ns()
    noise = _noise.getrandbits(74) ^ now  # a restored snapshot repeats the generator, but not the clock
    high = (now // 1_000_000 << 16) | 0x7000 | (noise >> 62)
    low = (0b10 << 62) | (noise & ((1 << 62) - 1))
    digits = f"{high:016x}{low:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
