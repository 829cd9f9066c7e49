"""Ids of ours: unique over all machines; in the order of time, or the same for the same thing."""

from __future__ import annotations

import hashlib
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
    return _written(high, low)


def stable_id(*parts: str) -> str:
    """A UUIDv8 (RFC 9562) made of `parts`: the same for the same ones, on every machine and for ever.

    The id of what can come more than once, and is to be counted once.
    """
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=16).digest()
    high = int.from_bytes(digest[:8]) & ~0xF000 | 0x8000
    low = int.from_bytes(digest[8:]) & ((1 << 62) - 1) | (0b10 << 62)
    return _written(high, low)


def _written(high: int, low: int) -> str:
    digits = f"{high:016x}{low:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
