"""What is worked on after the answer: background responses, runs, videos, training, evaluations count once, when done."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from capture.scenarios import SPOKEN
from capture.test_budgets import holding
from capture.world import GPT, Counting, settings
from otel_aicost import BudgetExceeded
from otel_aicost.testing import Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from otel_aicost.model import Record
    from otel_aicost.testing import FakeProvider

pytestmark = pytest.mark.filterwarnings("ignore:.*[Aa]ssistants:DeprecationWarning")
JANUARY = 1_767_225_600 * 10**9
USED = Usage(input_tokens=1000, output_tokens=200)
COUNTED = {"input_tokens": 1000, "output_tokens": 200}
COST = Decimal("0.0045")
"""1,000 tokens of gpt-4o at $2.50 a million and 200 at $10."""
RESPONSE = {"model": GPT, "input": "one two three"}
QUEUED = {"id": "resp_1", "object": "response", "status": "queued", "background": True, "usage": None, "model": GPT}


def post(client: Any, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """By the client's own method: the oldest SDKs have none of the newer endpoints."""
    found: dict[str, Any] = client.post(path, cast_to=object, body=body)
    return found


def get(client: Any, path: str, **more: Any) -> Any:
    return client.get(path, cast_to=object, **more)


def told(record: Record) -> tuple[Any, ...]:
    return dict(record.usage), record.cost and record.cost.total, record.operation, record.status


# --- background responses ------------------------------------------------------------------------------------------


def test_a_background_response_counts_when_it_is_there_and_once(
    provider: FakeProvider, traced: Counting, gpt: Any, spans: InMemorySpanExporter
) -> None:
    """Asking again changes nothing, and neither does cancelling what is done."""
    provider.always(Reply(usage=USED))
    begun = post(gpt, "/responses", {**RESPONSE, "background": True})
    assert (begun["status"], begun["usage"]) == ("queued", None)
    assert traced.records == []
    (span,) = spans.get_finished_spans()  # of the request: its cost is not known yet
    assert not any("cost" in name for name in span.attributes or {})
    for _ in range(3):
        assert get(gpt, f"/responses/{begun['id']}")["usage"]["input_tokens"] == 1000
    post(gpt, f"/responses/{begun['id']}/cancel", {})
    record = traced.only
    assert told(record) == (COUNTED, COST, "chat", "ok")
    assert (record.started_ns, record.duration_ns, record.response_id) == (JANUARY, 0, begun["id"])


def test_a_background_response_may_be_fetched_as_a_stream(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """With the usage in its last event; a stream that is left before that counts nothing yet."""
    import openai

    provider.always(Reply(usage=USED))
    begun = post(gpt, "/responses", {**RESPONSE, "background": True})
    asked = {"stream": True, "stream_cls": openai.Stream[object], "options": {"params": {"stream": "true"}}}
    broken = get(gpt, f"/responses/{begun['id']}", **asked)
    next(iter(broken))
    broken.close()
    assert counting.records == []
    assert len(list(get(gpt, f"/responses/{begun['id']}", **asked))) > 2
    get(gpt, f"/responses/{begun['id']}")
    assert told(counting.only) == (COUNTED, COST, "chat", "ok")


def test_a_background_response_that_is_streamed_at_once_counts_once(
    provider: FakeProvider, counting: Counting, gpt: Any
) -> None:
    """Where its stream breaks off, it is counted when it is fetched."""
    import openai

    provider.always(Reply(usage=USED))
    asked = {**RESPONSE, "background": True, "stream": True}
    for stops in (False, True):
        stream = gpt.post("/responses", cast_to=object, body=asked, stream=True, stream_cls=openai.Stream[object])
        first = next(iter(stream))
        if stops:
            stream.close()
        else:
            list(stream)
        assert len(counting.records) == 1
        get(gpt, f"/responses/{first.get('data', first)['response']['id']}")  # the oldest SDKs wrap it
    assert [told(record)[0] for record in counting.records] == [COUNTED] * 2


def test_a_response_that_was_counted_when_it_was_made_is_not_counted_again(
    provider: FakeProvider, counting: Counting, gpt: Any
) -> None:
    """What is stored has the usage of its making."""
    made = post(gpt, "/responses", RESPONSE)
    get(gpt, f"/responses/{made['id']}")
    assert counting.only.response_id == made["id"]


def test_a_background_response_that_is_cancelled_or_fails_is_what_it_says(
    provider: FakeProvider, counting: Counting, gpt: Any
) -> None:
    """Nothing without a usage, an error with one."""
    for status, usage in (("cancelled", None), ("failed", {"input_tokens": 9, "output_tokens": 0})):
        provider.next(Reply(json={**QUEUED, "id": f"resp_{status}", "status": status, "usage": usage}))
        get(gpt, f"/responses/resp_{status}")
    assert told(counting.only)[0] == {"input_tokens": 9, "output_tokens": 0}
    assert (counting.only.status, counting.only.error_type) == ("error", "failed")


def test_a_budget_blocks_a_background_response_and_holds_what_it_took(
    provider: FakeProvider, gpt: Any, tmp_path: Path
) -> None:
    """Between the two nothing is reserved: nobody knows whether the result will ever be fetched."""
    provider.always(Reply(usage=USED))
    ledger = tmp_path / "ledger.db"
    held = holding("budgets: [{name: all, limit: 0.005 USD, period: forever, mode: strict, on_exceed: block}]", ledger)
    asked = {**RESPONSE, "max_output_tokens": 200}
    with Counting(settings(provider), budgets=held) as counting:
        begun = post(gpt, "/responses", {**asked, "background": True})
        counting.pipeline.flush(5)
        assert standing(ledger) in ([], [(0, 0)])
        get(gpt, f"/responses/{begun['id']}")
        counting.pipeline.flush(5)
        assert standing(ledger) == [(4_500_000, 0)]
        with pytest.raises(BudgetExceeded, match="all"):
            post(gpt, "/responses", {**asked, "background": True})


def standing(ledger: Path) -> list[Any]:
    with closing(sqlite3.connect(ledger)) as connection:
        return connection.execute("SELECT spent_nano, reserved_nano FROM budget_windows").fetchall()


# --- runs of assistants --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["completed", "failed", "expired", "incomplete", "cancelled"])
def test_a_run_counts_once_when_it_has_ended(provider: FakeProvider, counting: Counting, gpt: Any, status: str) -> None:
    """However it ended: what it used is paid."""
    provider.always(Reply(usage=USED, finish_reason=status))
    run = gpt.beta.threads.runs.create("thread_1", assistant_id="asst_1", model=GPT)
    assert counting.records == []
    for _ in range(2):
        gpt.beta.threads.runs.retrieve(run.id, thread_id="thread_1")
    assert told(counting.only)[:3] == (COUNTED, COST, "chat")
    assert counting.only.response_id == run.id


def test_create_and_poll_counts_once(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """The SDK asks until it is done."""
    provider.always(Reply(usage=USED))
    run = gpt.beta.threads.create_and_run_poll(assistant_id="asst_1", model=GPT, thread={"messages": SPOKEN})
    assert run.status == "completed"
    assert told(counting.only) == (COUNTED, COST, "chat", "ok")


def _streamed(gpt: Any) -> str:
    events = list(gpt.beta.threads.runs.create("thread_1", assistant_id="asst_1", model=GPT, stream=True))
    return str(events[-1].data.id)


def _helped(gpt: Any) -> str:
    with gpt.beta.threads.runs.stream(thread_id="thread_1", assistant_id="asst_1", model=GPT) as stream:
        return str(stream.get_final_run().id)


@pytest.mark.parametrize("stream", [_streamed, _helped])
def test_a_streamed_run_counts_once(
    provider: FakeProvider, counting: Counting, gpt: Any, stream: Callable[[Any], str]
) -> None:
    """Its steps have usages of their own, which are parts of its; fetching it afterwards changes nothing."""
    provider.always(Reply(usage=USED))
    run = stream(gpt)
    assert told(counting.only) == (COUNTED, COST, "chat", "ok")
    gpt.beta.threads.runs.retrieve(run, thread_id="thread_1")
    assert len(counting.records) == 1


def test_a_run_that_waits_for_its_tools_counts_when_it_went_on(
    provider: FakeProvider, counting: Counting, gpt: Any
) -> None:
    """Its stream ends, and the run does not."""
    provider.next(Reply(finish_reason="requires_action"))
    _streamed(gpt)
    assert counting.records == []
    ended = {"id": "run_9", "object": "thread.run", "status": "completed", "model": GPT, "created_at": 1_767_225_600}
    ended["usage"] = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
    provider.next(Reply(json=ended))
    post(gpt, "/threads/thread_1/runs/run_9/submit_tool_outputs", {"tool_outputs": []})
    assert told(counting.only) == (COUNTED, COST, "chat", "ok")


# --- videos, training, evaluations ---------------------------------------------------------------------------------


def test_a_video_is_billed_by_its_seconds_when_it_is_done(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """12 seconds of sora-2-pro at $0.50, however often it is asked for."""
    begun = post(gpt, "/videos", {"model": "sora-2-pro", "prompt": "x", "seconds": "12", "size": "1792x1024"})
    assert counting.records == []
    for _ in range(3):
        assert get(gpt, f"/videos/{begun['id']}")["status"] == "completed"
    record = counting.only
    assert told(record) == ({"output_video_seconds": 12}, Decimal(6), "video_generation", "ok")
    assert (record.conditions, record.started_ns) == ({"size": "1792x1024"}, JANUARY)


def test_a_video_that_failed_is_free(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """Blocked by moderation, say."""
    provider.always(Reply(finish_reason="failed"))
    begun = post(gpt, "/videos", {"prompt": "x"})
    assert get(gpt, f"/videos/{begun['id']}")["error"]["code"] == "moderation_blocked"
    assert counting.records == []


@pytest.mark.parametrize("path", ["/videos/edits", "/videos/video_0/remix"])
def test_a_video_made_of_another_is_one_more(provider: FakeProvider, counting: Counting, gpt: Any, path: str) -> None:
    """As long as the first: four seconds of sora-2 at $0.10."""
    begun = post(gpt, path, {"prompt": "x"})
    get(gpt, f"/videos/{begun['id']}")
    assert told(counting.only) == ({"output_video_seconds": 4}, Decimal("0.4"), "video_generation", "ok")


def test_a_longer_video_is_billed_by_what_was_added(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """Afterwards only its whole length is told."""
    whole = {"id": "video_9", "object": "video", "model": "sora-2", "status": "queued", "seconds": "20"}
    provider.next(Reply(json={**whole, "size": "720x1280"}), Reply(json={**whole, "status": "completed"}))
    post(gpt, "/videos/extensions", {"prompt": "x", "seconds": "8", "video": {"id": "video_0"}})
    get(gpt, "/videos/video_9")
    assert told(counting.only) == ({"output_video_seconds": 8}, Decimal("0.8"), "video_generation", "ok")


@pytest.mark.parametrize(
    ("asked", "admitted"), [({"seconds": "8"}, True), ({"seconds": "12"}, False), ({}, True)], ids=str
)
def test_a_budget_knows_what_a_video_will_cost(
    provider: FakeProvider, gpt: Any, tmp_path: Path, asked: dict[str, Any], admitted: bool
) -> None:
    """Eighty cents for eight seconds; four of them where the request says nothing."""
    text = "budgets: [{name: all, limit: 0.80 USD, period: forever, mode: strict, on_exceed: block}]"
    held = holding(text, tmp_path / "ledger.db")
    with Counting(settings(provider), budgets=held):
        if admitted:
            post(gpt, "/videos", {"prompt": "x", **asked})
        else:
            with pytest.raises(BudgetExceeded, match="all"):
                post(gpt, "/videos", {"prompt": "x", **asked})
    assert len(provider.requests) == admitted


def test_a_training_job_is_billed_once_by_its_tokens(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """A million tokens of gpt-4o-mini at $3."""
    provider.always(Reply(usage=Usage(input_tokens=1_000_000)))
    job = gpt.fine_tuning.jobs.create(model="gpt-4o-mini-2024-07-18", training_file="file-1")
    assert counting.records == []
    for _ in range(2):
        gpt.fine_tuning.jobs.retrieve(job.id)
    assert told(counting.only) == ({"training_tokens": 1_000_000}, Decimal(3), "fine_tuning", "ok")


def test_training_by_the_hour_has_no_price(provider: FakeProvider, counting: Counting, gpt: Any) -> None:
    """How long it took is not told: it is on record, and unpriced."""
    job = {"id": "ftjob-1", "object": "fine_tuning.job", "model": "o4-mini-2025-04-16", "status": "succeeded"}
    provider.next(Reply(json={**job, "trained_tokens": None, "method": {"type": "reinforcement"}}))
    get(gpt, "/fine_tuning/jobs/ftjob-1")
    assert counting.only.usage == {"training_jobs": 1}
    assert counting.only.unpriced is not None


def test_an_evaluation_is_billed_by_model_when_it_has_ended(
    provider: FakeProvider, counting: Counting, gpt: Any
) -> None:
    """Each at its own rates, once."""
    usage = [
        {"model_name": GPT, "prompt_tokens": 1000, "completion_tokens": 200, "cached_tokens": 0},
        {"model_name": "gpt-4o-mini", "prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 4},
        {"model_name": "gpt-4.1", "prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0},
    ]
    run = {"id": "evalrun_1", "object": "eval.run", "created_at": 1_767_225_600, "per_model_usage": usage}
    provider.next(
        Reply(json={**run, "status": "queued"}),
        Reply(json={**run, "status": "in_progress"}),
        Reply(json={**run, "status": "completed"}, times=2),
    )
    post(gpt, "/evals/eval_1/runs", {"data_source": {"model": GPT}})
    for _ in range(3):
        get(gpt, "/evals/eval_1/runs/evalrun_1")
    assert [(record.response_model, record.usage["input_tokens"]) for record in counting.records] == [
        (GPT, 1000),
        ("gpt-4o-mini", 10),
    ]
    assert counting.records[0].cost is not None
    assert counting.records[0].cost.total == COST


@pytest.mark.parametrize(
    ("method", "path"),
    [("get", "/batches/batch_1"), ("get", "/chat/completions/chatcmpl-1"), ("get", "/threads/t/runs"),
     ("get", "/fine_tuning/jobs"), ("get", "/videos"), ("get", "/responses/resp_1/input_items"),
     ("get", "/models/gpt-4o"), ("post", "/chat/completions/chatcmpl-1")],
)  # fmt: skip
def test_what_is_only_looked_at_is_not_counted(
    provider: FakeProvider, counting: Counting, gpt: Any, method: str, path: str
) -> None:
    """Most of what is stored bears the usage of its making."""
    usage = {"prompt_tokens": 5, "input_tokens": 5, "output_tokens": 5}
    provider.next(Reply(json={"id": "x", "status": "completed", "usage": usage, "data": [{"usage": usage}]}))
    getattr(gpt, method)(path, cast_to=object)
    assert counting.records == []


@pytest.mark.parametrize(("host", "region"), [("eu.api.openai.com", "eu"), ("api.openai.com", None)])
def test_a_regional_host_is_a_condition_of_the_price(provider: FakeProvider, host: str, region: str | None) -> None:
    """Where data is kept in a region, newer models cost more."""
    from otel_aicost.capture.routes import Routes, call_of
    from otel_aicost.providers.base import Sent

    route = Routes().find(f"https://{host}/v1/chat/completions", {})
    call = call_of(route, Sent({"model": GPT}), "openai")
    assert call.conditions.get("region") == region


@pytest.mark.parametrize("kind", ["text", "srt", "vtt"])
def test_a_transcript_that_is_only_text_has_a_usage_that_is_missing(counting: Counting, gpt: Any, kind: str) -> None:
    """Nothing in it tells how long the audio was: on record, unpriced, and not a zero."""
    gpt.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF"), response_format=kind)
    record = counting.only
    assert (record.usage_state, record.cost, dict(record.usage)) == ("missing", None, {})
    assert record.unpriced is not None


def test_speech_without_events_is_billed_by_characters_or_not_at_all(counting: Counting, gpt: Any) -> None:
    """A model that is billed by the tokens of its audio does not tell them."""
    for model in ("tts-1", "gpt-4o-mini-tts"):
        gpt.audio.speech.create(model=model, voice="alloy", input="x" * 1000)
    old, new = counting.records
    assert (old.usage, old.cost and old.cost.total) == ({"input_characters": 1000}, Decimal("0.015"))
    assert (new.usage, new.cost) == ({"input_characters": 1000}, None)
    assert new.unpriced is not None


def test_a_container_and_the_images_of_a_tool_have_records_of_their_own(
    provider: FakeProvider, counting: Counting, gpt: Any
) -> None:
    """The response has its price, the images theirs ($40 a million tokens), and the container none, once."""
    image = {"input_tokens": 0, "output_tokens": 1000, "total_tokens": 1000}
    body = {
        "model": GPT,
        "usage": {"input_tokens": 1000, "output_tokens": 200},
        "output": [{"type": "image_generation_call"}, {"type": "code_interpreter_call", "container_id": "cntr_1"}],
        "tools": [{"type": "image_generation", "model": "gpt-image-1"}],
        "tool_usage": {"image_gen": image},
    }
    provider.next(*(Reply(json={**body, "id": f"resp_{number}"}) for number in range(2)))
    for _ in range(2):
        post(gpt, "/responses", RESPONSE)
    found = [
        (record.response_model, record.operation, record.cost and record.cost.total) for record in counting.records
    ]
    whole, painted = (GPT, "chat", COST), ("gpt-image-1", "image_generation", Decimal("0.04"))
    assert found == [whole, (GPT, "chat", None), painted, whole, painted]


def test_a_background_response_that_was_streamed_is_held_against_a_budget_once(
    provider: FakeProvider, gpt: Any, tmp_path: Path
) -> None:
    """What was reserved for its stream is settled; fetching it again takes nothing more."""
    import openai

    provider.always(Reply(usage=USED))
    ledger = tmp_path / "ledger.db"
    text = "budgets: [{name: all, limit: 0.05 USD, period: forever, mode: strict, on_exceed: block}]"
    held = holding(text, ledger)
    asked = {**RESPONSE, "background": True, "stream": True, "max_output_tokens": 200}
    with Counting(settings(provider), budgets=held) as counting:
        stream = gpt.post("/responses", cast_to=object, body=asked, stream=True, stream_cls=openai.Stream[object])
        first = next(iter(stream))
        list(stream)
        counting.pipeline.flush(5)
        assert standing(ledger) == [(4_500_000, 0)]
    with Counting(settings(provider), budgets=holding(text, ledger)) as again:
        get(gpt, f"/responses/{first.get('data', first)['response']['id']}")
        again.pipeline.flush(5)
        assert standing(ledger) == [(4_500_000, 0)]
