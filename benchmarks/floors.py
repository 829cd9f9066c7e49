"""The least that any instrumentation can do, to measure against: a wrapper that does nothing, and `Floor`."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_RATES = {
    "gpt": (Decimal("2.50"), Decimal("10.00")),
    "cla": (Decimal("3.00"), Decimal("15.00")),
    "tex": (Decimal("0.02"), Decimal(0)),
}


def no_op(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
    """Call through."""
    return wrapped(*args, **kwargs)


class Floor:
    """A span of ten attributes, two histograms, two counters and a price of two multiplications.

    It would not do as an instrumentation: it spoils the type of a streamed response, reads one dialect, records no
    error and no early end, knows no cached tokens, and its prices are these three.
    """

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("floor")
        meter = metrics.get_meter("floor")
        self._duration = meter.create_histogram("floor.duration")
        self._tokens = meter.create_histogram("floor.tokens")
        self._calls, self._dollars = meter.create_counter("floor.calls"), meter.create_counter("floor.dollars")

    def request(self, wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        begun = self._begin(args)
        result = wrapped(*args, **kwargs)
        if kwargs.get("stream"):
            result.iter_bytes = partial(self._watch, result.iter_bytes, begun)
        else:
            self._end(begun, result.model, getattr(result, "id", ""), _tokens(vars(result.usage)))
        return result

    async def request_async(self, wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        begun = self._begin(args)
        result = await wrapped(*args, **kwargs)
        if kwargs.get("stream"):
            result.iter_bytes = partial(self._watch_async, result.iter_bytes, begun)
        else:
            self._end(begun, result.model, getattr(result, "id", ""), _tokens(vars(result.usage)))
        return result

    def _begin(self, args: Any) -> tuple[Any, str, float]:
        body = args[1].json_data
        span = self._tracer.start_span(
            "chat",
            kind=trace.SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": body["model"],
                "gen_ai.request.temperature": body.get("temperature", 1.0),
                "server.address": "api.openai.com",
            },
        )
        return span, body["model"], time.perf_counter()

    def _end(self, begun: tuple[Any, str, float], model: str, response_id: str, tokens: tuple[int, int]) -> None:
        span, asked, started = begun
        sent, made = tokens
        per_input, per_output = _RATES[model[:3]]
        dollars = float((sent * per_input + made * per_output) / 1_000_000)
        span.set_attributes(
            {
                "gen_ai.response.model": model,
                "gen_ai.response.id": response_id,
                "gen_ai.usage.input_tokens": sent,
                "gen_ai.usage.output_tokens": made,
                "gen_ai.usage.cost.amount": dollars,
            }
        )
        known = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": asked,
            "gen_ai.response.model": model,
        }
        self._duration.record(time.perf_counter() - started, known)
        self._tokens.record(sent + made, known)
        self._calls.add(1, known)
        self._dollars.add(dollars, known)
        span.end()

    def _watch(self, iter_bytes: Any, begun: Any) -> Iterator[bytes]:
        held = b""
        for chunk in iter_bytes():
            if b'_tokens":' in chunk:
                held = chunk
            yield chunk
        self._end_stream(begun, held)

    async def _watch_async(self, iter_bytes: Any, begun: Any) -> AsyncIterator[bytes]:
        held = b""
        async for chunk in iter_bytes():
            if b'_tokens":' in chunk:
                held = chunk
            yield chunk
        self._end_stream(begun, held)

    def _end_stream(self, begun: Any, held: bytes) -> None:
        event = json.loads(held[held.index(b"{") :])
        self._end(begun, event.get("model", begun[1]), event.get("id", ""), _tokens(event["usage"]))


def _tokens(usage: dict[str, Any]) -> tuple[int, int]:
    sent = usage.get("prompt_tokens") or usage.get("input_tokens") or 0
    return sent, usage.get("completion_tokens") or usage.get("output_tokens") or 0
