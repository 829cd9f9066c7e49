"""Paid APIs without an SDK of ours, declared in `aicost.yaml` and called with httpx, httpx2 or requests."""

from __future__ import annotations

import pickle
from decimal import Decimal
from pathlib import Path

import httpx
import httpx2
import openai
import pytest
import requests

from capture.world import KEY, Counting, settings
from otel_aicost import faults
from otel_aicost.budgets.reading import parse
from otel_aicost.errors import BudgetFileError
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.prices.catalogue import Catalogue
from otel_aicost.testing import Reply

DEEPL = """
apis:
  - host: 127.0.0.1
    provider: deepl
    calls:
      - path: /v2/translate
        operation: translate
        meters: {input_characters: characters(request.text), requests: 1}
      - path: /v1/search/*
        method: GET
        operation: search
        model: request.tier
        meters: {credits: response.usage.credits, results: "count(response.results)"}
      - path: /v1/paid
        operation: paid
        meters: {units: header.x-units}
        cost: response.cost
      - {path: /v1/ping, operation: ping, free: true}
"""
PRICES = """
schema: 1
currency: USD
models:
  - provider: deepl
    model: translate
    source: contract
    checked: 2026-11-22
    periods:
      - from: 2020-01-01
        rates:
          - {meter: input_characters, price: "20", per: 1_000_000}
          - {meter: requests, price: "0.001", per: 1}
"""


def apis(text):
    return parse(text.encode(), "aicost.yaml").apis


@pytest.fixture
def declared(provider, spans):
    """A pipeline for which an entry is declared; calls it with the text of the section."""
    made = []

    def start(text=DEEPL, paid="openai"):
        counted = Counting(settings(provider, paid, apis=apis(text)), SpanObserver())
        made.append(counted)
        return counted.__enter__()

    yield start
    for counted in made:
        counted.__exit__()
    assert faults.counts() == {}


def _requests(method, url, **options):
    return requests.request(method, url, timeout=10, **options)


async def _async_httpx(method, url, **options):
    async with httpx.AsyncClient() as client:
        return await client.request(method, url, **options)


CLIENTS = {"requests": _requests, "httpx": httpx.request, "httpx2": httpx2.request, "httpx async": _async_httpx}


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_declared_call_is_counted_by_what_is_told_of_it(client, declared, provider):
    """Characters of the request and a constant, through each client; the response is the client's own."""
    counting = declared()
    provider.next(Reply(json={"translations": [{"text": "Hallo"}]}))

    answer = CLIENTS[client]("POST", f"{provider.url}/v2/translate", json={"text": ["Hello", "you"]})
    answer = await answer if hasattr(answer, "__await__") else answer

    assert answer.json() == {"translations": [{"text": "Hallo"}]}
    record = counting.only
    assert (record.provider, record.operation, record.request_model) == ("deepl", "translate", "translate")
    assert record.usage == {"input_characters": 8, "requests": 1}
    assert record.unpriced.reason == "unknown_provider"
    assert record.sdk == client.partition(" ")[0]


def test_a_declared_call_is_priced_by_the_file_of_the_user(tmp_path):
    """A provider and a model of one's own are entries like any other."""
    (tmp_path / "prices.yaml").write_text(PRICES)
    catalogue = Catalogue.load(tmp_path / "prices.yaml")

    cost = catalogue.price("deepl", ("translate",), {"input_characters": 8, "requests": 1}, {}, 1_795_305_600 * 10**9)

    assert cost.total == Decimal("0.00116")


def test_the_response_tells_meters_and_the_query_the_model(declared, provider):
    """Numbers at a path, lengths of lists; a GET counts where it is declared."""
    counting = declared()
    provider.next(Reply(json={"usage": {"credits": 2.5}, "results": [1, 2, 3]}))

    requests.get(f"{provider.url}/v1/search/web", params={"tier": "gold", "q": "secret words"}, timeout=10)

    record = counting.only
    assert (record.operation, record.request_model) == ("search", "gold")
    assert record.usage == {"credits": Decimal("2.5"), "results": 3}
    assert "secret" not in repr(record)


def test_a_meter_that_the_response_does_not_tell_is_missing(declared, provider):
    """A part of the usage is not taken for the whole."""
    counting = declared()
    provider.next(Reply(json={"results": [1]}))

    requests.get(f"{provider.url}/v1/search/web", timeout=10)

    assert (counting.only.usage_state, counting.only.unpriced.reason) == ("missing", "no_usage")


def test_a_cost_that_the_response_states_is_the_cost(declared, provider):
    """And a header can tell a meter."""
    counting = declared()
    provider.next(Reply(json={"cost": "0.25"}, headers={"X-Units": "7"}))

    httpx.post(f"{provider.url}/v1/paid", json={})

    assert counting.only.usage == {"units": 7}
    assert (counting.only.cost.total, counting.only.cost.source) == (Decimal("0.25"), "provider")


def test_a_free_call_costs_nothing(declared, provider):
    """It is on record all the same."""
    counting = declared()
    provider.next(Reply(json={}))

    httpx.post(f"{provider.url}/v1/ping")

    assert counting.only.cost.total == 0


def test_other_paths_and_hosts_are_not_seen(declared, provider):
    """What is not declared is not recorded, whatever its answer holds."""
    counting = declared()
    provider.always(Reply(json={"usage": {"prompt_tokens": 5}}))

    httpx.post(f"{provider.url}/v1/chat/completions", json={"model": "gpt-4o"})
    httpx.get(f"{provider.url}/v2/translate/languages")
    requests.post(f"http://localhost:{provider.port}/v2/translate", json={"text": "x"}, timeout=10)

    assert counting.records == []


def test_an_answer_that_refuses_is_an_error_without_a_cost(declared, provider):
    """The application gets the response as ever."""
    counting = declared()
    provider.next(Reply(status=429, error={"message": "slow down"}))

    assert httpx.post(f"{provider.url}/v2/translate", json={"text": "x"}).status_code == 429
    assert (counting.only.status, counting.only.error_type, counting.only.cost) == ("error", "429", None)


def test_a_call_that_fails_on_the_way_is_an_error(declared):
    """The exception is the client's own."""
    counting = declared()

    with pytest.raises(httpx.ConnectError):
        httpx.post("http://127.0.0.1:9/v2/translate", json={"text": "x"})
    assert (counting.only.status, counting.only.error_type) == ("error", "ConnectError")


def test_an_entry_without_calls_knows_the_provider_of_the_host(declared, provider):
    """OpenAI's endpoints called by hand are read like those of its SDK, streams too."""
    counting = declared("apis: [{host: 127.0.0.1}]")
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}

    httpx.post(f"{provider.openai_url}/chat/completions", json=asked)
    streamed = {**asked, "stream": True, "stream_options": {"include_usage": True}}
    with httpx.stream("POST", f"{provider.openai_url}/chat/completions", json=streamed) as answer:
        assert b"[DONE]" in b"".join(answer.iter_bytes())
    with requests.post(f"{provider.openai_url}/chat/completions", json=streamed, stream=True, timeout=10) as answer:
        assert b"[DONE]" in b"".join(answer.iter_lines())

    assert [record.usage_state for record in counting.records] == ["reported"] * 3
    assert all(record.cost.total > 0 for record in counting.records)


def test_an_sdk_on_top_of_the_client_counts_once(declared, provider):
    """The SDK's own capture has seen the call."""
    counting = declared("apis: [{host: 127.0.0.1}]")
    with openai.OpenAI(base_url=provider.openai_url, api_key=KEY) as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

    assert counting.only.sdk == "openai"


def test_a_stream_that_is_closed_early_is_partial(declared, provider):
    """Of requests, as of httpx."""
    counting = declared("apis: [{host: 127.0.0.1}]")
    asked = {"model": "gpt-4o", "messages": [], "stream": True}
    provider.always(Reply(text="word " * 500, chunk_bytes=50))

    with requests.post(f"{provider.openai_url}/chat/completions", json=asked, stream=True, timeout=10) as answer:
        next(answer.iter_content(10))
    with httpx.stream("POST", f"{provider.openai_url}/chat/completions", json=asked) as answer:
        next(answer.iter_bytes(10))

    assert [record.status for record in counting.records] == ["partial", "partial"]


def test_a_response_pickles_as_without_us(declared, provider):
    """Nothing of ours is left on it."""
    declared()
    provider.next(Reply(json={"a": 1}))

    answer = requests.post(f"{provider.url}/v2/translate", json={"text": "x"}, timeout=10)

    assert pickle.loads(pickle.dumps(answer)).json() == {"a": 1}


def test_without_a_declared_api_no_http_client_is_touched(counting):
    """They are everybody's."""
    assert "httpx" not in counting._capture.patched
    assert "requests" not in counting._capture.patched


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("apis: [{}]", "aicost.yaml:1: apis[0].host: is missing"),
        ("apis: [{host: 'https://a/b'}]", "apis[0].host: must be a host such as"),
        ("apis: [{host: a, calls: [{path: /x, operation: y, free: true}]}]", "apis[0]: needs `provider`"),
        ("apis: [{host: a, provider: b, calls: [{path: /x, operation: y}]}]", "needs `meters`, `cost` or `free: true`"),
        ("apis: [{host: a, provider: b, calls: [{path: x, operation: y, free: true}]}]", "must be the end of a path"),
        (
            "apis: [{host: a, provider: b, calls: [{path: /x, operation: y, meters: {m: 'count(response.x'}}]}]",
            "must be a number, or a place such as",
        ),
        (
            "apis: [{host: a, provider: b, calls: [{path: /x, operation: y, meters: {m: body.x}}]}]",
            "must be a number, or a place such as",
        ),
        ("apis: [{host: a, provider: b, calls: [{path: /x, operation: y, metres: {m: 1}}]}]", "is it `meters`?"),
        (
            "apis: [{host: a, provider: b, calls: [{path: /x, operation: y, method: SEND, free: true}]}]",
            "one of DELETE",
        ),
    ],
)
def test_a_mistake_is_told_by_line_and_key(text, told):
    """What, where, and how to mend it."""
    with pytest.raises(BudgetFileError) as raised:
        apis(text)
    assert told in str(raised.value)


def test_the_schema_knows_the_section():
    """Editors complete and check it."""
    import json

    import jsonschema
    import yaml

    from otel_aicost import budgets

    schema = json.loads((Path(budgets.__file__).parent / "aicost.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(DEEPL), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"apis": [{"hots": "x"}]}, schema)
