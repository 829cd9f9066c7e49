"""Which price a Places request has: the highest one among the fields of its mask.

Source: https://developers.google.com/maps/documentation/places/web-service/data-fields, read 2026-11-22, and, for the
older API, https://developers.google.com/maps/documentation/places/web-service/legacy/details.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_IDS = frozenset({"attributions", "id", "name", "movedPlace", "movedPlaceId", "nextPageToken"})
_ESSENTIALS = _words(
    "addressComponents addressDescriptor adrFormatAddress formattedAddress location plusCode postalAddress"
    " shortFormattedAddress types viewport"
)
_PRO = _words(
    "accessibilityOptions businessStatus consumerAlert containingPlaces displayName googleMapsLinks"
    " googleMapsTypeLabel googleMapsUri iconBackgroundColor iconMaskBaseUri openingDate primaryType"
    " primaryTypeDisplayName pureServiceAreaBusiness subDestinations timeZone transitStation utcOffsetMinutes"
)
_ENTERPRISE = _words(
    "currentOpeningHours currentSecondaryOpeningHours internationalPhoneNumber nationalPhoneNumber priceLevel"
    " priceRange rating regularOpeningHours regularSecondaryOpeningHours userRatingCount websiteUri"
)
_ATMOSPHERE = _words(
    "allowsDogs curbsidePickup delivery dineIn editorialSummary evChargeAmenitySummary evChargeOptions fuelOptions"
    " generativeSummary goodForChildren goodForGroups goodForWatchingSports liveMusic menuForChildren"
    " neighborhoodSummary outdoorSeating parkingOptions paymentOptions reservable restroom reviewSummary reviews"
    " routingSummaries servesBeer servesBreakfast servesBrunch servesCocktails servesCoffee servesDessert"
    " servesDinner servesLunch servesVegetarianFood servesWine takeout"
)
_SKUS = ("essentials_ids_only", "essentials", "pro", "enterprise", "enterprise_atmosphere")
_DETAILS = (_IDS | {"photos"}, _ESSENTIALS, _PRO, _ENTERPRISE, _ATMOSPHERE)
_TEXT = (_IDS, frozenset[str](), _ESSENTIALS | _PRO | {"photos"}, _ENTERPRISE, _ATMOSPHERE)
_NEARBY = (frozenset[str](), frozenset[str](), _IDS | _ESSENTIALS | _PRO | {"photos"}, _ENTERPRISE, _ATMOSPHERE)
_OF = {"places.details": _DETAILS, "places.text_search": _TEXT, "places.nearby_search": _NEARBY}

_CONTACT = _words(
    "formatted_phone_number international_phone_number opening_hours current_opening_hours secondary_opening_hours"
    " website"
)
_LEGACY_ATMOSPHERE = _words(
    "curbside_pickup delivery dine_in editorial_summary price_level rating reservable review reviews serves_beer"
    " serves_breakfast serves_brunch serves_dinner serves_lunch serves_vegetarian_food serves_wine takeout"
    " user_ratings_total"
)
_LEGACY_IDS = frozenset({"place_id"})


def sku(operation: str, mask: str) -> str:
    """The SKU of a request with a field mask, e.g. `pro`; `unknown` where the mask has a field that no list names."""
    fields = [_field(path) for path in mask.split(",") if path.strip()]
    if "*" in fields:
        return _SKUS[-1]
    levels = [next((at for at, known in enumerate(_OF[operation]) if field in known), None) for field in fields]
    known = [level for level in levels if level is not None]
    if not levels or (len(known) < len(levels) and max(known, default=0) < len(_SKUS) - 1):
        return "unknown"
    return _SKUS[max(known)]


def legacy_sku(fields: str) -> str:
    """The SKU of a request of the older API that names its fields."""
    named = {field.strip().partition("/")[0] for field in fields.split(",")}
    kinds = [kind for kind, known in (("contact", _CONTACT), ("atmosphere", _LEGACY_ATMOSPHERE)) if named & known]
    return "_".join(kinds) or ("ids_only" if named <= _LEGACY_IDS else "basic")


def _field(path: str) -> str:
    """The field of a place that a path is about: `places.displayName.text` -> `displayName`."""
    parts = path.strip().split(".")
    return parts[1] if parts[0] == "places" and len(parts) > 1 else parts[0]
