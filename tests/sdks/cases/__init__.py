"""Every SDK with what is called of it."""

from __future__ import annotations

from sdks.cases import cohere, dashscope, groq, mistralai, ollama, openrouter, perplexity, together
from sdks.driving import offered

SDKS = (groq, together, perplexity, mistralai, openrouter, cohere, ollama, dashscope)
KINDS = tuple(offered(sdk.KIND) for sdk in SDKS)
