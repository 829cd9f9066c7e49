"""The calls that are measured: each a function that makes so many of them with the real SDKs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import openai

from benchmarks.wire import CHUNKS, Provider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PROMPT: list[Any] = [
    {"role": "system", "content": "Answer in one sentence."},
    {"role": "user", "content": "Which invoices are open? " * 20},
]
GPT, CLAUDE, EMBEDDER = "gpt-4o", "claude-3-5-sonnet-20241022", "text-embedding-3-small"
USAGE_PLEASE: Any = {"include_usage": True}


class Clients:
    """The SDKs' clients, with a transport that answers from memory."""

    def __init__(self, chunks: int = CHUNKS) -> None:
        here = {"api_key": "not-a-key", "max_retries": 0}
        sync, other = httpx2.Client(transport=Provider(chunks)), httpx2.AsyncClient(transport=Provider(chunks))
        self.openai = openai.OpenAI(**here, http_client=sync)
        self.openai_async = openai.AsyncOpenAI(**here, http_client=other)
        self.anthropic = anthropic.Anthropic(**here, http_client=sync)

    def chat(self, model: str = GPT) -> Any:
        return self.openai.chat.completions.create(model=model, messages=PROMPT, temperature=0.2)

    def chat_stream(self) -> Any:
        return self.openai.chat.completions.create(
            model=GPT, messages=PROMPT, stream=True, stream_options=USAGE_PLEASE
        )

    def stream(self) -> None:
        for _ in self.chat_stream():
            pass

    def respond(self) -> None:
        self.openai.responses.create(model=GPT, input="Which invoices are open? " * 20, temperature=0.2)

    def embed(self) -> None:
        self.openai.embeddings.create(model=EMBEDDER, input="Which invoices are open?", encoding_format="float")

    def message(self) -> None:
        self.anthropic.messages.create(model=CLAUDE, max_tokens=300, messages=PROMPT[1:])

    def message_stream(self) -> None:
        for _ in self.anthropic.messages.create(model=CLAUDE, max_tokens=300, messages=PROMPT[1:], stream=True):
            pass

    async def chat_async(self) -> None:
        await self.openai_async.chat.completions.create(model=GPT, messages=PROMPT, temperature=0.2)

    async def stream_async(self) -> None:
        async for _ in await self.openai_async.chat.completions.create(
            model=GPT, messages=PROMPT, stream=True, stream_options=USAGE_PLEASE
        ):
            pass


@dataclass(frozen=True)
class Workload:
    """A kind of call; `calls` of them are one batch, `at_once` of them run concurrently."""

    title: str
    make: Callable[[Clients], Callable[[], Any]]
    calls: int
    at_once: int = 0
    chunks: int = 0


WORKLOADS = {
    "chat": Workload("chat", lambda c: c.chat, 150),
    "chat-async": Workload("chat async, 50 at once", lambda c: c.chat_async, 150, 50),
    "stream": Workload("stream, 200 chunks", lambda c: c.stream, 16, 0, CHUNKS),
    "stream-async": Workload("stream async, 10 at once", lambda c: c.stream_async, 20, 10, CHUNKS),
    "responses": Workload("responses", lambda c: c.respond, 150),
    "embeddings": Workload("embeddings", lambda c: c.embed, 150),
    "messages": Workload("Anthropic messages", lambda c: c.message, 150),
    "message-stream": Workload("Anthropic stream, 200 deltas", lambda c: c.message_stream, 16, 0, CHUNKS),
}


class Maker:
    """Makes batches of calls, the asynchronous ones all in one event loop."""

    def __init__(self) -> None:
        self._clients = Clients()
        self._loop = asyncio.new_event_loop()

    def run(self, name: str) -> None:
        workload = WORKLOADS[name]
        call = workload.make(self._clients)
        if workload.at_once:
            self._loop.run_until_complete(_at_once(call, workload.calls, workload.at_once))
            return
        for _ in range(workload.calls):
            call()


async def _at_once(call: Callable[[], Awaitable[None]], calls: int, tasks: int) -> None:
    async def some() -> None:
        for _ in range(calls // tasks):
            await call()

    await asyncio.gather(*[some() for _ in range(tasks)])
