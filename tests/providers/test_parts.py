"""What a response bills apart: images and graphics of a tool, other models of a message, results of a batch."""

from __future__ import annotations

import copy
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_aicost.model import METERS, Reading
from otel_aicost.providers import anthropic, anthropic_stored, openai, openai_batches, openai_jobs, openai_video
from otel_aicost.providers.base import Sent

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE_GEN = {
    "input_tokens": 50,
    "input_tokens_details": {"image_tokens": 20, "text_tokens": 30},
    "output_tokens": 1000,
    "output_tokens_details": {"image_tokens": 1000, "text_tokens": 0},
    "total_tokens": 1050,
}
PAINTED = {"input_tokens": 50, "input_image_tokens": 20, "output_tokens": 1000, "output_image_tokens": 1000}
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "model": "gpt-5",
    "status": "completed",
    "usage": {"input_tokens": 10, "output_tokens": 5},
    "output": [{"type": "image_generation_call"}, {"type": "message"}],
    "tools": [{"type": "image_generation", "model": "gpt-image-1"}, {"type": "web_search"}],
    "tool_usage": {"image_gen": IMAGE_GEN, "web_search": {"num_requests": 0}},
}
SVG = {"model": "gpt-5", "input_tokens": 7, "output_tokens": 90, "reasoning_tokens": 30, "total_tokens": 97}
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

ROUNDS = [
    {"type": "compaction", "input_tokens": 500, "output_tokens": 50},
    {"type": "message", "model": "claude-a", "input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 7},
    {"type": "advisor_message", "model": "claude-b", "input_tokens": 900, "output_tokens": 90},
    {"type": "message", "model": "claude-a", "input_tokens": 200, "output_tokens": 20,
     "cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_1h_input_tokens": 30}},
]  # fmt: skip


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


SESSION: dict[str, Any] = {
    "id": "sesn_1",
    "type": "session",
    "status": "terminated",
    "agent": {"model": {"id": "claude-a"}},
    "usage": {
        "input_tokens": 100,
        "output_tokens": 10,
        "cache_read_input_tokens": 1000,
        "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 0},
        "active_seconds": 12.5,
        "list_cost": {"amount": "1234", "currency": "USD"},
    },
}


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


# --- whatever comes ------------------------------------------------------------------------------------------------

CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o", "created": 1_767_225_600,
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}}  # fmt: skip
MESSAGE = {"id": "msg_1", "model": "claude-a", "stop_reason": "end_turn", "container": {"id": "c"},
           "usage": {"input_tokens": 1, "output_tokens": 1, "iterations": ROUNDS, "service_tier": "batch"}}  # fmt: skip
VIDEO = {"id": "video_1", "object": "video", "model": "sora-2", "status": "completed", "seconds": "8", "size": "1x1",
         "completed_at": 1_767_225_600, "added": "4", "error": {"code": "x"}}  # fmt: skip
RUN = {"id": "run_1", "object": "thread.run", "status": "completed", "model": "gpt-4o", "usage": CHAT["usage"],
       "completed_at": 5, "created_at": 4}  # fmt: skip
LINES = [
    {"id": f"batch_req_{n}", "custom_id": "a", "response": {"status_code": 200, "request_id": "r", "body": body}}
    for n, body in enumerate([CHAT, {**RESPONSE, "object": "response"}, VIDEO, {"data": [{}], "svg_usage": SVG}])
]
BODIES: list[tuple[Callable[[Any], Reading], dict[str, Any]]] = [
    (openai.read_response, {**RESPONSE, "background": True}),
    (openai.read_images, {"data": [{}], "svg_usage": SVG}),
    (openai_batches.read_stored_response, {**RESPONSE, "background": True, "created_at": 1.5}),
    (openai_batches.read_batch_output, {"lines": LINES}),
    (openai_jobs.read_fetched_run, RUN),
    (openai_jobs.read_training, {"id": "j", "status": "succeeded", "model": "m", "trained_tokens": 5, "finished_at": 1}),
    (openai_jobs.read_training, {"id": "j", "status": "succeeded", "model": "m", "method": {"type": "reinforcement"}}),
    (openai_jobs.read_evaluation, {"id": "e", "status": "completed", "created_at": 1, "per_model_usage": [
        {"model_name": "m", "prompt_tokens": 1, "completion_tokens": 1, "cached_tokens": 1}]}),
    (openai_video.read_video, VIDEO),
    (openai_video.read_extension, VIDEO),
    (anthropic.read, MESSAGE),
    (anthropic_stored.read_results, {"batch": "b", "lines": [
        {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}}]}),
    (anthropic_stored.read_session, SESSION),
    (anthropic_stored.read_dream, {"id": "d", "ended_at": "x", "model": {"id": "m"}, "usage": SESSION["usage"]}),
    (openai_jobs.read_turn, {"id": "t", "status": "completed", "usage": RESPONSE["usage"], "completed_at": 7}),
]  # fmt: skip
JUNK = [
    None,
    True,
    -1,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "-5",
    [],
    {},
    [None],
    [{}],
    {"id": []},
    0,
    7,
]


def mutated(body: Any, chance: random.Random) -> Any:
    """The same with up to three of its values, however deep, replaced by something else."""
    body = copy.deepcopy(body)
    for _ in range(chance.randint(1, 3)):
        place, at = body, None
        while isinstance(place, (dict, list)) and place and (at is None or chance.random() < 0.8):
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            holder, at = place, chance.choice(keys)
            place = holder[at]
            last = holder
        if at is not None:
            last[at] = chance.choice(JUNK)
    return body


def checked(reading: Reading) -> int:
    """Every quantity of it and of its parts is finite and not negative; how many readings these are."""
    assert reading.usage is None or reading.usage
    for meter, amount in (reading.usage or {}).items():
        assert meter in METERS or meter in {"image_tool_tokens", "training_jobs", "active_seconds"}
        assert amount >= 0
        assert Decimal(amount).is_finite()
    assert reading.cost is None or (reading.cost.is_finite() and reading.cost >= 0)
    assert reading.at_ns is None or 0 < reading.at_ns < 2**63
    return 1 + sum(checked(part) for part in reading.others)


@pytest.mark.parametrize(("read", "body"), BODIES, ids=[read.__name__ for read, _ in BODIES])
def test_each_of_these_bodies_is_billed(read: Callable[[Any], Reading], body: Any) -> None:
    """They are whole: what follows mutates something that has a meaning."""
    reading = read(body)
    assert checked(reading) >= 1
    assert reading.usage or reading.others
    assert not reading.pending


@given(seed=st.integers(0, 2**32), case=st.sampled_from(BODIES))
def test_no_mutation_of_a_body_makes_reading_it_fail(seed: int, case: Any) -> None:
    """Whatever stands in it, in a hundred ways."""
    read, body = case
    chance = random.Random(seed)
    for _ in range(100):
        checked(read(mutated(body, chance)))
