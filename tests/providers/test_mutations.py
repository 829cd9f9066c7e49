"""No body makes reading it fail, and none makes a cost that cannot be: a sample of it here, a million each with `--long`."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from otel_aicost.capture.merging import merge
from otel_aicost.model import Cost, Reading
from otel_aicost.prices.catalogue import Catalogue
from otel_aicost.providers import ENDPOINTS, POLLS, UNKNOWN, every
from otel_aicost.text_tokens import size_under
from providers.mutations import mutated

AT_NS = 1_795_305_600 * 10**9
SHORT, LONG = 300, 1_000_000


def _readers():
    """Each way to read a body, with the provider whose it is; a way that endpoints share is tried once."""
    found = {}
    tables = [("any", ENDPOINTS), ("any", POLLS), ("any", {"unknown": UNKNOWN})]
    tables += [(provider.name, table) for provider in every() for table in (provider.endpoints, provider.polls)]
    for name, table in tables:
        for path, endpoint in table.items():
            found.setdefault((endpoint.read, endpoint.fragment), (name, path, endpoint))
    adapted = [(provider.name, "adapted", provider) for provider in every() if provider.adapt({"a": 1}) is not None]
    ways = {}
    for name, path, provider in adapted:
        ways.setdefault(provider.adapt, (name, path, provider))
    return [*found.values()], [*ways.values()]


READERS, ADAPTERS = _readers()
TEXTS = sorted({tuple(sorted(endpoint.text)) for _, _, endpoint in READERS if endpoint.text})


@pytest.fixture(scope="module")
def catalogue():
    return Catalogue.load(None)


def _sound(reading, catalogue, name):
    """What a reading says can be believed, and priced."""
    assert isinstance(reading, Reading)
    for part in (reading, *reading.others):
        for amount in (part.usage or {}).values():
            assert isinstance(amount, (int, Decimal))
            assert not isinstance(amount, bool)
            assert Decimal(amount).is_finite()
            assert amount >= 0
        if part.cost is not None:
            assert part.cost.is_finite()
            assert part.cost >= 0
        if part.usage:
            provider = "openai" if name == "any" else name
            cost = catalogue.price(provider, (str(part.model), "gpt-4o"), part.usage, part.conditions, AT_NS)
            if isinstance(cost, Cost):
                assert cost.total.is_finite()
                assert cost.total >= 0


@pytest.mark.parametrize(("name", "path", "endpoint"), READERS, ids=[f"{name} {path}" for name, path, _ in READERS])
def test_no_body_breaks_a_reader(name, path, endpoint, catalogue, long):
    """Bodies, folded streams and chunks."""
    chance = random.Random(f"{name} {path}")
    folded: dict = {}
    for count in range(LONG if long else SHORT):
        body = mutated(chance)
        _sound(endpoint.read(body), catalogue, name)
        if count % 7 == 0:
            folded = {}
        merge(folded, endpoint.fragment(body))
        _sound(endpoint.read(folded), catalogue, name)


@pytest.mark.parametrize("keys", TEXTS, ids=" ".join)
def test_no_body_breaks_the_size_of_a_text(keys, long):
    """What stands for the tokens of a stream that tells none."""
    chance = random.Random(" ".join(keys))
    for _ in range(LONG if long else SHORT):
        assert size_under(mutated(chance), keys) >= 0


@pytest.mark.parametrize(("name", "path", "provider"), ADAPTERS, ids=[name for name, _, _ in ADAPTERS])
def test_no_body_breaks_an_adapter(name, path, provider, catalogue, long):
    """What a provider's own dialect is brought into is as sound."""
    chance = random.Random(name)
    for _ in range(LONG if long else SHORT):
        _sound(ENDPOINTS["/chat/completions"].read(provider.adapt(mutated(chance))), catalogue, name)
