"""What is peculiar to the mistralai SDK: its clients for other clouds, and the results of batches."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from capture.world import KEY, TRUST, Counting
from otel_aicost import faults
from otel_aicost.config import Settings
from otel_aicost.testing import Reply
from sdks.cases import mistralai
from sdks.cases.mistralai import sdk
from sdks.driving import COUNTED, NEVER, SPOKEN, USED, opened

if TYPE_CHECKING:
    from otel_aicost.testing import FakeProvider

NEW = sdk.__name__ == "mistralai.client"
"""Before 2.0 the clients for other clouds were packages of their own."""
CLOUDS = [
    ("mistralai.azure.client", "MistralAzure", {"api_key": KEY}, "azure.ai.inference", "/mistral/v1"),
    ("mistralai.gcp.client", "MistralGCP", {"project_id": "p", "access_token": KEY}, "gcp.vertex_ai", ""),
]


@pytest.mark.parametrize(("module", "name", "options", "paid", "path"), CLOUDS if NEW else [])
def test_a_client_for_another_cloud_pays_that_one(
    provider: FakeProvider, module: str, name: str, options: Any, paid: str, path: str
) -> None:
    """In the same dialect; whoever reads the path is the SDK's own hook."""
    cloud = import_module(module)
    http = import_module(f"{module}.basesdk").httpx.Client(verify=TRUST)
    client = getattr(cloud, name)(**options, server_url=f"{provider.url}{path}", client=http, async_client=NEVER)
    provider.always(Reply(usage=USED))
    with Counting(Settings(ledger=None)) as counting:
        client.chat.complete(model="mistral-small-2503", messages=SPOKEN)
        list(client.chat.stream(model="mistral-small-2503", messages=SPOKEN))
        assert [(record.provider, record.operation, dict(record.usage)) for record in counting.records] == [
            (paid, "chat", COUNTED),
            (paid, "chat", COUNTED),
        ]
    http.close()
    assert faults.counts() == {}


def test_the_results_of_a_batch_are_billed_once(provider: FakeProvider) -> None:
    """However often the file is downloaded; they run at the time they name."""
    body = {
        "id": "cmpl-1",
        "model": "mistral-small-2506",
        "created": 1767225600,
        "usage": {"prompt_tokens": 1000, "completion_tokens": 10},
        "choices": [],
    }
    lines = [
        {"id": f"batch-1-{at}", "custom_id": str(at), "response": {"status_code": 200, "body": body}} for at in (0, 1)
    ]
    content = b"\n".join(json.dumps(line).encode() for line in lines)
    provider.always(Reply(body=content, content_type="application/octet-stream"))
    with Counting(Settings(ledger=None)) as counting, opened(mistralai.KIND, provider.url) as client:
        for _ in range(2):
            assert client.files.download(file_id="f1").read() == content
        first, second = counting.records
    assert first.id != second.id
    for record in (first, second):
        assert dict(record.usage) == {"input_tokens": 1000, "output_tokens": 10}
        assert (record.started_ns, dict(record.conditions)) == (1767225600 * 10**9, {"processing": "batch"})
    assert faults.counts() == {}
