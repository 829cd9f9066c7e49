"""The observer that keeps every record in the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_aicost.ledger.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path

    from otel_aicost.model import Call, Record


class LedgerObserver:
    """Hands each record to a `Writer`, which is in `writer` for whoever asks how it fares."""

    def __init__(self, path: Path, retention_days: int) -> None:
        self.writer = Writer(path, retention_days)

    def before(self, call: Call) -> None:
        """Nothing is written before a call: the ledger holds what happened."""

    def after(self, record: Record, token: object | None) -> None:  # noqa: ARG002 - the protocol's
        """Queue the record; about a microsecond."""
        self.writer.put(record)

    def flush(self, timeout: float) -> bool:
        """Wait until the records are in the file; `False` if they are not after `timeout` seconds."""
        return self.writer.flush(timeout)

    def close(self, timeout: float) -> bool:
        """Flush and close the file."""
        return self.writer.close(timeout)
