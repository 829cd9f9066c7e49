"""What did that cost: a scope that adds up the calls made inside it."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from decimal import Decimal
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from otel_aicost.model import Record

_open_scopes: ContextVar[tuple[track, ...]] = ContextVar("otel_aicost_tracks", default=())
_settle: Callable[[], object] = lambda: None  # noqa: E731


class track:  # noqa: N801 - used like a statement: `with track() as spent:`
    """Add up the calls made inside: `with track() as spent: ...; print(spent.usd)`.

    Calls of tasks and threads that run with this context count as well, also those that end later. Scopes nest.
    Reading a figure waits, at most a second, for calls that are still being priced in the background.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._usd = Decimal(0)
        self._calls = self._unpriced = self._estimated = self._input = self._output = 0

    def __enter__(self) -> Self:
        _open_scopes.set((*_open_scopes.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _open_scopes.set(tuple(scope for scope in _open_scopes.get() if scope is not self))

    def add(self, record: Record) -> None:
        """Count a finished call."""
        with self._lock:
            self._calls += 1
            self._usd += record.cost.total if record.cost is not None else 0
            self._unpriced += record.unpriced is not None
            self._estimated += record.estimated
            self._input += int(record.usage.get("input_tokens", 0))
            self._output += int(record.usage.get("output_tokens", 0))

    @property
    def usd(self) -> Decimal:
        """Dollars of all priced calls; see `unpriced` for how many had no price."""
        _settle()
        return self._usd

    @property
    def calls(self) -> int:
        """Finished calls, failed ones included."""
        _settle()
        return self._calls

    @property
    def unpriced(self) -> int:
        """Calls whose cost is not known and so not in `usd`."""
        _settle()
        return self._unpriced

    @property
    def estimated(self) -> int:
        """Calls whose usage is our estimate."""
        _settle()
        return self._estimated

    @property
    def input_tokens(self) -> int:
        """Tokens sent, cached ones included."""
        _settle()
        return self._input

    @property
    def output_tokens(self) -> int:
        """Tokens generated."""
        _settle()
        return self._output


def open_scopes() -> tuple[track, ...]:
    """The scopes a call that begins here belongs to."""
    return _open_scopes.get()


def settle_with(wait: Callable[[], object]) -> None:
    """Have figures wait by `wait` for calls that are not priced yet."""
    global _settle  # noqa: PLW0603 - one pipeline a process
    _settle = wait
