"""Bodies of what is billed in parts or later, written from the providers' documentation, with what reads each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.providers import anthropic, anthropic_stored, openai, openai_batches, openai_jobs, openai_video

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.model import Reading

IMAGE_GEN = {
    "input_tokens": 50,
    "input_tokens_details": {"image_tokens": 20, "text_tokens": 30},
    "output_tokens": 1000,
    "output_tokens_details": {"image_tokens": 1000, "text_tokens": 0},
    "total_tokens": 1050,
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "model": "gpt-5",
    "status": "completed",
    "usage": {"input_tokens": 10, "output_tokens": 5},
    "output": [{"type": "image_generation_call"}, {"type": "message"}],
    "tools": [{"type": "image_generation", "model": "gpt-image-1"}, {"type": "web_search"}],
    "tool_usage": {"image_gen": IMAGE_GEN, "web_search": {"num_requests": 0}},
}
SVG = {"model": "gpt-5", "input_tokens": 7, "output_tokens": 90, "reasoning_tokens": 30, "total_tokens": 97}

ROUNDS = [
    {"type": "compaction", "input_tokens": 500, "output_tokens": 50},
    {"type": "message", "model": "claude-a", "input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 7},
    {"type": "advisor_message", "model": "claude-b", "input_tokens": 900, "output_tokens": 90},
    {"type": "message", "model": "claude-a", "input_tokens": 200, "output_tokens": 20,
     "cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_1h_input_tokens": 30}},
]  # fmt: skip
SESSION: dict[str, Any] = {
    "id": "sesn_1",
    "type": "session",
    "status": "terminated",
    "agent": {"model": {"id": "claude-a"}},
    "usage": {
        "input_tokens": 100,
        "output_tokens": 10,
        "cache_read_input_tokens": 1000,
        "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 0},
        "active_seconds": 12.5,
        "list_cost": {"amount": "1234", "currency": "USD"},
    },
}
CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o", "created": 1_767_225_600,
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}}  # fmt: skip
MESSAGE = {"id": "msg_1", "model": "claude-a", "stop_reason": "end_turn", "container": {"id": "c"},
           "usage": {"input_tokens": 1, "output_tokens": 1, "iterations": ROUNDS, "service_tier": "batch"}}  # fmt: skip
VIDEO = {"id": "video_1", "object": "video", "model": "sora-2", "status": "completed", "seconds": "8", "size": "1x1",
         "completed_at": 1_767_225_600, "added": "4", "error": {"code": "x"}}  # fmt: skip
RUN = {"id": "run_1", "object": "thread.run", "status": "completed", "model": "gpt-4o", "usage": CHAT["usage"],
       "completed_at": 5, "created_at": 4}  # fmt: skip
LINES = [
    {"id": f"batch_req_{n}", "custom_id": "a", "response": {"status_code": 200, "request_id": "r", "body": body}}
    for n, body in enumerate([CHAT, {**RESPONSE, "object": "response"}, VIDEO, {"data": [{}], "svg_usage": SVG}])
]
BODIES: list[tuple[Callable[[Any], Reading], dict[str, Any]]] = [
    (openai.read_response, {**RESPONSE, "background": True}),
    (openai.read_images, {"data": [{}], "svg_usage": SVG}),
    (openai_batches.read_stored_response, {**RESPONSE, "background": True, "created_at": 1.5}),
    (openai_batches.read_batch_output, {"lines": LINES}),
    (openai_jobs.read_fetched_run, RUN),
    (openai_jobs.read_training, {"id": "j", "status": "succeeded", "model": "m", "trained_tokens": 5, "finished_at": 1}),
    (openai_jobs.read_training, {"id": "j", "status": "succeeded", "model": "m", "method": {"type": "reinforcement"}}),
    (openai_jobs.read_evaluation, {"id": "e", "status": "completed", "created_at": 1, "per_model_usage": [
        {"model_name": "m", "prompt_tokens": 1, "completion_tokens": 1, "cached_tokens": 1}]}),
    (openai_video.read_video, VIDEO),
    (openai_video.read_extension, VIDEO),
    (anthropic.read, MESSAGE),
    (anthropic_stored.read_results, {"batch": "b", "lines": [
        {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}}]}),
    (anthropic_stored.read_session, SESSION),
    (anthropic_stored.read_dream, {"id": "d", "ended_at": "x", "model": {"id": "m"}, "usage": SESSION["usage"]}),
    (openai_jobs.read_turn, {"id": "t", "status": "completed", "usage": RESPONSE["usage"], "completed_at": 7}),
]  # fmt: skip
