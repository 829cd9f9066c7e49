"""How budgets stand, as documents, a table and lines: what `aicost budgets` shows."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from rich.text import Text

from otel_aicost.budgets.definitions import window_text
from otel_aicost.report.money import column, exact
from otel_aicost.report.screen import Column, Grid, harmless

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from otel_aicost.ledger.standings import Standing

SHOWN: Final = 50
"""The most windows in a table, unless all are asked for."""
BAR: Final = 12
"""Characters of a bar that is full."""
COLOURS: Final = {"ok": "green", "warned": "yellow", "exceeded": "bold red"}
CENT: Final = 10**7
_PLACES: Final = Decimal("0.000001")


def worst(found: Iterable[Standing], most: int | None) -> tuple[list[Standing], int]:
    """The `most` with the largest share spent, in their order, and how many more there are."""
    if most is None:
        return list(found), 0
    total = 0

    def each() -> Iterator[tuple[Decimal, int, Standing]]:
        nonlocal total
        for one in found:
            total += 1
            yield one.rank, -total, one

    kept = heapq.nlargest(most, each())
    return [one for _, _, one in sorted(kept, key=lambda place: -place[1])], total - len(kept)


def document(standing: Standing) -> dict[str, Any]:
    """One window in one unit: dollars as exact decimal text, tokens and calls as numbers, shares as decimal text."""
    share, gone, projected = standing.share, standing.gone, standing.projected
    return {
        "budget": standing.budget,
        "key": standing.key or None,
        "window": standing.window,
        "unit": standing.unit,
        "spent": amount(standing.unit, standing.spent),
        "reserved": amount(standing.unit, standing.reserved),
        "limit": amount(standing.unit, standing.limit),
        "limit_from": standing.source,
        "remaining": amount(standing.unit, standing.remaining),
        "share": None if share is None else _share(share),
        "state": standing.state,
        "starts_at": instant(standing.starts_at),
        "resets_at": instant(standing.resets_at),
        "timezone": standing.timezone,
        "window_gone": None if gone is None else _share(gone),
        "projected": None if projected is None else amount(standing.unit, projected),
    }


def tables(found: Sequence[Standing], more: int) -> Iterator[RenderableType]:
    """A line for each window and limit."""
    if not found:
        yield "No budget has a window yet: none is set, or no call was held against one (docs/budgets.md)."
        return
    yield _grid(found)
    if any(each.source == "set" for each in found):
        yield Text("* set by hand: aicost budgets history")
    if more:
        yield Text(f"The {len(found)} with the largest share spent; {more:,} more: --all, or name a budget.")


def _grid(found: Sequence[Standing]) -> Grid:
    return Grid(
        [
            Column("budget", [each.budget for each in found], right=False),
            Column("key", [_key(each) for each in found], right=False, fold=True),
            Column("window", [window_text(each.window) for each in found], right=False, spare=3),
            Column("", [_bar(each) for each in found], right=False, spare=1),
            Column("used", [percent(each.share) for each in found]),
            Column("state", [each.state for each in found], right=False, styles=COLOURS),
            Column("spent", _amounts(found, [each.spent for each in found])),
            Column("reserved", _amounts(found, [each.reserved for each in found]), spare=4),
            Column("limit", _limits(found)),
            Column("remaining", _amounts(found, [each.remaining for each in found])),
            Column("gone", ["-" if each.gone is None else percent(each.gone) for each in found], spare=5),
            Column("projected", [_projected(each) for each in found], spare=6),
            Column("resets", [local(each) for each in found], right=False, spare=2),
        ]
    )


def line(standing: Standing) -> str:
    """One window in one sentence, for cron and CI."""
    of = f" of {standing.key}" if standing.key else ""
    spent, limit = shown(standing, standing.spent), shown(standing, standing.limit)
    used = percent(standing.share)
    return harmless(
        f"{standing.budget}{of} ({window_text(standing.window)}): {spent} of {limit} ({used}), {_resets(standing)}"
    )


def amount(unit: str, number: int) -> str | int:
    """Dollars as exact decimal text, tokens and calls as numbers."""
    return exact(number) if unit == "USD" else number


def shown(standing: Standing, number: int) -> str:
    """An amount for a person, exact."""
    return f"${amount('USD', number)}" if standing.unit == "USD" else f"{number:,} {standing.unit}"


def _key(standing: Standing) -> str:
    """The key; where there is a window for each and none yet, that."""
    return "(none yet)" if standing.key is None else standing.key


def _bar(standing: Standing) -> str:
    """What is spent, and after it what is reserved, of the limit; it is full when all of that is spent."""
    if not standing.limit:
        return "█" * BAR if standing.spent else "░" * BAR
    room = BAR if standing.spent >= standing.limit else BAR - 1
    spent = min(room, -(-standing.spent * BAR // standing.limit))
    reserved = min(BAR - spent, -(-standing.reserved * BAR // standing.limit))
    return "█" * spent + "▒" * reserved + "░" * (BAR - spent - reserved)


def percent(share: Decimal | None) -> str:
    """A share; one that is below 1 never reads 100 %, and more than nothing never 0 %."""
    if share is None:
        return "over"
    tenths = int(share * 1000)
    return "<0.1%" if share and not tenths else f"{tenths / 10:,.1f}%"


def instant(seconds: int | None) -> str | None:
    """Seconds since the epoch as ISO 8601 in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def local(standing: Standing) -> str:
    """When it resets: in the budget's time zone where that is known, else in the user's."""
    if standing.resets_at is None:
        return "-" if standing.window == "each call" else "never"
    at = datetime.fromtimestamp(standing.resets_at, UTC)
    at = at.astimezone(None if standing.timezone is None else ZoneInfo(standing.timezone))
    return f"{at:%Y-%m-%d %H:%M %Z}"


def _resets(standing: Standing) -> str:
    when = local(standing)
    return {"never": "never resets", "-": "for each call"}.get(when, f"resets {when}")


def _amounts(found: Sequence[Standing], numbers: Sequence[int]) -> list[str]:
    """A column of amounts. Each is as short as honest by itself: budgets of cents and of thousands stand together."""
    pairs = zip(found, numbers, strict=True)
    return [column([number])[0] if each.unit == "USD" else f"{number:,} {each.unit}" for each, number in pairs]


def _limits(found: Sequence[Standing]) -> list[str]:
    """Limits that were set by hand are marked."""
    cells = _amounts(found, [each.limit for each in found])
    return [f"{cell}*" if each.source == "set" else cell for cell, each in zip(cells, found, strict=True)]


def _projected(standing: Standing) -> str:
    """To the cent: more would be a promise."""
    if standing.projected is None:
        return "-"
    rounded = -(-standing.projected // CENT) * CENT if standing.unit == "USD" else standing.projected
    return shown(standing, rounded)


def _share(share: Decimal) -> str:
    return f"{share.quantize(_PLACES).normalize():f}"
