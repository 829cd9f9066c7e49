"""The ledger beside a bill, as tables for a person and values for JSON and CSV."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.text import Text

from otel_aicost.bills.comparing import percent
from otel_aicost.model import NANO
from otel_aicost.report import money
from otel_aicost.report.screen import Column, Grid, harmless, heading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from otel_aicost.bills.bill import Days
    from otel_aicost.bills.comparing import Pair

FIELDS = (
    "day",
    "model",
    "ledger_usd",
    "billed_usd",
    "difference_usd",
    "difference_percent",
    "calls",
    "requests",
    "unpriced_calls",
    "estimated_calls",
    "ledger_tokens",
    "billed_tokens",
    "reasons",
)


def document(provider: str, days: Days, pairs: Sequence[Pair], gap: str) -> dict[str, Any]:
    """All of it as one JSON object; dollars are exact text."""
    ours, theirs = sums(pairs)
    return {
        "provider": provider,
        "currency": "USD",
        "time_zone": "UTC",
        "since": days.first.isoformat(),
        "until": days.last.isoformat(),
        "ledger_usd": _exact(ours),
        "billed_usd": _exact(theirs),
        "difference_usd": _exact(ours - theirs),
        "difference_percent": _percent(ours - theirs, theirs),
        "usage_gap": gap or None,
        "days": list(rows(pairs)),
    }


def rows(pairs: Iterable[Pair]) -> Iterator[dict[str, Any]]:
    """One for each day and model."""
    for pair in pairs:
        ours, theirs = pair.ours, pair.theirs
        yield {
            "day": pair.day.isoformat(),
            "model": pair.name,
            "ledger_usd": _exact(ours.amount),
            "billed_usd": _exact(theirs.amount),
            "difference_usd": _exact(pair.difference),
            "difference_percent": _percent(pair.difference, theirs.amount),
            "calls": ours.calls,
            "requests": theirs.requests,
            "unpriced_calls": ours.unpriced,
            "estimated_calls": ours.estimated,
            "ledger_tokens": ours.tokens,
            "billed_tokens": theirs.tokens if theirs.used else None,
            "reasons": [{"code": code, "text": text} for code, text in pair.reasons],
        }


def sums(pairs: Iterable[Pair]) -> tuple[Decimal, Decimal]:
    """What the ledger has, and the bill."""
    ours = theirs = Decimal(0)
    for pair in pairs:
        ours += pair.ours.amount
        theirs += pair.theirs.amount
    return ours, theirs


def tables(provider: str, days: Days, pairs: Sequence[Pair], gap: str) -> Iterator[RenderableType]:
    """A line for each day and model, the sums under them, and the reasons."""
    if not pairs:
        yield Text(f"Neither the ledger nor {provider} has anything from {days.first} to {days.last}.")
        return
    yield heading(f"The ledger and the bill of {provider}, {days.first} to {days.last} (UTC)")
    yield ""
    ours, theirs = sums(pairs)
    yield Grid(
        [
            Column("day", [pair.day.isoformat() for pair in pairs], "total", right=False),
            Column("model", [pair.name for pair in pairs], right=False, fold=True),
            Column("calls", [f"{pair.ours.calls:,}" for pair in pairs], spare=3),
            Column("requests", [_or_dash(pair.theirs.requests) for pair in pairs], spare=4),
            Column("ledger", _dollars(pair.ours.amount for pair in pairs), _dollars([ours])[0]),
            Column("billed", _dollars(pair.theirs.amount for pair in pairs), _dollars([theirs])[0]),
            Column("difference", _signed(pair.difference for pair in pairs), _signed([ours - theirs])[0]),
            Column(
                "%",
                [_percent(pair.difference, pair.theirs.amount) or money.NONE for pair in pairs],
                _percent(ours - theirs, theirs) or money.NONE,
            ),
            Column(
                "why", [", ".join(reason.code for reason in pair.reasons) for pair in pairs], right=False, fold=True
            ),
        ],
        totals=True,
    )
    yield from _reasons(pairs)
    if gap:
        yield Text(harmless(f"Reasons are guessed without the provider's usage: {gap}"))


def _reasons(pairs: Iterable[Pair]) -> Iterator[RenderableType]:
    lines = [f"{pair.day} {pair.name}: {reason.text} ({reason.code})" for pair in pairs for reason in pair.reasons]
    yield ""
    if not lines:
        yield Text("They agree.")
        return
    yield heading("Likely reasons")
    yield from (Text(harmless(line)) for line in lines)


def _or_dash(count: int | None) -> str:
    return money.NONE if count is None else f"{count:,}"


def _dollars(amounts: Iterable[Decimal]) -> list[str]:
    return [f"${amount.quantize(Decimal('0.0001')):,f}" for amount in amounts]


def _signed(amounts: Iterable[Decimal]) -> list[str]:
    return [f"{'-' if amount < 0 else '+'}${abs(amount).quantize(Decimal('0.0001')):,f}" for amount in amounts]


def _percent(difference: Decimal, of: Decimal) -> str | None:
    found = percent(difference, of)
    return None if found is None else f"{found:+f}"


def _exact(amount: Decimal) -> str:
    whole, _, decimals = f"{amount.quantize(NANO):f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"
