"""DeepSeek: OpenAI's dialect; cached tokens are counted in `prompt_cache_hit_tokens`."""

from __future__ import annotations

from otel_aicost.providers.base import Json, Provider, mapping


def adapt(body: Json) -> Json:
    """Write the cache hits the way OpenAI does."""
    usage = mapping(body.get("usage"))
    hits = usage.get("prompt_cache_hit_tokens")
    if hits is None or usage.get("prompt_tokens_details"):
        return body
    return {**body, "usage": {**usage, "prompt_tokens_details": {"cached_tokens": hits}}}


PROVIDER = Provider("deepseek", hosts=("api.deepseek.com",), adapt=adapt)
