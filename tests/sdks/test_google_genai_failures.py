"""Each function that sees `google.genai` fails in turn, and the application does not notice."""

from __future__ import annotations

import asyncio
import gc

import pytest
from google.genai import Client, errors, types

from capture.test_every_failure import EXCLUDED, FUNCTIONS, failing
from capture.world import Counting
from otel_aicost.config import Settings
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.testing import Reply, Usage

FLASH = "gemini-2.5-flash"
OURS = ("capture.google_genai.", "providers.google_", "providers.gemini.", "providers.vertex_ai.")
NAMES = sorted(name for name in FUNCTIONS if name.startswith(OURS) and name not in EXCLUDED)
pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession"),  # the SDK's own
    pytest.mark.filterwarnings("ignore:.*[iI]nteractions.* experimental"),
    pytest.mark.filterwarnings("ignore:Async interactions client cannot use aiohttp"),
]


@pytest.fixture(scope="module")
def application(_running):
    """Plain, streamed, asynchronous, closed, forgotten, failed and stored calls, and what is seen of them."""
    http = types.HttpOptions(base_url=_running.url)
    client, vertex = (Client(api_key="x", http_options=http, vertexai=kind) for kind in (False, True))
    with asyncio.Runner() as loop:
        yield lambda: calls(_running, client, vertex, loop)
        loop.run(client.aio.aclose())


def calls(provider, client, vertex, loop):
    provider.reset()
    provider.always(Reply(usage=Usage(input_tokens=10, output_tokens=20)))
    asked = {"model": FLASH, "contents": "x"}
    seen = [
        client.models.generate_content(**asked).text,
        [chunk.text for chunk in client.models.generate_content_stream(**asked)],
        loop.run(asynchronous(client, asked)),
        client.models.embed_content(model="gemini-embedding-001", contents="x").embeddings,
        vertex.models.embed_content(model="text-embedding-005", contents="x").embeddings,
        client.models.count_tokens(**asked).total_tokens,
        client.interactions.create(model=FLASH, input="x").id,
        len(list(client.interactions.create(model=FLASH, input="x", stream=True))),
        client.interactions.get("v1_x").status,
        client.caches.create(model=FLASH, config={"contents": "x"}).name,
        client.batches.get(name="batches/x").state,
        vertex.models.generate_content(**asked).text,
    ]
    stream = client.models.generate_content_stream(**asked)
    seen.append(next(stream).text)
    stream.close()
    forgotten = client.models.generate_content_stream(**asked)
    seen.append(next(forgotten).text)
    del forgotten
    gc.collect()
    video = {"instances": [{"prompt": "x"}], "parameters": {}}
    begun = client._api_client.request("post", "models/veo-2.0-generate-001:predictLongRunning", video, None)
    seen += [begun.body, client._api_client.request("get", "models/veo-2.0/operations/x-1", {}, None).body]
    seen.append(vertex._api_client.request("post", "models/imagen-4:predict", {}, None).body)
    provider.next(Reply(body=b'{"response": {"usageMetadata": {}}}\n'))
    seen.append(client.files.download(file="files/x"))
    provider.fail(400)
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(**asked)
    return seen, str(caught.value)


async def asynchronous(client, asked):
    whole = (await client.aio.models.generate_content(**asked)).text
    found = [chunk.text async for chunk in await client.aio.models.generate_content_stream(**asked)]
    made = (await client.aio.interactions.create(model=FLASH, input="x")).id
    return whole, found, made


@pytest.fixture(scope="module")
def expected(application):
    return application()


@pytest.mark.parametrize("name", NAMES)
def test_a_function_that_fails_is_not_noticed(application, expected, spans, name):
    """Same results, same exception."""
    with Counting(Settings(ledger=None), SpanObserver()), failing(FUNCTIONS[name]):
        assert application() == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_function_that_fails_from_the_beginning_is_not_noticed(application, expected, name):
    """The same when it is broken before anything is wrapped."""
    with failing(FUNCTIONS[name]), Counting(Settings(ledger=None)):
        assert application() == expected
