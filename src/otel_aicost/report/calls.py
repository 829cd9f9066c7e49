"""Single calls as tables for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.report import money
from otel_aicost.report.documents import adjustment_document, call_document
from otel_aicost.report.screen import Column, Grid, facts, heading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType


def calls_table(rows: Sequence[Mapping[str, Any]]) -> Grid:
    """One line a call; where a cost is not known, why."""
    calls = [call_document(row) for row in rows]
    return Grid(
        [
            Column("time (UTC)", [_time(call["started"]) for call in calls], right=False, fold=True),
            Column("provider", [call["provider"] for call in calls], right=False, fold=True, spare=1),
            Column("model", [call["model"] or "(none)" for call in calls], right=False, fold=True),
            Column("operation", [call["operation"] for call in calls], right=False, fold=True, spare=6),
            Column("in", [f"{call['input_tokens']:,}" for call in calls], spare=3),
            Column("out", [f"{call['output_tokens']:,}" for call in calls], spare=2),
            Column("cost", _costs(calls), fold=True),
            Column("took", [seconds(call["duration_ns"]) for call in calls], spare=5),
            Column("status", [call["error_type"] or call["status"] for call in calls], right=False, fold=True),
            Column("tags", [_pairs(call["tags"]) for call in calls], right=False, fold=True, spare=4),
            Column("id", [call["id"] for call in calls], right=False, fold=True),
        ]
    )


def call_tables(row: Mapping[str, Any]) -> Iterator[RenderableType]:
    """One call whole: every field that holds something, then its bill."""
    call = call_document(row)
    yield heading(f"Call {call['id']}")
    yield ""
    yield facts(_facts(call))
    if call["parts"]:
        parts = call["parts"]
        yield ""
        yield heading("The bill")
        yield Grid(
            [
                Column("meter", [part["meter"] for part in parts], "total", right=False),
                Column("quantity", [f"{part['quantity']}" for part in parts]),
                Column("price", [f"${part['price']} per {part['per']:,}" for part in parts]),
                Column("amount", [f"${part['amount_usd']}" for part in parts], f"${call['cost_usd']}"),
            ],
            totals=True,
        )


def adjustment_tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """What a call cost before it was repriced, each time; nothing where it never was."""
    if not rows:
        return
    changes = [adjustment_document(row) for row in rows]
    yield ""
    yield heading("Repriced")
    yield Grid(
        [
            Column("time (UTC)", [_time(change["at"]) for change in changes], right=False, fold=True),
            Column("who", [change["who"] for change in changes], right=False, fold=True, spare=2),
            Column("was", [_priced(change["was"]) for change in changes], right=False, fold=True),
            Column("became", [_priced(change["became"]) for change in changes], right=False, fold=True),
            Column("reason", [change["reason"] or "" for change in changes], right=False, fold=True, spare=1),
        ]
    )


def _priced(price: Mapping[str, Any]) -> str:
    """A cost, and by which price of which lists."""
    if price["cost_usd"] is None:
        return cost(price)
    by = f" by {price['price_id']} of {price['cost_source']}" if price["price_id"] else ""
    return f"${price['cost_usd']}{by}" + (f" ({price['catalogue']})" if price["catalogue"] else "")


def seconds(nanoseconds: int) -> str:
    """A duration in seconds, to the millisecond."""
    return f"{nanoseconds / 1e9:,.3f}s"


def _facts(call: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    shown = {
        **call,
        "duration_ns": seconds(call["duration_ns"]),
        "first_chunk_ns": None if call["first_chunk_ns"] is None else seconds(call["first_chunk_ns"]),
        "cost_usd": cost(call),
        "unpriced": None,  # `cost` says it
        "usage": _pairs(call["usage"]),
        "conditions": _pairs(call["conditions"]),
        "tags": _pairs(call["tags"]),
        "estimated": "yes" if call["estimated"] else None,
        "stream": "yes" if call["stream"] else None,
        "parts": None,
        "started_ns": None,
        "cost_nano": None,
    }
    names = {"started": "started (UTC)", "duration_ns": "took", "first_chunk_ns": "first chunk after"}
    for name, value in shown.items():
        if value not in (None, "") and not name.endswith("_tokens"):  # `usage` holds the tokens
            yield names.get(name, name.removesuffix("_usd").replace("_", " ")), str(value)


def cost(call: Mapping[str, Any]) -> str:
    """What one call cost, or why that is not known."""
    if call["cost_usd"] is None:
        return f"unpriced: {call['unpriced']}" if call["unpriced"] else money.NONE
    return f"${call['cost_usd']}" + (" (estimated)" if call["estimated"] else "")


def _costs(calls: Sequence[Mapping[str, Any]]) -> list[str]:
    amounts = money.column([call["cost_nano"] for call in calls])
    known = zip(calls, amounts, strict=True)
    return [
        cost(call) if call["cost_nano"] is None else ("≈" if call["estimated"] else "") + amount
        for call, amount in known
    ]


def _pairs(mapping: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in mapping.items())


def _time(started: str) -> str:
    return started[:19].replace("T", " ")
