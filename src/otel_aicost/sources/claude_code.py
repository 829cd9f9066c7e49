"""The result of a run of Claude Code: `claude -p --output-format json`, or the last result of `stream-json`.

Its costs (`total_cost_usd`, `costUSD`) are computed by the program from a price list it was built with, which is no
statement of the provider: the tokens are priced here, and its own figure stands in only where no price is known.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_aicost.providers.anthropic import inclusive
from otel_aicost.providers.base import AbsurdUsageError, mapping
from otel_aicost.sources.line import (
    DAY_NS,
    Found,
    Line,
    MistakeError,
    count,
    dollars,
    made,
    nonzero,
    stated,
    text,
    told,
)
from otel_aicost.sources.rows import loads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from decimal import Decimal

    from otel_aicost.model import Cost, Quantity, Usage
    from otel_aicost.sources.line import Values

NAME: Final = "claude-code"
OWN_ESTIMATE: Final = "estimate of claude-code"
"""The price id of a cost that is Claude Code's own figure."""
MS: Final = 10**6
LONGEST: Final = 31 * DAY_NS
"""A longer run is none."""
_LONG: Final = re.compile(r"\[1m\]$")
_BEDROCK: Final = re.compile(r"^(?:arn:aws[\w-]*:bedrock:|(?:[a-z-]+\.)?anthropic\.)")


class Run(NamedTuple):
    """What the caller knows of a run."""

    ended_ns: int
    model: str | None = None
    """For results of old versions, which name none."""
    provider: str | None = None
    """Who is paid, where the name of the model does not show it."""


def results(said: str) -> Iterator[tuple[int, Values]]:
    """The last result of each session in `said`, with the number of its line. Noise between lines of JSON is left out.

    Raises `MistakeError` if there is none.
    """
    found: dict[str, tuple[int, Values]] = {}
    model: str | None = None
    for number, message in _messages(said):
        kind = message.get("type")
        if kind == "system":
            model = text(message, "model") or model
        elif kind == "assistant":
            model = text(mapping(message.get("message")), "model") or model
        if kind == "result" or (kind is None and "total_cost_usd" in message):
            named = message if model is None else {"model": model, **message}
            found[text(message, "session_id") or ""] = (number, named)
    if not found:
        msg = "it holds no result of Claude Code (an object of type `result`)"
        raise MistakeError(msg)
    yield from sorted(found.values(), key=lambda each: each[0])


def lines(said: str, run: Run) -> Iterator[Line]:
    """A line for each model of each result. A result that cannot be is refused as a whole."""
    for number, result in results(said):
        try:
            found = list(_found(result, run))
        except MistakeError as error:
            yield Line(number, refused=str(error))
        else:
            yield from (Line(number, told(NAME, each)) for each in found)


def _messages(said: str) -> Iterator[tuple[int, Values]]:
    try:
        document = loads(said)
    except ValueError:
        for number, line in enumerate(said.splitlines(), 1):
            if line.lstrip().startswith("{"):
                try:
                    yield number, mapping(loads(line))
                except ValueError:
                    continue
        return
    for number, message in enumerate(document if isinstance(document, list) else [document], 1):
        yield number, mapping(message)


def _found(result: Values, run: Run) -> Iterator[Found]:
    session, once = text(result, "session_id"), text(result, "uuid")
    if session is None and once is None:
        msg = "it has neither session_id nor uuid, so it could be counted twice"
        raise MistakeError(msg)
    spent = int(count(result, "duration_ms")) * MS
    if spent > LONGEST:
        msg = "duration_ms is more than a month"
        raise MistakeError(msg)
    for place, (model, usage, cost) in enumerate(_by_model(result, run)):
        yield Found(
            made(
                NAME,
                started_ns=max(1, run.ended_ns - spent),
                duration_ns=0 if place else spent,  # of all models together
                provider=run.provider or provider_of(model),
                operation="invoke_agent",
                request_model=None if model is None else _LONG.sub("", model),
                response_id=session,
                usage=usage,
                status="error" if result.get("is_error") is True else "ok",
                error_type=text(result, "subtype") if result.get("is_error") is True else None,
            ),
            (session or "", once or "", model or ""),
            fallback=None if cost is None else own_estimate(cost),
            session=session,
        )


def own_estimate(cost: Decimal) -> Cost:
    """What Claude Code takes it to cost."""
    return replace(stated(cost), price_id=OWN_ESTIMATE)


def provider_of(model: str | None) -> str:
    """Who is paid for a model that Claude Code names so."""
    name = (model or "").lower()
    if _BEDROCK.match(name):
        return "aws.bedrock"
    return "gcp.vertex_ai" if "@" in name else "anthropic"


def _by_model(result: Values, run: Run) -> Iterable[tuple[str | None, Usage, Decimal | None]]:
    """Model, usage and Claude Code's own figure; the dearest first."""
    used = mapping(result.get("modelUsage"))
    total = _cost(result, "total_cost_usd")
    if not used:
        try:
            usage = inclusive(mapping(result.get("usage"))) or {}
        except AbsurdUsageError as error:
            raise MistakeError(str(error)) from None
        return [(run.model or text(result, "model"), usage, total)] if any(usage.values()) or total else []
    written = mapping(mapping(result.get("usage")).get("cache_creation"))
    found = [
        (str(model), _usage(mapping(each), written), _cost(mapping(each), "costUSD")) for model, each in used.items()
    ]
    found = [each for each in found if any(each[1].values()) or each[2]]
    return sorted(found, key=lambda each: -(each[2] or 0))


def _cost(values: Mapping[str, Any], key: str) -> Decimal | None:
    return None if text(values, key) is None else dollars(values, key)


def _usage(values: Mapping[str, Any], written: Mapping[str, Any]) -> Usage:
    """The meters of a model; how long its cache lives is known only for all models together."""
    again, new = count(values, "cacheReadInputTokens"), count(values, "cacheCreationInputTokens")
    short, long = count(written, "ephemeral_5m_input_tokens"), count(written, "ephemeral_1h_input_tokens")
    usage: dict[str, Quantity] = {
        "input_tokens": count(values, "inputTokens") + again + new,
        "output_tokens": count(values, "outputTokens"),
        "cache_read_tokens": again,
        "cache_write_tokens": new,
        "web_searches": count(values, "webSearchRequests"),
    }
    if short + long == new:
        usage |= {"cache_write_5m_tokens": short, "cache_write_1h_tokens": long}
    elif long and not short:
        usage["cache_write_1h_tokens"] = new
    return nonzero(usage, "input_tokens", "output_tokens")
