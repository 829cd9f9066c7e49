"""How far a command is, for whoever watches."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class _NoBar:
    """What stands in for a bar where nobody watches."""

    length = 1

    def update(self, steps: int) -> None:
        """Do nothing."""


def bar(label: str, length: int) -> AbstractContextManager[Any]:
    """A bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        return nullcontext(_NoBar())
    return click.progressbar(length=max(1, length), label=label, file=sys.stderr)
