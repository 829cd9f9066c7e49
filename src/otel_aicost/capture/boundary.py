"""The boundary of a call: what happens around the one function of an SDK that sends a request, whatever the SDK.

A family says how a request is read (`begin`) and what is done with its result (`Pending.took`); begun, admitted,
entered, failed and ended is here. Whatever of ours fails goes no further, but for `BudgetExceeded`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar

from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from otel_aicost import faults
from otel_aicost.capture.exchange import Exchange
from otel_aicost.model import Outcome

if TYPE_CHECKING:
    from contextvars import Token

    from otel_aicost.capture import OpenCall, Sink
    from otel_aicost.capture.routes import Route
    from otel_aicost.model import Call
    from otel_aicost.providers.base import Json

P = ParamSpec("P")
T = TypeVar("T")
Wrapper: TypeAlias = Callable[..., Any]
"""As wrapt calls it: `(wrapped, instance, args, kwargs)`."""


class Watch:
    """Who is told of calls. Shared by all wrappers; without a sink they only pass calls on."""

    def __init__(self, sink: Sink | None) -> None:
        self.sink = sink

    def on(self) -> Sink | None:
        """The sink, unless calls are not to be seen here and now."""
        return self.sink if is_instrumentation_enabled() else None


class Pending:
    """A request on its way."""

    __slots__ = ("asked", "injected", "opened", "responded", "route")

    def __init__(self, sink: Sink, call: Call, route: Route | None, asked: Json) -> None:
        """`route` is that of an HTTP request; other calls end elsewhere than in an `exchange`."""
        self.opened: OpenCall = sink.begin(call, asked)
        self.route = route
        self.asked = asked
        """The JSON body of the request."""
        self.injected = False
        """We asked for the usage of a stream, and hide that from the application."""
        self.responded = False

    def awaits_budget(self) -> bool:
        """Whether the budgets have to be asked before the call is sent."""
        return self.opened.awaits_budget

    def as_admitted(self, args: Any, kwargs: Any) -> tuple[Any, Any]:  # noqa: ANN401
        """The arguments of the request, with the model a budget fell back to, if one did (`Call.replaceable`)."""
        return args, kwargs

    def took(self, result: Any) -> Any:  # noqa: ANN401
        """The wrapped function gave `result`, awaited where it was to be; returns what the application gets."""
        self.returned()
        return result

    def exchange(self) -> Exchange:
        """A successful response is here: what reads it and finishes the call. One for each billable response."""
        if self.route is None:
            msg = "no HTTP request has no response"
            raise TypeError(msg)
        self.responded = True
        return Exchange(self.opened, self.route.provider, self.route.endpoint, self.asked, self.route.path)

    def respond(self, response: Any, resends: int = 0) -> None:  # noqa: ANN401 - of httpx or httpx2
        """An HTTP response is here: its body is read now if it was, or else as the application reads it."""
        if response.is_success:
            self.exchange().respond(response, resends, injected=self.injected)

    def answered(self, response: Any, resends: int = 0) -> None:  # noqa: ANN401 - of httpx or httpx2
        """An HTTP response of any status is here: a refusal that the SDK raises of later is recorded by its status."""
        if response.is_success:
            self.respond(response, resends)
            return
        self.refused(response.status_code)

    def refused(self, status: int) -> None:
        """The provider answered with an error that is no exception of the SDK's, or not yet."""
        self.responded = True
        self.opened.finish(Outcome("error", "none", error_type=str(status), ended_ticks=time.perf_counter_ns()))

    def fail(self, error: BaseException) -> None:
        """The request raised; a response that came before it has its own record."""
        if not self.responded:
            name = type(error).__qualname__
            self.opened.finish(Outcome("error", "none", error_type=name, ended_ticks=time.perf_counter_ns()))

    def returned(self) -> None:
        """The request returned; without a response of the provider there is nothing to bill."""
        if not self.responded:
            self.opened.abandon()


Begin: TypeAlias = Callable[[Any, Any, Any], tuple[Pending, Any, Any] | None]
"""`(client, args, kwargs)` -> the request they make and the arguments to send, or `None`: nothing to see."""

_current: ContextVar[Pending | None] = ContextVar("otel_aicost_pending", default=None)


def current_request() -> Pending | None:
    """The request that is being made in this context."""
    return _current.get()


def around(begin: Begin, *, outermost: bool = False) -> Wrapper:
    """What wraps a function that sends a request. `outermost`: within another request it is a part of that."""

    def send(wrapped: Callable[..., Any], client: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        if outermost and _current.get() is not None:
            return wrapped(*args, **kwargs)
        pending, args, kwargs = attempt(begin, client, args, kwargs) or (None, args, kwargs)
        if pending is not None and attempt(pending.awaits_budget):
            _admitted(pending)
            args, kwargs = attempt(pending.as_admitted, args, kwargs) or (args, kwargs)
        token = _entered(pending)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            if pending is not None:
                attempt(pending.fail, error)
            raise
        finally:
            _leave(pending, token)
        return result if pending is None else _taken(pending, result)

    return send


def around_async(begin: Begin, *, outermost: bool = False) -> Wrapper:
    """As `around`, of a coroutine function."""

    async def send(wrapped: Callable[..., Any], client: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        if outermost and _current.get() is not None:
            return await wrapped(*args, **kwargs)
        pending, args, kwargs = attempt(begin, client, args, kwargs) or (None, args, kwargs)
        if pending is not None and attempt(pending.awaits_budget):
            await _admitted_async(pending)
            args, kwargs = attempt(pending.as_admitted, args, kwargs) or (args, kwargs)
        token = _entered(pending)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            if pending is not None:
                attempt(pending.fail, error)
            raise
        finally:
            _leave(pending, token)
        return result if pending is None else _taken(pending, result)

    return send


def attempt(step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Take a step of ours beside a call of the application; whatever fails in it goes no further."""
    try:
        return step(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - reading a response is one of the guarded places
        faults.report("capture.request", error)
        return None


def _taken(pending: Pending, result: Any) -> Any:  # noqa: ANN401
    try:
        return pending.took(result)
    except Exception as error:  # noqa: BLE001 - as above
        faults.report("capture.request", error)
        return result


def _admitted(pending: Pending) -> None:
    """Return when the call may be sent; raise what its budgets say, and nothing of ours."""
    try:
        refused = pending.opened.admit()
    except Exception as error:  # noqa: BLE001 - as above
        faults.report("capture.request", error)
        return
    except BaseException as error:  # interrupted meanwhile
        attempt(pending.fail, error)
        raise
    if refused is not None:
        raise refused


async def _admitted_async(pending: Pending) -> None:
    """As `_admitted`."""
    try:
        refused = await pending.opened.admit_async()
    except Exception as error:  # noqa: BLE001 - as above
        faults.report("capture.request", error)
        return
    except BaseException as error:  # cancelled meanwhile
        attempt(pending.fail, error)
        raise
    if refused is not None:
        raise refused


def _entered(pending: Pending | None) -> Token[Pending | None]:
    token = _current.set(pending)
    if pending is not None:
        attempt(pending.opened.enter)
    return token


def _leave(pending: Pending | None, token: Token[Pending | None]) -> None:
    """End what began with a request. A coroutine may be closed in another context: there is nothing to end there."""
    if _current.get() is not pending:
        return
    if pending is not None:
        attempt(pending.opened.leave)
    with suppress(ValueError):
        _current.reset(token)
