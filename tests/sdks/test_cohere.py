"""What is peculiar to the cohere SDK: several requests for one call, and requests that go elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cohere
import httpx
import pytest

from capture.world import KEY, TRUST, Counting
from otel_aicost import faults
from otel_aicost.config import Settings
from otel_aicost.testing import Reply
from sdks.driving import USED

if TYPE_CHECKING:
    from otel_aicost.testing import FakeProvider

EMBED: Any = {"model": "embed-v4.0", "input_type": "search_document", "embedding_types": ["float"]}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("texts", [200, 1])
async def test_each_request_of_an_embedding_is_billed(provider: FakeProvider, texts: int) -> None:
    """The client cuts the texts into batches of 96, and sends them side by side."""
    provider.always(Reply(usage=USED))
    with Counting(Settings(ledger=None)) as counting:
        with httpx.Client(verify=TRUST) as http:
            cohere.Client(KEY, base_url=f"{provider.url}/cohere", httpx_client=http).embed(**EMBED, texts=["a"] * texts)
        async with httpx.AsyncClient(verify=TRUST) as http_async:
            client = cohere.AsyncClient(KEY, base_url=f"{provider.url}/cohere", httpx_client=http_async)
            await client.embed(**EMBED, texts=["a"] * texts)
        assert len(counting.records) == len(provider.requests) == 2 * -(-texts // 96)
        assert {record.usage["input_tokens"] for record in counting.records} == {1500}
    assert faults.counts() == {}


def test_who_is_paid_is_who_answered(provider: FakeProvider) -> None:
    """The clients for Bedrock send the same requests there, from a hook of their HTTP client."""
    provider.always(Reply(usage=USED))
    elsewhere = "bedrock-runtime.us-east-1.amazonaws.com"

    def answer(request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host=elsewhere)
        billed = {"billed_units": {"input_tokens": 10.0, "output_tokens": 2.0}}
        told = {"generation_id": "g", "text": "x", "meta": billed}
        return httpx.Response(200, json=told, request=request)

    with Counting(Settings(ledger=None)) as counting, httpx.Client(transport=httpx.MockTransport(answer)) as http:
        client = cohere.Client(KEY, base_url="https://api.cohere.com", httpx_client=http)
        client.chat(model="cohere.command-r-v1:0", message="one")
        record = counting.only
    assert (record.provider, record.host, record.usage) == (
        "aws.bedrock",
        elsewhere,
        {"input_tokens": 10, "output_tokens": 2},
    )
    assert record.cost is None or record.cost.source != "provider"
    assert faults.counts() == {}
