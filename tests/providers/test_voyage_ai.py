"""What Voyage's answers say, through any client: bodies by hand, and the price that comes of them."""

from __future__ import annotations

from decimal import Decimal

import httpx
import pytest
import requests

from capture.conftest import _running, provider, spans
from capture.world import Counting, settings
from otel_aicost import faults
from otel_aicost.budgets.reading import parse
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.prices.catalogue import Catalogue
from otel_aicost.providers import endpoint_of, named, provider_of
from otel_aicost.providers.base import Sent
from otel_aicost.testing import Reply, Usage

__all__ = ["_running", "provider", "spans"]
VOYAGE = named("voyage_ai")
AT_NS = 1_795_305_600 * 10**9
SEEN = {"text_tokens": 1000, "image_pixels": 2_000_000, "video_pixels": 0, "total_tokens": 4571}


def _read(path, usage, **more):
    return endpoint_of(path, VOYAGE).read({"object": "list", "model": "voyage-4", "usage": usage, **more})


@pytest.mark.parametrize("host", ["api.voyageai.com", "ai.mongodb.com"])
def test_its_hosts_are_known(host):
    """Keys of MongoDB's go to another one."""
    assert provider_of(host, 443, {}) is VOYAGE


@pytest.mark.parametrize(
    ("path", "operation"),
    [("/v1/embeddings", "embeddings"), ("/v1/contextualizedembeddings", "embeddings"), ("/v1/rerank", "rerank")],
)
def test_tokens_are_counted_in_total(path, operation):
    """They are all that is stated of text."""
    assert endpoint_of(path, VOYAGE).operation == operation
    reading = _read(path, {"total_tokens": 40})
    assert (reading.model, reading.usage) == ("voyage-4", {"input_tokens": 40})


def test_pictures_are_counted_in_pixels():
    """Beside the tokens they are worth; what is not there is left out."""
    assert _read("/v1/multimodalembeddings", SEEN).usage == {
        "input_tokens": 4571,
        "input_text_tokens": 1000,
        "input_pixels": 2_000_000,
    }
    assert _read("/v1/multimodalembeddings", {**SEEN, "video_pixels": 5}).usage["input_pixels"] == 2_000_005


def test_a_total_of_pictures_is_no_usage():
    """Of its tokens some are billed as pixels: nobody knows how many."""
    reading = _read("/v1/multimodalembeddings", {"total_tokens": 4571})
    assert (reading.usage, reading.invalid) == (None, None)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/multimodalembeddings", "/v1/rerank"])
@pytest.mark.parametrize("usage", [None, {}, [], "many", {"total_tokens": None}])
def test_an_answer_without_a_usage_has_none(path, usage):
    """It is missing, not zero."""
    reading = _read(path, usage)
    assert (reading.usage, reading.invalid) == (None, None)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/multimodalembeddings", "/v1/rerank"])
@pytest.mark.parametrize("amount", [-1, "7", True, float("nan"), 10**30, {}])
def test_an_absurd_usage_is_set_aside(path, amount):
    """And said to be."""
    reading = _read(path, {**SEEN, "total_tokens": amount})
    assert reading.usage is None
    assert reading.invalid


def test_a_request_tells_its_model():
    """And nothing of what is embedded."""
    told = endpoint_of("/v1/embeddings", VOYAGE).describe(Sent({"model": "voyage-4", "input": ["secret"]}))
    assert told.model == "voyage-4"
    assert "secret" not in repr(told)


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        ("voyage-4-large", {"total_tokens": 1_000_000}, "0.12"),
        ("rerank-2.5-lite", {"total_tokens": 1_000_000}, "0.02"),
        ("voyage-multimodal-3.5", SEEN, "0.00132"),
    ],
)
def test_an_answer_has_a_price(model, usage, dollars):
    """Of pictures: a thousand tokens of text at 0.12 a million, two million pixels at 0.60 a billion."""
    path = "/v1/multimodalembeddings" if "image_pixels" in usage else "/v1/embeddings"
    cost = Catalogue.load(None).price("voyage_ai", (model,), _read(path, usage).usage, {}, AT_NS)
    assert cost.total == Decimal(dollars)


@pytest.mark.parametrize("post", [httpx.post, requests.post])
def test_calls_by_hand_are_counted_where_they_are_declared(post, provider, spans):
    """`apis: [{host: ...}]` without calls: what is known of Voyage holds."""
    apis = parse(b"apis: [{host: 127.0.0.1}]", "aicost.yaml").apis
    provider.next(Reply(usage=Usage(input_tokens=500)))
    with Counting(settings(provider, "voyage_ai", apis=apis), SpanObserver()) as counting:
        body = {"model": "rerank-2.5", "query": "x", "documents": ["y", "z"]}
        answer = post(f"{provider.url}/voyage/v1/rerank", json=body, timeout=10)
        assert len(answer.json()["data"]) == 2
    record = counting.only
    assert (record.provider, record.operation, record.request_model) == ("voyage_ai", "rerank", "rerank-2.5")
    assert (record.usage, record.cost.total) == ({"input_tokens": 500}, Decimal("0.000025"))
    assert faults.counts() == {}
