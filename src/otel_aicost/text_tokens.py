"""Estimates of tokens, for when a provider reports none: from the bytes of text, marked as estimates wherever shown.

No tokeniser: theirs are not public for every model and have to be downloaded. Four bytes of UTF-8 are taken for a
token, the usual rule for English; a character outside ASCII counts as its two to four bytes do, which is near what
tokenisers make of other scripts.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
"""What the frame of a chat message costs."""
_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{4}|.)")
_PROMPT_KEYS = (
    "messages",
    "input",
    "prompt",
    "system",
    "instructions",
    "tools",
    "contents",
    "inputText",
    "message",
    "texts",
    "systemInstruction",
    "requests",
    "instances",
    "inputs",
    "chat_history",
    "preamble",
    "query",
    "documents",
)
"""Where the dialects have their prompts; each once, as all that are there are added up."""


def tokens_in(stream: bytes, keys: tuple[str, ...]) -> int:
    """Tokens of generated text in the events of a stream: the strings under `keys`, whatever else is in them."""
    size = sum(len(_ESCAPE.sub(b"xx", found)) for found in _strings(keys).findall(stream))
    return tokens_of_size(size)


def size_under(event: Any, keys: tuple[str, ...], depth: int = 0) -> int:  # noqa: ANN401 - JSON that was parsed
    """Bytes of generated text in a parsed event: the strings under `keys`, however deep."""
    if depth > 12:  # noqa: PLR2004 - deeper than any event; a guard against cycles
        return 0
    if isinstance(event, dict):
        return sum(
            len(value.encode("utf-8", "replace"))
            if key in keys and isinstance(value, str)
            else size_under(value, keys, depth + 1)
            for key, value in event.items()
        )
    if isinstance(event, list):
        return sum(size_under(item, keys, depth + 1) for item in event)
    return 0


def tokens_of_request(body: Any) -> int:  # noqa: ANN401 - what the application passed to the SDK
    """Tokens of the prompt in a request body; images, audio and files inside are not counted."""
    if not isinstance(body, dict):
        return 0
    prompt = [body[key] for key in _PROMPT_KEYS if key in body]
    messages = body.get("messages")
    frames = len(messages) * TOKENS_PER_MESSAGE if isinstance(messages, list) else 0
    return tokens_of_size(_text_size(prompt, 0)) + frames


def tokens_of_size(size: int) -> int:
    """Tokens in so many bytes of text."""
    return -(-size // BYTES_PER_TOKEN)


def _text_size(value: Any, depth: int) -> int:  # noqa: ANN401
    if isinstance(value, str):
        return 0 if value.startswith("data:") else len(value.encode("utf-8", "replace"))
    if depth > 12:  # noqa: PLR2004 - deeper than any request; a guard against cycles
        return 0
    if isinstance(value, dict):
        return sum(
            _text_size(item, depth + 1)
            for key, item in value.items()
            if key not in {"data", "file_data", "image_url", "input_audio", "bytesBase64Encoded", "role", "type", "id"}
        )
    if isinstance(value, (list, tuple)):
        return sum(_text_size(item, depth + 1) for item in value)
    return 0


@lru_cache(maxsize=32)
def _strings(keys: tuple[str, ...]) -> re.Pattern[bytes]:
    names = "|".join(map(re.escape, keys)).encode()
    return re.compile(rb'"(?:' + names + rb')":\s*"((?:[^"\\]|\\.)*)"')
