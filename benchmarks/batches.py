"""The child that measures one set-up: `python -m benchmarks.batches SETUP`, told on stdin which calls to make."""

from __future__ import annotations

import gc
import json
import sys
import time

from benchmarks.calls import WORKLOADS, Maker
from benchmarks.setups import Setup

ORDER = (False, True, True, False)
"""A drift of the machine's speed cancels out."""


def microseconds(setup: Setup, maker: Maker, name: str, *, on: bool) -> float:
    """CPU time of a call, over all threads, the work in the background included."""
    setup.switch(on=on)
    gc.collect()
    before = time.process_time()
    maker.run(name)
    if on:
        setup.flush()
    return (time.process_time() - before) * 1e6 / WORKLOADS[name].calls


def main() -> None:
    setup, maker = Setup(sys.argv[1]), Maker()
    for name in WORKLOADS:
        for on in ORDER:
            microseconds(setup, maker, name, on=on)
    print("ready", flush=True)
    for line in sys.stdin:
        off, there, again, after = (microseconds(setup, maker, line.strip(), on=on) for on in ORDER)
        print(json.dumps([[off, there], [after, again]]), flush=True)


if __name__ == "__main__":
    main()
