"""Google Maps Platform: billed by the request, at a price that the operation and the fields asked for decide."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from otel_aicost.model import Conditions, Reading
from otel_aicost.providers.base import Description, Endpoint, Json, Provider, Sent, items, text
from otel_aicost.providers.places_fields import legacy_sku, sku

if TYPE_CHECKING:
    from collections.abc import Callable

_FINE = frozenset({"OK", "ZERO_RESULTS"})
"""An answer that finds nothing is billed like any other; with another status (older APIs) nothing is."""
SESSION_REQUESTS = 12
"""Of a session, so many autocomplete requests are billed; the rest is free.

https://developers.google.com/maps/documentation/places/web-service/session-pricing
"""
_MANY_WAYPOINTS = 10
_ADVANCED = ("departure_time", "arrival_time", "traffic_model")


def read(body: Json) -> Reading:
    """One request."""
    status = text(body.get("status"))
    if status is not None and status not in _FINE:
        return Reading(error=status)
    return Reading(usage={"requests": 1})


def read_matrix(body: Json) -> Reading:
    """A matrix is billed by its elements: each origin to each destination."""
    reading = read(body)
    if reading.usage is None:
        return reading
    return Reading(usage={"matrix_elements": sum(len(items(row.get("elements"))) for row in items(body.get("rows")))})


def _described(operation: str, found: Conditions | None = None) -> Description:
    return Description(operation, usage={"requests": 1}, conditions=found or {})


def describe(operation: str, _: Sent) -> Description:
    """An operation with a price of its own."""
    return _described(operation)


def describe_by_mask(operation: str, sent: Sent) -> Description:
    """The mask stands in a header or, in URLs, as a parameter."""
    if operation == "places.details":
        _end_session(sent)
    mask = sent.headers.get("x-goog-fieldmask") or text(sent.body.get("fields")) or text(sent.body.get("$fields"))
    return _described(operation, {"sku": sku(operation, mask or "")})


def describe_by_fields(operation: str, sent: Sent) -> Description:
    """The older API: without fields, what is assumed is said in the price list."""
    if operation == "legacy.place_details":
        _end_session(sent)
    fields = text(sent.body.get("fields"))
    return _described(operation, None if fields is None else {"sku": legacy_sku(fields)})


def describe_route(operation: str, sent: Sent) -> Description:
    """Traffic, many waypoints or their best order make it an advanced one."""
    waypoints = str(sent.body.get("waypoints") or "")
    stops = waypoints.removeprefix("optimize:true|").split("|")
    advanced = (
        any(sent.body.get(key) for key in _ADVANCED)
        or waypoints.startswith("optimize:true")
        or len(stops) > _MANY_WAYPOINTS
    )
    return _described(operation, {"sku": "advanced" if advanced else "essentials"})


def describe_validation(operation: str, sent: Sent) -> Description:
    """Checked against the postal service's own list, an address has another price."""
    return _described(operation, {"sku": "enterprise" if sent.body.get("enableUspsCass") else "pro"})


def describe_autocomplete(operation: str, sent: Sent) -> Description:
    """Sessions are told by a token; what is free past its first requests is known, what an end makes free is not."""
    token = _token(sent)
    if token is None:
        return _described(operation, {"sku": "request"})
    if len(_sessions) >= _SESSIONS_KEPT:
        _sessions.clear()
    _sessions[token] = count = _sessions.get(token, 0) + 1
    return _described(operation, {"sku": "request" if count <= SESSION_REQUESTS else "session"})


_SESSIONS_KEPT = 4096
_sessions: dict[int, int] = {}
"""Autocomplete requests of the sessions of this process that were not ended yet, by the hash of their token."""


def _token(sent: Sent) -> int | None:
    token = text(sent.body.get("sessionToken")) or text(sent.body.get("sessiontoken"))
    return None if token is None else hash(token)


def _end_session(sent: Sent) -> None:
    token = _token(sent)
    if token is not None:
        _sessions.pop(token, None)


def _endpoint(
    operation: str,
    described: Callable[[str, Sent], Description] = describe,
    readable: Callable[[Json], Reading] = read,
    *,
    body: bool = True,
) -> Endpoint:
    return Endpoint(operation, readable, partial(described, operation), body=body)


_TABLE = {
    "/places:searchText": _endpoint("places.text_search", describe_by_mask),
    "/places:searchNearby": _endpoint("places.nearby_search", describe_by_mask),
    "/places:autocomplete": _endpoint("places.autocomplete", describe_autocomplete),
    "/places/*/photos/*/media": _endpoint("places.photo", body=False),
    "/v1/places/*": _endpoint("places.details", describe_by_mask),
    "/place/textsearch/json": _endpoint("legacy.text_search"),
    "/place/nearbysearch/json": _endpoint("legacy.nearby_search"),
    "/place/findplacefromtext/json": _endpoint("legacy.find_place", describe_by_fields),
    "/place/details/json": _endpoint("legacy.place_details", describe_by_fields),
    "/place/autocomplete/json": _endpoint("legacy.autocomplete", describe_autocomplete),
    "/place/queryautocomplete/json": _endpoint("legacy.query_autocomplete", describe_autocomplete),
    "/place/photo": _endpoint("places.photo", body=False),
    "/geocode/json": _endpoint("geocoding"),
    "/timezone/json": _endpoint("timezone"),
    "/elevation/json": _endpoint("elevation"),
    "/geolocation/v1/geolocate": _endpoint("geolocation"),
    "/directions/json": _endpoint("directions", describe_route),
    "/distancematrix/json": _endpoint("distance_matrix", describe_route, read_matrix),
    "/v1/snapToRoads": _endpoint("roads.snap_to_roads"),
    "/v1/nearestRoads": _endpoint("roads.nearest_roads"),
    "/v1/speedLimits": _endpoint("roads.speed_limits"),
    "/maps/api/staticmap": _endpoint("static_map", body=False),
    "/v1:validateAddress": _endpoint("address_validation", describe_validation),
}
PROVIDER = Provider(
    "google.maps",
    hosts=(
        "maps.googleapis.com",
        "places.googleapis.com",
        "roads.googleapis.com",
        "addressvalidation.googleapis.com",
    ),
    endpoints=_TABLE,
    polls=_TABLE,
)
