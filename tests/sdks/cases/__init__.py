"""Every SDK with what is called of it."""

from __future__ import annotations

from sdks.cases import groq, mistralai, openrouter, perplexity, together

KINDS = (groq.KIND, together.KIND, perplexity.KIND, mistralai.KIND, openrouter.KIND)
