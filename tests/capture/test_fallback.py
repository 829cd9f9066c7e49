"""`on_exceed: fallback`: a call that does not fit is made with the budget's model, and is the same otherwise."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

import otel_aicost
from capture.holding import starting
from capture.scenarios import CHAT_ASKED, CHAT_STREAM, CLAUDE_ASKED, MATRIX, SPOKEN, run, run_async
from capture.test_transparency import received
from capture.world import BEDROCK_CLAUDE, CLAUDE, GPT, PAID, VERTEX_CLAUDE, Counting, async_client, sync_client
from otel_aicost import BudgetExceeded, faults
from otel_aicost.observers.spans import SpanObserver
from otel_aicost.testing import Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from capture.scenarios import Endpoint
    from otel_aicost.testing import FakeProvider

MINI = "gpt-4o-mini"
CHEAPER = {
    GPT: MINI,
    CLAUDE: "claude-3-haiku-20240307",
    BEDROCK_CLAUDE: "us.anthropic.claude-3-haiku-20240307-v1:0",
    VERTEX_CLAUDE: "claude-3-haiku@20240307",
}
ASKED = {**CHAT_ASKED, "max_tokens": 100}
EXACT = Usage(input_tokens=32, output_tokens=100)
MOST = 32 * 2500 + 100 * 10_000
"""Nano-dollars that call may cost at the most with gpt-4o; with gpt-4o-mini 16.67 times less."""
MOST_MINI = 32 * 150 + 100 * 600


@pytest.fixture
def held(provider: FakeProvider, tmp_path: Path) -> Iterator[Callable[..., Counting]]:
    yield from starting(provider, tmp_path / "ledger.db")
    assert faults.counts() == {}


def spent(counting: Counting, tmp_path: Path) -> dict[str, tuple[int, int, int]]:
    """Budget -> nano-dollars spent and reserved, calls."""
    import sqlite3
    from contextlib import closing

    assert counting.pipeline.flush(10)
    with closing(sqlite3.connect(tmp_path / "ledger.db", timeout=10)) as connection:
        rows = connection.execute("SELECT budget, spent_nano, reserved_nano, spent_calls FROM budget_windows")
        return {budget: tuple(rest) for budget, *rest in rows}


def models(provider: FakeProvider) -> list[str | None]:
    return [request.model for request in provider.requests]


def never(model: str, more: str = "") -> str:
    """A budget that allows nothing but its fallback."""
    return f"{{name: b, limit: 0, period: day, on_exceed: {{fallback: '{model}'}}{more}}}"


# --- in every way a call can be made -------------------------------------------------------------------------------

CHATS = [
    one
    for one in MATRIX
    if one.values[0].operation == "chat" and not one.values[0].free  # type: ignore[union-attr]
]


def own_model(endpoint: Endpoint) -> str:
    return endpoint.asked.get("model") or endpoint.asked["body"]["model"]


def replaced(bare: list[Any], own: str, model: str) -> list[Any]:
    """The requests, with `model` wherever the application's own stood; the rest to the byte."""
    changed = []
    for method, target, names, headers, body in bare:
        new = body.replace(json.dumps(own).encode(), json.dumps(model).encode())
        assert (new, target) != (body, target.replace(own, model))
        length = [(name, str(len(new)) if name == "content-length" else value) for name, value in headers]
        changed.append((method, target.replace(own, model), names, length, new))
    return changed


def unsigned(requests: list[Any]) -> list[Any]:
    """Without what Amazon's signature makes of the content."""
    return [
        (method, target, names, [pair for pair in headers if pair[0] != "x-amz-content-sha256"], body)
        for method, target, names, headers, body in requests
    ]


@pytest.mark.parametrize(("endpoint", "shape"), CHATS)
def test_every_way_to_call_falls_back(
    provider: FakeProvider, held: Callable[..., Counting], endpoint: Endpoint, shape: str
) -> None:
    """In every shape the request is the application's own to the byte, but for the model; the record says so."""
    own = own_model(endpoint)
    model = CHEAPER[own]
    provider.always(endpoint.script)
    asked = {key: value if key == "stream_cls" else deepcopy(value) for key, value in endpoint.asked.items()}
    with sync_client(endpoint.client, provider) as client:
        run(client, endpoint, shape)
        bare = received(provider)
        provider.reset()
        provider.always(endpoint.script)
        counting = held(never(model), paid=PAID[endpoint.client])
        run(client, endpoint, shape)
    assert unsigned(received(provider)) == unsigned(replaced(bare, own, model))
    assert endpoint.asked == asked
    record = counting.only
    assert (record.status, record.request_model, record.asked_model) == ("ok", model, own)
    assert record.cost is not None


@pytest.mark.parametrize(("endpoint", "shape"), CHATS)
async def test_every_asynchronous_way_to_call_falls_back(
    provider: FakeProvider, held: Callable[..., Counting], endpoint: Endpoint, shape: str
) -> None:
    """The same for the asynchronous clients."""
    own = own_model(endpoint)
    model = CHEAPER[own]
    provider.always(endpoint.script)
    async with async_client(endpoint.client, provider) as client:
        await run_async(client, endpoint, shape)
        bare = received(provider)
        provider.reset()
        provider.always(endpoint.script)
        counting = held(never(model), paid=PAID[endpoint.client])
        await run_async(client, endpoint, shape)
    assert unsigned(received(provider)) == unsigned(replaced(bare, own, model))
    assert (counting.only.status, counting.only.request_model) == ("ok", model)


def test_the_applications_own_options_stay_as_they_are(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any
) -> None:
    """A body, and an options object, that the application sends a second time still ask for its own model."""
    from openai._models import FinalRequestOptions

    body: dict[str, Any] = dict(ASKED)
    options = FinalRequestOptions.construct(method="post", url="/chat/completions", json_data=body)
    counting = held(never(MINI))
    for _ in range(2):
        gpt.request(object, options)
        gpt.post("/chat/completions", body=body, cast_to=object)
    counting.__exit__()
    gpt.request(object, options)
    assert models(provider) == [MINI] * 4 + [GPT]
    assert (body, options.json_data) == (ASKED, ASKED)


def test_a_model_in_extra_body_is_replaced(provider: FakeProvider, held: Callable[..., Counting], gpt: Any) -> None:
    """`extra_body` wins over the body, so it is there that the model is put."""
    extra = {"model": "gpt-4-turbo", "top_k": 3}
    counting = held(never(MINI))
    gpt.chat.completions.create(**ASKED, extra_body=extra)
    assert [(request.model, request.payload["top_k"]) for request in provider.requests] == [(MINI, 3)]
    assert extra == {"model": "gpt-4-turbo", "top_k": 3}
    assert counting.only.asked_model == "gpt-4-turbo"


def test_retries_ask_for_the_same_model(provider: FakeProvider, held: Callable[..., Counting]) -> None:
    """An attempt that failed is repeated with the fallback, under one decision."""
    counting = held(never(MINI))
    provider.next(Reply(status=500, headers={"retry-after-ms": "1"}))
    with sync_client("openai", provider, max_retries=2) as client:
        client.chat.completions.create(**ASKED)
    assert models(provider) == [MINI, MINI]
    assert counting.only.request_model == MINI


def test_it_goes_with_asking_for_the_usage_of_streams(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any
) -> None:
    """Both change the request, and neither undoes the other."""
    counting = held(never(MINI), stream_usage="inject")
    provider.always(Reply(usage=EXACT))
    events = list(gpt.chat.completions.create(**ASKED, stream=True))
    assert [request.payload for request in provider.requests] == [
        {**ASKED, "model": MINI, "stream": True, "stream_options": {"include_usage": True}}
    ]
    assert all(event.usage is None for event in events)
    assert counting.only.usage["output_tokens"] == 100


def test_the_span_tells_of_both_models(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, spans: InMemorySpanExporter
) -> None:
    """It stands for the model that was asked, and names the one of the application, and the budget."""
    held(never(MINI, ", per: user"), spans=SpanObserver())
    with otel_aicost.tags(user="alice"):
        gpt.chat.completions.create(**ASKED)
    (span,) = spans.get_finished_spans()
    assert span.name == f"chat {MINI}"
    told = {name: span.attributes.get(name) for name in (
        "gen_ai.request.model", "aicost.fallback.from_model", "aicost.budget.name", "aicost.budget.key", "aicost.status"
    )}  # fmt: skip
    assert list(told.values()) == [MINI, GPT, "b", "alice", "ok"]


# --- when --------------------------------------------------------------------------------------------------------


def test_it_begins_when_the_limit_is_reached_and_goes_on(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, tmp_path: Path
) -> None:
    """Two calls fit; what comes after is made with the cheaper model, counted, and never stopped."""
    counting = held(
        f"{{name: b, limit: {2 * MOST / 1e9:.9f} USD, period: day, on_exceed: 'fallback: {MINI}', mode: strict}}"
    )
    provider.always(Reply(usage=EXACT))
    for _ in range(5):
        gpt.chat.completions.create(**ASKED)
    assert models(provider) == [GPT] * 2 + [MINI] * 3
    assert spent(counting, tmp_path) == {"b": (2 * MOST + 3 * MOST_MINI, 0, 5)}


def test_a_call_of_the_fallback_itself_is_counted_and_passes(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, tmp_path: Path
) -> None:
    """There is nothing to fall back to, and nothing is marked."""
    counting = held(f"{{name: b, limit: 0.000001 USD, period: day, on_exceed: {{fallback: {MINI}}}, mode: strict}}")
    provider.always(Reply(usage=EXACT))
    for _ in range(3):
        gpt.chat.completions.create(**{**ASKED, "model": MINI})
    assert [record.asked_model for record in counting.records] == [None] * 3
    assert spent(counting, tmp_path) == {"b": (3 * MOST_MINI, 0, 3)}


@pytest.mark.parametrize("first", ["b", "c"])
def test_another_budget_may_still_block(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, tmp_path: Path, first: str
) -> None:
    """The cheaper model has to fit every other budget, in whichever order they stand; the record names what was asked."""
    both = {
        "b": never(MINI),
        "c": f"{{name: c, limit: {2 * MOST_MINI / 1e9:.9f} USD, period: day, on_exceed: block, mode: strict}}",
    }
    counting = held(", ".join(both[name] for name in sorted(both, reverse=first == "c")))
    provider.always(Reply(usage=EXACT))
    for _ in range(2):
        gpt.chat.completions.create(**ASKED)
    with pytest.raises(BudgetExceeded, match="budget c: ") as raised:
        gpt.chat.completions.create(**ASKED)
    assert (raised.value.budget, raised.value.needed * 10**9) == ("c", MOST_MINI)
    assert models(provider) == [MINI] * 2
    assert [(record.status, record.request_model, record.asked_model) for record in counting.records] == [
        ("ok", MINI, GPT),
        ("ok", MINI, GPT),
        ("blocked", GPT, None),
    ]
    assert spent(counting, tmp_path) == dict.fromkeys("bc", (2 * MOST_MINI, 0, 2))


def test_a_budget_of_single_calls_falls_back(provider: FakeProvider, held: Callable[..., Counting], gpt: Any) -> None:
    """A call that may cost too much is made with the cheaper model, without a ledger."""
    held(
        f"{{name: b, limit: {MOST / 1e9:.9f} USD, period: call, on_exceed: {{fallback: {MINI}}}, mode: strict}}",
        path=None,
    )
    for most in (100, 101):
        gpt.chat.completions.create(**{**ASKED, "max_tokens": most})
    assert models(provider) == [GPT, MINI]


def test_budgets_that_fall_back_to_one_another_end(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any
) -> None:
    """Each replaces the model once: two that want different ones do not go on for ever."""
    counting = held(f"{never(MINI)}, {{name: c, limit: 0, period: day, on_exceed: {{fallback: gpt-4.1-nano}}}}")
    gpt.chat.completions.create(**ASKED)
    assert models(provider) == ["gpt-4.1-nano"]
    assert (counting.only.asked_model, counting.only.parameters["aicost.budget.name"]) == (GPT, "c")


def test_a_budget_about_the_model_that_was_replaced_does_not_count_the_call(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, tmp_path: Path
) -> None:
    """Budgets match the model that is sent: a cap on one model leaves its fallback to the others."""
    counting = held(
        f"{{name: cap, match: {{model: gpt-4o}}, limit: 0, period: day, on_exceed: {{fallback: {MINI}}}}},"
        f"{{name: minis, match: {{model: '*-mini'}}, limit: 1 USD, period: day, on_exceed: block}}"
    )
    provider.always(Reply(usage=EXACT))
    gpt.chat.completions.create(**ASKED)
    assert spent(counting, tmp_path) == {"minis": (MOST_MINI, 0, 1)}


@pytest.mark.parametrize("more", ["on_store_down: closed", "mode: strict"])
def test_an_unknown_balance_counts_as_used_up_where_it_is_closed(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, more: str
) -> None:
    """Without a ledger a closed budget falls back, and its fallback passes."""
    held(f"{{name: b, limit: 1 USD, period: day, on_exceed: {{fallback: {MINI}}}, {more}}}", path=None)
    for _ in range(2):
        gpt.chat.completions.create(**ASKED)
    assert models(provider) == [MINI, MINI]


def test_a_call_without_a_price_falls_back_where_it_would_be_blocked(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any
) -> None:
    """`on_unpriced: block` with a fallback: the call is made with the model whose price is known."""
    held(f"{{name: b, limit: 1 USD, period: day, on_exceed: {{fallback: {MINI}}}, on_unpriced: block}}")
    gpt.chat.completions.create(**{**ASKED, "model": "nobody-knows-1"})
    assert models(provider) == [MINI]


# --- where the model cannot be replaced --------------------------------------------------------------------------


def stuck(call: Callable[[], object]) -> str:
    with pytest.raises(BudgetExceeded) as raised:
        call()
    assert raised.value.budget == "b"
    assert raised.value.limit == 0
    return str(raised.value).partition("it cannot fall back to ")[2]


def test_a_deployment_in_the_address_is_blocked(provider: FakeProvider, held: Callable[..., Counting]) -> None:
    """Where an Azure client is made for one deployment, the model in the body has no say."""
    held(never(MINI), paid="azure.ai.openai")
    with sync_client("azure", provider, azure_deployment="mine") as client:
        assert stuck(lambda: client.chat.completions.create(**ASKED)) == (
            f"{MINI}: the body of the request does not name the model"
        )
    assert provider.requests == []


def test_a_request_without_a_model_is_blocked(provider: FakeProvider, held: Callable[..., Counting], gpt: Any) -> None:
    """There is nothing to replace."""
    held(never(MINI))
    body = {"messages": SPOKEN}
    said = stuck(lambda: gpt.post("/chat/completions", body=body, cast_to=object))
    assert said == f"{MINI}: the body of the request does not name the model"
    assert provider.requests == []


def test_other_operations_are_blocked_unless_they_are_matched(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any
) -> None:
    """An embedding of another model is of no use: only a budget that is about embeddings replaces theirs."""
    held(never(MINI))
    asked = {"model": "text-embedding-3-large", "input": "one"}
    assert stuck(lambda: gpt.embeddings.create(**asked)) == f"{MINI}: the call is no chat, but embeddings"
    assert provider.requests == []


def test_a_budget_about_an_operation_replaces_its_models(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any
) -> None:
    """Speech by a cheaper voice: `match` names the operation, and the price is by the character."""
    held(never("tts-1", ", match: {provider: openai, operation: speech}"))
    gpt.audio.speech.create(model="tts-1-hd", voice="alloy", input="one")
    assert models(provider) == ["tts-1"]


def test_a_provider_is_not_asked_for_the_model_of_another(
    provider: FakeProvider, held: Callable[..., Counting], claude: Any
) -> None:
    """A budget for all providers whose fallback only one of them has blocks the calls of the others."""
    held(never(MINI), paid="anthropic")
    assert stuck(lambda: claude.messages.create(**CLAUDE_ASKED)).startswith(f"{MINI}: anthropic has no such model")
    assert provider.requests == []


def test_a_budget_that_names_its_provider_is_believed(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any
) -> None:
    """What no price list has, a deployment or a model of one's own, is asked for where the budget says whose it is."""
    held(never("our-own-7b", ", match: {provider: openai}"))
    gpt.chat.completions.create(**ASKED)
    assert models(provider) == ["our-own-7b"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_free_fallback_is_free(
    provider: FakeProvider, held: Callable[..., Counting], gpt: Any, tmp_path: Path, stream: bool
) -> None:
    """A model that costs nothing needs no budget, so nothing is reserved for it."""
    from otel_aicost.prices.catalogue import Catalogue

    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "schema: 1\nmodels: [{provider: openai, model: house-llm, periods: [{from: 2020-01-01, free: true}]}]"
    )
    counting = held(f"{never('house-llm')}, {{name: c, calls: 0, period: day, on_exceed: block}}")
    counting.pipeline._catalogue = Catalogue.load(prices)
    result = gpt.chat.completions.create(**(CHAT_STREAM if stream else ASKED))
    if stream:
        list(result)
    assert models(provider) == ["house-llm"]
    assert (counting.only.status, counting.only.cost.total) == ("ok", 0)


def test_can_call_knows_of_fallbacks(
    provider: FakeProvider, held: Callable[..., Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that would be made with another model is allowed; one that another budget then stops is not."""
    from otel_aicost import instrumentor

    counting = held(f"{never(MINI)}, {{name: c, limit: 0.0001 USD, period: day, on_exceed: block, mode: strict}}")
    monkeypatch.setattr(instrumentor, "_pipeline", counting.pipeline)
    assert otel_aicost.can_call("openai", GPT, input_tokens=8, max_output_tokens=100).allowed
    assert not otel_aicost.can_call("openai", GPT, input_tokens=8, max_output_tokens=200).allowed
    assert not otel_aicost.can_call("openai", "text-embedding-3-small", operation="embeddings", input_tokens=8).allowed


def test_an_error_of_ours_leaves_the_call_as_it_was_made(
    provider: FakeProvider, tmp_path: Path, gpt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If falling back fails, the call goes out as the application made it, and is on record as that."""
    from otel_aicost.observers import budgets

    def broken(*_: Any) -> None:
        msg = "injected"
        raise RuntimeError(msg)

    monkeypatch.setattr(budgets, "fallen_back", broken)
    for start in starting(provider, tmp_path / "ledger.db"):
        counting = start(never(MINI))
        gpt.chat.completions.create(**ASKED)
        assert (counting.only.request_model, counting.only.asked_model) == (GPT, None)
    assert models(provider) == [GPT]
    assert faults.counts() == {"budgets.admit": 1}
