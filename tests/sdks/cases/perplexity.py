"""Calls of the perplexityai SDK."""

from __future__ import annotations

import perplexity

from sdks.driving import COUNTED, SPOKEN, USED, Case, Kind, stainless

CHAT = {"model": "sonar-pro", "messages": SPOKEN}
COST = {"usage_extra": {"cost": {"input_tokens_cost": 0.0015, "output_tokens_cost": 0.0002, "total_cost": 0.0067}}}
AGENT = {"usage_extra": {"cost": {"currency": "USD", "input_cost": 0.01, "output_cost": 0.02, "total_cost": 0.03}}}

KIND = Kind(
    "perplexity",
    "perplexity",
    "stainless",
    stainless(perplexity.Perplexity, "/perplexity"),
    stainless(perplexity.AsyncPerplexity, "/perplexity"),
    (
        Case("chat", lambda client: client.chat.completions.create(**CHAT), COUNTED, reply=COST),
        Case(
            "chat streamed", lambda client: client.chat.completions.create(**CHAT, stream=True), COUNTED,
            reply=COST, streamed=True,
        ),
        Case("agent", lambda client: client.responses.create(model="x/y", input="one"), COUNTED, reply=AGENT, needs="responses"),
        Case(
            "agent streamed", lambda client: client.responses.create(model="x/y", input="one", stream=True), COUNTED,
            reply=AGENT, streamed=True, needs="responses"),
        Case(
            "embeddings", lambda client: client.embeddings.create(model="pplx-embed-v1-4b", input=["one"]),
            {"input_tokens": 1500}, "embeddings", needs="embeddings"),
        Case("search", lambda client: client.search.create(query="one"), {"requests": 1}, "search"),
        Case(
            "chat later", lambda client: client.async_.chat.completions.create(request=CHAT), {}, usage=USED, records=0,
        ),
    ),
    "sonar",
    {"max_retries": 2},
)  # fmt: skip
