"""With us or without us the application sees the same, and the provider receives the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from capture.scenarios import MATRIX, Endpoint, run, run_async
from capture.world import PAID, Counting, async_client, settings, sync_client
from otel_aicost import faults

if TYPE_CHECKING:
    from otel_aicost.model import Record
    from otel_aicost.testing import FakeProvider

VARYING = {"idempotency-key", "authorization", "x-amz-date", "traceparent"}
"""A key made for each call, and Amazon's signature, which holds the time."""
_BOUNDARY = re.compile(rb"boundary=[0-9a-f]+")


def received(provider: FakeProvider) -> list[Any]:
    """The requests as they came, but for what differs from one call to the next anyway."""
    found = []
    for request in provider.requests:
        boundary = _BOUNDARY.search(b" ".join(value.encode() for _, value in request.headers))
        cut = boundary.group().removeprefix(b"boundary=") if boundary else b"-no boundary-"
        headers = [
            (name.lower(), value.replace(cut.decode(), ""))
            for name, value in request.headers
            if name.lower() not in VARYING
        ]
        names = sorted({name.lower() for name, _ in request.headers} & VARYING)
        found.append((request.method, request.target, names, headers, request.body.replace(cut, b"")))
    return found


def counted_as(record: Record, endpoint: Endpoint) -> None:
    assert dict(record.usage) == dict(endpoint.counted)
    assert (record.status, record.operation, record.provider) == ("ok", endpoint.operation, PAID[endpoint.client])
    assert record.usage_state == ("none" if endpoint.free else "reported")
    assert not record.estimated
    assert record.error_type is None
    if endpoint.free:
        assert record.cost is not None
        assert record.cost.total == 0


@pytest.mark.parametrize(("endpoint", "shape"), MATRIX)
def test_a_call_is_seen_by_us_and_by_nobody_else(provider: FakeProvider, endpoint: Endpoint, shape: str) -> None:
    """Same types, content and requests as without us, and one record with the usage of the body."""
    provider.always(endpoint.script)
    with sync_client(endpoint.client, provider) as client:
        bare = run(client, endpoint, shape)
        asked_bare = received(provider)
        provider.reset()
        provider.always(endpoint.script)
        with Counting(settings(provider, PAID[endpoint.client])) as counting:
            assert run(client, endpoint, shape) == bare
            assert received(provider) == asked_bare
            counted_as(counting.only, endpoint)
    assert faults.counts() == {}


@pytest.mark.parametrize(("endpoint", "shape"), MATRIX)
async def test_an_async_call_is_seen_by_us_and_by_nobody_else(
    provider: FakeProvider, endpoint: Endpoint, shape: str
) -> None:
    """The same for the asynchronous clients."""
    provider.always(endpoint.script)
    async with async_client(endpoint.client, provider) as client:
        bare = await run_async(client, endpoint, shape)
        asked_bare = received(provider)
        provider.reset()
        provider.always(endpoint.script)
        with Counting(settings(provider, PAID[endpoint.client])) as counting:
            assert await run_async(client, endpoint, shape) == bare
            assert received(provider) == asked_bare
            counted_as(counting.only, endpoint)
    assert faults.counts() == {}
