"""Every SDK with what is called of it."""

from __future__ import annotations

from sdks.cases import cohere, groq, mistralai, ollama, openrouter, perplexity, together

KINDS = (groq.KIND, together.KIND, perplexity.KIND, mistralai.KIND, openrouter.KIND, cohere.KIND, ollama.KIND)
