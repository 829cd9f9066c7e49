"""What Google's bodies say of their usage, on the Gemini API and on Vertex AI."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.world import catalogue
from otel_aicost.capture.merging import merge
from otel_aicost.model import METERS, Cost
from otel_aicost.providers import anthropic, endpoint_of, gemini, google_content, poll_of, vertex_ai
from otel_aicost.providers import google_interactions as interactions
from otel_aicost.providers import google_media as media
from otel_aicost.providers import google_stored as stored
from otel_aicost.providers.base import Sent

if TYPE_CHECKING:
    from otel_aicost.providers.base import Endpoint

NOW = 1_795_300_000 * 10**9
CONTENT = {
    "responseId": "r1",
    "modelVersion": "gemini-2.5-flash",
    "candidates": [{"index": 0, "finishReason": "STOP", "content": {"parts": [{"text": "finishReason"}]}}],
    "usageMetadata": {
        "promptTokenCount": 1000,
        "toolUsePromptTokenCount": 50,
        "cachedContentTokenCount": 400,
        "candidatesTokenCount": 100,
        "thoughtsTokenCount": 30,
        "totalTokenCount": 1180,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 700},
            {"modality": "AUDIO", "tokenCount": 200},
            {"modality": "IMAGE", "tokenCount": 60},
            {"modality": "VIDEO", "tokenCount": 40},
        ],
        "toolUsePromptTokensDetails": [{"modality": "IMAGE", "tokenCount": 5}],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 300}, {"modality": "AUDIO", "tokenCount": 100}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 90}, {"modality": "AUDIO", "tokenCount": 10}],
        "serviceTier": "standard",
    },
}
COUNTED = {
    "input_tokens": 1050,
    "output_tokens": 130,
    "cache_read_tokens": 400,
    "reasoning_tokens": 30,
    "input_audio_tokens": 200,
    "input_image_tokens": 65,
    "input_video_tokens": 40,
    "output_audio_tokens": 10,
    "cache_audio_read_tokens": 100,
    "cache_image_read_tokens": 0,
    "cache_video_read_tokens": 0,
}


def content(**usage: Any) -> dict[str, Any]:
    return {**CONTENT, "usageMetadata": usage}


def test_thoughts_are_output_and_tool_results_are_input() -> None:
    """Modalities are parts of the totals; where the cache tells its own, those it does not name are none."""
    reading = google_content.read(CONTENT)
    assert (reading.model, reading.response_id) == ("gemini-2.5-flash", "r1")
    assert (reading.finish_reasons, reading.final) == (("STOP",), True)
    assert reading.usage == COUNTED
    assert reading.conditions == {"service_tier": "standard"}


def test_cached_audio_has_a_price_of_its_own() -> None:
    """Of 1050 tokens 100 are cached audio, 300 cached text, 100 other audio, and 550 the rest."""
    cost = catalogue().price("gcp.gemini", ["gemini-2.5-flash"], COUNTED, {"service_tier": "standard"}, NOW)
    assert isinstance(cost, Cost)
    expected = 550 * Decimal("0.3") + 100 * 1 + 300 * Decimal("0.03") + 100 * Decimal("0.1") + 130 * Decimal("2.5")
    assert cost.total == expected / 1_000_000


def test_enums_may_be_numbers() -> None:
    """As Vertex AI's older client asks for them."""
    usage = {
        "promptTokenCount": 521,
        "trafficType": 1,
        "promptTokensDetails": [{"modality": 2, "tokenCount": 516}, {"modality": 1, "tokenCount": 5}],
    }
    reading = google_content.read(content(**usage))
    assert (reading.usage, reading.conditions) == ({"input_tokens": 521, "input_image_tokens": 516}, {})


@pytest.mark.parametrize(
    ("usage", "conditions"),
    [
        ({"trafficType": "ON_DEMAND"}, {}),
        ({"trafficType": "ON_DEMAND_PRIORITY"}, {"service_tier": "priority"}),
        ({"trafficType": "ON_DEMAND_FLEX"}, {"service_tier": "flex"}),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, {"service_tier": "provisioned_throughput"}),
        ({"trafficType": 2}, {"service_tier": "provisioned_throughput"}),
        ({"serviceTier": "FLEX"}, {"service_tier": "flex"}),
        ({"serviceTier": "unspecified"}, {}),
        ({"serviceTier": 7}, {}),
    ],
)
def test_the_tier_decides_the_price(usage: dict[str, Any], conditions: dict[str, str]) -> None:
    """Each in its own words."""
    assert google_content.read(content(promptTokenCount=1, **usage)).conditions == conditions


def test_what_was_paid_for_in_advance_has_no_price_by_the_token() -> None:
    """Unpriced rather than a price that was not paid."""
    tier = {"service_tier": "provisioned_throughput"}
    found = catalogue().price("gcp.vertex_ai", ["gemini-2.5-flash"], {"input_tokens": 1}, tier, NOW)
    assert not isinstance(found, Cost)
    assert found.reason == "unpriced_condition"


@pytest.mark.parametrize(
    ("model", "searches", "maps"),
    [("gemini-2.5-flash", 1, 1), ("gemini-1.5-pro", 1, 1), ("gemini-3-flash-preview", 3, 1), ("gemini-20-x", 3, 1)],
)
def test_grounding_is_billed_by_prompt_or_by_search(model: str, searches: int, maps: int) -> None:
    """Empty searches and repeated ones are not billed."""
    candidate = {
        "groundingMetadata": {
            "webSearchQueries": ["a", "b", "", "a", 7],
            "imageSearchQueries": ["c"],
            "groundingChunks": [{"web": {}}, {"maps": {"uri": "x"}}],
        }
    }
    usage = google_content.read({**CONTENT, "modelVersion": model, "candidates": [candidate]}).usage or {}
    assert (usage["web_searches"], usage["maps_groundings"]) == (searches, maps)


def test_a_stream_adds_up() -> None:
    """Usages are running totals, searches of all events count, and an end once told stays told."""
    found: dict[str, Any] = {}
    for event in (
        {"usageMetadata": {"promptTokenCount": 10}, "modelVersion": "gemini-3-flash-preview"},
        {"candidates": [{"groundingMetadata": {"webSearchQueries": ["a"]}}]},
        {"candidates": [{"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["a", "b"]}}]},
        {"usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 4}, "responseId": "r"},
    ):
        merge(found, google_content.fragment(event))
    reading = google_content.read(found)
    assert reading.usage == {"input_tokens": 10, "output_tokens": 4, "web_searches": 2}
    assert (reading.final, reading.response_id) == (True, "r")


@pytest.mark.parametrize("usage", [{}, {"trafficType": "ON_DEMAND"}, None, 7, []])
def test_without_counts_there_is_no_usage(usage: Any) -> None:
    """Missing, not zero."""
    assert google_content.read({**CONTENT, "usageMetadata": usage}).usage is None


@pytest.mark.parametrize("count", [-1, 10**11, True, "12", float("nan")])
@pytest.mark.parametrize("key", ["promptTokenCount", "thoughtsTokenCount"])
def test_absurd_counts_are_set_aside(key: str, count: Any) -> None:
    """And the reason is told."""
    reading = google_content.read(content(**{key: count}))
    assert reading.usage is None
    assert key in str(reading.invalid)


def test_a_blocked_prompt_is_an_end() -> None:
    """There are no candidates then."""
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    reading = google_content.read(body)
    assert (reading.usage, reading.finish_reasons, reading.final) == ({"input_tokens": 4}, ("SAFETY",), True)


def test_a_request_tells_model_parameters_and_tier() -> None:
    """The model stands in the path."""
    body = {"generationConfig": {"maxOutputTokens": 5, "temperature": 0.5, "x": 1}, "serviceTier": "FLEX"}
    told = google_content.describe(
        Sent(body, path="/v1/projects/p/publishers/google/models/gemini-2.5-pro:generateContent")
    )
    assert told.model == "gemini-2.5-pro"
    assert told.parameters == {"gen_ai.request.max_tokens": 5, "gen_ai.request.temperature": 0.5}
    assert told.conditions == {"service_tier": "flex"}


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro"),
        ("/v1beta/tunedModels/mine:generateContent", "mine"),
        ("/v1/projects/p/locations/l/endpoints/123:streamGenerateContent", "123"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude-haiku-4-5@20251001:rawPredict",
         "claude-haiku-4-5@20251001"),
        ("models/veo-3.1-generate-preview/operations/abc", "veo-3.1-generate-preview"),
        ("projects/p/locations/l/publishers/google/models/veo-2.0-generate-001/operations/1", "veo-2.0-generate-001"),
        ("/v1beta/batches/abc", None),
        ("", None),
        (None, None),
    ],
)  # fmt: skip
def test_the_model_is_found_in_a_path(path: Any, model: str | None) -> None:
    """Of whatever resource."""
    assert google_content.model_of(path) == model


# --- media ------------------------------------------------------------------------------------------------------------


def test_predictions_are_images_or_embeddings() -> None:
    """What was filtered out is not billed."""
    made = [{"mimeType": "image/png", "bytesBase64Encoded": "x"}, {"raiFilteredReason": "no"},
            {"mimeType": "image/png", "gcsUri": "gs://x"}]  # fmt: skip
    assert media.read_predictions({"predictions": made}).usage == {"output_images": 2}
    assert media.read_images({}).usage == {"output_images": 0}
    embedded = [{"embeddings": {"values": [0.5], "statistics": {"token_count": count}}} for count in (4, 3.0)]
    reading = media.read_predictions({"predictions": embedded, "metadata": {"billableCharacterCount": 20}})
    assert (reading.usage, reading.operation) == ({"input_tokens": 7, "input_characters": 20}, "embeddings")
    absurd = [{"embeddings": {"statistics": {"token_count": -4}}}]
    assert media.read_images({"predictions": absurd}).invalid
    assert media.read_predictions({"predictions": [{"answer": 42}]}).usage is None


def video(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    media.read_video_begun({"name": name, **media.asked_of_video({"parameters": parameters})})
    samples = {"generateVideoResponse": {"generatedSamples": [{"video": {}}, {"video": {}}]}}
    return {"name": name, "done": True, "response": samples}


@pytest.mark.parametrize(
    ("parameters", "seconds", "conditions"),
    [
        ({}, 16, {}),
        ({"durationSeconds": 4, "resolution": "4K"}, 8, {"resolution": "4k"}),
        ({"durationSeconds": 5, "generateAudio": False}, 10, {"sound": "none"}),
    ],
)
def test_a_video_is_as_long_as_the_request_said(
    parameters: dict[str, Any], seconds: int, conditions: dict[str, str]
) -> None:
    """Eight seconds if it said nothing."""
    name = f"models/veo-2.0-generate-001/operations/{seconds}"
    reading = media.read_operation(video(name, parameters))
    assert (reading.usage, reading.conditions) == ({"output_video_seconds": seconds}, conditions)
    assert (reading.model, reading.once) == ("veo-2.0-generate-001", f"operation:{name}")


@pytest.mark.parametrize(
    "body",
    [{}, {"name": "o"}, {"name": "o", "done": False}, {"name": "o", "done": True, "error": {"code": 3}},
     {"name": "o", "done": True, "response": {"raiMediaFilteredCount": 1}}],
)  # fmt: skip
def test_an_operation_without_a_video_bills_nothing(body: dict[str, Any]) -> None:
    """It is not done, or it failed, or everything was filtered."""
    assert media.read_operation(body).pending


def test_only_so_many_videos_are_remembered() -> None:
    """The oldest is forgotten: its price is then unknown, not zero."""
    first = video("models/v/operations/first", {})
    for number in range(media.REMEMBERED):
        video(f"models/v/operations/{number}", {})
    assert media.read_operation(first).usage == {"output_videos": 2}
    assert len(media._videos) == media.REMEMBERED


def test_an_absurd_length_is_not_remembered() -> None:
    """It is unknown then."""
    assert media.read_operation(video("models/v/operations/absurd", {"durationSeconds": -1})).usage == {
        "output_videos": 2
    }


# --- batches and caches ---------------------------------------------------------------------------------------------


def test_results_of_a_batch_are_told_apart() -> None:
    """By the id of the response, else by their place; embeddings count as text."""
    lines = [{"response": CONTENT}, {"response": {**CONTENT, "responseId": None}}, {"error": {"code": 3}}]
    embedded = [{"response": {"tokenCount": "12", "embedding": {"values": []}}}]
    about = {
        "model": "models/gemini-embedding-001",
        "endTime": "2026-11-20T00:00:00.5Z",
        "output": {
            "inlinedResponses": {"inlinedResponses": lines},
            "inlinedEmbedContentResponses": {"inlinedResponses": embedded},
        },
    }
    found = stored.read_batch({"name": "batches/b", "metadata": about, "done": True}).others
    assert [(one.model, one.once) for one in found] == [
        ("gemini-2.5-flash", "batch:r1"),
        ("gemini-2.5-flash", "batch:batches/b:1"),
        ("gemini-embedding-001", "batch:batches/b:0"),
    ]
    assert found[2].usage == {"input_tokens": 12}
    assert {one.at_ns for one in found} == {1_795_132_800_500_000_000}
    assert all(one.conditions == {"processing": "batch"} for one in found)
    listed = stored.read_batch({"operations": [{"name": "batches/b", "metadata": about}]}).others
    assert listed == found


def test_vertex_tells_only_how_many_results_there_are() -> None:
    """On record, once, and unpriced."""
    job = {
        "name": "projects/1/locations/l/batchPredictionJobs/7",
        "model": "publishers/google/models/gemini-2.5-flash",
        "state": "JOB_STATE_SUCCEEDED",
        "completionStats": {"successfulCount": "40"},
        "endTime": "2026-11-20T00:00:00Z",
    }
    reading = stored.read_vertex_batch(job)
    assert (reading.model, reading.usage) == ("gemini-2.5-flash", {"batch_requests": 40})
    assert reading.once == "batch:projects/1/locations/l/batchPredictionJobs/7"
    assert stored.read_vertex_batch({**job, "state": "JOB_STATE_RUNNING"}).pending
    found = catalogue().price("gcp.vertex_ai", ["gemini-2.5-flash"], reading.usage or {}, reading.conditions, NOW)
    assert not isinstance(found, Cost)


@pytest.mark.parametrize("missing", ["createTime", "expireTime", "usageMetadata"])
def test_a_cache_whose_terms_are_not_told_has_no_usage(missing: str) -> None:
    """Missing, not zero."""
    body = {
        "model": "models/gemini-2.5-flash",
        "createTime": "2026-01-01T00:00:00.123456789Z",
        "expireTime": "2026-01-01T00:30:00.123456789Z",
        "usageMetadata": {"totalTokenCount": 5000},
    }
    assert stored.read_cache(body).usage == {"cache_token_hours": 2500}
    del body[missing]
    assert stored.read_cache(body).usage is None
    assert stored.read_vertex_cache(body).usage is None


# --- interactions -----------------------------------------------------------------------------------------------------

INTERACTION = {
    "id": "v1_1",
    "status": "completed",
    "model": "gemini-3-flash-preview",
    "service_tier": "flex",
    "updated": "2026-11-20T00:00:00Z",
    "usage": {
        "total_input_tokens": 100,
        "total_tool_use_tokens": 20,
        "total_cached_tokens": 10,
        "total_output_tokens": 50,
        "total_thought_tokens": 30,
        "total_tokens": 200,
        "input_tokens_by_modality": [{"modality": "text", "tokens": 60}, {"modality": "audio", "tokens": 40}],
        "grounding_tool_count": [{"type": "google_search", "count": 3}, {"type": "google_maps", "count": 2}],
    },
}


def test_an_interaction_counts_in_words_of_its_own() -> None:
    """The same meters."""
    reading = interactions.read(INTERACTION)
    assert reading.usage == {
        "input_tokens": 120,
        "output_tokens": 80,
        "cache_read_tokens": 10,
        "reasoning_tokens": 30,
        "input_audio_tokens": 40,
        "web_searches": 3,
        "maps_groundings": 2,
    }
    assert (reading.once, reading.conditions) == ("interaction:v1_1", {"service_tier": "flex"})
    again = interactions.read_again(INTERACTION)
    assert (again.usage, again.once, again.at_ns) == (reading.usage, reading.once, 1_795_132_800 * 10**9)


@pytest.mark.parametrize(
    ("status", "background", "pending"),
    [("in_progress", True, True), ("queued", True, True), ("in_progress", False, False), ("completed", True, False)],
)
def test_only_in_the_background_an_interaction_goes_on(status: str, background: bool, pending: bool) -> None:
    """A stream that was cut has a part of its cost behind it."""
    body = {"id": "x", "status": status, **interactions.asked({"background": background})}
    assert interactions.read(body).pending is pending


# --- the registry -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "generate_content"),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent", "generate_content"),
        ("/v1beta/models/imagen-4.0-generate-001:predict", "image_generation"),
        ("/v1/publishers/google/models/text-embedding-005:predict", "embeddings"),
        ("/v1/publishers/google/models/veo-2.0:predictLongRunning", "video_generation"),
        ("/v1beta/openai/chat/completions", "chat"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/claude-haiku-4-5@20251001:streamRawPredict", "chat"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict", "count_tokens"),
        ("/v1/projects/p/locations/l/publishers/mistralai/models/codestral-2:rawPredict", "chat"),
    ],
)
def test_each_path_is_understood(path: str, operation: str) -> None:
    """On Vertex AI, and where it exists on the Gemini API."""
    assert endpoint_of(path, vertex_ai.PROVIDER).operation == operation


def test_claude_called_raw_on_vertex_is_claude() -> None:
    """Anthropic's dialect; the model stands in the path."""
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-haiku-4-5@20251001:rawPredict"
    endpoint = endpoint_of(path, vertex_ai.PROVIDER)
    assert endpoint.describe(Sent({"max_tokens": 5}, path=path)).model == "claude-haiku-4-5@20251001"
    body = {"usage": {"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 3}, "stop_reason": "end_turn"}
    assert endpoint.read(body).usage == anthropic.read(body).usage == {
        "input_tokens": 12, "output_tokens": 3, "cache_read_tokens": 7
    }  # fmt: skip


def test_polls_are_known_by_their_path() -> None:
    """And belong to their provider."""
    assert poll_of("/v1beta/files/abc:download", gemini.PROVIDER) is not None
    assert poll_of("/v1/projects/p/locations/l/batchPredictionJobs/7", vertex_ai.PROVIDER) is not None
    assert poll_of("/v1beta/files/abc", gemini.PROVIDER) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
LIKELY = st.sampled_from(["audio", "VIDEO", 2, "in_progress", "9" * 25, "12", "0001-01-01T00:00:00Z", -1, 10**12, 0.5])
BODIES: list[dict[str, Any]] = [
    CONTENT,
    INTERACTION,
    {"event_type": "interaction.completed", "interaction": INTERACTION},
    {
        "name": "batches/b",
        "done": True,
        "metadata": {
            "model": "models/m",
            "endTime": "2026-11-20T00:00:00Z",
            "output": {
                "inlinedResponses": {"inlinedResponses": [{"response": CONTENT}]},
                "inlinedEmbedContentResponses": {"inlinedResponses": [{"response": {"tokenCount": "12"}}]},
            },
        },
    },
    {"lines": [{"key": "a", "response": CONTENT}, {"error": {}}]},
    {
        "name": "models/veo/operations/1",
        "done": True,
        "response": {"generateVideoResponse": {"generatedSamples": [{"video": {}}]}, "videos": [{"gcsUri": "x"}]},
        "parameters": {"durationSeconds": 6, "resolution": "4k", "sampleCount": 2, "generateAudio": False},
    },
    {
        "predictions": [{"mimeType": "image/png", "gcsUri": "x", "embeddings": {"statistics": {"token_count": 3}}}],
        "metadata": {"billableCharacterCount": 9},
    },
    {
        "name": "b",
        "model": "m",
        "state": "JOB_STATE_SUCCEEDED",
        "completionStats": {"successfulCount": "4"},
        "createTime": "2026-01-01T00:00:00Z",
        "expireTime": "2026-01-02T00:00:00Z",
        "endTime": "2026-01-02T00:00:00Z",
        "usageMetadata": {"totalTokenCount": 9},
        "generationConfig": {"topK": 1},
        "background": True,
    },
]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a body."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


def _mutated(body: dict[str, Any], edits: list[tuple[int, Any]]) -> dict[str, Any]:
    body = deepcopy(body)
    for number, value in edits:
        container, key = _places(body)[number % len(_places(body))]
        container[key] = value
    return body


ENDPOINTS = {
    f"{provider.name} {path}": endpoint
    for provider in (gemini.PROVIDER, vertex_ai.PROVIDER)
    for path, endpoint in [*provider.endpoints.items(), *provider.polls.items()]
}


def _readings(reading: Any) -> list[Any]:
    return [reading, *(inner for part in reading.others for inner in _readings(part))]


@given(
    body=st.sampled_from(BODIES),
    edits=st.lists(st.tuples(st.integers(0, 10**6), JSON | LIKELY), max_size=4),
    name=st.sampled_from(sorted(ENDPOINTS)),
)
def test_no_body_makes_reading_it_fail(body: dict[str, Any], edits: list[tuple[int, Any]], name: str) -> None:
    """Every quantity that comes of it is finite and not negative."""
    endpoint: Endpoint = ENDPOINTS[name]
    body = _mutated(body, edits)
    asked = {} if endpoint.asked is None else endpoint.asked(body)
    found = [endpoint.read(body), endpoint.read({**asked, **body}), endpoint.read(endpoint.fragment(body))]
    endpoint.describe(Sent(body, path="/v1/models/x:predict"))
    for reading in [inner for one in found for inner in _readings(one)]:
        for meter, amount in (reading.usage or {}).items():
            assert meter in METERS or meter in {"image_tool_tokens", "other_model_tokens"}
            assert amount >= 0
            assert Decimal(amount).is_finite()
        assert all(isinstance(value, str) for pair in reading.conditions.items() for value in pair)
        assert reading.at_ns is None or reading.at_ns > 0
