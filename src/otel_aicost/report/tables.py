"""A report as tables for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from otel_aicost.report import money
from otel_aicost.report.overview import BARS
from otel_aicost.report.screen import Column, Grid, facts, harmless, heading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import RenderableType

    from otel_aicost.ledger.questions import Filter, Group, Sums
    from otel_aicost.report.overview import Overview, Table, Trust

LONGEST = 30
"""Characters of the longest bar."""


def overview_tables(report: Overview, where: Filter) -> Iterator[RenderableType]:
    """The overview: totals, models, top spenders, the last days as bars, and how far to trust it."""
    total = report.total
    if not total.calls:
        yield nothing(where)
        return
    yield heading(f"What AI calls cost, {period(where)}{narrowed(where)}")
    yield ""
    yield facts(_totals(total))
    for each in (report.models, *report.spenders):
        yield ""
        yield heading(f"By {each.by[0]}")
        yield groups_table(each)
    yield ""
    yield heading("By day (UTC)" if len(report.days) < BARS else f"The last {BARS} days (UTC)")
    yield _bars(report.days)
    yield ""
    yield from _trust(report.trust)


def table_tables(report: Table, trust: Trust, where: Filter) -> Iterator[RenderableType]:
    """Grouped sums under their heading, and how far to trust them."""
    if not report.total.calls:
        yield nothing(where)
        return
    yield heading(f"What AI calls cost by {', '.join(report.by)}, {period(where)}{narrowed(where)}")
    yield ""
    yield groups_table(report)
    yield ""
    yield from _trust(trust)


def nothing(where: Filter) -> Text:
    """One line for an empty answer."""
    return Text(harmless(f"No calls: {period(where)}{narrowed(where)}."))


def narrowed(where: Filter) -> str:
    """The filter besides its days, in words."""
    said = [
        f"{name} {value}"
        for name in ("provider", "model", "operation", "service", "status")
        if (value := getattr(where, name)) is not None
    ]
    said += [f"{key}={value}" for key, value in where.tags]
    said += [name for name in ("unpriced", "estimated") if getattr(where, name)]
    return f", {', '.join(said)}" if said else ""


def groups_table(report: Table) -> Grid:
    """Grouped sums with a total row, and a row for what lies beyond `--top`."""
    rows = [([key or "(none)" for key in group.keys], group.sums) for group in report.groups]
    if report.rest is not None:
        rows.append((["(the rest)", *[""] * (len(report.by) - 1)], report.rest))
    columns = [
        Column(name, [names[place] for names, _ in rows], "" if place else "total", right=False, fold=True)
        for place, name in enumerate(report.by)
    ]
    return Grid([*columns, *_sum_columns([each for _, each in rows], report.total)], totals=True)


def _sum_columns(sums: Sequence[Sums], total: Sums) -> Iterator[Column]:
    costs = money.column([money.cost_nano(each) for each in (*sums, total)])
    means = _means((*sums, total))
    shares = [_share(each.cost_nano, total.cost_nano) for each in sums]
    yield _counts("calls", sums, total, lambda each: each.calls)
    yield Column("cost", costs[:-1], costs[-1])
    yield Column("share", shares, spare=4)
    yield Column("average", means[:-1], means[-1], spare=3)
    yield _counts("tokens in", sums, total, lambda each: each.input_tokens, spare=1)
    yield _counts("cached", sums, total, lambda each: each.cache_read_tokens, spare=5)
    yield _counts("tokens out", sums, total, lambda each: each.output_tokens, spare=2)
    # Columns of zeros only would push those that say something off a narrow terminal.
    if total.errors:
        yield _counts("errors", sums, total, lambda each: each.errors)
    if total.unpriced:
        yield _counts("unpriced", sums, total, lambda each: each.unpriced)


def trust_lines(trust: Trust) -> Iterator[str]:
    """One line for each way in which the total may be off; one line if there is none."""
    doubts = trust.doubts
    reasons = ", ".join(f"{group.sums.unpriced:,} {group.keys[0]}" for group in trust.reasons)
    lines = (
        (doubts.unpriced, f"unpriced, their cost is not in the total: {reasons}"),
        (doubts.estimated, "estimated from the text seen, because the provider reported no usage"),
        (doubts.partial, "partial: a stream that ended before its end"),
        (doubts.missing, "without the usage that the response should have held"),
        (doubts.unread, "unread: the application never read the response, so nobody knows its usage"),
        (doubts.invalid, "with absurd usage, which was set aside"),
    )
    said = [
        f"{calls:,} of {doubts.calls:,} calls ({_share(calls, doubts.calls)}) {meaning}"
        for calls, meaning in lines
        if calls
    ]
    yield from said or ["every cost comes from usage that the provider reported and a price that is known"]


def period(where: Filter) -> str:
    """The days of a filter in words."""
    if where.since is None and where.until is None:
        return "all days (UTC)"
    if where.until is None:
        return f"since {where.since} (UTC)"
    if where.since is None:
        return f"until {where.until} (UTC)"
    return f"{where.since} to {where.until} (UTC)" if where.since != where.until else f"{where.since} (UTC)"


def _totals(total: Sums) -> Iterator[tuple[str, str]]:
    yield "cost", money.column([total.cost_nano])[0] if total.priced else "unknown: no call has a price"
    yield "calls", f"{total.calls:,}" + (f", {total.errors:,} of them failed" if total.errors else "")
    yield "average", f"{_means([total])[0]} per priced call"
    yield "tokens in", f"{total.input_tokens:,}, {total.cache_read_tokens:,} of them read from the cache"
    yield "tokens out", f"{total.output_tokens:,}"


def _trust(trust: Trust) -> Iterator[RenderableType]:
    yield heading("How far to trust this")
    yield from (Text(line) for line in trust_lines(trust))


def _means(sums: Sequence[Sums]) -> list[str]:
    return money.column([money.average_nano(each) for each in sums], money.SIGNIFICANT_MEAN)


def _bars(days: Sequence[Group]) -> Grid:
    most = max((group.sums.cost_nano for group in days), default=0)
    lengths = [_length(group.sums.cost_nano, most) for group in days]
    return Grid(
        [
            Column("day", [group.keys[0] or "" for group in days], right=False),
            Column("", ["█" * length for length in lengths], right=False),
            Column("cost", money.column([money.cost_nano(group.sums) for group in days])),
            Column("calls", [f"{group.sums.calls:,}" for group in days]),
        ]
    )


def _length(amount: int, most: int) -> int:
    """A day that cost anything has a bar; only the dearest has the longest."""
    return max(amount * LONGEST // most, 1) if amount else 0


def _counts(name: str, sums: Sequence[Sums], total: Sums, number: Callable[[Sums], int], spare: int = 0) -> Column:
    return Column(name, [f"{number(each):,}" for each in sums], f"{number(total):,}", spare=spare)


def _share(part: int, whole: int) -> str:
    """A percentage with one decimal; what is more than nothing never reads 0.0 %."""
    if not whole or not part:
        return money.NONE if not whole else "0.0%"
    share = 100 * part / whole
    return "<0.1%" if share < 0.05 else f"{share:.1f}%"  # noqa: PLR2004 - where rounding gives 0.0
