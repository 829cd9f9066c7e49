"""`google.genai`, of the Gemini API and of Vertex AI: every HTTP response that costs money, once, whoever carries it."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.transport.requests import AuthorizedSession
from google.genai import Client, errors, types

import otel_aicost
from capture.holding import starting
from capture.test_transparency import received
from capture.world import Collect, Counting, catalogue, left_alone
from otel_aicost import BudgetExceeded, faults
from otel_aicost.capture.installing import Capture
from otel_aicost.config import Settings
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.pipeline import Pipeline
from otel_aicost.testing import Reply, ToolCall, Usage

FLASH, PRO = "gemini-2.5-flash", "gemini-2.5-pro"
ASKED = {"model": FLASH, "contents": "a secret question"}
USED = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=400, reasoning_tokens=30)
METERS = {"input_tokens": 1000, "output_tokens": 100, "cache_read_tokens": 400, "reasoning_tokens": 30}
COST = Decimal("0.000442")
"""600 at $0.30, 400 at $0.03 and 100 at $2.50 a million."""
KEY = "AIza-canary"
_ASYNC = type(Client(api_key=KEY)._api_client._async_httpx_client)
HTTPX = sys.modules[next(kind for kind in _ASYNC.__mro__ if kind.__name__ == "AsyncClient").__module__.split(".")[0]]
"""`httpx2`, or `httpx` in older versions."""
pytestmark = [
    pytest.mark.filterwarnings("ignore:The generate_(images|videos) method"),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession"),  # the SDK's own
    pytest.mark.filterwarnings("ignore:.*[iI]nteractions.* experimental"),
    pytest.mark.filterwarnings("ignore:Async interactions client cannot use aiohttp"),
]


@pytest.fixture
def counting(provider):
    with Counting(Settings(ledger=None)) as counted:
        yield counted
    assert faults.counts() == {}


@pytest.fixture
def traced(provider, spans):
    with Counting(Settings(ledger=None), SpanObserver()) as counted:
        yield counted
    assert faults.counts() == {}


def client_of(provider, kind="gemini", **options):
    http = types.HttpOptions(base_url=provider.url, **options)
    return Client(api_key=KEY, http_options=http, vertexai=kind != "gemini")


@pytest.fixture
def client(provider):
    return client_of(provider)


def paid(kind):
    return {"gemini": "gcp.gemini", "vertex": "gcp.vertex_ai"}[kind]


# --- ways of calling ------------------------------------------------------------------------------------------------


def whole(client):
    return client.models.generate_content(**ASKED).model_dump(exclude={"sdk_http_response"})


def streamed(client):
    found = client.models.generate_content_stream(**ASKED)
    assert isinstance(found, Iterator)
    return [chunk.model_dump(exclude={"sdk_http_response"}) for chunk in found]


def raw(client):
    asked = types.GenerateContentConfig(should_return_http_response=True)
    return client.models.generate_content(**ASKED, config=asked).sdk_http_response.body


def chat(client):
    return client.chats.create(model=FLASH).send_message("a secret question").text


async def async_whole(client):
    return (await client.aio.models.generate_content(**ASKED)).model_dump(exclude={"sdk_http_response"})


async def async_streamed(client):
    found = await client.aio.models.generate_content_stream(**ASKED)
    assert isinstance(found, AsyncIterator)
    return [chunk.model_dump(exclude={"sdk_http_response"}) async for chunk in found]


def interaction(client):
    return client.interactions.create(model=FLASH, input="a secret question").model_dump()


def interaction_streamed(client):
    return [event.model_dump() for event in client.interactions.create(model=FLASH, input="a", stream=True)]


async def async_interaction(client):
    return (await client.aio.interactions.create(model=FLASH, input="a secret question")).model_dump()


async def async_interaction_streamed(client):
    return [
        event.model_dump() async for event in await client.aio.interactions.create(model=FLASH, input="a", stream=True)
    ]


WAYS = [
    whole, streamed, raw, chat, async_whole, async_streamed,
    interaction, interaction_streamed, async_interaction, async_interaction_streamed,
]  # fmt: skip


def video(client, **parameters):
    """Begin a video; the newest SDK has a method for it on Vertex AI alone."""
    body = {"instances": [{"prompt": "x"}], "parameters": parameters}
    model = ("publishers/google/" if client.vertexai else "") + "models/veo-3.1-generate-preview"
    answer = client._api_client.request("post", f"{model}:predictLongRunning", body, None)
    return types.GenerateVideosOperation(name=json.loads(answer.body)["name"])


async def call(way, client):
    found = way(client)
    return await found if asyncio.iscoroutine(found) else found


@pytest.fixture(params=["aiohttp", "httpx"])
def carrier(request):
    """Options that make the asynchronous client use one of its HTTP libraries."""
    if request.param == "aiohttp":
        return {}
    return {"async_client_args": {"transport": HTTPX.AsyncHTTPTransport()}}


@pytest.mark.parametrize("kind", ["gemini", "vertex"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_call_is_seen_by_us_and_by_nobody_else(provider, kind, way, carrier):
    """Same results and the same requests as without us, and one record with the usage of the response."""
    provider.always(Reply(usage=USED))
    client = client_of(provider, kind, **carrier)
    bare, sent = await call(way, client), received(provider)
    provider.reset()
    provider.always(Reply(usage=USED))
    with Counting(Settings(ledger=None)) as counting:
        assert await call(way, client) == bare
    assert received(provider) == sent

    record = counting.only
    assert (record.status, record.operation, record.sdk) == ("ok", "generate_content", "google.genai")
    assert record.provider == ("gcp.gemini" if "interaction" in way.__name__ else paid(kind))
    assert (record.request_model, record.response_model, dict(record.usage)) == (FLASH, FLASH, METERS)
    assert (record.cost.total, record.stream) == (COST, "streamed" in way.__name__)
    await client.aio.aclose()
    assert faults.counts() == {}


def test_the_transport_of_google_auth_is_seen(provider, counting, monkeypatch):
    """With a client certificate Vertex AI is called through `requests`."""
    provider.always(Reply(usage=USED))
    client = client_of(provider, "vertex")
    inner = client._api_client
    monkeypatch.setattr(inner, "_use_google_auth_sync", lambda: True, raising=False)
    monkeypatch.setattr(inner, "_use_mtls_endpoint", lambda **_: False, raising=False)
    inner._authorized_session = AuthorizedSession(AnonymousCredentials())

    whole(client), streamed(client)
    assert [record.cost.total for record in counting.records] == [COST, COST]


def test_each_call_of_an_automatic_function_is_billed(provider, client, counting):
    """One public call, three answers: two that want a function called and the one the application gets."""

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    wanting = Reply(usage=USED, tool_calls=(ToolCall("add", {"a": 1, "b": 2}),), times=2)
    provider.next(wanting, Reply(usage=USED))

    client.chats.create(model=FLASH, config={"tools": [add]}).send_message("add")
    assert [(record.cost.total, dict(record.usage)) for record in counting.records] == [(COST, METERS)] * 3


def test_a_custom_base_url_changes_nothing(provider, counting):
    """A gateway at a host nobody knows is paid as Google is; one that the user maps is paid as he says."""
    provider.always(Reply(usage=USED))
    client = client_of(provider)
    whole(client)
    with Counting(Settings(ledger=None, provider_hosts={"127.0.0.1": "my_gateway"})) as mapped:
        whole(client)

    assert counting.records[0].provider == "gcp.gemini"
    assert (mapped.only.provider, mapped.only.unpriced.reason) == ("my_gateway", "unknown_provider")


# --- streams that end otherwise -------------------------------------------------------------------------------------


def test_a_stream_that_is_closed_keeps_what_is_known(provider, client, counting):
    """The input is told by the first event; the output is what was seen of it."""
    provider.always(Reply(usage=USED))
    stream = client.models.generate_content_stream(**ASKED)
    next(stream)
    stream.close()

    record = counting.only
    assert (record.status, record.usage["input_tokens"], record.estimated) == ("partial", 1000, True)
    assert 0 < record.usage["output_tokens"] < 100


def test_a_stream_that_is_forgotten_is_counted(provider, client, counting):
    """The garbage collector ends it."""
    provider.always(Reply(usage=USED))
    stream = client.models.generate_content_stream(**ASKED)
    next(stream)
    del stream
    gc.collect()

    assert counting.only.status == "partial"


@pytest.mark.parametrize("ending", ["closed", "cancelled", "forgotten"])
async def test_an_asynchronous_stream_that_is_left_is_counted(provider, client, counting, ending):
    """However it is left."""
    provider.always(Reply(usage=USED, chunk_delay=0.01 if ending == "cancelled" else 0))
    stream = await client.aio.models.generate_content_stream(**ASKED)
    await anext(stream)
    if ending == "closed":
        await stream.aclose()
    elif ending == "cancelled":
        task = asyncio.ensure_future(_rest(stream))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    del stream
    await left_alone(counting)

    assert (counting.only.status, counting.only.usage["input_tokens"]) == ("partial", 1000)
    await client.aio.aclose()


async def _rest(stream):
    return [chunk async for chunk in stream]


def test_a_stream_that_breaks_is_a_part(provider, client, counting):
    """The application gets its exception, the record what came before."""
    provider.next(Reply(usage=USED, drop_after=3))
    with pytest.raises(Exception, match=r"(?i)peer|closed|incomplete") as caught:
        streamed(client)

    assert (counting.only.status, counting.only.error_type) == ("partial", type(caught.value).__qualname__)
    assert counting.only.usage["input_tokens"] == 1000


def test_a_stream_without_an_end_is_a_part(provider, client, counting):
    """It ended in good order, but no reason was told."""
    provider.next(Reply(usage=USED, error_after=3))
    with pytest.raises(errors.ServerError):
        streamed(client)

    assert (counting.only.status, counting.only.estimated) == ("partial", True)


def test_a_stream_without_a_usage_is_estimated(provider, client, counting):
    """And says so."""
    provider.next(Reply(usage=None))
    streamed(client)

    assert (counting.only.usage_state, counting.only.estimated) == ("missing", True)
    assert counting.only.usage["output_tokens"] > 5


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [whole, streamed, async_whole, async_streamed, interaction, async_interaction])
@pytest.mark.parametrize("status", [400, 429, 503])
async def test_an_error_is_the_application_s_own(provider, way, status):
    """Same exception, same requests, and a record of a call that cost nothing."""
    client = client_of(provider)
    seen = []
    for watch in (False, True):
        provider.reset()
        provider.always(Reply(status=status))
        counting = Counting(Settings(ledger=None))
        if watch:
            counting.__enter__()
        with pytest.raises(Exception, match=str(status)) as caught:
            await call(way, client)
        seen.append((type(caught.value), str(caught.value), len(provider.requests)))
    counting.__exit__()
    await client.aio.aclose()

    assert seen[0] == seen[1]
    record = counting.only
    assert (record.status, record.cost, record.unpriced) == ("error", None, None)
    # Interactions are generated code, since version 2 by another generator: there the response comes before the error.
    assert record.error_type in {seen[0][0].__qualname__, str(status) if "interaction" in way.__name__ else None}


def test_retries_are_one_call(provider, counting):
    """The SDK sends again; what was answered is billed, once."""
    options = types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.01)
    provider.next(Reply(status=503, times=2), Reply(usage=USED))
    whole(client_of(provider, retry_options=options))

    assert len(provider.requests) == 3
    assert counting.only.cost.total == COST


# --- other endpoints --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "model", "used", "meters"),
    [
        ("gemini", "gemini-embedding-001", Usage(input_tokens=7), {"input_tokens": 7}),
        ("vertex", "text-embedding-005", None, {"input_tokens": 3, "input_characters": 9}),
    ],
)
def test_embeddings(provider, counting, kind, model, used, meters):
    """By tokens, and on Vertex AI by characters where a model is billed so."""
    provider.always(Reply(usage=used))
    client = client_of(provider, kind)
    client.models.embed_content(model=model, contents=["one two", "xy"])

    record = counting.only
    assert (record.operation, record.request_model, dict(record.usage)) == ("embeddings", model, meters)


def test_images_are_counted(provider, counting):
    """What comes back is billed, not what was asked for."""
    client = client_of(provider, "vertex")
    client.models.generate_images(model="imagen-4.0-generate-001", prompt="x", config={"number_of_images": 3})
    provider.next(Reply(json={"predictions": [{"raiFilteredReason": "no"}]}))
    client.models.generate_images(model="imagen-4.0-generate-001", prompt="x")

    assert [(r.operation, dict(r.usage), r.cost.total) for r in counting.records] == [
        ("image_generation", {"output_images": 3}, Decimal("0.12")),
        ("image_generation", {"output_images": 0}, 0),
    ]


def test_counting_tokens_is_free(client, counting):
    """A record, and no dollar."""
    client.models.count_tokens(**ASKED)
    assert (counting.only.operation, counting.only.cost.total) == ("count_tokens", 0)


@pytest.mark.parametrize(("kind", "videos"), [("gemini", 1), ("vertex", 2)])
def test_a_video_is_billed_once_it_is_done(provider, counting, kind, videos):
    """By the seconds that only the request told, however often it is polled."""
    client = client_of(provider, kind)
    begun = video(client, sampleCount=videos, durationSeconds=6, resolution="1080p")
    assert counting.records == []
    for _ in range(3):
        done = client.operations.get(begun)
    assert len(done.response.generated_videos) == videos

    record = counting.only
    assert (record.provider, record.operation) == (paid(kind), "video_generation")
    assert (dict(record.usage), dict(record.conditions)) == (
        {"output_video_seconds": 6 * videos},
        {"resolution": "1080p"},
    )
    assert record.cost.total == videos * Decimal("2.40")


def test_a_video_begun_elsewhere_has_no_price(provider, client, counting):
    """Its length is nowhere told: it is on record, and unpriced."""
    name = "models/veo-3.1-generate-preview/operations/elsewhere-1"
    client.operations.get(types.GenerateVideosOperation(name=name))

    assert dict(counting.only.usage) == {"output_videos": 1}
    assert counting.only.unpriced.reason == "unpriced_meter"


def test_a_batch_is_billed_by_its_results_and_once(provider, client, counting):
    """Inlined responses, polled three times; the request that failed costs nothing."""
    provider.always(Reply(usage=USED))
    source = [{"contents": [{"parts": [{"text": "x"}]}]}]
    begun = client.batches.create(model=FLASH, src=source)
    assert counting.records == []
    for _ in range(3):
        client.batches.get(name=begun.name)

    assert [(r.response_model, dict(r.usage), dict(r.conditions)) for r in counting.records] == [
        (FLASH, METERS, {"processing": "batch"})
    ] * 2
    assert len({record.id for record in counting.records}) == 2
    assert {record.started_ns for record in counting.records} == {1_767_225_600 * 10**9}


def test_a_file_of_results_is_billed_once(provider, client, counting):
    """Its lines hold the responses; at the batch price of their day. Other files are none of our business."""
    line = (
        '{"key":"%s","response":{"responseId":"%s","modelVersion":"gemini-2.5-flash","candidates":[],'
        '"usageMetadata":{"promptTokenCount":1000000,"candidatesTokenCount":0}}}\n'
    )
    results = (line % ("a", "r1") + line % ("b", "r2") + '{"key":"c","error":{"code":3}}\n').encode()
    provider.next(Reply(body=results, content_type="application/octet-stream", times=2))
    provider.next(Reply(body=b'{"own": "file"}\n'), Reply(body=b"\x00video"))
    said = [client.files.download(file="files/results") for _ in range(4)]

    assert said == [results, results, b'{"own": "file"}\n', b"\x00video"]
    assert [record.cost.total for record in counting.records] == [Decimal("0.15")] * 2


def test_a_cache_is_billed_by_tokens_and_hours(provider, counting):
    """Until its expiry; on Vertex AI writing it is input besides."""
    provider.always(Reply(usage=Usage(input_tokens=5000)))
    for kind in ("gemini", "vertex"):
        client = client_of(provider, kind)
        client.caches.create(model=FLASH, config={"contents": "x", "ttl": "7200s"})

    assert [(record.provider, dict(record.usage)) for record in counting.records] == [
        ("gcp.gemini", {"cache_token_hours": 10_000}),
        ("gcp.vertex_ai", {"input_tokens": 5000}),
        ("gcp.vertex_ai", {"cache_token_hours": 10_000}),
    ]


def test_an_interaction_in_the_background_counts_when_it_is_done(provider, client, counting):
    """Once, however often it is fetched."""
    provider.always(Reply(usage=USED))
    begun = client.interactions.create(model=FLASH, input="x", background=True)
    assert counting.records == []
    for _ in range(3):
        client.interactions.get(begun.id)

    assert (counting.only.cost.total, dict(counting.only.usage)) == (COST, METERS)


def test_a_stored_interaction_is_not_billed_again(provider, client, counting):
    """It was when it was made."""
    provider.always(Reply(usage=USED))
    made = client.interactions.create(model=FLASH, input="x")
    client.interactions.get(made.id)

    assert counting.only.cost.total == COST


def test_what_is_stored_costs_nothing(provider, client, counting):
    """Lists and descriptions are not calls of a model."""
    provider.always(Reply(json={"name": "models/x", "models": []}))
    client.models.get(model=FLASH)
    list(client.models.list())

    assert counting.records == []


# --- budgets, tags, spans -------------------------------------------------------------------------------------------


@pytest.fixture
def held(provider, tmp_path):
    yield from starting(provider, tmp_path / "ledger.db")
    assert faults.counts() == {}


@pytest.mark.parametrize("way", WAYS)
async def test_a_budget_stops_a_call_before_it_is_sent(provider, held, way):
    """Nothing arrives at the provider."""
    counting = held("{name: b, limit: 0, period: day, on_exceed: block}", paid="gcp.gemini")
    client = client_of(provider)
    with pytest.raises(BudgetExceeded):
        await call(way, client)
    await client.aio.aclose()

    assert provider.requests == []
    assert counting.only.status == "blocked"


@pytest.mark.parametrize("way", [whole, streamed, async_whole, async_streamed, chat])
async def test_a_budget_falls_back_to_a_cheaper_model(provider, held, way):
    """The model is in the path: there the other one is put."""
    counting = held("{name: b, limit: 0, period: day, on_exceed: {fallback: gemini-2.5-flash-lite}}", paid="gcp.gemini")
    client = client_of(provider)
    await call(way, client)
    await client.aio.aclose()

    (request,) = provider.requests
    assert f"/models/gemini-2.5-flash-lite:{'stream' if 'streamed' in way.__name__ else 'g'}" in request.path
    record = counting.only
    assert (record.asked_model, record.request_model) == (FLASH, "gemini-2.5-flash-lite")


@pytest.mark.parametrize("way", [interaction, interaction_streamed, async_interaction, async_interaction_streamed])
async def test_an_interaction_falls_back_too(provider, held, way):
    """There the model is in the body; the rest of the request is as it was."""
    client = client_of(provider)
    await call(way, client)
    (bare,) = provider.requests
    provider.reset()
    counting = held("{name: b, limit: 0, period: day, on_exceed: {fallback: gemini-2.5-flash-lite}}", paid="gcp.gemini")
    await call(way, client)
    await client.aio.aclose()

    (request,) = provider.requests
    assert request.path == bare.path
    assert json.loads(request.body) == {**json.loads(bare.body), "model": "gemini-2.5-flash-lite"}
    record = counting.only
    assert (record.asked_model, record.request_model) == (FLASH, "gemini-2.5-flash-lite")


def test_a_video_is_held_against_a_budget_beforehand(provider, held):
    """By the seconds that were asked for."""
    held("{name: b, limit: 3, period: day, on_exceed: block}", paid="gcp.gemini")
    client = client_of(provider)
    video(client, durationSeconds=6)
    with pytest.raises(BudgetExceeded):
        video(client, durationSeconds=8)


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_is_one_span(provider, client, traced, spans, way):
    """With the cost on it, the tags, and nothing of what was said."""
    provider.always(Reply(usage=USED))
    with otel_aicost.tags(team="maps"):
        await call(way, client)
    await client.aio.aclose()

    record = traced.only
    (span,) = spans.get_finished_spans()
    assert span.name == f"generate_content {FLASH}"
    assert span.attributes["gen_ai.usage.input_tokens"] == 1000
    assert record.tags == {"team": "maps"}
    told = repr((record, span.attributes))
    assert "secret" not in told
    assert KEY not in told


def test_switched_off_it_is_not_seen(provider, client):
    """`OTEL_AICOST_DISABLED=google.genai`."""
    collected = Collect()
    capture = Capture(Pipeline(Settings(ledger=None), catalogue, None, [collected]), disabled=("google.genai",))
    capture.install()
    whole(client), streamed(client)
    capture.remove()

    assert collected.records == []


def test_its_functions_are_its_own_again(provider, client):
    """What was wrapped is unwrapped."""
    from google.genai._api_client import BaseApiClient

    before = dict(vars(BaseApiClient))
    with Counting(Settings(ledger=None)):
        assert vars(BaseApiClient)["request"] is not before["request"]
    assert dict(vars(BaseApiClient)) == before
