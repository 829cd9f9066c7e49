"""The smallest observer: one line of JSON a record, appended to a file that several processes may share.

`docs/ledger.md` names the keys.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from otel_aicost import faults
from otel_aicost.ledger.row import bill, plain
from otel_aicost.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from otel_aicost.ledger.balances import Settlement
    from otel_aicost.model import Record

_AS_THEY_ARE = (
    *("id", "duration_ns", "first_chunk_ns", "provider", "operation", "request_model", "response_model"),
    *("asked_model", "response_id", "status", "estimated", "error_type", "service", "host", "stream", "sdk"),
    *("trace_id", "span_id"),
)


class JsonlObserver:
    """Appends records to `path` (made with mode 0600) in the background; `lost` counts those it could not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = 0
        self._torn = False
        self._worker: Worker[Record] = Worker("jsonl", self._append)

    def after(self, record: Record, settlement: Settlement | None) -> None:  # noqa: ARG002 - the protocol's
        """Queue the record."""
        self._worker.put(record)

    def flush(self, timeout: float) -> bool:
        """Wait until the lines are in the file or lost; `False` after `timeout` seconds."""
        return self._worker.flush(timeout)

    def close(self, timeout: float) -> bool:
        """Flush."""
        return self._worker.close(timeout)

    def _append(self, records: list[Record]) -> None:
        lines = [line for record in records if (line := self._line(record))]
        data, written = b"".join(lines), 0
        try:
            # Opened for each batch: a rotated file is left alone, and no descriptor crosses a fork. One
            # `write` with O_APPEND is not interleaved with those of other processes.
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if self._torn:
                    os.write(descriptor, b"\n")
                    self._torn = False
                written = os.write(descriptor, data)
            finally:
                os.close(descriptor)
        except OSError as error:
            faults.report("jsonl", error)
        whole = data.count(b"\n", 0, written)
        if 0 < written < len(data):  # a full disk cut a line short, which must not swallow the next one
            self._torn = True
            faults.report("jsonl", OSError(f"{self.path} took {whole} of {len(lines)} lines"))
        self.lost += len(lines) - whole

    def _line(self, record: Record) -> bytes:
        try:
            return json.dumps(line(record), separators=(",", ":"), default=str).encode() + b"\n"
        except Exception as error:  # noqa: BLE001 - one record that is none must not keep the others out
            self.lost += 1
            faults.report("jsonl", error)
            return b""


def line(record: Record) -> dict[str, object]:
    """Give the object of one line: money is text in dollars and a whole number of nano-dollars."""
    believed = bill(record)
    cost, unpriced = believed.cost, believed.unpriced
    seconds, rest = divmod(record.started_ns, 1_000_000_000)
    return {
        "time": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z",
        **{key: getattr(record, key) for key in _AS_THEY_ARE},
        "usage_state": believed.usage_state,
        "usage": {meter: plain(quantity) for meter, quantity in believed.usage.items()},
        "conditions": dict(record.conditions),
        "tags": dict(record.tags),
        "cost_usd": None if cost is None else f"{cost.total:f}",
        "cost_nano": believed.nano,
        "cost_source": None if cost is None else cost.source,
        "price_id": None if cost is None else cost.price_id,
        "price_date": None if cost is None else cost.price_date,
        "catalogue": None if cost is None else cost.catalogue,
        "parts": [
            {
                "meter": part.meter,
                "quantity": plain(part.quantity),
                "price_usd": f"{part.price:f}",
                "per": part.per,
                "amount_nano": nano,
            }
            for part, nano in believed.parts
        ],
        "unpriced": None if unpriced is None else unpriced.reason,
        "unpriced_detail": None if unpriced is None else unpriced.detail,
    }
