"""What a response bills apart: images and graphics of a tool, other models of a message, results of a batch."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from otel_aicost.model import METERS
from otel_aicost.providers import anthropic, anthropic_stored, openai, openai_jobs
from otel_aicost.providers.base import Sent
from providers.bodies import BODIES, IMAGE_GEN, RESPONSE, ROUNDS, SESSION, SVG

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.model import Reading

PAINTED = {"input_tokens": 50, "input_image_tokens": 20, "output_tokens": 1000, "output_image_tokens": 1000}
DRAWN = {"input_tokens": 7, "output_tokens": 90, "reasoning_tokens": 30}


def test_images_of_a_tool_are_billed_at_the_rates_of_their_own_model() -> None:
    """The tokens of the response stay what they are."""
    found = openai.read_response(RESPONSE)
    assert (found.model, found.usage) == ("gpt-5", {"input_tokens": 10, "output_tokens": 5})
    (part,) = found.others
    assert (part.model, part.usage, part.operation) == ("gpt-image-1", PAINTED, "image_generation")


@pytest.mark.parametrize(
    "tools", [[], [{"type": "image_generation"}], None, [{"type": "image_generation", "model": m} for m in "ab"]]
)
def test_images_of_a_model_that_nobody_names_have_no_price(tools: Any) -> None:
    """They are counted with the response, under a meter that has none."""
    found = openai.read_response({**RESPONSE, "tools": tools})
    assert (found.usage or {})["image_tool_tokens"] == 1050
    assert found.others == ()


def test_cached_tokens_of_an_image_say_which_are_images() -> None:
    """None of them here: a price for cached images has to know."""
    told = {
        **IMAGE_GEN,
        "cached_tokens": 12,
        "cached_tokens_details": {"cached_image_tokens": 0, "cached_text_tokens": 12},
    }
    (part,) = openai.read_response({**RESPONSE, "tool_usage": {"image_gen": told}}).others
    assert part.usage == {**PAINTED, "cache_read_tokens": 12, "cache_image_read_tokens": 0}


def test_an_unused_tool_is_no_part() -> None:
    """Its counts are there, and zero."""
    nothing = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    assert openai.read_response({**RESPONSE, "tool_usage": {"image_gen": nothing}}).others == ()


def test_graphics_are_billed_at_the_rates_of_their_author() -> None:
    """In a response and among images."""
    response = {**RESPONSE, "output": [{"type": "image_generation_call", "svg_usage": SVG}], "tool_usage": None}
    for found in (openai.read_response(response), openai.read_images({"data": [{}], "svg_usage": SVG})):
        (part,) = found.others
        assert (part.model, part.usage) == ("gpt-5", DRAWN)


def test_absurd_parts_are_invalid_and_leave_the_rest_alone() -> None:
    """What the response itself took is known."""
    broken = {**RESPONSE, "tool_usage": {"image_gen": {**IMAGE_GEN, "output_tokens": -1}}}
    found = openai.read_response(broken)
    assert found.usage
    assert [part.invalid is not None for part in found.others] == [True]
    assert openai.read_images({"data": [], "svg_usage": {**SVG, "output_tokens": "x"}}).others[0].invalid


def test_a_background_response_and_its_parts_are_billed_under_keys() -> None:
    """So that fetching it twice bills nothing twice."""
    found = openai.read_response({**RESPONSE, "background": True})
    assert (found.once, [part.once for part in found.others]) == ("response:resp_1", ["response:resp_1:0"])
    assert openai.read_response(RESPONSE).once is None


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_background_response_without_a_usage_is_still_to_come(status: str) -> None:
    """It is no call whose usage is missing."""
    assert openai.read_response({"id": "r", "background": True, "status": status, "usage": None}).pending
    assert not openai.read_response({"id": "r", "background": False, "status": status, "usage": None}).pending


# --- Anthropic -----------------------------------------------------------------------------------------------------


def test_each_round_of_a_message_is_billed_at_the_rates_of_its_model() -> None:
    """The compaction is the message's own; the totals, which say something else, are not used."""
    usage = {
        "input_tokens": 1,
        "output_tokens": 2,
        "iterations": ROUNDS,
        "output_tokens_details": {"thinking_tokens": 9},
        "server_tool_use": {"web_search_requests": 2},
        "inference_geo": "us",
    }
    found = anthropic.read({"id": "msg_1", "model": "claude-a", "usage": usage, "stop_reason": "end_turn"})
    assert found.usage == {
        "input_tokens": 837,
        "output_tokens": 80,
        "cache_read_tokens": 7,
        "cache_write_tokens": 30,
        "cache_write_1h_tokens": 30,
        "reasoning_tokens": 9,
        "web_searches": 2,
    }
    (advice,) = found.others
    assert (advice.model, advice.usage) == (
        "claude-b",
        {"input_tokens": 900, "output_tokens": 90, "cache_write_tokens": 0},
    ) or (advice.usage == {"input_tokens": 900, "output_tokens": 90})
    assert (advice.conditions, advice.response_id) == ({"inference_geo": "us"}, "msg_1")


def test_a_fallback_is_billed_beside_what_declined() -> None:
    """The message is of the model that gave it, by whatever name the response calls that."""
    rounds = [
        {"type": "message", "model": "claude-a", "input_tokens": 10, "output_tokens": 1},
        {"type": "fallback_message", "model": "claude-b", "input_tokens": 20, "output_tokens": 2},
    ]
    for named in ("claude-b", "claude-b-20260101", None):
        found = anthropic.read({"model": named, "usage": {"iterations": rounds}, "stop_reason": "end_turn"})
        assert found.usage == {"input_tokens": 20, "output_tokens": 2}
        assert [(part.model, part.usage) for part in found.others] == [
            ("claude-a", {"input_tokens": 10, "output_tokens": 1})
        ]


def test_a_container_is_on_record_once_and_without_a_price() -> None:
    """It is billed by the hour, which nothing tells; with web search it is free."""
    body = {"model": "claude-a", "container": {"id": "container_1"}, "stop_reason": "end_turn"}
    usage = {"input_tokens": 1, "output_tokens": 1}
    (part,) = anthropic.read({**body, "usage": usage}).others
    assert (part.usage, part.once) == ({"code_executions": 1}, "container:container_1")
    searched = {**usage, "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0}}
    assert anthropic.read({**body, "usage": searched}).others == ()


def test_a_batch_of_messages_tells_its_model_and_limits() -> None:
    """Where all of its requests ask for the same one."""
    requests = [{"custom_id": str(n), "params": {"model": "claude-a", "max_tokens": 100}} for n in range(3)]
    told = anthropic_stored.describe_batch(Sent({"requests": requests}))
    assert (told.model, told.parameters) == ("claude-a", {"gen_ai.request.max_tokens": 300})
    requests[0]["params"] = {"model": "claude-b"}
    assert anthropic_stored.describe_batch(Sent({"requests": requests})).model is None


def test_a_managed_session_counts_when_it_has_ended() -> None:
    """Its usage and cost, in cents, are of all its turns."""
    found = anthropic_stored.read_session(SESSION)
    assert found.usage == {
        "input_tokens": 1150,
        "output_tokens": 10,
        "cache_read_tokens": 1000,
        "cache_write_tokens": 50,
        "cache_write_5m_tokens": 50,
        "active_seconds": Decimal("12.5"),
    }
    assert (found.model, found.cost, found.once) == ("claude-a", Decimal("12.34"), "session:sesn_1")
    assert anthropic_stored.read_session({**SESSION, "status": "idle"}).pending
    assert not anthropic_stored.read_session({**SESSION, "status": "idle", "archived_at": "2026-01-01"}).pending
    euros = {**SESSION["usage"], "list_cost": {"amount": "1", "currency": "EUR"}}
    assert anthropic_stored.read_session({**SESSION, "usage": euros}).cost is None


def test_a_dream_is_the_session_it_ran_in() -> None:
    """Whichever of the two is fetched, and in whatever order, it is billed once."""
    dream = {"id": "drm_1", "model": {"id": "claude-a"}, "usage": {"input_tokens": 5, "output_tokens": 1}}
    assert anthropic_stored.read_dream(dream).pending
    found = anthropic_stored.read_dream({**dream, "ended_at": "2026-01-01T00:00:00Z", "session_id": "sesn_1"})
    assert (found.model, found.usage) == ("claude-a", {"input_tokens": 5, "output_tokens": 1})
    assert found.once == anthropic_stored.read_session(SESSION).once


def test_a_turn_of_an_agent_counts_when_it_has_ended() -> None:
    """Its session tells the sum of its turns, and is not counted."""
    turn = {"id": "turn_1", "status": "in_progress", "usage": {"input_tokens": 5, "output_tokens": 1}}
    assert openai_jobs.read_turn(turn).pending
    found = openai_jobs.read_turn({**turn, "status": "completed", "completed_at": 7})
    assert (found.usage, found.once, found.at_ns) == ({"input_tokens": 5, "output_tokens": 1}, "turn:turn_1", 7 * 10**9)
    assert openai_jobs.CHANGED.read({"id": "s", "usage": turn["usage"]}).usage is None


@pytest.mark.parametrize(("read", "body"), BODIES, ids=[read.__name__ for read, _ in BODIES])
def test_each_of_these_bodies_is_billed(read: Callable[[Any], Reading], body: Any) -> None:
    """They are whole: where they are mutated elsewhere, it is something that has a meaning."""
    reading = read(body)
    assert reading.usage or reading.others
    assert not reading.pending
    for part in (reading, *reading.others):
        assert set(part.usage or {}) <= {*METERS, "training_jobs", "active_seconds"}
