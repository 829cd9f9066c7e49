"""Calls of the ollama SDK."""

from __future__ import annotations

import ollama

from capture.world import TRUST
from sdks.driving import COUNTED, SPOKEN, Case, Kind

CHAT = {"model": "llama3.2", "messages": SPOKEN}
SAID = {"model": "llama3.2", "prompt": "one two three"}

KIND = Kind(
    "ollama",
    "ollama",
    "ollama",
    lambda url: ollama.Client(url, verify=TRUST),
    lambda url: ollama.AsyncClient(url, verify=TRUST),
    (
        Case("chat", lambda client: client.chat(**CHAT), COUNTED),
        Case("chat streamed", lambda client: client.chat(**CHAT, stream=True), COUNTED, streamed=True),
        Case("generate streamed", lambda client: client.generate(**SAID, stream=True), COUNTED, "text_completion",
             streamed=True),
        Case("generate", lambda client: client.generate(**SAID), COUNTED, "text_completion"),
        Case("embed", lambda client: client.embed(model="all-minilm", input="one"), {"input_tokens": 1500},
             "embeddings"),
    ),
    None,
    None,
    lambda client: client._client.close(),
    lambda client: client._client.aclose(),
    "ollama_cloud",
)  # fmt: skip
