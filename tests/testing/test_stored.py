"""What the fake provider keeps: files, batches, background work, as the SDKs of both providers fetch it."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from otel_aicost.testing import Reply, Usage

if TYPE_CHECKING:
    import openai

    from otel_aicost.testing import FakeProvider

pytestmark = pytest.mark.filterwarnings("ignore:.*[Aa]ssistants:DeprecationWarning")


def fetched(client: Any, path: str) -> Any:
    return client.get(path, cast_to=object)


def test_a_file_is_kept_as_it_was(client: openai.OpenAI) -> None:
    """Byte for byte, as what it is."""
    stored = client.files.create(file=("x.bin", io.BytesIO(b"\0\1\n")), purpose="fine-tune")
    assert client.files.content(stored.id).content == b"\0\1\n"


def test_a_batch_answers_each_line_as_its_endpoint_does(provider: FakeProvider, client: openai.OpenAI) -> None:
    """With one reply for all of them; a line for a path that nobody knows has failed."""
    provider.always(Reply(usage=Usage(input_tokens=5, output_tokens=2)))
    asked = [
        {"custom_id": "a", "url": "/v1/chat/completions", "body": {"model": "gpt-4o", "messages": []}},
        {"custom_id": "b", "url": "/v1/nowhere", "body": {}},
    ]
    lines = "\n".join(json.dumps({"method": "POST", **line}) for line in asked).encode()
    source = client.files.create(file=("in.jsonl", io.BytesIO(lines)), purpose="batch")
    begun = client.batches.create(input_file_id=source.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert begun.output_file_id is None
    batch = client.batches.retrieve(begun.id)
    assert batch.status == "completed"
    assert batch.to_dict()["usage"]["total_tokens"] == 7
    assert batch.output_file_id is not None
    good, bad = (json.loads(line) for line in client.files.content(batch.output_file_id).content.splitlines())
    assert (good["custom_id"], good["response"]["status_code"]) == ("a", 200)
    assert good["response"]["body"]["usage"]["prompt_tokens"] == 5
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("b", 404)


def test_jobs_have_ended_when_they_are_fetched(provider: FakeProvider, client: openai.OpenAI) -> None:
    """A run, a video and a training job, with what they used."""
    provider.always(Reply(usage=Usage(input_tokens=5, output_tokens=2)))
    thread = client.beta.threads.create()
    run = client.beta.threads.runs.create(thread.id, assistant_id="asst_1")
    assert (run.status, run.usage) == ("queued", None)
    assert client.beta.threads.runs.retrieve(run.id, thread_id=thread.id).status == "completed"
    video: Any = client.post("/videos", cast_to=object, body={"prompt": "x", "seconds": "8"})
    assert [fetched(client, f"/videos/{video['id']}")[key] for key in ("status", "seconds")] == ["completed", "8"]
    job = client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file="file-1")
    assert job.trained_tokens is None
    assert client.fine_tuning.jobs.retrieve(job.id).trained_tokens == 5


def test_what_was_never_made_is_not_found(client: openai.OpenAI) -> None:
    """As an id that nobody knows."""
    import openai

    for path in ("/files/file-1/content", "/batches/batch_0", "/threads/t/runs/r", "/videos/v", "/fine_tuning/jobs/j"):
        with pytest.raises(openai.NotFoundError):
            fetched(client, path)


def test_a_message_batch_has_results(provider: FakeProvider, claude: Any) -> None:
    """A request without messages has errored."""
    provider.always(Reply(usage=Usage(input_tokens=5, output_tokens=2)))
    params = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    requests = [{"custom_id": "a", "params": params}, {"custom_id": "b", "params": {**params, "messages": []}}]
    batches = claude.beta.messages.batches
    begun = batches.create(requests=requests)
    assert begun.processing_status == "in_progress"
    first, second = batches.results(begun.id)
    assert (first.result.type, first.result.message.usage.service_tier) == ("succeeded", "batch")
    assert (second.custom_id, second.result.type) == ("b", "errored")
