"""OpenAI's jobs that are begun and fetched until they have ended: runs of assistants, videos, fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.testing import dialects
from otel_aicost.testing.exchange import Answer, Exchange, unknown
from otel_aicost.testing.failures import openai_event
from otel_aicost.testing.openai_chat import SSE

if TYPE_CHECKING:
    from collections.abc import Callable


def thread(exchange: Exchange) -> Answer:
    """POST /threads."""
    head = {"id": exchange.id("thread_"), "object": "thread", "created_at": exchange.created}
    return exchange.whole({**head, "metadata": {}, "tool_resources": None})


def run(exchange: Exchange) -> Answer:
    """POST /threads/{thread}/runs and /threads/runs, whole or streamed."""
    if not exchange.request.stream:
        return exchange.whole(_run(exchange, "queued"))
    ended = _run(exchange, exchange.reply.finish_reason or "completed")
    step = {"id": exchange.id("step_"), "object": "thread.run.step", "usage": ended["usage"]}
    events = [
        *((f"thread.run.{status}", _run(exchange, status)) for status in ("created", "queued", "in_progress")),
        ("thread.run.step.completed", step),
        (f"thread.run.{ended['status']}", ended),
    ]
    chunks = [exchange.event(exchange.finish(body), name) for name, body in events]
    return Answer([*chunks, b"event: done\ndata: [DONE]\n\n"], SSE, streamed=True, failure=openai_event(exchange))


def fetch_run(exchange: Exchange) -> Answer:
    """GET /threads/{thread}/runs/{id}: ended by now; `finish_reason` of the reply tells how."""
    return _fetched(exchange, lambda stored: _run(stored, stored.reply.finish_reason or "completed"))


def _run(exchange: Exchange, status: str) -> dict[str, Any]:
    going = status in {"created", "queued", "in_progress", "requires_action"}
    return {
        "id": exchange.id("run_"),
        "object": "thread.run",
        "created_at": exchange.created,
        "thread_id": exchange.route.get("thread") or exchange.id("thread_"),
        "assistant_id": exchange.payload.get("assistant_id"),
        "status": "queued" if status == "created" else status,
        "completed_at": exchange.created if status == "completed" else None,
        "model": exchange.model,
        "instructions": "",
        "tools": [],
        "metadata": {},
        "parallel_tool_calls": True,
        "usage": None if going else exchange.usage(dialects.chat),
    }


def video(exchange: Exchange) -> Answer:
    """POST /videos, and what is made of one: edits, extensions, remixes."""
    return exchange.whole(_video(exchange, "queued"))


def fetch_video(exchange: Exchange) -> Answer:
    """GET /videos/{id}: done by now, or what `finish_reason` of the reply says (failed)."""
    return _fetched(exchange, lambda stored: _video(stored, stored.reply.finish_reason or "completed"))


def _video(exchange: Exchange, status: str) -> dict[str, Any]:
    failed = {"code": "moderation_blocked", "message": "The video was blocked."}
    return {
        "id": exchange.id("video_"),
        "object": "video",
        "model": exchange.model if exchange.request.model or exchange.reply.model else "sora-2",
        "status": status,
        "progress": 100 if status == "completed" else 0,
        "created_at": exchange.created,
        "completed_at": exchange.created if status == "completed" else None,
        "expires_at": None,
        "size": exchange.payload.get("size") or "720x1280",
        "seconds": str(exchange.payload.get("seconds") or "4"),
        "remixed_from_video_id": exchange.route.get("id"),
        "error": failed if status == "failed" else None,
    }


def training(exchange: Exchange) -> Answer:
    """POST /fine_tuning/jobs."""
    return exchange.whole(_training(exchange, "validating_files"))


def fetch_training(exchange: Exchange) -> Answer:
    """GET /fine_tuning/jobs/{id}: succeeded by now; it was trained on the input tokens of the usage."""
    return _fetched(exchange, lambda stored: _training(stored, stored.reply.finish_reason or "succeeded"))


def _training(exchange: Exchange, status: str) -> dict[str, Any]:
    ended = status in {"succeeded", "failed", "cancelled"}
    return {
        "id": exchange.id("ftjob-"),
        "object": "fine_tuning.job",
        "created_at": exchange.created,
        "finished_at": exchange.created if ended else None,
        "model": exchange.model,
        "fine_tuned_model": f"ft:{exchange.model}:org::fake" if status == "succeeded" else None,
        "organization_id": "org-fake",
        "status": status,
        "hyperparameters": {"n_epochs": 1},
        "training_file": exchange.payload.get("training_file"),
        "validation_file": None,
        "result_files": [],
        "seed": 0,
        "trained_tokens": exchange.counted.input_tokens if ended else None,
        "method": exchange.payload.get("method") or {"type": "supervised"},
        "error": None,
    }


def _fetched(exchange: Exchange, body: Callable[[Exchange], dict[str, Any]]) -> Answer:
    stored = exchange.recall(exchange.route["id"])
    return unknown(exchange) if stored is None else stored.whole(body(stored))
