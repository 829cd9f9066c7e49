"""How the tests drive an SDK: its clients, the calls they make, and what the application sees of each."""

from __future__ import annotations

import inspect
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import reduce
from importlib import import_module
from typing import TYPE_CHECKING, Any

import httpx
import pydantic

from capture.scenarios import seen as seen_value
from capture.world import KEY, TRUST
from otel_aicost.testing import Reply, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from otel_aicost.model import Quantity

USED = Usage(input_tokens=1500, output_tokens=200)
COUNTED = {"input_tokens": 1500, "output_tokens": 200}
CACHED = Usage(input_tokens=1500, output_tokens=200, cache_read_tokens=1000)
CACHED_COUNTED = {**COUNTED, "cache_read_tokens": 1000}
SPOKEN = [{"role": "user", "content": "one two three"}]


@dataclass(frozen=True)
class Case:
    """One call, made on the synchronous and on the asynchronous client alike."""

    name: str
    call: Callable[[Any], Any]
    counted: Mapping[str, Quantity]
    operation: str = "chat"
    usage: object = USED
    reply: Mapping[str, Any] = field(default_factory=dict)
    streamed: bool = False
    records: int = 1
    needs: str = ""
    """The resource of the client that older versions do not have."""

    @property
    def script(self) -> Reply:
        return Reply(usage=self.usage, **self.reply)


@dataclass(frozen=True)
class Kind:
    """One SDK: `make(url)` and `make_async(url)` give clients of it that do not retry."""

    name: str
    provider: str
    family: str
    """The module of `capture` that sees its calls."""
    make: Callable[..., Any]
    make_async: Callable[..., Any]
    cases: tuple[Case, ...]
    cheaper: str | None
    """A model of theirs that a budget may fall back to from that of the first cases; `None`: none has a list price."""
    retrying: Mapping[str, Any] | None
    """What lets a client try again, at once, after a failure; `None`: it never does."""
    close: Callable[[Any], object] = lambda client: client.close()
    aclose: Callable[[Any], Awaitable[object]] = lambda client: client.close()
    dear: str | None = None
    """Who is paid where its home is free: what is free is never blocked."""


def offered(kind: Kind) -> Kind:
    """The SDK with those of its cases that the installed version has the methods for."""
    with opened(kind, "http://127.0.0.1:9") as client:
        cases = [case for case in kind.cases if not case.needs or _has(client, case.needs)]
    return replace(kind, cases=tuple(cases))


def _has(client: Any, resource: str) -> bool:
    try:
        reduce(getattr, resource.split("."), client)
    except AttributeError:
        return False
    return True


def stainless(client: Any, path: str) -> Callable[..., Any]:
    """What makes clients of an SDK by Stainless."""
    transport = httpx.AsyncClient if client.__name__.startswith("Async") else httpx.Client

    def make(url: str, **options: Any) -> Any:
        common = {"max_retries": 0, "http_client": transport(verify=TRUST), **options}
        return client(base_url=f"{url}{path}", api_key=KEY, **common)

    return make


class _Never:
    """Stands for the HTTP client of the other kind, which nobody asks and which takes long to make."""

    def send(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    build_request = close = aclose = send


NEVER = _Never()


class Asynchronous:
    """A client of an SDK by Speakeasy, of whose methods only the asynchronous ones are there, by the plain names."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        twin = getattr(self._owner, f"{name}_async", None)
        return Asynchronous(getattr(self._owner, name)) if twin is None else twin


def speakeasy(client: Any, path: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What makes the clients of an SDK by Speakeasy."""
    package = client.__module__.rpartition(".")[0]
    http, utils = import_module(f"{package}.basesdk").httpx, import_module(f"{package}.utils")

    def common(url: str, *, retrying: bool = False) -> dict[str, Any]:
        backoff = utils.RetryConfig("backoff", utils.BackoffStrategy(1, 10, 1.1, 5000), retry_connection_errors=False)
        return {"api_key": KEY, "server_url": f"{url}{path}", "retry_config": backoff if retrying else None}

    def make(url: str, **options: Any) -> Any:
        return client(client=http.Client(verify=TRUST), async_client=NEVER, **common(url, **options))

    def make_async(url: str, **options: Any) -> Any:
        asynchronous = http.AsyncClient(verify=TRUST)
        return Asynchronous(client(client=NEVER, async_client=asynchronous, **common(url, **options)))

    return make, make_async


async def _aclose(client: Any) -> None:
    await client._owner.sdk_configuration.async_client.aclose()


def _close(client: Any) -> None:
    client.sdk_configuration.client.close()


CLOSING = (_close, _aclose)


@contextmanager
def opened(kind: Kind, url: str, **options: Any) -> Iterator[Any]:
    """A client, closed again."""
    client = kind.make(url, **options)
    try:
        yield client
    finally:
        kind.close(client)


@asynccontextmanager
async def opened_async(kind: Kind, url: str, **options: Any) -> AsyncIterator[Any]:
    """As `opened`."""
    client = kind.make_async(url, **options)
    try:
        yield client
    finally:
        await kind.aclose(client)


def take(result: Any) -> Any:
    """All that a call hands out, as something that can be compared."""
    if isinstance(result, (pydantic.BaseModel, dict)):
        return seen(result)
    if hasattr(result, "__enter__"):
        with result as inner:
            return type(result), _taken(inner)
    return type(result), _taken(result)


def _taken(value: Any) -> Any:
    return [seen(item) for item in value] if hasattr(value, "__next__") or _iterates(value, "__iter__") else seen(value)


def _iterates(value: Any, method: str) -> bool:
    """Whether it is a stream; an answer whose fields are iterated over is none."""
    return hasattr(value, method) and not isinstance(value, (pydantic.BaseModel, list, tuple, dict, str, bytes))


async def take_async(result: Any) -> Any:
    """As `take`."""
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, (pydantic.BaseModel, dict)):
        return seen(result)
    if inspect.iscoroutinefunction(getattr(result, "read", None)):
        return type(result), await result.read()
    if hasattr(result, "__aenter__"):
        async with result as inner:
            return type(result), await _taken_async(inner)
    return type(result), await _taken_async(result)


async def _taken_async(value: Any) -> Any:
    return [seen(item) async for item in value] if _iterates(value, "__aiter__") else seen(value)


def seen(value: Any) -> Any:
    """A value with its type."""
    if isinstance(value, pydantic.BaseModel):
        return type(value), value.model_dump(warnings=False)
    if isinstance(value, dict):  # whatever `getattr` of a class made of it does
        return type(value), dict(value)
    if hasattr(value, "read") and hasattr(value, "iter_bytes"):
        return type(value), value.read()
    return seen_value(value)


def attempt(kind: Kind, case: Case, url: str, **options: Any) -> Any:
    """What a call gives or raises, as the application sees it."""
    with opened(kind, url, **options) as client:
        try:
            return take(case.call(client))
        except Exception as error:  # noqa: BLE001 - what it is, is what is compared
            return type(error), str(error)


async def attempt_async(kind: Kind, case: Case, url: str, **options: Any) -> Any:
    """As `attempt`."""
    async with opened_async(kind, url, **options) as client:
        try:
            return await take_async(case.call(client))
        except Exception as error:  # noqa: BLE001 - as above
            return type(error), str(error)
