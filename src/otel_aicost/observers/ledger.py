"""The observer that keeps every record in the ledger."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_aicost.ledger.balances import Settlement
    from otel_aicost.ledger.fleet import Fleet
    from otel_aicost.ledger.writer import Writer
    from otel_aicost.model import Record
    from otel_aicost.observers.heartbeats import Heartbeats


class LedgerObserver:
    """Hands each record to the writer of the ledger, with what it takes of its budgets."""

    def __init__(self, writer: Writer | Fleet, heartbeats: Heartbeats | None = None) -> None:
        """`heartbeats` tell the ledger of this process."""
        self.writer = writer
        self._heartbeats = heartbeats

    def after(self, record: Record, settlement: Settlement | None) -> None:
        """Queue the record; about a microsecond."""
        self.writer.put(record, settlement)
        if self._heartbeats is not None:
            self._heartbeats.called(record.service)

    def flush(self, timeout: float) -> bool:
        """Wait until the records are in the ledger; `False` if they are not after `timeout` seconds."""
        return self.writer.flush(timeout)

    def close(self, timeout: float) -> bool:
        """Flush and close the ledger."""
        deadline = time.monotonic() + timeout
        if self._heartbeats is not None:
            self._heartbeats.end()
        return self.writer.close(max(0.0, deadline - time.monotonic()))
