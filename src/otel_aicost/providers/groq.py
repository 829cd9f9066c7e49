"""Groq: OpenAI's dialect; the usage of a stream comes in `x_groq`."""

from __future__ import annotations

from otel_aicost.providers.base import Json, Provider, mapping


def adapt(body: Json) -> Json:
    """Move the usage of a stream to where OpenAI has it."""
    usage = mapping(body.get("x_groq")).get("usage")
    return {**body, "usage": usage} if usage and not body.get("usage") else body


PROVIDER = Provider("groq", hosts=("api.groq.com",), adapt=adapt)
