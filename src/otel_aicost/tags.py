"""Who pays: tags that follow a block, a function, a task or a thread, and reach every call made inside.

Tags live in a context variable, so they hold across `await`, `asyncio` tasks and `asyncio.to_thread`; a plain
`threading.Thread` or executor starts without them unless the context is copied (`contextvars.copy_context().run`).
"""

from __future__ import annotations

import functools
import inspect
import re
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Self, TypeVar

from otel_aicost import faults

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping
    from types import TracebackType

P = ParamSpec("P")
R = TypeVar("R")

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}")
MAX_VALUE = 256
"""Longer values are cut: a tag names who pays, it does not carry data."""


class _Scope(NamedTuple):
    values: Mapping[str, str]
    owner: tags | None
    outer: _Scope | None


_ROOT = _Scope(MappingProxyType({}), None, None)
_scope: ContextVar[_Scope] = ContextVar("otel_aicost_tags", default=_ROOT)


class tags:  # noqa: N801 - used like a statement: `with tags(feature="pitch"):`
    """Tag every AI call made inside: `with tags(feature="pitch", user="u1"):`, or the same as a decorator.

    As a decorator it takes functions, coroutine functions, generators and asynchronous generators, and tags what
    runs inside them, not what their consumer does in between. Tags nest: the inner value of a key wins. Values are
    strings of at most 256 characters; other values are turned into strings, `None` leaves the key out. Keys are
    letters, digits, `_`, `-` and `.`, at most 64. A tag that cannot be used is left out and said once, it never
    raises. Keys that are not Python names go in as a mapping: `tags({"cost-center": "42"})`.
    """

    __slots__ = ("_values",)

    def __init__(self, mapping: Mapping[str, object] | None = None, /, **values: object) -> None:
        self._values = clean({**(mapping or {}), **values})

    def __enter__(self) -> Self:
        scope = _scope.get()
        _scope.set(_Scope(MappingProxyType({**scope.values, **self._values}), self, scope))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # No token is reset: a generator may be closed in another context than the one it was begun in.
        scope = _scope.get()
        if scope.owner is self and scope.outer is not None:
            _scope.set(scope.outer)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        return _decorate(self, function)


def current() -> Mapping[str, str]:
    """The tags in force here, as a read-only mapping."""
    return _scope.get().values


def clean(values: Mapping[Any, object]) -> dict[str, str]:
    """The usable part of `values` as strings; what cannot be used is said once and left out."""
    cleaned: dict[str, str] = {}
    for key, value in values.items():
        if not (isinstance(key, str) and KEY.fullmatch(key)):
            faults.say("tags", "tag key %.80r is left out: use letters, digits, '_', '-' and '.', at most 64", key)
            continue
        if value is None:
            continue
        try:
            text = value if isinstance(value, str) else str(value)
        except Exception as error:  # noqa: BLE001 - a value's own __str__ must not stop the caller
            faults.say("tags", "tag %s is left out: its value cannot be turned into text (%r)", key, error)
            continue
        if len(text) > MAX_VALUE:
            faults.say("tags", "the value of tag %s is cut to %d characters", key, MAX_VALUE)
        cleaned[key] = text[:MAX_VALUE]
    return cleaned


def _decorate(scope: tags, function: Callable[P, R]) -> Callable[P, R]:
    wrapper: Callable[..., Any]
    if inspect.isasyncgenfunction(function):
        wrapper = _around_async_generator(scope, function)
    elif inspect.iscoroutinefunction(function):
        wrapper = _around_coroutine(scope, function)
    elif inspect.isgeneratorfunction(function):
        wrapper = _around_generator(scope, function)
    else:
        wrapper = _around(scope, function)
    return functools.update_wrapper(wrapper, function)


def _around(scope: tags, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: object, **kwargs: object) -> object:
        with scope:
            return function(*args, **kwargs)

    return wrapper


def _around_coroutine(scope: tags, function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: object, **kwargs: object) -> object:
        with scope:
            return await function(*args, **kwargs)

    return wrapper


def _around_generator(scope: tags, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: object, **kwargs: object) -> Generator[Any, Any, Any]:
        return (yield from _Tagged(scope, function(*args, **kwargs)))

    return wrapper


def _around_async_generator(scope: tags, function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: object, **kwargs: object) -> AsyncGenerator[Any, Any]:
        generator: AsyncGenerator[Any, Any] = function(*args, **kwargs)
        step = functools.partial(generator.asend, None)
        try:
            while True:
                with scope:
                    value = await step()
                try:
                    sent = yield value
                    step = functools.partial(generator.asend, sent)
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001 - the generator inside decides what to do with it
                    step = functools.partial(generator.athrow, error)
        except StopAsyncIteration:
            return
        finally:
            with scope:
                await generator.aclose()

    return wrapper


class _Tagged:
    """A generator whose every step runs inside the tags; what its consumer does in between does not."""

    def __init__(self, scope: tags, generator: Generator[Any, Any, Any]) -> None:
        self._scope = scope
        self._generator = generator

    def __iter__(self) -> _Tagged:
        return self

    def __next__(self) -> Any:  # noqa: ANN401
        with self._scope:
            return next(self._generator)

    def send(self, value: Any) -> Any:  # noqa: ANN401
        with self._scope:
            return self._generator.send(value)

    def throw(self, error: BaseException) -> Any:  # noqa: ANN401
        with self._scope:
            return self._generator.throw(error)

    def close(self) -> None:
        with self._scope:
            self._generator.close()
