"""Voyage's SDK: each request once, through requests and through aiohttp; its results and errors are its own."""

from __future__ import annotations

import inspect
from decimal import Decimal

import pytest
import voyageai
from voyageai.api_resources.api_requestor import APIRequestor

import otel_aicost
from capture.conftest import _running, provider, spans
from capture.holding import starting
from capture.test_every_failure import FUNCTIONS, failing
from capture.world import KEY, Counting, settings
from otel_aicost import BudgetExceeded, faults
from otel_aicost.capture.installing import Capture
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.testing import Reply, Usage

__all__ = ["_running", "provider", "spans"]

PICTURE = {
    "content": [{"type": "text", "text": "secret"}, {"type": "image_url", "image_url": "https://a.example/b.png"}]
}
CALLS = {
    "embed": ("embeddings", {"texts": ["secret", "words"], "model": "voyage-4"}),
    "contextualized_embed": ("embeddings", {"inputs": [["secret", "words"]], "model": "voyage-context-3"}),
    "multimodal_embed": ("embeddings", {"inputs": [PICTURE], "model": "voyage-multimodal-3.5"}),
    "rerank": ("rerank", {"query": "secret", "documents": ["a", "b"], "model": "rerank-2.5"}),
}
USED = Usage(input_tokens=1_000_000, input_image_tokens=500_000)
PRICES = {
    "embed": "0.06",
    "contextualized_embed": "0.18",
    "multimodal_embed": "0.228",  # half a million tokens of text, and 280 million pixels
    "rerank": "0.05",
}
CLIENTS = {"requests": voyageai.Client, "aiohttp": voyageai.AsyncClient}


async def ask(kind, provider, method="embed", **options):
    client = CLIENTS[kind](api_key=KEY, base_url=f"{provider.url}/voyage/v1", **options)
    answer = getattr(client, method)(**CALLS[method][1])
    return await answer if inspect.isawaitable(answer) else answer


@pytest.fixture
def counting(provider, spans):
    with Counting(settings(provider, "voyage_ai"), SpanObserver()) as counted:
        yield counted
    assert faults.counts() == {}


@pytest.fixture
def held(provider, tmp_path):
    yield from starting(provider, tmp_path / "ledger.db")
    assert faults.counts() == {}


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("kind", CLIENTS)
async def test_each_call_is_counted_once(kind, method, counting, provider):
    """With the tokens or pixels of its answer, and their price."""
    provider.next(Reply(usage=USED))

    await ask(kind, provider, method)

    record = counting.only
    operation, asked = CALLS[method]
    assert (record.provider, record.operation, record.request_model, record.sdk) == (
        "voyage_ai",
        operation,
        asked["model"],
        "voyageai",
    )
    assert (record.status, record.usage_state, record.usage["input_tokens"]) == ("ok", "reported", 1_000_000)
    assert record.cost.total == Decimal(PRICES[method])


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("kind", CLIENTS)
async def test_results_and_requests_are_those_without_us(kind, method, counting, provider):
    """The same types, the same values, the same bytes sent."""
    seen = await ask(kind, provider, method)
    counting.__exit__()
    without = await ask(kind, provider, method)

    assert type(seen) is type(without)
    assert repr(vars(seen)) == repr(vars(without))
    first, second = (request.body for request in provider.requests)
    assert first == second


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("kind", CLIENTS)
async def test_an_error_is_the_sdks_own(kind, status, counting, provider):
    """And costs nothing."""
    provider.always(Reply(status=status))
    with pytest.raises(voyageai.error.VoyageError) as raised:
        await ask(kind, provider)
    record = counting.only
    counting.__exit__()
    with pytest.raises(voyageai.error.VoyageError) as without:
        await ask(kind, provider)

    assert type(raised.value) is type(without.value)
    assert (raised.value.http_status, raised.value.http_body) == (status, without.value.http_body)
    assert (record.status, record.cost, record.error_type) == ("error", None, type(raised.value).__name__)


async def test_an_answer_without_a_usage_is_missing(counting, provider):
    """The SDK fails on it by itself; what was answered is on record."""
    provider.next(Reply(usage=None))
    with pytest.raises(AttributeError):
        await ask("requests", provider)

    assert (counting.only.status, counting.only.usage_state) == ("ok", "missing")


async def test_a_retry_is_a_request_of_its_own(counting, provider):
    """The one that was answered is paid."""
    provider.next(Reply(status=503))

    await ask("requests", provider, max_retries=2)

    assert [(record.status, record.cost is None) for record in counting.records] == [("error", True), ("ok", False)]


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_budget_stops_a_call_before_it_is_sent(kind, held, provider):
    """Nothing arrives at the provider."""
    counting = held("{name: b, limit: 0, period: day, on_exceed: block}", paid="voyage_ai")

    with pytest.raises(BudgetExceeded):
        await ask(kind, provider)

    assert provider.requests == []
    assert counting.only.status == "blocked"


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_call_is_one_span(kind, counting, provider, spans):
    """With the cost and the tags, and nothing of what was asked."""
    with otel_aicost.tags(team="search"):
        await ask(kind, provider)

    (span,) = spans.get_finished_spans()
    assert span.attributes["gen_ai.provider.name"] == "voyage_ai"
    assert counting.only.tags == {"team": "search"}
    told = repr((counting.only, span.attributes, span.name))
    assert KEY not in told
    assert "secret" not in told


def test_it_is_unwrapped_and_can_be_left_alone(provider):
    """The SDK's own functions are back; a disabled SDK is never touched."""
    before = vars(APIRequestor)["request"]
    with Counting(settings(provider)) as counting:
        assert vars(APIRequestor)["request"] is not before
        assert counting._capture.patched["voyageai"]
    assert vars(APIRequestor)["request"] is before
    capture = Capture(counting.pipeline, {"voyageai"})
    capture.install()
    assert vars(APIRequestor)["request"] is before
    capture.remove()


OURS = ("capture.voyageai.", "providers.voyage_ai.")


@pytest.mark.parametrize("name", sorted(name for name in FUNCTIONS if name.startswith(OURS)))
async def test_a_function_of_ours_that_fails_is_not_noticed(name, provider):
    """Same results, same exception."""

    async def application():
        provider.reset()
        seen = [repr(vars(await ask(kind, provider, method))) for kind in CLIENTS for method in CALLS]
        provider.next(Reply(status=400))
        with pytest.raises(voyageai.error.InvalidRequestError) as raised:
            await ask("requests", provider)
        return seen, raised.value.http_body

    expected = await application()
    with Counting(settings(provider, "voyage_ai")), failing(FUNCTIONS[name]):
        assert await application() == expected
    with failing(FUNCTIONS[name]), Counting(settings(provider, "voyage_ai")):
        assert await application() == expected
