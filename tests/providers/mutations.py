"""Bodies and stream events that a provider might send on its worst day: what the fake provider sends, mutated."""

from __future__ import annotations

import ast
import copy
import json
import pickle
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_aicost import providers
from otel_aicost.testing import Reply, ToolCall, Usage
from otel_aicost.testing.answering import Answering
from otel_aicost.testing.request import Request
from providers.bodies import BODIES

if TYPE_CHECKING:
    import random

TEXT = [{"role": "user", "content": "Say something."}]
ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/chat/completions", {"model": "gpt-4o", "messages": TEXT}),
    (
        "/v1/chat/completions",
        {"model": "gpt-4o", "messages": TEXT, "stream": True, "stream_options": {"include_usage": True}},
    ),
    ("/v1/responses", {"model": "gpt-4o", "input": "x"}),
    ("/v1/responses", {"model": "gpt-4o", "input": "x", "stream": True}),
    ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "x"}),
    ("/v1/images/generations", {"model": "gpt-image-1", "prompt": "x"}),
    ("/v1/messages", {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": TEXT}),
    ("/v1/messages", {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": TEXT, "stream": True}),
    ("/v1beta/models/gemini-2.5-flash:generateContent", {"contents": [{"parts": [{"text": "x"}]}]}),
    ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", {"contents": [{"parts": [{"text": "x"}]}]}),
    ("/v1beta/models/gemini-embedding-001:batchEmbedContents", {"requests": []}),
    ("/v1/publishers/google/models/text-embedding-005:predict", {"instances": [{"content": "x"}]}),
    ("/v1beta/models/imagen-4.0-generate-001:predict", {"instances": [{"prompt": "x"}]}),
    ("/v1beta/models/veo-2.0-generate-001:predictLongRunning", {"instances": [{"prompt": "x"}]}),
    ("/v1/models/veo-2.0:fetchPredictOperation", {"operationName": "projects/p/models/veo-2.0/operations/x-2"}),
    ("/v1beta/cachedContents", {"model": "models/gemini-2.5-flash", "ttl": "60s"}),
    ("/v1beta/interactions", {"model": "gemini-2.5-flash", "input": "x", "stream": True}),
    ("/v1beta/interactions", {"model": "gemini-2.5-flash", "input": "x"}),
    ("/model/amazon.nova-pro-v1:0/converse", {"messages": []}),
    ("/v2/chat", {"model": "command-a", "messages": TEXT}),
    ("/v2/rerank", {"model": "rerank-v3.5", "query": "x", "documents": ["y"]}),
    ("/v2/embed", {"model": "embed-v4", "texts": ["x"]}),
    ("/v1/ocr", {"model": "mistral-ocr-latest", "document": {}}),
    ("/api/chat", {"model": "llama3", "messages": TEXT, "stream": False}),
    ("/v1/places:searchText", {}),
)
"""Path and body of requests that the fake provider answers."""
ODD: tuple[Any, ...] = (
    -1,
    0,
    1,
    2**31,
    2**63,
    10**30,
    -(10**12),
    1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    0.1,
    "",
    "7",
    "many",
    "\ud800",
    None,
    True,
    [],
    {},
    [None],
    [{}],
    {"usage": {}},
    {"": 1},
)


@cache
def words() -> tuple[str, ...]:
    """Every word that a provider file reads by."""
    found: set[str] = set()
    for path in Path(providers.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                found.add(node.value)
    return tuple(sorted(found))


@cache
def seeds() -> tuple[dict[str, Any], ...]:
    """Bodies and events of every dialect that the fake provider speaks, and one of all words."""
    answering = Answering(0, 1_700_000_000)
    usage = Usage(input_tokens=900, output_tokens=90, cache_read_tokens=300, cache_write_tokens=20, reasoning_tokens=30)
    reply = Reply(usage=usage, tool_calls=(ToolCall("look", {"at": "this"}),))
    found: list[dict[str, Any]] = [{"usage": dict.fromkeys(words(), 5)}, dict.fromkeys(words(), 5)]
    for path, asked in ASKED:
        request = Request("POST", path, (("content-type", "application/json"),), json.dumps(asked).encode())
        content = b"".join(answering.respond(request, reply).chunks)
        for line in content.split(b"\n"):
            value = _json(line.removeprefix(b"data: "))
            if value is not None:
                found.append(value)
    found += [body for _, body in BODIES]
    assert len(found) > 20
    return tuple(found)


def _json(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


@cache
def _copies() -> tuple[bytes, ...]:
    """The seeds, ready to be copied: ten times as fast as `deepcopy`."""
    return tuple(pickle.dumps(seed) for seed in seeds())


def mutated(chance: random.Random) -> dict[str, Any]:
    """A seed with one to five changes, each somewhere in it."""
    body: dict[str, Any] = pickle.loads(chance.choice(_copies()))
    for _ in range(chance.randint(1, 5)):
        _change(body, chance)
    return body


def _change(body: dict[str, Any], chance: random.Random) -> None:
    here: Any = body
    while True:
        keys: list[Any] = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            break
        key = chance.choice(keys)
        inner = here[key]
        if isinstance(inner, (dict, list)) and inner and chance.random() < 0.7:
            here = inner
            continue
        _put(here, key, chance)
        return
    if isinstance(here, dict):
        here[chance.choice(words())] = chance.choice(ODD)


def _put(here: Any, key: Any, chance: random.Random) -> None:
    way = chance.random()
    if way < 0.6:
        here[key] = copy.deepcopy(chance.choice(ODD))
    elif way < 0.75:
        here[key] = pickle.loads(chance.choice(_copies()))
    elif way < 0.9 and isinstance(here, dict):
        here[chance.choice(words())] = here.pop(key)
    else:
        here.pop(key)
