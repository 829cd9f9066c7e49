"""What was recorded just now, for a person, a script, or the summary of a job."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

from rich.text import Text

from otel_aicost.report import money
from otel_aicost.report.screen import Column, Grid, harmless

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from otel_aicost.ledger.questions import Sums
    from otel_aicost.model import Record
    from otel_aicost.sources.entering import Entered

METERS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
HEADINGS = ("input", "cache read", "cache write", "output")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The records, what all calls with the same tags cost, and the limit that this is held against."""

    entered: Sequence[Entered]
    tags: Mapping[str, str]
    all: Sums | None = None
    """Of every call in the ledger with these tags; `None` where there are no tags."""
    limit: Decimal | None = None
    dry: bool = False

    @property
    def counted(self) -> list[tuple[Entered, Record]]:
        """Those that are in the ledger (or would be)."""
        return [(each, each.record) for each in self.entered if each.record and each.state in {"new", "known"}]

    @property
    def refused(self) -> list[Entered]:
        """Those that are not."""
        return [each for each in self.entered if each.state == "refused"]

    @property
    def over(self) -> bool:
        """Whether the calls with these tags cost more than the limit."""
        return self.limit is not None and self.all is not None and _usd(self.all) > self.limit


def document(recorded: Recorded) -> dict[str, Any]:
    """All of it as one JSON object."""
    total = recorded.all
    return {
        "dry_run": recorded.dry,
        "records": [_record(entered, record) for entered, record in recorded.counted],
        "refused": [{"line": each.number, "reason": each.reason} for each in recorded.refused],
        "tags": dict(recorded.tags),
        "total_usd": None if total is None else money.exact(total.cost_nano),
        "total_calls": None if total is None else total.calls,
        "total_unpriced_calls": None if total is None else total.unpriced,
        "limit_usd": None if recorded.limit is None else f"{recorded.limit:f}",
        "over_limit": recorded.over,
    }


def tables(recorded: Recorded) -> Iterator[RenderableType]:
    """A line for each record, and the sum of the calls with the same tags."""
    rows = recorded.counted
    if rows:
        tokens = [[f"{_tokens(record, meter):,}" for _, record in rows] for meter in METERS]
        yield Grid(
            [
                Column("model", [_model(record) for _, record in rows], right=False, fold=True),
                *(Column(heading, cells, spare=2) for heading, cells in zip(HEADINGS, tokens, strict=True)),
                Column("cost", [_cost(record) for _, record in rows]),
                Column("", [_said(entered, dry=recorded.dry) for entered, _ in rows], right=False),
                Column("id", [record.id for _, record in rows], right=False, spare=1),
            ]
        )
    for line in _ending(recorded):
        yield Text(harmless(line))


def markdown(recorded: Recorded, title: str) -> str:
    """The same for a job summary."""
    lines = [f"### {_plain(title)}", ""]
    if recorded.counted:
        lines += [f"| model | {' | '.join(HEADINGS)} | cost | |", "|---|---:|---:|---:|---:|---:|---|"]
    for entered, record in recorded.counted:
        tokens = " | ".join(f"{_tokens(record, meter):,}" for meter in METERS)
        said = _said(entered, dry=recorded.dry)
        lines.append(f"| {_plain(_model(record))} | {tokens} | {_plain(_cost(record))} | {said} |")
    lines += [f"- {_plain(each.reason)}" for each in recorded.refused]
    return "\n".join([*lines, "", *map(_plain, _ending(recorded)), ""])


def _ending(recorded: Recorded) -> Iterator[str]:
    if recorded.all is None:
        return
    tags = ", ".join(f"{key}={value}" for key, value in recorded.tags.items())
    text = f"All {recorded.all.calls:,} calls with {tags}: {money.column([recorded.all.cost_nano])[0]}"
    if recorded.all.unpriced:
        text += f" and {recorded.all.unpriced:,} without a price"
    if recorded.limit is not None:
        text += f", {'OVER the limit' if recorded.over else 'within the limit'} of ${recorded.limit:f}"
    yield f"{text}."


def _record(entered: Entered, record: Record) -> dict[str, Any]:
    cost = record.cost
    return {
        "id": record.id,
        "state": entered.state,
        "note": entered.reason or None,
        "provider": record.provider,
        "model": record.response_model or record.request_model,
        "usage": {
            meter: str(amount) if isinstance(amount, Decimal) else amount for meter, amount in record.usage.items()
        },
        "cost_usd": None if cost is None else f"{cost.total:f}",
        "cost_source": None if cost is None else cost.source,
        "price_id": None if cost is None else cost.price_id,
        "unpriced": None if record.unpriced is None else record.unpriced.detail,
        "estimated": record.estimated,
        "tags": dict(record.tags),
    }


def _tokens(record: Record, meter: str) -> int:
    return int(record.usage.get(meter, 0))


def _model(record: Record) -> str:
    return record.response_model or record.request_model or "(no model)"


def _cost(record: Record) -> str:
    if record.cost is None:
        return f"unpriced: {record.unpriced.reason}" if record.unpriced else money.NONE
    return ("≈" if record.estimated else "") + f"${record.cost.total.quantize(Decimal('0.000001')):f}"


def _said(entered: Entered, *, dry: bool) -> str:
    if entered.state == "known":
        return "known" if not entered.reason else "known with other numbers"
    return "would be new" if dry else "new"


def _usd(sums: Sums) -> Decimal:
    return Decimal(sums.cost_nano).scaleb(-9)


def _plain(text: str) -> str:
    """Without what Markdown and HTML would take for their own: names of models and tags are somebody else's text."""
    special = "\\`*_{}[]|#$~"
    escaped = "".join(f"\\{each}" if each in special else each for each in harmless(text))
    return escape(escaped, quote=False)
