"""Claude Code's own OpenTelemetry metrics, in OTLP/JSON: its tokens by session and model.

https://code.claude.com/docs/en/monitoring-usage
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from otel_aicost.providers.base import items, mapping
from otel_aicost.sources.claude_code import own_estimate, provider_of
from otel_aicost.sources.line import Found, Line, MistakeError, count, dollars, made, nonzero, told
from otel_aicost.sources.rows import loads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_aicost.model import Usage
    from otel_aicost.sources.claude_code import Run

NAME: Final = "claude-code-metrics"
COST: Final = "claude_code.cost.usage"
TOKENS: Final = "claude_code.token.usage"
DELTA: Final = frozenset({1, "1", "AGGREGATION_TEMPORALITY_DELTA"})


@dataclass(slots=True)
class _Series:
    """One set of attributes of one metric: what is added up, and the last of each running total."""

    added: Decimal = Decimal(0)
    running: dict[str, tuple[int, Decimal]] = field(default_factory=dict)

    @property
    def value(self) -> Decimal:
        return self.added + sum((value for _, value in self.running.values()), Decimal(0))


@dataclass(slots=True)
class _Spent:
    """What a session spent on a model."""

    cost: _Series = field(default_factory=_Series)
    tokens: dict[str, _Series] = field(default_factory=lambda: defaultdict(_Series))
    first_ns: int = 2**63 - 1
    last_ns: int = 0


def recognises(said: str) -> bool:
    """Whether this is a file of metrics."""
    return '"resourceMetrics"' in said


def lines(said: str, run: Run) -> Iterator[Line]:
    """A line for each session and model, with the number of the first line it is in."""
    spent: dict[tuple[str, str], _Spent] = {}
    where: dict[tuple[str, str], int] = {}
    for number, document, mistake in _documents(said):
        if mistake:
            yield Line(number, refused=mistake)
            continue
        for name, series, attributes, point, delta in _points(document):
            key = (attributes.get("session.id", ""), attributes.get("model", ""))
            where.setdefault(key, number)
            try:
                _add(spent.setdefault(key, _Spent()), name, attributes, series, point, delta=delta)
            except MistakeError as error:
                yield Line(number, refused=str(error))
    for (session, model), each in spent.items():
        yield _line(where[session, model], session, model, each, run)


def _line(number: int, session: str, model: str, spent: _Spent, run: Run) -> Line:
    usage, cost = _usage(spent), spent.cost.value
    if not any(usage.values()) and not cost:
        return Line(number)
    began = spent.first_ns if spent.first_ns < 2**63 - 1 else run.ended_ns
    record = made(
        NAME,
        started_ns=began,
        duration_ns=max(0, spent.last_ns - began),
        provider=run.provider or provider_of(model),
        operation="invoke_agent",
        request_model=model.removesuffix("[1m]") or run.model,
        response_id=session or None,
        usage=usage,
    )
    key = (session or str(began), model)
    return Line(
        number, told(NAME, Found(record, key, fallback=own_estimate(cost) if cost else None, session=session or None))
    )


def _usage(spent: _Spent) -> Usage:
    tokens = {kind: int(series.value) for kind, series in spent.tokens.items()}
    again, new = tokens.get("cacheRead", 0), tokens.get("cacheCreation", 0)
    usage = {
        "input_tokens": tokens.get("input", 0) + again + new,
        "output_tokens": tokens.get("output", 0),
        "cache_read_tokens": again,
        "cache_write_tokens": new,
    }
    return nonzero(usage, "input_tokens", "output_tokens")


def _documents(said: str) -> Iterator[tuple[int, Mapping[str, Any], str]]:
    try:
        document = loads(said)
    except ValueError:
        for number, line in enumerate(said.splitlines(), 1):
            if line.strip():
                try:
                    yield number, mapping(loads(line)), ""
                except ValueError as error:
                    yield number, {}, f"it is no JSON: {error}"
        return
    for number, each in enumerate(document if isinstance(document, list) else [document], 1):
        yield number, mapping(each), ""


def _points(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, str], Mapping[str, Any], bool]]:
    """Metric, resource and attributes as text, attributes, point, and whether it is a difference."""
    for resource in items(document.get("resourceMetrics")):
        shared = _attributes(mapping(resource.get("resource")).get("attributes"))
        for scope in items(resource.get("scopeMetrics")):
            for metric in items(scope.get("metrics")):
                name = str(metric.get("name"))
                if name in {COST, TOKENS}:
                    total = mapping(metric.get("sum"))
                    delta = total.get("aggregationTemporality", 1) in DELTA
                    for point in items(total.get("dataPoints")):
                        own = {**shared, **_attributes(point.get("attributes"))}
                        yield name, repr(sorted(own.items())), own, point, delta


def _add(  # noqa: PLR0913 - what a point is
    spent: _Spent, name: str, attributes: dict[str, str], series: str, point: Mapping[str, Any], *, delta: bool
) -> None:
    value = dollars(point, "asDouble", "asInt") if name == COST else Decimal(count(point, "asInt", "asDouble"))
    start, end = (_nanoseconds(point, key) for key in ("startTimeUnixNano", "timeUnixNano"))
    spent.first_ns = min(spent.first_ns, start or end or spent.first_ns)
    spent.last_ns = max(spent.last_ns, end)
    into = spent.cost if name == COST else spent.tokens[attributes.get("type", "")]
    if delta:
        into.added += value
    elif end >= into.running.get(f"{series} {start}", (0, value))[0]:
        into.running[f"{series} {start}"] = (end, value)


def _attributes(listed: object) -> dict[str, str]:
    values = {str(each.get("key")): mapping(each.get("value")) for each in items(listed)}
    return {key: str(next(iter(value.values()), "")) for key, value in values.items()}


def _nanoseconds(point: Mapping[str, Any], key: str) -> int:
    said = str(point.get(key) or "0")
    if not said.isdecimal() or not int(said[:20]) < 2**63:
        msg = f"{key} is {said[:40]!r}"
        raise MistakeError(msg)
    return int(said)
