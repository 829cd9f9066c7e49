"""A server that sends each chunk of a body only when the test says so."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_WAIT = 10
"""Seconds until a test that hangs fails."""


class Dripping:
    """Answers every request with the same body, one chunk for each `release`."""

    def __init__(self, chunks: Sequence[bytes], content_type: str = "text/event-stream") -> None:
        self._chunks = chunks
        self._head = (
            f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        ).encode()
        self._released = threading.Semaphore(0)
        self._dropped = False
        self.sent = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def release(self, count: int = 1) -> None:
        """Let `count` more chunks be sent."""
        for _ in range(count):
            self._released.release()

    def drop(self) -> None:
        """Close the connection in place of the next chunk."""
        self._dropped = True
        self.release()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(LONGEST_WAIT)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while len(body) < int(lengths[0].split(b":")[1]):
            body += connection.recv(65536)
        connection.sendall(self._head)
        for chunk in self._chunks:
            assert self._released.acquire(timeout=LONGEST_WAIT)
            if self._dropped:
                return
            connection.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.sent += 1
        connection.sendall(b"0\r\n\r\n")


def chat_events(words: Sequence[str], usage: str | None = None) -> list[bytes]:
    """The events of a chat stream that says `words`, each with a space after it."""
    head = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-2024-08-06"'
    events = [
        f'data: {{{head},"choices":[{{"index":0,"delta":{{"content":"{word} "}},"finish_reason":null}}]}}\n\n'
        for word in words
    ]
    events.append(f'data: {{{head},"choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}]}}\n\n')
    if usage:
        events.append(f'data: {{{head},"choices":[],"usage":{usage}}}\n\n')
    return [event.encode() for event in [*events, "data: [DONE]\n\n"]]


def claude_events(words: Sequence[str], input_tokens: int = 40, output_tokens: int = 200) -> list[bytes]:
    """The events of a stream of Anthropic's that says `words`."""
    start = (
        '{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],'
        '"model":"claude-haiku-4-5","stop_reason":null,"stop_sequence":null,'
        f'"usage":{{"input_tokens":{input_tokens},"output_tokens":1}}}}}}'
    )
    block = '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
    deltas = [
        f'{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{word} "}}}}' for word in words
    ]
    end = (
        '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        f'"usage":{{"output_tokens":{output_tokens}}}}}'
    )
    said = [start, block, *deltas, '{"type":"content_block_stop","index":0}', end, '{"type":"message_stop"}']
    kinds = [text.split('"')[3] for text in said]
    return [f"event: {kind}\ndata: {text}\n\n".encode() for kind, text in zip(kinds, said, strict=True)]
