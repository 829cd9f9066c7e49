"""Providers that a user declares in `aicost.yaml`: their endpoints are made of what is told there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from otel_aicost.model import Quantity, Reading
from otel_aicost.providers.base import AbsurdUsageError, Description, Endpoint, Json, Provider, Sent, dollars, quantity

if TYPE_CHECKING:
    from otel_aicost.apis import Api, ApiCall, Told

HEADERS = "\0headers"
"""Where the headers of a response lie under its body: no JSON of a provider has such a key."""


def declared(api: Api) -> Provider | None:
    """The provider of an entry; `None` for one without calls: what is known of the host's provider holds."""
    if not api.calls:
        return None
    tables: dict[str, dict[str, Endpoint]] = {"POST": {}, "GET": {}}
    for call in api.calls:
        for method in ("POST", "GET") if call.method is None else ("GET" if call.method == "GET" else "POST",):
            tables[method][call.path] = _endpoint(call)
    return Provider(
        api.provider or api.host, hosts=(api.host,), endpoints=tables["POST"], polls=tables["GET"], closed=True
    )


def _endpoint(call: ApiCall) -> Endpoint:
    facts = (*call.meters.values(), call.cost, call.model)
    answered = any(getattr(fact, "source", None) in {"response", "header"} for fact in facts)
    return Endpoint(
        call.operation,
        partial(_read, call),
        partial(_describe, call),
        free=call.free,
        body=answered,
        adds=True,
        headers=_headers if any(getattr(fact, "source", None) == "header" for fact in facts) else None,
    )


def _headers(headers: Any) -> Json:  # noqa: ANN401 - of httpx or of requests
    return {HEADERS: {str(name).lower(): value for name, value in headers.items()}}


def _describe(call: ApiCall, sent: Sent) -> Description:
    try:
        usage = _amounts(call, "request", sent.body) | _amounts(call, "number", {})
    except AbsurdUsageError:
        usage = {}
    return Description(_model(call, "request", sent.body), usage=usage)


def _read(call: ApiCall, body: Json) -> Reading:
    model = _model(call, "response", body)
    try:
        usage = _amounts(call, "response", body) | _amounts(call, "header", body.get(HEADERS, {}))
    except AbsurdUsageError as error:
        return Reading(model=model, invalid=str(error))
    expected = sum(told.source in {"response", "header"} for told in call.meters.values())
    stated = None if call.cost is None else next(iter(_values(call.cost, body)), None)
    # A meter that the response was to tell, and did not: the call is not priced on a part of it.
    whole = usage if len(usage) == expected and (expected or call.meters) else None
    return Reading(model=model, usage=whole, cost=dollars(stated))


def _values(told: Told, body: Json) -> list[Any]:
    return told.found(body.get(HEADERS, {}) if told.source == "header" else body)


def _model(call: ApiCall, source: str, document: Json) -> str | None:
    if isinstance(call.model, str):
        return call.model
    if call.model is None:
        return call.operation
    found = _values(call.model, document) if call.model.source == source else []
    return found[0] if found and isinstance(found[0], str) else None


def _amounts(call: ApiCall, source: str, document: Json) -> dict[str, Quantity]:
    found: dict[str, Quantity] = {}
    for meter, told in call.meters.items():
        if told.source != source:
            continue
        amount = _amount(told, document, meter)
        if amount is not None:
            found[meter] = amount
    return found


def _amount(told: Told, document: Json, meter: str) -> Quantity | None:
    if told.source == "number":
        return quantity(told.number, meter)
    values = told.found(document)
    if not values:
        return None
    if told.measure == "characters":
        return sum(len(text) for value in values for text in _texts(value))
    if told.measure == "count":
        return sum(len(value) if isinstance(value, list) else 1 for value in values)
    return sum((quantity(_number(value), meter) for value in values), start=0)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def _number(value: object) -> object:
    """Headers and forms have numbers as text."""
    if isinstance(value, str):
        try:
            return float(value) if "." in value else int(value)
        except ValueError:
            return value
    return value
