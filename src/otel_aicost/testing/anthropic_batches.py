"""Anthropic's message batches: each request is answered as a message, all with one reply."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from otel_aicost.testing.exchange import Answer, Exchange, unknown
from otel_aicost.testing.request import Request


def create(exchange: Exchange) -> Answer:
    """POST /v1/messages/batches."""
    return exchange.whole(_batch(exchange, "in_progress", None))


def fetch(exchange: Exchange) -> Answer:
    """GET /v1/messages/batches/{id}: ended by now, with the address of its results."""
    stored = exchange.recall(exchange.route["id"])
    if stored is None:
        return unknown(exchange)
    here = f"http://{exchange.request.header('host')}/v1/messages/batches/{stored.id('msgbatch_')}/results"
    return stored.whole(_batch(stored, "ended", here))


def results(exchange: Exchange) -> Answer:
    """GET /v1/messages/batches/{id}/results, in JSON Lines; a request without messages has errored."""
    stored = exchange.recall(exchange.route["id"])
    if stored is None:
        return unknown(exchange)
    lines = [stored.encode(_result(stored, asked)) + b"\n" for asked in stored.payload.get("requests") or ()]
    return Answer(lines or [b""], "application/x-jsonl", streamed=True)


def _batch(exchange: Exchange, status: str, url: str | None) -> dict[str, Any]:
    number = len(exchange.payload.get("requests") or ())
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    return {
        "id": exchange.id("msgbatch_"),
        "type": "message_batch",
        "processing_status": status,
        "request_counts": {**counts, "processing" if url is None else "succeeded": number},
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-02T00:00:00Z",
        "ended_at": None if url is None else "2026-01-01T00:10:00Z",
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": url,
    }


def _result(batch: Exchange, asked: dict[str, Any]) -> dict[str, Any]:
    params = asked.get("params") or {}
    if not params.get("messages"):
        error = {"type": "invalid_request_error", "message": "messages: at least one message is required"}
        return {
            "custom_id": asked["custom_id"],
            "result": {"type": "errored", "error": {"type": "error", "error": error}},
        }
    body = json.dumps(params).encode()
    sent = Request("POST", "/v1/messages", (("content-type", "application/json"),), body)
    answer = batch.serve(sent, replace(batch.reply, service_tier="batch"))
    message = json.loads(b"".join(answer.chunks))
    return {"custom_id": asked["custom_id"], "result": {"type": "succeeded", "message": message}}
