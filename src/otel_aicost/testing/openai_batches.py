"""OpenAI's files and batches: each line of a file is answered as its endpoint answers, all with one reply."""

from __future__ import annotations

import json
from typing import Any

from otel_aicost.testing.exchange import Answer, Exchange, unknown
from otel_aicost.testing.request import Request

OUTPUT = "file-output"
"""How the ids of output files begin."""


def upload(exchange: Exchange) -> Answer:
    """POST /files."""
    content = exchange.request.files.get("file", b"")
    return exchange.whole(
        {
            "id": exchange.id("file-"),
            "object": "file",
            "bytes": len(content),
            "created_at": exchange.created,
            "filename": "file.jsonl",
            "purpose": exchange.payload.get("purpose"),
            "status": "processed",
        }
    )


def content(exchange: Exchange) -> Answer:
    """GET /files/{id}/content: what was uploaded, or the output of a batch."""
    name = exchange.route["id"]
    stored = exchange.recall(name)
    if stored is None:
        return unknown(exchange)
    lines = _output(stored) if name.startswith(OUTPUT) else [stored.request.files.get("file", b"")]
    return Answer(lines or [b""], "application/octet-stream", streamed=True)


def create(exchange: Exchange) -> Answer:
    """POST /batches."""
    return exchange.whole({**_batch(exchange), "status": "validating", "output_file_id": None})


def fetch(exchange: Exchange) -> Answer:
    """GET /batches/{id}: finished by now, with the usage of all lines together."""
    stored = exchange.recall(exchange.route["id"])
    if stored is None:
        return unknown(exchange)
    bodies = [json.loads(line)["response"]["body"] for line in _output(stored)]
    usages = [usage for body in bodies if isinstance(usage := body.get("usage"), dict)]
    taken = {
        total: sum(int(usage.get(total) or usage.get(other) or 0) for usage in usages)
        for total, other in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens"))
    }
    counts = {"total": len(bodies), "completed": len(usages), "failed": len(bodies) - len(usages)}
    usage = {
        **taken,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": sum(taken.values()),
    }
    finished = {"status": "completed", "completed_at": stored.created, "request_counts": counts, "usage": usage}
    return stored.whole({**_batch(stored), **finished, "output_file_id": stored.id(OUTPUT)})


def _batch(exchange: Exchange) -> dict[str, Any]:
    return {
        "id": exchange.id("batch_"),
        "object": "batch",
        "endpoint": exchange.payload.get("endpoint"),
        "errors": None,
        "input_file_id": exchange.payload.get("input_file_id"),
        "completion_window": "24h",
        "error_file_id": None,
        "created_at": exchange.created,
        "metadata": exchange.payload.get("metadata"),
    }


def _output(batch: Exchange) -> list[bytes]:
    """The output of a batch; a line that cannot be answered has the status of its error."""
    source = batch.recall(str(batch.payload.get("input_file_id")))
    given = [] if source is None else source.request.files.get("file", b"").splitlines()
    lines = []
    for number, line in enumerate(given):
        asked = json.loads(line)
        sent = Request(
            "POST", asked["url"], (("content-type", "application/json"),), json.dumps(asked["body"]).encode()
        )
        answer = batch.serve(sent, batch.reply)
        name = batch.id(f"batch_req_{number}")
        body = json.loads(b"".join(answer.chunks))
        response = {"status_code": answer.status, "request_id": name.removeprefix("batch_"), "body": body}
        told = {"id": name, "custom_id": asked["custom_id"], "response": response, "error": None}
        lines.append(batch.encode(told) + b"\n")
    return lines
