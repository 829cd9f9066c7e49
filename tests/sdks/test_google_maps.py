"""`googlemaps` and `google-maps-places`: what is billed of Google Maps, through both packages and all transports."""

from __future__ import annotations

from concurrent import futures
from decimal import Decimal

import googlemaps
import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.maps import places_v1
from google.maps.places_v1.services.places.transports import (
    PlacesGrpcAsyncIOTransport,
    PlacesGrpcTransport,
    PlacesRestTransport,
)

from capture.world import Counting, settings
from otel_aicost import faults
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.testing import Reply
from otel_aicost.testing.maps_wire import PLACE

KEY = "AIza-canary"
MASK = (("x-goog-fieldmask", "places.displayName"),)


@pytest.fixture
def counting(provider, spans):
    with Counting(settings(provider, "google.maps"), SpanObserver()) as counted:
        yield counted
    assert faults.counts() == {}


@pytest.fixture
def client(provider):
    return googlemaps.Client(key=KEY, base_url=provider.url)


@pytest.fixture
def places(provider):
    transport = PlacesRestTransport(
        host=f"127.0.0.1:{provider.port}", url_scheme="http", credentials=AnonymousCredentials()
    )
    return places_v1.PlacesClient(transport=transport)


@pytest.mark.parametrize(
    ("call", "operation", "sku", "dollars"),
    [
        (lambda c: c.geocode("x"), "geocoding", None, "0.005"),
        (lambda c: c.reverse_geocode((1, 2)), "geocoding", None, "0.005"),
        (lambda c: c.timezone((1, 2), 0), "timezone", None, "0.005"),
        (lambda c: c.elevation((1, 2)), "elevation", None, "0.005"),
        (lambda c: c.directions("a", "b"), "directions", "essentials", "0.005"),
        (lambda c: c.directions("a", "b", departure_time="now"), "directions", "advanced", "0.010"),
        (lambda c: c.directions("a", "b", waypoints=list("cdefghijklm")), "directions", "advanced", "0.010"),
        (
            lambda c: c.directions("a", "b", waypoints=["c"], optimize_waypoints=True),
            "directions",
            "advanced",
            "0.010",
        ),
        (lambda c: c.places("pizza"), "legacy.text_search", None, "0.040"),
        (lambda c: c.places_nearby((1, 2), radius=5), "legacy.nearby_search", None, "0.040"),
        (lambda c: c.find_place("x", "textquery", fields=["place_id"]), "legacy.find_place", "ids_only", "0"),
        (lambda c: c.find_place("x", "textquery", fields=["name"]), "legacy.find_place", "basic", "0.017"),
        (lambda c: c.place("id"), "legacy.place_details", None, "0.025"),
        (lambda c: c.place("id", fields=["name", "website"]), "legacy.place_details", "contact", "0.020"),
        (lambda c: c.place("id", fields=["rating"]), "legacy.place_details", "atmosphere", "0.022"),
        (lambda c: c.place("id", fields=["rating", "website"]), "legacy.place_details", "contact_atmosphere", "0.025"),
        (lambda c: c.place("id", fields=["geometry/location"]), "legacy.place_details", "basic", "0.017"),
        (lambda c: c.places_autocomplete("x", session_token=None), "legacy.autocomplete", "request", "0.00283"),
        (lambda c: c.places_autocomplete_query("x"), "legacy.query_autocomplete", "request", "0.00283"),
        (lambda c: b"".join(c.places_photo("ref", max_width=5)), "places.photo", None, "0.007"),
    ],
)
def test_a_request_is_billed_by_its_operation_and_fields(client, counting, call, operation, sku, dollars):
    """Each public function of `googlemaps` is one record with the SKU of what it asked for."""
    call(client)

    record = counting.only
    assert (record.provider, record.operation, record.request_model) == ("google.maps", operation, operation)
    assert record.usage == {"requests": 1}
    assert record.conditions.get("sku") == sku
    assert record.cost.total == Decimal(dollars)


def test_a_matrix_is_billed_by_its_elements(client, counting):
    """Two origins to three destinations are six elements."""
    client.distance_matrix(["a", "b"], ["c", "d", "e"])

    assert counting.only.usage == {"matrix_elements": 6}
    assert counting.only.cost.total == Decimal("0.030")


def test_an_answer_without_results_is_billed(client, counting, provider):
    """ZERO_RESULTS is an answer."""
    provider.next(Reply(json={"status": "ZERO_RESULTS", "results": []}))

    assert client.geocode("nowhere") == []
    assert counting.only.cost.total == Decimal("0.005")


def test_retries_are_one_call(client, counting, provider):
    """The package sends again after a 503 and after OVER_QUERY_LIMIT; what was answered is billed, once."""
    provider.next(Reply(status=503), Reply(json={"status": "OVER_QUERY_LIMIT"}))

    assert client.geocode("x") == [PLACE]
    assert len(provider.requests) == 3
    assert counting.only.cost.total == Decimal("0.005")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(json={"status": "REQUEST_DENIED"}), googlemaps.exceptions.ApiError),
        (Reply(status=404), googlemaps.exceptions.HTTPError),
    ],
)
def test_an_error_costs_nothing(client, counting, provider, reply, error):
    """The application gets its exception, and the record says which."""
    provider.next(reply)

    with pytest.raises(error):
        client.geocode("x")
    assert (counting.only.status, counting.only.cost, counting.only.error_type) == ("error", None, error.__name__)


def test_a_session_is_free_past_its_first_requests(client, counting):
    """Twelve requests of a session are billed, later ones are not; its end makes the token worth nothing."""
    for _ in range(14):
        client.places_autocomplete("x", session_token="token-1")
    client.place("id", session_token="token-1", fields=["name"])
    client.places_autocomplete("x", session_token="token-1")

    skus = [record.conditions.get("sku") for record in counting.records]
    assert skus == ["request"] * 12 + ["session"] * 2 + ["basic", "request"]


@pytest.mark.parametrize(
    ("mask", "sku", "dollars"),
    [
        ("places.id,places.name", "essentials_ids_only", "0"),
        ("places.displayName", "pro", "0.032"),
        ("places.displayName.text,places.rating", "enterprise", "0.035"),
        ("places.reviews,places.id", "enterprise_atmosphere", "0.040"),
        ("*", "enterprise_atmosphere", "0.040"),
        ("places.invented", "unknown", None),
    ],
)
def test_the_field_mask_decides_the_price(places, counting, mask, sku, dollars):
    """The dearest field counts; a field nobody knows makes the call unpriced rather than cheap."""
    found = places.search_text({"text_query": "pizza"}, metadata=(("x-goog-fieldmask", mask),))

    assert found.places[0].id == "ChIJfake"
    record = counting.only
    assert record.conditions == {"sku": sku}
    assert (record.cost.total if dollars else record.unpriced.reason) == (
        Decimal(dollars) if dollars else "unpriced_condition"
    )


def test_each_operation_of_the_new_api_is_seen(places, counting):
    """Details, nearby search and autocomplete, through the REST transport."""
    places.get_place(name="places/ChIJfake", metadata=(("x-goog-fieldmask", "id,location"),))
    places.search_nearby({}, metadata=MASK)
    places.autocomplete_places({"input": "x"})

    assert [(record.operation, dict(record.conditions)) for record in counting.records] == [
        ("places.details", {"sku": "essentials"}),
        ("places.nearby_search", {"sku": "pro"}),
        ("places.autocomplete", {"sku": "request"}),
    ]
    assert [record.cost.total for record in counting.records] == [
        Decimal("0.005"),
        Decimal("0.032"),
        Decimal("0.00283"),
    ]


class _Town(grpc.GenericRpcHandler):
    """A gRPC server that finds one place."""

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(
            lambda *_: places_v1.SearchTextResponse(places=[{"id": "ChIJfake"}]),
            response_serializer=places_v1.SearchTextResponse.serialize,
        )


@pytest.fixture
def town():
    server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[_Town()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_the_grpc_transport_is_seen(counting, town):
    """Its answers are the same messages."""
    with grpc.insecure_channel(town) as channel:
        found = places_v1.PlacesClient(transport=PlacesGrpcTransport(channel=channel)).search_text(
            {"text_query": "x"}, metadata=MASK
        )

    assert isinstance(found, places_v1.SearchTextResponse)
    assert (counting.only.operation, counting.only.cost.total) == ("places.text_search", Decimal("0.032"))


async def test_the_asynchronous_client_is_seen(counting, town):
    """It has gRPC alone."""
    async with grpc.aio.insecure_channel(town) as channel:
        client = places_v1.PlacesAsyncClient(transport=PlacesGrpcAsyncIOTransport(channel=channel))
        found = await client.search_text({"text_query": "x"}, metadata=MASK)

    assert isinstance(found, places_v1.SearchTextResponse)
    assert (counting.only.operation, counting.only.cost.total) == ("places.text_search", Decimal("0.032"))


def test_nothing_of_the_request_is_kept(client, counting, spans):
    """Neither the key nor the question."""
    client.geocode("221B Baker Street")

    (span,) = spans.get_finished_spans()
    told = repr((counting.only, span.attributes, span.name))
    assert KEY not in told
    assert "Baker" not in told
    assert span.attributes["gen_ai.provider.name"] == "google.maps"


def test_results_and_requests_are_those_without_us(client, provider, counting):
    """The package sends the same bytes and gives the same objects."""
    seen = [client.geocode("x"), client.directions("a", "b")]
    sent = [request.target for request in provider.requests]
    counting.__exit__()
    provider.reset()

    assert [client.geocode("x"), client.directions("a", "b")] == seen
    assert [request.target for request in provider.requests] == sent
