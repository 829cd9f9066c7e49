"""What is said to a model and by it, and the key it is said with, leave no trace with us."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from capture.scenarios import CLAUDE_ASKED
from capture.world import CLAUDE, GPT, KEY
from otel_aicost.testing import Reply, ToolCall

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from capture.world import Counting
    from otel_aicost.testing import FakeProvider

SECRETS = ("canary-prompt", "canary-system", "canary-tool", "canary-output", "canary-error", "canary-user", KEY)
TOOL = {
    "type": "function",
    "function": {"name": "look", "description": "canary-tool", "parameters": {"type": "object"}},
}
ASKED: Any = {
    "model": GPT,
    "messages": [{"role": "system", "content": "canary-system"}, {"role": "user", "content": "canary-prompt"}],
    "tools": [TOOL],
    "user": "canary-user",
    "stop": "canary-prompt",
}
SAID = Reply(text="canary-output", thinking="canary-output", tool_calls=(ToolCall("look", {"at": "canary-output"}),))
FAILED = Reply(status=400, error={"error": {"message": "canary-error", "type": "canary-error", "code": "canary-error"}})


def make_calls(provider: FakeProvider, gpt: Any, claude: Any) -> None:
    provider.always(SAID)
    gpt.chat.completions.create(**ASKED)
    list(gpt.chat.completions.create(**ASKED, stream=True))
    gpt.chat.completions.create(**ASKED, stream=True).close()
    gpt.audio.speech.create(model="tts-1", voice="alloy", input="canary-prompt")
    gpt.embeddings.create(model="text-embedding-3-small", input="canary-prompt")
    claude.messages.create(**{**CLAUDE_ASKED, "system": "canary-system", "metadata": {"user_id": "canary-user"}})
    list(claude.messages.create(model=CLAUDE, max_tokens=9, messages=ASKED["messages"][1:], stream=True))
    provider.always(Reply(json={"usage": {"input_tokens": 1}}))
    gpt.post("/tomorrow", body=ASKED, cast_to=object, options={"headers": {"x-secret": "canary-prompt"}})
    provider.always(Reply(usage={"prompt_tokens": "canary-output"}))
    gpt.chat.completions.create(**ASKED)
    provider.always(FAILED)
    for call in (lambda: gpt.chat.completions.create(**ASKED), lambda: claude.messages.create(**CLAUDE_ASKED)):
        with pytest.raises((openai.BadRequestError, anthropic.BadRequestError)):
            call()


def test_no_content_and_no_key_is_kept(
    provider: FakeProvider,
    traced: Counting,
    spans: InMemorySpanExporter,
    gpt: Any,
    claude: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not in a span, not in a record, not in a line of our log."""
    caplog.set_level(logging.DEBUG, "otel_aicost")
    make_calls(provider, gpt, claude)
    told = [repr(record) for record in traced.records]
    told += [repr((span.name, dict(span.attributes or {}), span.events, span.status.description))
             for span in spans.get_finished_spans()
             if span.instrumentation_scope and span.instrumentation_scope.name == "otel_aicost"]  # fmt: skip
    told += [entry.getMessage() for entry in caplog.records if entry.name.startswith("otel_aicost")]
    assert len(traced.records) >= 11
    found = [(secret, text) for text in told for secret in SECRETS if secret in text]
    assert found == []
