"""A fake provider and the real SDKs' clients for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anthropic
import openai
import pytest
import pytest_asyncio

from otel_aicost.testing import FakeProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest.fixture(scope="session")
def shared_client() -> Iterator[openai.OpenAI]:
    """One for all tests: reading the system's certificates takes a tenth of a second each time."""
    with openai.OpenAI(api_key="x", max_retries=0) as made:
        yield made


@pytest.fixture
def client(provider: FakeProvider, shared_client: openai.OpenAI) -> openai.OpenAI:
    return shared_client.with_options(base_url=provider.openai_url)


@pytest_asyncio.fixture
async def async_client(provider: FakeProvider) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=provider.openai_url, api_key="x", max_retries=0) as made:
        yield made


@pytest.fixture(scope="session")
def shared_claude() -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="x", max_retries=0) as made:
        yield made


@pytest.fixture
def claude(provider: FakeProvider, shared_claude: anthropic.Anthropic) -> anthropic.Anthropic:
    return shared_claude.with_options(base_url=provider.anthropic_url)


@pytest_asyncio.fixture
async def async_claude(provider: FakeProvider) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=provider.anthropic_url, api_key="x", max_retries=0) as made:
        yield made
