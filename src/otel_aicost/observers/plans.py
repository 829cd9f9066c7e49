"""The budgets that hold in this process: those of the file as it is now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from otel_aicost import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from otel_aicost.budgets.budget import Plan

State: TypeAlias = tuple[int, int, int]


class Plans:
    """Reads the file of budgets again when it was changed, so that a new limit holds for the next call."""

    def __init__(self, path: Path | None, load: Callable[[], tuple[Plan, list[str]]]) -> None:
        """Read them for the first time; `path` is the file that `load` reads, if there is one."""
        self._path = path
        self._load = load
        self._state = _state(path)
        self._plan, mistakes = load()
        self.changed: Callable[[Plan], object] | None = None
        """Told of each plan that takes the place of another."""
        _say(mistakes)

    def now(self) -> Plan:
        """The budgets that hold for a call that begins now; a microsecond where the file is as it was."""
        state = _state(self._path)
        if state != self._state:
            self._state = state
            self._read_again()
        return self._plan

    def _read_again(self) -> None:
        plan, mistakes = self._load()
        if mistakes or self._state is None:
            _say(mistakes or [f"{self._path} is gone"])
            faults.LOGGER.warning("otel-aicost: the budgets stay as they were until %s is mended", self._path)
            return
        self._plan = plan
        if self.changed is not None:
            self.changed(plan)


def _state(path: Path | None) -> State | None:
    if path is None:
        return None
    try:
        found = os.stat(path)  # noqa: PTH116 - asked in every call; half the time of `Path.stat`
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _say(mistakes: list[str]) -> None:
    for mistake in mistakes:
        faults.LOGGER.warning("otel-aicost: %s", mistake)
