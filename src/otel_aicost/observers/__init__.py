"""What an observer is: told before a call is sent, and of every finished record. Each is one small file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from otel_aicost.model import Call, Record


class Observer(Protocol):
    """The four moments of an observer. An exception out of any of them is reported and goes no further.

    `before` may return anything; the same object comes back with the record of that call (several times when one
    call holds several billable responses, and `None` for records of calls that no SDK made).
    """

    def before(self, call: Call) -> object | None: ...

    def after(self, record: Record, token: object | None) -> None: ...

    def flush(self, timeout: float) -> bool: ...

    def close(self, timeout: float) -> bool: ...
