"""Amazon's SDKs (boto3, aiobotocore): seen where every call of a client passes, and only the services named here.

`BaseClient._make_api_call(operation_name, api_params)` is the boundary of a call, retries folded. What it gives is a
dictionary; the bodies in it that are still to be read are watched as the application reads them (`botocore_bodies`,
`botocore_events`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.capture.botocore_bodies import is_body, tees_of, watch_body
from otel_aicost.capture.botocore_events import MessageReader, watch_events
from otel_aicost.capture.boundary import Pending, around, around_async
from otel_aicost.capture.readers import parse_json
from otel_aicost.capture.routes import Routes, call_of
from otel_aicost.providers.base import Sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.capture import Sink
    from otel_aicost.capture.boundary import Watch, Wrapper
    from otel_aicost.capture.routes import Route
    from otel_aicost.capture.sdks import Sdk

SERVICES: Mapping[str, frozenset[str] | None] = {
    "bedrock-runtime": None,
    "bedrock-agent-runtime": frozenset({"Rerank"}),
}
"""Service -> the operations that are seen; `None`: each one that a provider knows."""


class _Request(Pending):
    """A call of a client; its response is a dictionary."""

    __slots__ = ()

    def as_admitted(self, args: Any, kwargs: Any) -> tuple[Any, Any]:  # noqa: ANN401
        call = self.opened.call
        if call.asked_model is None:
            return args, kwargs
        operation, params = _bound(*args, **kwargs)
        return (operation, {**params, "modelId": call.request_model}), {}

    def took(self, result: Any) -> Any:  # noqa: ANN401
        told = result.get("ResponseMetadata") or {}
        headers: Mapping[str, str] = told.get("HTTPHeaders") or {}
        exchange = self.exchange()
        exchange.resends = told.get("RetryAttempts") or 0
        for value in result.values():
            if hasattr(value, "_event_generator"):
                watch_events(value, exchange.watch_events(headers, MessageReader))
                break
            if is_body(value):
                watch_body(value, exchange.watch(headers))
                break
        else:
            exchange.parsed(result, headers)
        return result


class _Clients:
    """The clients of one SDK."""

    def __init__(self, watch: Watch, sdk: Sdk) -> None:
        self._watch = watch
        self._sdk = sdk.name
        self._routes = Routes(sdk.home)

    def begin(self, client: Any, args: Any, kwargs: Any) -> tuple[Pending, Any, Any] | None:  # noqa: ANN401
        """What a call asks for, where it is one to be seen."""
        service = client.meta.service_model
        if service.service_name not in SERVICES:
            return None
        sink = self._watch.on()
        operation, params = _bound(*args, **kwargs)
        only = SERVICES[service.service_name]
        if sink is None or (only is not None and operation not in only):
            return None
        model = service.operation_model(operation)
        route = self._route(sink, client, model)
        if route is None:
            return None
        body = _asked(params)
        sent = Sent(body, stream=model.has_event_stream_output, path=route.path)
        return _Request(sink, call_of(route, sent, self._sdk), route, body), args, kwargs

    def _route(self, sink: Sink, client: Any, operation: Any) -> Route | None:  # noqa: ANN401
        """Where an operation goes: the path is its template, the same for every model."""
        base = client.meta.endpoint_url
        route = self._routes.known((base, operation.name))
        if route is not None:
            return route
        url = base.rstrip("/") + operation.http["requestUri"]
        if operation.http["method"] != "POST":
            return self._routes.poll(url, sink.settings.provider_hosts)
        return self._routes.find(url, sink.settings.provider_hosts, (base, operation.name))


def wrappers(watch: Watch, sdk: Sdk, module: Any) -> Mapping[str, Mapping[str, Wrapper]]:  # noqa: ANN401 - the SDK's
    """What to wrap: class -> method -> wrapper."""
    if sdk.module == "aiobotocore.response":
        return tees_of(module)
    clients = _Clients(watch, sdk)
    if sdk.name == "aiobotocore":
        return {"AioBaseClient": {"_make_api_call": around_async(clients.begin)}}
    return {"BaseClient": {"_make_api_call": around(clients.begin)}}


def _bound(operation_name: str, api_params: Any) -> tuple[str, Any]:  # noqa: ANN401 - as the application gave them
    return operation_name, api_params


def _asked(params: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request. Where the SDK takes it as bytes it names no model, and stands beside the parameters."""
    given = params.get("body")
    if given is None:
        return {**params, "model": params.get("modelId")}
    if isinstance(given, str):
        given = given.encode("utf-8", "replace")
    native = parse_json(bytes(given)) if isinstance(given, (bytes, bytearray)) else None  # a file is not ours to read
    return {**(native or {}), "modelId": params.get("modelId"), "model": None}
