"""The calls that are measured: each a function that makes so many of them with the real SDKs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import openai

from benchmarks.wire import CHUNKS, Provider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

QUESTION = "Which invoices are open? " * 20
PROMPT: list[Any] = [
    {"role": "system", "content": "Answer in one sentence."},
    {"role": "user", "content": QUESTION},
]
CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": PROMPT, "temperature": 0.2}
STREAM: dict[str, Any] = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
MESSAGE: dict[str, Any] = {"model": "claude-3-5-sonnet-20241022", "max_tokens": 300, "messages": PROMPT[1:]}


class Clients:
    """The SDKs' clients, with a transport that answers from memory."""

    def __init__(self, chunks: int = CHUNKS) -> None:
        here: dict[str, Any] = {"api_key": "not-a-key", "max_retries": 0}
        sync, other = httpx2.Client(transport=Provider(chunks)), httpx2.AsyncClient(transport=Provider(chunks))
        self.openai = openai.OpenAI(**here, http_client=sync)
        self.openai_async = openai.AsyncOpenAI(**here, http_client=other)
        self.anthropic = anthropic.Anthropic(**here, http_client=sync)

    def chat(self) -> None:
        self.openai.chat.completions.create(**CHAT)

    def chat_now_and_then(self) -> None:
        self.chat()
        time.sleep(0.005)

    async def chat_async(self) -> None:
        await self.openai_async.chat.completions.create(**CHAT)

    def stream(self) -> None:
        with self.openai.chat.completions.with_streaming_response.create(**STREAM) as response:
            for _ in response.iter_bytes():
                pass

    async def stream_async(self) -> None:
        async with self.openai_async.chat.completions.with_streaming_response.create(**STREAM) as response:
            async for _ in response.iter_bytes():
                pass

    def message_stream(self) -> None:
        with self.anthropic.messages.with_streaming_response.create(**MESSAGE, stream=True) as response:
            for _ in response.iter_bytes():
                pass

    def respond(self) -> None:
        self.openai.responses.create(model="gpt-4o", input=QUESTION, temperature=0.2)

    def embed(self) -> None:
        self.openai.embeddings.create(model="text-embedding-3-small", input=QUESTION, encoding_format="float")

    def message(self) -> None:
        self.anthropic.messages.create(**MESSAGE)


@dataclass(frozen=True)
class Workload:
    """A kind of call: `calls` of them are a batch, of which `at_once` run concurrently."""

    title: str
    call: Callable[[Clients], Any]
    calls: int
    at_once: int = 0


WORKLOADS = {
    "chat": Workload("chat", Clients.chat, 40),
    "chat-now-and-then": Workload("chat, one every 5 ms", Clients.chat_now_and_then, 30),
    "chat-async": Workload("chat async, 50 at once", Clients.chat_async, 50, 50),
    "stream": Workload("stream, 200 chunks", Clients.stream, 30),
    "stream-async": Workload("stream async, 10 at once", Clients.stream_async, 20, 10),
    "responses": Workload("responses", Clients.respond, 40),
    "embeddings": Workload("embeddings", Clients.embed, 50),
    "messages": Workload("Anthropic messages", Clients.message, 50),
    "message-stream": Workload("Anthropic stream, 200 deltas", Clients.message_stream, 30),
}


class Maker:
    """Makes batches of calls, the asynchronous ones all in one event loop."""

    def __init__(self) -> None:
        self._clients = Clients()
        self._loop = asyncio.new_event_loop()

    def run(self, name: str) -> None:
        workload = WORKLOADS[name]
        if workload.at_once:
            self._loop.run_until_complete(self._at_once(workload.call, workload.calls, workload.at_once))
            return
        for _ in range(workload.calls):
            workload.call(self._clients)

    async def _at_once(self, call: Callable[[Clients], Awaitable[None]], calls: int, tasks: int) -> None:
        async def some() -> None:
            for _ in range(calls // tasks):
                await call(self._clients)

        await asyncio.gather(*[some() for _ in range(tasks)])
