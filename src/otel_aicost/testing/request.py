"""What a client sent: one received request, its body as bytes, as JSON or as form fields."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote

PROMPT_KEYS = (
    "system",
    "systemInstruction",
    "instructions",
    "messages",
    "contents",
    "requests",
    "instances",
    "input",
    "prompt",
    "content",
    "parts",
    "text",
)
"""Where the words of a prompt stand, in all the dialects."""


@dataclass(frozen=True)
class Request:
    """One received request, exactly as it came over the wire."""

    method: str
    target: str
    """Path and query, as sent."""
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def path(self) -> str:
        """The path, percent-decoded, without the query."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> dict[str, str]:
        """The query parameters."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    def header(self, name: str) -> str | None:
        """The value of a header, whatever its case; `None` if it was not sent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @cached_property
    def payload(self) -> dict[str, Any]:
        """The JSON object or the text fields of the form in the body; empty if it holds neither."""
        content_type = self.header("content-type") or ""
        if content_type.startswith("multipart/form-data"):
            return {name: value.decode() for name, filename, value in self._parts if not filename}
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @cached_property
    def files(self) -> dict[str, bytes]:
        """Form field -> the bytes of the uploaded file."""
        return {name: value for name, filename, value in self._parts if filename}

    @property
    def model(self) -> str | None:
        """The model asked for in the body."""
        model = self.payload.get("model")
        return model if isinstance(model, str) else None

    @property
    def stream(self) -> bool:
        """Whether the body asks for a stream."""
        return self.payload.get("stream") in {True, "true", "True"}

    @cached_property
    def prompt(self) -> tuple[str, ...]:
        """The words of the prompt; the default usage counts one input token for each."""
        return tuple(word for text in _texts(self.payload) for word in text.split())

    @cached_property
    def _parts(self) -> list[tuple[str, str, bytes]]:
        """Form parts as (name, file name, value)."""
        _, _, boundary = (self.header("content-type") or "").partition("boundary=")
        if not boundary:
            return []
        parts = self.body.split(b"--" + boundary.strip('"').encode())[1:-1]
        return [_form_part(part.removeprefix(b"\r\n").removesuffix(b"\r\n")) for part in parts]


def _form_part(part: bytes) -> tuple[str, str, bytes]:
    head, _, value = part.partition(b"\r\n\r\n")
    attributes = dict.fromkeys(("name", "filename"), "")
    for line in head.decode("utf-8", "replace").split("\r\n"):
        key, _, rest = line.partition(":")
        if key.lower() == "content-disposition":
            pairs = (piece.strip().partition("=") for piece in rest.split(";"))
            attributes |= {name: text.strip('"') for name, _, text in pairs}
    return attributes["name"], attributes["filename"], value


def _texts(value: object) -> list[str]:
    """Every text of a prompt in its order; a token id counts as one word."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, int) and not isinstance(value, bool):
        return [str(value)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, dict):
        return [text for key in PROMPT_KEYS if key in value for text in _texts(value[key])]
    return []
