from __future__ import annotations

import asyncio
import logging
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest

import otel_aicost
from otel_aicost import Cost, Unpriced, instrumentor
from otel_aicost.config import Settings


@pytest.fixture
def records():
    """The records that come out of a running pipeline that writes nowhere."""
    seen = []

    class Collect:
        def before(self, call):
            return None

        def after(self, record, token):
            seen.append(record)

        def flush(self, timeout):
            return True

        def close(self, timeout):
            return True

    pipeline = instrumentor.start(Settings(ledger=None, tags={"team": "search"}))
    pipeline._observers = (Collect(),)
    yield seen
    instrumentor.stop()


def test_estimate_gives_the_price_and_its_parts(records):
    """An estimate is a cost with its breakdown, and records nothing."""
    cost = otel_aicost.estimate("openai", "gpt-4o", {"input_tokens": 1500, "output_tokens": 2000})

    assert isinstance(cost, Cost)
    assert cost.total == Decimal("0.023750")
    assert [(part.meter, part.quantity, part.amount) for part in cost.parts] == [
        ("input_tokens", 1500, Decimal("0.00375")),
        ("output_tokens", 2000, Decimal("0.02")),
    ]
    assert records == []


def test_estimate_prices_at_the_given_time(records):
    """The same call cost more before the price fell."""
    usage = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}

    before = otel_aicost.estimate("openai", "gpt-4o", usage, at=datetime(2024, 10, 1, 23, 59, 59, tzinfo=UTC))
    after = otel_aicost.estimate("openai", "gpt-4o", usage, at=datetime(2024, 10, 2))  # noqa: DTZ001 - taken for UTC

    assert (before.total, after.total) == (Decimal(20), Decimal("12.5"))


def test_estimate_says_why_there_is_no_price(records):
    """An unknown model and an impossible usage are explicit results."""
    unknown = otel_aicost.estimate("openai", "gpt-99-ultra", {"input_tokens": 1})
    absurd = otel_aicost.estimate("openai", "gpt-4o", {"input_tokens": -1})

    assert isinstance(unknown, Unpriced)
    assert unknown.reason == "unknown_model"
    assert isinstance(absurd, Unpriced)
    assert absurd.reason == "invalid_usage"


def test_record_prices_a_call_no_sdk_made(records):
    """A recorded call is priced, tagged and handed to the observers."""
    with otel_aicost.tags(user="u1"), otel_aicost.track() as spent:
        record = otel_aicost.record(
            "openai", "whisper-1", {"input_audio_seconds": 330}, operation="transcription", duration=2.5
        )

    assert record.cost.total == Decimal("0.033000")
    assert dict(record.tags) == {"team": "search", "user": "u1"}
    assert abs(record.duration_ns - 2_500_000_000) < 50_000_000
    assert records == [record]
    assert (spent.usd, spent.calls, spent.unpriced) == (Decimal("0.033"), 1, 0)


def test_record_takes_the_cost_the_provider_states(records):
    """A stated cost wins over any table and needs no usage."""
    record = otel_aicost.record("openrouter", "any/model", {}, cost="0.0123")

    assert (record.cost.total, record.cost.source) == (Decimal("0.0123"), "provider")


def test_record_of_any_meter_without_a_price_is_unpriced(records):
    """A meter nobody has a price for is recorded, and unpriced rather than free."""
    record = otel_aicost.record("weather.example", "forecast", {"requests": 3})

    assert record.cost is None
    assert record.unpriced is not None
    assert dict(record.usage) == {"requests": 3}


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), True, "12", None, 10**30])
def test_record_sets_absurd_quantities_aside(records, caplog, amount):
    """A quantity that cannot be is recorded as invalid, said in the log, and raises nothing."""
    with caplog.at_level(logging.WARNING, "otel_aicost"):
        record = otel_aicost.record("openai", "gpt-4o", {"input_tokens": amount})

    assert (record.usage_state, dict(record.usage), record.cost) == ("invalid", {}, None)
    assert record.unpriced.reason == "invalid_usage"
    assert "input_tokens" in caplog.text


def test_a_failed_call_is_recorded_without_cost(records):
    """A call with an error and no usage has no cost and is not unpriced."""
    record = otel_aicost.record("openai", "gpt-4o", {}, error_type="Timeout")

    assert (record.status, record.error_type, record.cost, record.unpriced) == ("error", "Timeout", None, None)


def test_track_nests_and_reaches_threads_and_tasks(records):
    """What runs in tasks and copied contexts of a scope counts in it and in the scopes around it."""

    def call():
        otel_aicost.record("openai", "gpt-4o", {"input_tokens": 1000, "output_tokens": 0})

    async def tasks():
        await asyncio.gather(*(asyncio.to_thread(call) for _ in range(5)))

    with otel_aicost.track() as outer:
        call()
        with otel_aicost.track() as inner:
            asyncio.run(tasks())
        bare = threading.Thread(target=call)
        bare.start()
        bare.join()

    assert (outer.calls, inner.calls, len(records)) == (6, 5, 7)
    assert inner.usd == Decimal("0.0125")
    assert (inner.input_tokens, inner.output_tokens) == (5000, 0)


def test_a_thousand_calls_of_many_threads_add_up(records):
    """Concurrent calls lose nothing in a scope."""
    import contextvars

    def work():
        for _ in range(100):
            otel_aicost.record("openai", "gpt-4o", {"input_tokens": 1000, "output_tokens": 0})

    with otel_aicost.track() as spent:
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(work,)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert (spent.calls, spent.usd) == (1000, Decimal("2.5"))


def test_flush_without_anything_running_is_true():
    """Flushing a process that counts nothing has nothing to wait for."""
    assert otel_aicost.flush(0.1) is True


def test_ids_are_version_7_unique_and_in_order(records):
    """Record ids are UUIDv7."""
    import uuid

    ids = [otel_aicost.record("p", "m", {}, cost=0).id for _ in range(200)]
    parsed = [uuid.UUID(text) for text in ids]

    assert len(set(ids)) == 200
    assert {(each.version, each.variant) for each in parsed} == {(7, uuid.RFC_4122)}
    assert [text[:13] for text in ids] == sorted(text[:13] for text in ids)


async def test_baggage_of_allowed_keys_becomes_tags():
    """Only allow-listed baggage keys are read, and the code's own tags win over them."""
    from opentelemetry import baggage, context

    instrumentor.start(Settings(ledger=None, baggage_keys=("user", "tenant")))
    try:
        carried = baggage.set_baggage("user", "from-baggage")
        carried = baggage.set_baggage("tenant", "t1", carried)
        carried = baggage.set_baggage("secret", "s", carried)
        token = context.attach(carried)
        try:
            plain = otel_aicost.record("p", "m", {}, cost=0)
            with otel_aicost.tags(user="mine"):
                own = otel_aicost.record("p", "m", {}, cost=0)
        finally:
            context.detach(token)
    finally:
        instrumentor.stop()

    assert dict(plain.tags) == {"user": "from-baggage", "tenant": "t1"}
    assert dict(own.tags) == {"user": "mine", "tenant": "t1"}


def test_a_disabled_process_prices_and_writes_nowhere(monkeypatch, tmp_path):
    """With OTEL_AICOST_ENABLED=false a recorded call is priced for the caller, and no ledger comes to be."""
    monkeypatch.setenv("OTEL_AICOST_ENABLED", "false")
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(tmp_path / "ledger.db"))
    try:
        record = otel_aicost.record("openai", "gpt-4o", {"input_tokens": 1000, "output_tokens": 0})
        otel_aicost.flush()
    finally:
        instrumentor.stop()

    assert record.cost.total == Decimal("0.0025")
    assert not (tmp_path / "ledger.db").exists()
