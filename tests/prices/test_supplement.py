"""The supplement: what it adds to genai-prices, each figure as it stands on the provider's own price page."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from otel_aicost.model import UNPRICED_CONDITION, UNPRICED_DATE, UNPRICED_METER, UNPRICED_MODEL, Cost, Unpriced
from otel_aicost.prices.base import Base
from otel_aicost.prices.catalogue import Catalogue, load_supplement
from otel_aicost.prices.check import doubts_of

TODAY = "2026-11-22"
MILLION = 1_000_000


def ns(day):
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture(scope="module")
def shipped():
    return Catalogue(Base(), load_supplement(), version="test")


def maps(model, sku=None, meter="requests"):
    """A thousand requests to Google Maps."""
    return "google.maps", model, {meter: 1000}, {} if sku is None else {"sku": sku}


GOLDEN = [
    # speech and transcription, where only the length is known; tokens win where they are reported
    ("openai", "gpt-4o-transcribe", {"input_audio_seconds": 600}, {}, TODAY, "0.06"),
    ("openai", "gpt-4o-transcribe-diarize", {"input_audio_seconds": 600}, {}, TODAY, "0.06"),
    ("openai", "gpt-4o-mini-transcribe", {"input_audio_seconds": 600}, {}, TODAY, "0.03"),
    (
        "openai",
        "gpt-4o-transcribe",
        {"input_tokens": 1000, "input_audio_tokens": 1000, "input_audio_seconds": 600},
        {},
        TODAY,
        "0.006",
    ),
    ("openai", "gpt-4o-mini-tts", {"output_audio_seconds": 120}, {}, TODAY, "0.03"),
    ("openai", "gpt-4o-mini-tts", {"input_tokens": MILLION, "output_tokens": MILLION}, {}, TODAY, "12.6"),
    ("openai", "tts-1-1106", {"input_characters": 1000}, {}, TODAY, "0.015"),
    ("openai", "tts-1-hd-1106", {"input_characters": 1000}, {}, TODAY, "0.03"),
    ("mistral_ai", "voxtral-mini-transcribe-realtime-2602", {"input_audio_seconds": 60}, {}, TODAY, "0.006"),
    ("mistral_ai", "voxtral-mini-transcribe-3-0", {"input_audio_seconds": 60}, {}, TODAY, "0.0035"),
    ("mistral_ai", "voxtral-small-transcribe-3", {"input_audio_seconds": 60}, {}, TODAY, "0.004"),
    ("mistral_ai", "voxtral-mini-transcribe-realtime-3", {"input_audio_seconds": 60}, {}, TODAY, "0.008"),
    ("mistral_ai", "voxtral-mini-tts-2603", {"input_characters": 1000}, {}, TODAY, "0.016"),
    ("mistral_ai", "voxtral-mini-tts-3", {"input_characters": 1000}, {}, TODAY, "0.013"),
    # sessions that are billed by their length
    ("openai", "gpt-live-1", {"audio_seconds": 90}, {}, TODAY, "0.075"),
    ("openai", "gpt-live-1.1", {"audio_seconds": 90}, {}, TODAY, "0.075"),
    # a realtime session by tokens, with cached text and audio, and by the minute
    (
        "openai",
        "gpt-realtime",
        {
            "input_tokens": 10_000,
            "cache_read_tokens": 5000,
            "input_audio_tokens": 6000,
            "cache_audio_read_tokens": 4000,
            "output_tokens": 3000,
            "output_audio_tokens": 2000,
        },
        {},
        TODAY,
        # text 3000 + 1000 cached, audio 2000 + 4000 cached; out text 1000, audio 2000
        "0.222",
    ),
    ("openai", "gpt-4o-realtime-preview", {"input_audio_seconds": 60, "output_audio_seconds": 60}, {}, TODAY, "0.3"),
    # images
    ("gcp.gemini", "imagen-4.0-generate-001", {"output_images": 2}, {}, TODAY, "0.08"),
    ("gcp.vertex_ai", "imagen-4.0-ultra-generate-001", {"output_images": 1}, {}, TODAY, "0.06"),
    ("gcp.gemini", "imagen-4.0-fast-generate-001", {"output_images": 1}, {}, TODAY, "0.02"),
    ("gcp.gemini", "imagen-3.0-generate-002", {"output_images": 1}, {}, TODAY, "0.03"),
    ("gcp.vertex_ai", "imagen-3.0-generate-002", {"output_images": 1}, {}, TODAY, "0.04"),
    ("gcp.vertex_ai", "imagen-3.0-fast-generate-001", {"output_images": 1}, {}, TODAY, "0.02"),
    # video
    ("openai", "sora-2", {"output_video_seconds": 8}, {}, TODAY, "0.8"),
    ("openai", "sora-2-pro", {"output_video_seconds": 4}, {"size": "1280x720"}, TODAY, "1.2"),
    ("openai", "sora-2-pro", {"output_video_seconds": 4}, {"size": "1792x1024"}, TODAY, "2"),
    ("gcp.gemini", "veo-3.1-generate-preview", {"output_video_seconds": 8}, {}, TODAY, "3.2"),
    ("gcp.gemini", "veo-3.1-generate-preview", {"output_video_seconds": 8}, {"resolution": "1080p"}, TODAY, "3.2"),
    ("gcp.vertex_ai", "veo-3.1-generate-001", {"output_video_seconds": 8}, {"resolution": "4k"}, TODAY, "4.8"),
    ("gcp.gemini", "veo-3.1-fast-generate-001", {"output_video_seconds": 8}, {"resolution": "720p"}, TODAY, "0.8"),
    (
        "gcp.gemini",
        "veo-3.1-lite-generate-preview",
        {"output_video_seconds": 8},
        {"resolution": "1080p"},
        TODAY,
        "0.64",
    ),
    ("gcp.vertex_ai", "veo-3.0-generate-001", {"output_video_seconds": 8}, {}, TODAY, "3.2"),
    ("gcp.gemini", "veo-2.0-generate-001", {"output_video_seconds": 8}, {}, TODAY, "2.8"),
    ("gcp.vertex_ai", "veo-2.0-generate-001", {"output_video_seconds": 8}, {}, TODAY, "4"),
    # reranking, embeddings, pages
    ("cohere", "rerank-v3.5", {"rerank_searches": 1000}, {}, TODAY, "2"),
    ("cohere", "rerank-english-v3.0", {"rerank_searches": 1000}, {}, TODAY, "2"),
    ("cohere", "rerank-v4.0-fast", {"rerank_searches": 1000}, {}, TODAY, "2"),
    ("cohere", "rerank-v4.0-pro", {"rerank_searches": 1000}, {}, TODAY, "2.5"),
    ("cohere", "rerank-v5.0-pro", {"input_tokens": MILLION}, {}, TODAY, "0.05"),
    ("cohere", "rerank-v5.0-fast", {"input_tokens": MILLION}, {}, TODAY, "0.02"),
    ("cohere", "embed-multilingual-light-v3.0", {"input_tokens": MILLION}, {}, TODAY, "0.1"),
    ("aws.bedrock", "cohere.rerank-v3-5:0", {"rerank_searches": 1000}, {}, TODAY, "2"),
    ("aws.bedrock", "anthropic.claude-v2:1", {"input_tokens": MILLION, "output_tokens": MILLION}, {}, TODAY, "32"),
    ("aws.bedrock", "cohere.command-r-v1:0", {"input_tokens": MILLION, "output_tokens": MILLION}, {}, TODAY, "2"),
    ("aws.bedrock", "us.meta.llama3-1-405b-instruct-v1:0", {"input_tokens": MILLION}, {}, TODAY, "2.4"),
    ("aws.bedrock", "amazon.rerank-v1:0", {"rerank_searches": 1000}, {}, TODAY, "1"),
    ("aws.bedrock", "cohere.embed-english-v3", {"input_tokens": MILLION}, {}, TODAY, "0.1"),
    ("voyage_ai", "rerank-2.5", {"input_tokens": MILLION}, {}, TODAY, "0.05"),
    ("voyage_ai", "rerank-2.5-lite", {"input_tokens": MILLION}, {}, TODAY, "0.02"),
    (
        "voyage_ai",
        "voyage-multimodal-3.5",
        {"input_tokens": 4571, "input_text_tokens": 1000, "input_pixels": 2 * MILLION},
        {},
        TODAY,
        "0.00132",
    ),
    ("mistral_ai", "mistral-ocr-2512", {"document_pages": 1000}, {}, TODAY, "2"),
    ("gcp.gemini", "gemini-embedding-001", {"input_tokens": MILLION}, {"processing": "batch"}, TODAY, "0.075"),
    # tools
    ("anthropic", "claude-sonnet-4-5", {"input_tokens": 1000, "web_fetches": 3}, {}, TODAY, "0.003"),
    ("anthropic", "claude-sonnet-4-5", {"input_tokens": 0, "web_searches": 1000}, {}, TODAY, "10"),
    ("gcp.gemini", "gemini-2.5-flash", {"input_tokens": 0, "web_searches": 1000}, {}, TODAY, "35"),
    ("gcp.gemini", "gemini-2.5-flash", {"input_tokens": 0, "maps_groundings": 1000}, {}, TODAY, "25"),
    ("gcp.vertex_ai", "gemini-3-pro-preview", {"input_tokens": 0, "maps_groundings": 1000}, {}, TODAY, "14"),
    # fine-tuning: the training, and the model that comes out of it
    ("openai", "gpt-4o-mini-2024-07-18", {"training_tokens": MILLION}, {}, TODAY, "3"),
    ("openai", "gpt-4o-2024-08-06", {"training_tokens": MILLION}, {}, TODAY, "25"),
    ("openai", "gpt-3.5-turbo-0125", {"training_tokens": MILLION}, {}, TODAY, "8"),
    ("openai", "davinci-002", {"training_tokens": MILLION}, {}, TODAY, "6"),
    ("openai", "babbage-002", {"training_tokens": MILLION}, {}, TODAY, "0.4"),
    ("openai", "o4-mini-2025-04-16", {"training_seconds": 9180}, {}, TODAY, "255"),
    ("openai", "ft:gpt-4.1-2025-04-14:acme::a1", {"input_tokens": MILLION, "output_tokens": MILLION}, {}, TODAY, "15"),
    ("openai", "ft:gpt-4.1-mini-2025-04-14:acme::a1", {"output_tokens": MILLION}, {}, TODAY, "3.2"),
    ("openai", "ft:gpt-4.1-nano-2025-04-14:acme::a1", {"output_tokens": MILLION}, {}, TODAY, "0.8"),
    (
        "openai",
        "ft:o4-mini-2025-04-16:acme::a1",
        {"input_tokens": MILLION, "cache_read_tokens": MILLION},
        {},
        TODAY,
        "1",
    ),
    # Google Maps: a thousand of each
    (*maps("places.details", "essentials_ids_only"), TODAY, "0"),
    (*maps("places.details", "essentials"), TODAY, "5"),
    (*maps("places.details", "pro"), TODAY, "17"),
    (*maps("places.details", "enterprise"), TODAY, "20"),
    (*maps("places.details", "enterprise_atmosphere"), TODAY, "25"),
    (*maps("places.text_search", "essentials_ids_only"), TODAY, "0"),
    (*maps("places.text_search", "pro"), TODAY, "32"),
    (*maps("places.text_search", "enterprise"), TODAY, "35"),
    (*maps("places.text_search", "enterprise_atmosphere"), TODAY, "40"),
    (*maps("places.nearby_search", "pro"), TODAY, "32"),
    (*maps("places.nearby_search", "enterprise"), TODAY, "35"),
    (*maps("places.nearby_search", "enterprise_atmosphere"), TODAY, "40"),
    (*maps("places.autocomplete"), TODAY, "2.83"),
    (*maps("places.autocomplete", "session"), TODAY, "0"),
    (*maps("places.photo"), TODAY, "7"),
    (*maps("address_validation"), TODAY, "17"),
    (*maps("address_validation", "enterprise"), TODAY, "25"),
    *((*maps(model), TODAY, "5") for model in ("geocoding", "geolocation", "timezone", "elevation")),
    *((*maps(f"roads.{model}"), TODAY, "10") for model in ("snap_to_roads", "nearest_roads")),
    (*maps("roads.speed_limits"), TODAY, "20"),
    (*maps("static_map"), TODAY, "2"),
    (*maps("routes.compute_routes", "essentials"), TODAY, "5"),
    (*maps("routes.compute_routes", "pro"), TODAY, "10"),
    (*maps("routes.compute_routes", "enterprise"), TODAY, "15"),
    (*maps("routes.compute_route_matrix", "essentials", "matrix_elements"), TODAY, "5"),
    (*maps("routes.compute_route_matrix", "pro", "matrix_elements"), TODAY, "10"),
    (*maps("routes.compute_route_matrix", "enterprise", "matrix_elements"), TODAY, "15"),
    (*maps("directions"), TODAY, "5"),
    (*maps("directions", "advanced"), TODAY, "10"),
    (*maps("distance_matrix", None, "matrix_elements"), TODAY, "5"),
    (*maps("distance_matrix", "advanced", "matrix_elements"), TODAY, "10"),
    (*maps("legacy.place_details"), TODAY, "25"),
    (*maps("legacy.place_details", "ids_only"), TODAY, "0"),
    (*maps("legacy.place_details", "basic"), TODAY, "17"),
    (*maps("legacy.place_details", "contact"), TODAY, "20"),
    (*maps("legacy.place_details", "atmosphere"), TODAY, "22"),
    (*maps("legacy.find_place"), TODAY, "0"),
    (*maps("legacy.find_place", "contact_atmosphere"), TODAY, "25"),
    (*maps("legacy.text_search"), TODAY, "40"),
    (*maps("legacy.nearby_search"), TODAY, "40"),
    (*maps("legacy.autocomplete"), TODAY, "2.83"),
    (*maps("legacy.query_autocomplete", "session"), TODAY, "0"),
    (*maps("legacy.autocomplete", "session_without_details"), TODAY, "17"),
]


@pytest.mark.parametrize(("provider", "model", "usage", "conditions", "day", "dollars"), GOLDEN)
def test_golden(shipped, provider, model, usage, conditions, day, dollars):
    """What a usage of a model costs, to the nano-dollar."""
    found = shipped.price(provider, [model], usage, conditions, ns(day))
    assert isinstance(found, Cost), found
    assert found.total == Decimal(dollars)


UNPRICED = [
    # before its first day
    ("openai", "gpt-4o-transcribe", {"input_audio_seconds": 60}, {}, "2025-03-19", UNPRICED_METER),
    ("openai", "gpt-4o-mini-tts", {"output_audio_seconds": 60}, {}, "2025-03-19", UNPRICED_METER),
    ("openai", "sora-2", {"output_video_seconds": 4}, {}, "2025-10-05", UNPRICED_DATE),
    ("gcp.gemini", "veo-3.1-fast-generate-001", {"output_video_seconds": 4}, {}, "2026-08-31", UNPRICED_DATE),
    ("google.maps", "places.details", {"requests": 1}, {"sku": "pro"}, "2025-02-28", UNPRICED_DATE),
    (
        "gcp.gemini",
        "gemini-embedding-001",
        {"input_tokens": 1},
        {"processing": "batch"},
        "2025-09-09",
        UNPRICED_CONDITION,
    ),
    ("openai", "gpt-4o-mini-2024-07-18", {"training_tokens": 1}, {}, "2024-07-22", UNPRICED_METER),
    # under a condition that no price is known for
    ("openai", "sora-2-pro", {"output_video_seconds": 4}, {"size": "1920x1080"}, TODAY, UNPRICED_CONDITION),
    (
        "gcp.gemini",
        "veo-3.1-lite-generate-001",
        {"output_video_seconds": 4},
        {"resolution": "4k"},
        TODAY,
        UNPRICED_CONDITION,
    ),
    ("google.maps", "places.details", {"requests": 1}, {}, TODAY, UNPRICED_CONDITION),
    ("google.maps", "places.text_search", {"requests": 1}, {"sku": "platinum"}, TODAY, UNPRICED_CONDITION),
    # known to cost something, and no figure is known
    ("openai", "gpt-4.1-2025-04-14", {"training_tokens": 1}, {}, TODAY, UNPRICED_METER),
    ("openai", "gpt-realtime", {"input_audio_seconds": 60}, {}, TODAY, UNPRICED_METER),
    ("anthropic", "claude-sonnet-4-5", {"input_tokens": 1, "code_executions": 1}, {}, TODAY, UNPRICED_METER),
    ("aws.bedrock", "amazon.nova-reel-v1:0", {"output_video_seconds": 6}, {}, TODAY, UNPRICED_MODEL),
    ("gcp.vertex_ai", "lyria-002", {"output_audio_seconds": 30}, {}, TODAY, UNPRICED_MODEL),
    ("google.maps", "places.aggregate", {"requests": 1}, {}, TODAY, UNPRICED_MODEL),
]


@pytest.mark.parametrize(("provider", "model", "usage", "conditions", "day", "why"), UNPRICED)
def test_unpriced(shipped, provider, model, usage, conditions, day, why):
    """What nobody has a figure for is unpriced with a reason, and never free."""
    found = shipped.price(provider, [model], usage, conditions, ns(day))
    assert isinstance(found, Unpriced), found
    assert found.reason == why


FIRST_DAYS = [
    ("openai", "gpt-4o-transcribe", {"input_audio_seconds": 60}, {}, "2025-03-20", "0.006"),
    ("openai", "gpt-4o-mini-tts", {"output_audio_seconds": 60}, {}, "2025-03-20", "0.015"),
    ("openai", "sora-2", {"output_video_seconds": 4}, {}, "2025-10-06", "0.4"),
    ("gcp.gemini", "veo-3.1-fast-generate-001", {"output_video_seconds": 4}, {}, "2026-09-01", "0.4"),
    ("google.maps", "places.details", {"requests": 1}, {"sku": "pro"}, "2025-03-01", "0.017"),
    ("gcp.gemini", "gemini-embedding-001", {"input_tokens": MILLION}, {"processing": "batch"}, "2025-09-10", "0.075"),
    ("openai", "gpt-4o-mini-2024-07-18", {"training_tokens": MILLION}, {}, "2024-07-23", "3"),
]


@pytest.mark.parametrize(("provider", "model", "usage", "conditions", "day", "dollars"), FIRST_DAYS)
def test_a_price_holds_from_its_first_day(shipped, provider, model, usage, conditions, day, dollars):
    """On the day before it there is none, see above."""
    found = shipped.price(provider, [model], usage, conditions, ns(day))
    assert isinstance(found, Cost), found
    assert found.total == Decimal(dollars)


def test_nothing_in_it_is_doubtful_on_the_day_it_was_checked(shipped):
    """No misspelt meter or provider, no entry that never decides, no gap between its meters."""
    file = load_supplement()
    assert doubts_of(file, shipped, datetime.fromisoformat(file.checked).date()) == []
