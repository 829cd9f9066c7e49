"""Calls of the cohere SDK, of both versions of the API."""

from __future__ import annotations

from typing import Any

import cohere
import httpx

from capture.world import KEY, TRUST
from sdks.driving import COUNTED, SPOKEN, Case, Kind

CHAT = {"model": "command-a-03-2025", "messages": SPOKEN}
CHAT_1 = {"model": "command-r-08-2024", "message": "one two three"}
EMBED = {"model": "embed-v4.0", "input_type": "search_document", "embedding_types": ["float"]}
UNITS = {"billed_units": {"search_units": 2.0}}


class Clients:
    """The clients of both versions, as one."""

    def __init__(self, prefix: str, transport: Any, url: str, *, max_retries: int = 0) -> None:
        self.http = transport(verify=TRUST)
        common = {"api_key": KEY, "base_url": f"{url}/cohere", "httpx_client": self.http}
        self.options: Any = {"request_options": {"max_retries": max_retries}}
        self.one = getattr(cohere, f"{prefix}Client")(**common)
        self.two = getattr(cohere, f"{prefix}ClientV2")(**common)


KIND = Kind(
    "cohere",
    "cohere",
    "fern",
    lambda url, **more: Clients("", httpx.Client, url, **more),
    lambda url, **more: Clients("Async", httpx.AsyncClient, url, **more),
    (
        Case("chat", lambda client: client.two.chat(**CHAT, **client.options), COUNTED),
        Case("chat streamed", lambda client: client.two.chat_stream(**CHAT, **client.options), COUNTED, streamed=True),
        Case(
            "chat 1 streamed", lambda client: client.one.chat_stream(**CHAT_1, **client.options), COUNTED, streamed=True
        ),
        Case("chat 1", lambda client: client.one.chat(**CHAT_1, **client.options), COUNTED),
        Case(
            "rerank",
            lambda client: client.two.rerank(
                model="rerank-v3.5", query="q", documents=["a", "b"], **client.options
            ),
            {"rerank_searches": 2}, "rerank", usage=UNITS,
        ),
        Case(
            "embeddings", lambda client: client.two.embed(**EMBED, texts=["one"], **client.options), COUNTED, "embeddings"
        ),
    ),
    "command-r7b-12-2024",
    {"max_retries": 4},  # older versions begin to count at 2
    lambda client: client.http.close(),
    lambda client: client.http.aclose(),
)  # fmt: skip
