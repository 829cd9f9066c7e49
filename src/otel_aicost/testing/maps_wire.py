"""Google Maps: places, routes and codes, all of one fixed town."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.testing.exchange import Answer

if TYPE_CHECKING:
    from otel_aicost.testing.exchange import Exchange

PLACE = {"place_id": "ChIJfake", "name": "Fake Café", "formatted_address": "1 Loopback Street"}
PHOTO = b"\x89PNG fake"
_LISTS = {
    "textsearch": "results",
    "nearbysearch": "results",
    "findplacefromtext": "candidates",
    "geocode": "results",
    "elevation": "results",
    "autocomplete": "predictions",
    "queryautocomplete": "predictions",
    "directions": "routes",
}


def legacy(exchange: Exchange) -> Answer:
    """GET /maps/api/.../json: a status, and a list under the name that this operation has for it."""
    operation = exchange.route["operation"]
    if operation == "details":
        return exchange.whole({"status": "OK", "result": PLACE})
    if operation == "distancematrix":
        return exchange.whole({"status": "OK", "rows": _rows(exchange)})
    if operation == "timezone":
        return exchange.whole({"status": "OK", "timeZoneId": "Etc/UTC", "rawOffset": 0, "dstOffset": 0})
    return exchange.whole({"status": "OK", _LISTS[operation]: [PLACE]})


def photo(_: Exchange) -> Answer:
    """GET /maps/api/place/photo."""
    return Answer([PHOTO], "image/png")


def places(exchange: Exchange) -> Answer:
    """POST /v1/places:search...: what an application of the new API gets for any field mask."""
    return exchange.whole({"places": [_place()]})


def suggestions(exchange: Exchange) -> Answer:
    """POST /v1/places:autocomplete."""
    return exchange.whole({"suggestions": [{"placePrediction": {"placeId": "ChIJfake", "place": "places/ChIJfake"}}]})


def place(exchange: Exchange) -> Answer:
    """GET /v1/places/{id}."""
    return exchange.whole(_place())


def roads(exchange: Exchange) -> Answer:
    """GET /v1/snapToRoads and its kin."""
    return exchange.whole({"snappedPoints": [{"location": {"latitude": 1.0, "longitude": 2.0}, "placeId": "ChIJfake"}]})


def validation(exchange: Exchange) -> Answer:
    """POST /v1:validateAddress."""
    return exchange.whole({"result": {"verdict": {"addressComplete": True}}, "responseId": exchange.id("")})


def geolocation(exchange: Exchange) -> Answer:
    """POST /geolocation/v1/geolocate."""
    return exchange.whole({"location": {"lat": 1.0, "lng": 2.0}, "accuracy": 10})


def _place() -> dict[str, Any]:
    return {"name": "places/ChIJfake", "id": "ChIJfake", "displayName": {"text": "Fake Café"}}


def _rows(exchange: Exchange) -> list[dict[str, Any]]:
    origins, destinations = (
        len(exchange.request.query.get(side, "").split("|")) for side in ("origins", "destinations")
    )
    element = {"status": "OK", "distance": {"value": 1}, "duration": {"value": 1}}
    return [{"elements": [element] * destinations} for _ in range(origins)]
