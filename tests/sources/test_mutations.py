"""Whatever a file holds, reading it raises nothing but what says so, and gives no absurd record."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgers import sample, write
from otel_aicost.ledger.row import row
from otel_aicost.prices.catalogue import Catalogue
from otel_aicost.sources import claude_code, claude_metrics
from otel_aicost.sources.claude_code import Run
from otel_aicost.sources.formats import UnknownFormatError, lines
from otel_aicost.sources.line import MistakeError
from otel_aicost.sources.pricing import priced
from otel_aicost.sources.rows import Source

NOW = 1_795_000_000 * 10**9
USAGE = {
    "object": "organization.usage.completions.result",
    "start_time": 1_790_000_000,
    "end_time": 1_790_086_400,
    "model": "gpt-4o",
    "num_model_requests": 10,
    "input_tokens": 59200,
    "output_tokens": 10646,
    "input_cached_tokens": 5760,
    "batch": False,
}
COSTS = {
    "object": "organization.costs.result",
    "start_time": 1_790_000_000,
    "end_time": 1_790_086_400,
    "amount": {"value": 0.5, "currency": "usd"},
    "line_item": "gpt-4o, input",
    "quantity": 5,
}
MESSAGES = {
    "starting_at": "2026-09-21T00:00:00Z",
    "ending_at": "2026-09-22T00:00:00Z",
    "uncached_input_tokens": 1000,
    "cache_creation": {"ephemeral_1h_input_tokens": 300, "ephemeral_5m_input_tokens": 200},
    "cache_read_input_tokens": 5000,
    "output_tokens": 400,
    "model": "claude-sonnet-4-5",
    "context_window": "0-200k",
}
REPORT = {
    "starting_at": "2026-09-21T00:00:00Z",
    "ending_at": "2026-09-22T00:00:00Z",
    "amount": "12.5",
    "currency": "USD",
    "model": "Claude Haiku 4.5",
}
RESULT = json.loads((Path(__file__).parent / "data" / "result.json").read_text())
POINT = {
    "attributes": [
        {"key": "session.id", "value": {"stringValue": "s"}},
        {"key": "type", "value": {"stringValue": "input"}},
    ],
    "startTimeUnixNano": "1790000000000000000",
    "timeUnixNano": "1790000001000000000",
    "asInt": "5",
}
METRICS = {
    "resourceMetrics": [
        {"scopeMetrics": [{"metrics": [{"name": "claude_code.token.usage", "sum": {"dataPoints": [POINT]}}]}]}
    ]
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**15),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["1e400", "-0", "NaN", "1_000", "9" * 5000, "0x10", "٣", "2026-09-21", "\x00"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)


@pytest.fixture(scope="module")
def prices():
    return Catalogue.load()


def _places(value, path=()):
    """Where something stands in a document."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from _places(each, (*path, key))


def _with(value, path, odd):
    if not path:
        return odd
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = _with(value[path[0]], path[1:], odd)
    return changed


@st.composite
def _mutated(draw, document):
    for _ in range(draw(st.integers(0, 3))):
        document = _with(document, draw(st.sampled_from(sorted(_places(document), key=repr))), draw(ODD))
    text = json.dumps(document)
    cut = draw(st.integers(0, 40))
    return text[: len(text) - cut] if cut < 3 else text


def _sane(found, prices):
    record = priced(prices, found)
    row(record)
    assert record.cost is None or (record.cost.total.is_finite() and record.cost.total >= 0)
    if record.cost is not None and record.cost.parts:
        assert sum((part.amount for part in record.cost.parts), Decimal(0)) == record.cost.total


@pytest.mark.parametrize("document", [USAGE, COSTS, MESSAGES, REPORT], ids=["usage", "costs", "messages", "report"])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_files_of_providers(document, data, prices):
    """A mutated line is a sane record, is refused, or is of no known format."""
    text = data.draw(_mutated(document))
    try:
        for _, line in lines(Source(BytesIO(text.encode())), now_ns=NOW):
            if line.found is not None:
                _sane(line.found, prices)
    except UnknownFormatError:
        pass


@given(text=_mutated(RESULT))
@settings(max_examples=150, deadline=None)
def test_results(text, prices):
    """A mutated result is sane records, is refused, or is none."""
    try:
        for line in claude_code.lines(text, Run(NOW)):
            if line.found is not None:
                _sane(line.found, prices)
    except MistakeError:
        pass


@given(text=_mutated(METRICS))
@settings(max_examples=150, deadline=None)
def test_metrics(text, prices):
    """Mutated metrics are sane records, or are refused."""
    for line in claude_metrics.lines(text, Run(NOW)):
        if line.found is not None:
            _sane(line.found, prices)


@given(garbage=st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_bytes(garbage):
    """Bytes that are nothing are nothing."""
    with contextlib.suppress(UnknownFormatError):
        assert all(line.refused or line.found is None for _, line in lines(Source(BytesIO(garbage))))


def test_mutated_exports(tmp_path, prices):
    """Each cell of an export of ours, replaced by something odd, leaves its row refused or sane."""
    from click.testing import CliRunner

    from otel_aicost.cli.app import app

    path = write(tmp_path / "ledger.db", *sample()[:2])
    text = CliRunner().invoke(app, ["export", "--ledger", str(path), "--format", "jsonl"]).stdout.splitlines()[0]
    document = json.loads(text)
    for place in _places(document):
        for odd in (None, -1, "x", [1], {"a": "b"}, "NaN", 10**30, True, ""):
            changed = json.dumps(_with(document, place, odd)) if place else "{}"
            try:
                for _, line in lines(Source(BytesIO(changed.encode())), "aicost"):
                    if line.found is not None:
                        _sane_row(line.found.record)
            except UnknownFormatError:
                pass


def _sane_row(record):
    try:
        row(record)
    except (TypeError, ValueError):
        return  # refused where it is entered
    assert record.started_ns >= 0
