"""The scripted faults of the way: what becomes of an answer's bytes before they are sent."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_aicost.testing.exchange import Answer
    from otel_aicost.testing.reply import Reply

_GZIP = 31
"""The window bits that make zlib write a gzip header."""


def chunks(answer: Answer, reply: Reply) -> list[bytes]:
    """The chunks to send, with everything the reply wants done to them, except for delays and drops."""
    found: Iterable[bytes] = answer.chunks
    if answer.streamed and reply.error_after is not None:
        found = [*answer.chunks[: reply.error_after], answer.failure]
    if answer.content_type.startswith("text/event-stream"):
        found = _dressed(found, reply)
    if reply.truncate is not None:
        found = [b"".join(found)[: reply.truncate]]
    if reply.gzip:
        found = _compressed(found)
    if reply.chunk_bytes:
        found = _cut(b"".join(found), reply.chunk_bytes)
    return list(found)


def _dressed(events: Iterable[bytes], reply: Reply) -> Iterator[bytes]:
    for event in events:
        text = b": still working\n\n" + event if reply.comments else event
        yield text.replace(b"\n", b"\r\n") if reply.crlf else text


def _compressed(found: Iterable[bytes]) -> Iterator[bytes]:
    squeeze = zlib.compressobj(wbits=_GZIP)
    for piece in found:
        yield squeeze.compress(piece) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    yield squeeze.flush()


def _cut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))
