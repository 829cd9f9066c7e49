"""Calls of the openrouter SDK."""

from __future__ import annotations

import openrouter

from sdks.driving import CLOSING, COUNTED, SPOKEN, Case, Kind, speakeasy

CHAT = {"model": "openai/gpt-4o", "messages": SPOKEN}
COST = {"usage_extra": {"cost": 0.0125, "is_byok": False}}
UNITS = {"total_tokens": 120, "search_units": 2, "cost": 0.004}

KIND = Kind(
    "openrouter",
    "openrouter",
    "speakeasy",
    *speakeasy(openrouter.OpenRouter, "/openrouter/api/v1"),
    (
        Case("chat", lambda client: client.chat.send(**CHAT), COUNTED, reply=COST),
        Case("chat streamed", lambda client: client.chat.send(**CHAT, stream=True), COUNTED, reply=COST, streamed=True),
        Case("responses", lambda client: client.responses.send(model="openai/gpt-4o", input="one"), COUNTED, reply=COST, needs="responses"),
        Case(
            "embeddings", lambda client: client.embeddings.generate(model="openai/text-embedding-3-small", input="one"),
            {"input_tokens": 1500}, "embeddings",
        ),
        Case(
            "rerank", lambda client: client.rerank.rerank(model="cohere/rerank-v3.5", query="q", documents=["a", "b"]),
            {"rerank_searches": 2, "input_tokens": 120}, "rerank", usage=UNITS,
        ),
        Case(
            "images", lambda client: client.images.generate(model="x/painter", prompt="a cat"),
            COUNTED, "image_generation", reply=COST,
        ),
    ),
    "openai/gpt-4o-mini",
    {"retrying": True},
    *CLOSING,
)  # fmt: skip
