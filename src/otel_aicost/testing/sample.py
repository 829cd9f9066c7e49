"""A sample value for a JSON schema, so that `.parse()` helpers get what they asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIMPLE: Mapping[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "null": None}


def sample_text(payload: Mapping[str, Any]) -> str | None:
    """JSON text that fits the output format a request asks for; `None` if it asks for none."""
    wanted = _output_format(payload)
    if wanted.get("type") == "json_object":
        return '{"answer": "text"}'
    if wanted.get("type") != "json_schema":
        return None
    schema = wanted.get("schema") or (wanted.get("json_schema") or {}).get("schema") or {}
    return json.dumps(sample_value(schema))


def _output_format(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The output format as chat completions, responses and messages each put it."""
    candidates = [
        payload.get("response_format"),
        (payload.get("text") or {}).get("format") if isinstance(payload.get("text"), dict) else None,
        (payload.get("output_config") or {}).get("format"),
        payload.get("output_format"),
    ]
    return next((candidate for candidate in candidates if isinstance(candidate, dict)), {})


def sample_value(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
    """The smallest value that fits the schema: first choices, one item, every property."""
    root = schema if root is None else root
    if "$ref" in schema:
        return sample_value(_resolve(root, schema["$ref"]), root)
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return sample_value(schema[choice][0], root)
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema["enum"][0]
    return _of_kind(schema, root)


def _of_kind(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:  # noqa: ANN401
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        return {name: sample_value(value, root) for name, value in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [sample_value(schema.get("items") or {"type": "string"}, root)]
    return _SIMPLE.get(kind, "text")


def _resolve(root: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step, {})
    return found if isinstance(found, dict) else {}
