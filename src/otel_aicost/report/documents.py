"""Reports and calls as plain values for JSON and CSV: dollars are exact text, unknown costs null."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from otel_aicost.report.money import average_nano, cost_nano, exact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otel_aicost.ledger.questions import Filter, Sums
    from otel_aicost.report.overview import Overview, Table, Trust

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

CALL_FIELDS = (
    "id",
    "started",
    "started_ns",
    "duration_ns",
    "first_chunk_ns",
    "provider",
    "operation",
    "model",
    "request_model",
    "response_model",
    "response_id",
    "status",
    "usage_state",
    "estimated",
    "error_type",
    "cost_usd",
    "cost_nano",
    "cost_source",
    "price_id",
    "price_date",
    "catalogue",
    "unpriced",
    "unpriced_detail",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "usage",
    "parts",
    "conditions",
    "tags",
    "service",
    "host",
    "stream",
    "sdk",
    "trace_id",
    "span_id",
    "asked_model",
)
SUM_FIELDS = (
    "calls",
    "cost_usd",
    "cost_nano",
    "average_usd",
    "priced_calls",
    "unpriced_calls",
    "error_calls",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "duration_ns",
)
EXPORT_FIELDS = ("kind", "day", "calls", *CALL_FIELDS)
"""`kind` is `call`, or `day` for the sum of a day's calls past retention: `calls` of them in one row."""


def overview_document(report: Overview, where: Filter) -> dict[str, Any]:
    """The overview as one JSON object."""
    return {
        **_heading(where),
        "total": sums_document(report.total),
        "models": _groups(report.models),
        "spenders": {table.by[0]: _groups(table) for table in report.spenders},
        "days": [{"day": group.keys[0], **sums_document(group.sums)} for group in report.days],
        "trust": trust_document(report.trust),
    }


def table_document(table: Table, trust: Trust, where: Filter) -> dict[str, Any]:
    """Grouped sums as one JSON object; `rest` holds the groups beyond `--top`."""
    return {
        **_heading(where),
        "by": list(table.by),
        "groups": _groups(table),
        "rest": None if table.rest is None else sums_document(table.rest),
        "total": sums_document(table.total),
        "trust": trust_document(trust),
    }


def overview_rows(report: Overview) -> Iterator[dict[str, Any]]:
    """The overview as CSV rows: `section` says what `name` is a name of; models have a `provider` too."""
    yield {"section": "total", "name": None, "provider": None, **sums_document(report.total)}
    for group in report.models.groups:
        model, provider = group.keys
        yield {"section": "model", "name": model, "provider": provider, **sums_document(group.sums)}
    named = [(table.by[0], group) for table in report.spenders for group in table.groups]
    for section, group in (*named, *(("day", group) for group in report.days)):
        yield {"section": section, "name": group.keys[0], "provider": None, **sums_document(group.sums)}


def table_rows(table: Table) -> Iterator[dict[str, Any]]:
    """Grouped sums as CSV rows, without a total: a column can be added up."""
    for group in table.groups:
        yield {**dict(zip(table.by, group.keys, strict=True)), **sums_document(group.sums)}


def sums_document(sums: Sums) -> dict[str, Any]:
    """One set of sums. `cost_usd` is null where there are calls and the cost of none is known."""
    cost, average = cost_nano(sums), average_nano(sums)
    values = {
        "cost_usd": None if cost is None else exact(cost),
        "cost_nano": cost,
        "average_usd": None if average is None else exact(average),
        "priced_calls": sums.priced,
        "unpriced_calls": sums.unpriced,
        "error_calls": sums.errors,
    }
    return {name: values[name] if name in values else getattr(sums, name) for name in SUM_FIELDS}


def trust_document(trust: Trust) -> dict[str, Any]:
    """How far a total can be trusted: counts of calls in doubt, and the share that is unpriced."""
    doubts = trust.doubts
    return {
        **asdict(doubts),
        "unpriced_share": round(doubts.unpriced / doubts.calls, 6) if doubts.calls else 0.0,
        "unpriced_reasons": {str(group.keys[0]): group.sums.unpriced for group in trust.reasons},
    }


def call_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """One call of the ledger as a JSON object, its JSON columns unfolded."""
    values = dict(row)
    values["started"] = _instant(int(row["started_ns"]))
    values["cost_usd"] = None if row["cost_nano"] is None else exact(int(row["cost_nano"]))
    values["estimated"], values["stream"] = bool(row["estimated"]), bool(row["stream"])
    for name in ("usage", "conditions", "tags"):
        values[name] = json.loads(row[name])
    values["parts"] = _bill(row["parts"])
    return {name: values[name] for name in CALL_FIELDS}


def adjustment_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """One change of what a call costs as a JSON object; `was` and `became` have the keys of a call."""
    return {
        "run": row["run"],
        "at": _instant(int(row["at_ns"])),
        "who": row["who"],
        "reason": row["reason"],
        "was": _price_of(row, "was_"),
        "became": _price_of(row, ""),
        "budgets": [
            {"budget": budget, "key": key or None, "window": window, "was_nano": was, "became_nano": became}
            for budget, key, window, was, became in json.loads(row["budgets"])
        ],
    }


def _price_of(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    nano = row[f"{prefix}cost_nano"]
    names = ("cost_source", "price_id", "price_date", "catalogue", "unpriced", "unpriced_detail")
    return {
        "cost_usd": None if nano is None else exact(int(nano)),
        "cost_nano": nano,
        **{name: row[f"{prefix}{name}"] for name in names},
        "parts": _bill(row[f"{prefix}parts"]),
    }


def _bill(text: str) -> list[dict[str, Any]]:
    return [
        {"meter": meter, "quantity": quantity, "price": price, "per": per, "amount_usd": exact(nano)}
        for meter, quantity, price, per, nano in json.loads(text)
    ]


def exported_call(row: Mapping[str, Any]) -> dict[str, Any]:
    """A call as a row of an export."""
    call = call_document(row)
    return {"kind": "call", "day": call["started"][:10], "calls": 1, **call}


def exported_day(row: Mapping[str, Any]) -> dict[str, Any]:
    """The sum of a day's calls past retention as a row of an export; what only a single call has is null."""
    known = row["cost_source"] is not None
    values = {
        **row,
        "kind": "day",
        "cost_usd": exact(int(row["cost_nano"])) if known else None,
        "cost_nano": row["cost_nano"] if known else None,
        "estimated": bool(row["estimated"]),
        "tags": json.loads(row["tags"]),
    }
    return {name: values.get(name) for name in EXPORT_FIELDS}


def flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document as a CSV row: lists and objects as JSON text, truth values as `true` and `false`."""
    return {name: _cell(value) for name, value in document.items()}


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _json(value) if isinstance(value, dict | list) else value


def _heading(where: Filter) -> dict[str, Any]:
    filters = {
        name: getattr(where, name)
        for name in ("provider", "model", "operation", "service", "status")
        if getattr(where, name) is not None
    }
    return {
        "currency": "USD",
        "time_zone": "UTC",
        "since": None if where.since is None else where.since.isoformat(),
        "until": None if where.until is None else where.until.isoformat(),
        "filters": {**filters, **({"tags": dict(where.tags)} if where.tags else {})},
    }


def _groups(table: Table) -> list[dict[str, Any]]:
    return [{**dict(zip(table.by, group.keys, strict=True)), **sums_document(group.sums)} for group in table.groups]


def _instant(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"
