"""What is peculiar to the ollama SDK: its streams are generators of its own, which may never be read."""

from __future__ import annotations

import gc
import inspect
from typing import TYPE_CHECKING

import ollama
import pytest

from capture.holding import starting
from capture.world import TRUST, Counting
from otel_aicost import faults
from otel_aicost.config import Settings
from otel_aicost.testing import Reply
from sdks.cases.ollama import CHAT
from sdks.driving import USED

if TYPE_CHECKING:
    from pathlib import Path

    from otel_aicost.testing import FakeProvider


def test_a_stream_is_the_sdks_own_generator(provider: FakeProvider) -> None:
    """Its code is that of the SDK, its end too."""
    provider.always(Reply(usage=USED))
    client = ollama.Client(provider.url, verify=TRUST)
    with Counting(Settings(ledger=None)) as counting:
        stream = client.chat(**CHAT, stream=True)
        assert inspect.isgenerator(stream)
        assert stream.gi_code.co_filename == inspect.getsourcefile(ollama.Client)
        next(stream)
        stream.close()
        assert (counting.only.status, counting.only.provider) == ("partial", "ollama")
    client._client.close()
    assert faults.counts() == {}


def test_a_stream_that_is_never_read_sends_nothing(provider: FakeProvider, tmp_path: Path) -> None:
    """What a budget kept for it is given back."""
    provider.always(Reply(usage=USED))
    client = ollama.Client(provider.url, verify=TRUST)
    held = starting(provider, tmp_path / "ledger.db")
    counting = next(held)("{name: one, calls: 1, period: day, on_exceed: block}", paid="ollama_cloud")
    stream = client.chat(**CHAT, stream=True)
    del stream
    gc.collect()
    assert counting.pipeline.flush(5)
    assert provider.requests == []
    client.chat(**CHAT)
    assert counting.only.status == "ok"
    next(held, None)
    client._client.close()
    assert faults.counts() == {}


@pytest.mark.parametrize(("host", "total"), [("ollama", 0), ("ollama_cloud", None)])
def test_a_model_on_a_machine_of_ones_own_is_free(provider: FakeProvider, host: str, total: int | None) -> None:
    """That is a price of 0; the cloud has none for a call, so that is unknown."""
    provider.always(Reply(usage=USED))
    client = ollama.Client(provider.url, verify=TRUST)
    with Counting(Settings(ledger=None, provider_hosts={f"127.0.0.1:{provider.port}": host})) as counting:
        client.chat(**CHAT)
        cost = counting.only.cost
        assert (None if cost is None else cost.total) == total
        assert (counting.only.unpriced is None) == (total is not None)
    client._client.close()
    assert faults.counts() == {}
