"""`aicost prices diff`: what changed prices make of the calls of the last days, in dollars."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otel_aicost import config
from otel_aicost.cli.options import json_option, ledger_option, opened
from otel_aicost.cli.output import show as show_tables
from otel_aicost.cli.output import write_json
from otel_aicost.cli.price_lists import in_force, line, plain, user_file, warn_of_stale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from otel_aicost.config import Server
    from otel_aicost.prices.catalogue import Catalogue
    from otel_aicost.prices.changes import RateChange
    from otel_aicost.prices.diff import Comparison, Difference
    from otel_aicost.prices.rates import Rate

_DAY_NS = 86_400 * 10**9


@click.command(
    epilog="""\b
Examples:
  aicost prices diff
  aicost prices diff --days 7
  aicost prices diff --with new-prices.yaml
  aicost prices diff --with data.json --all --json

Old are the prices that come with the package, new are those that `aicost prices update` stored. With --with, old are
the prices in force, new are the same with FILE in place of your price file (YAML, schema: 1) or of the data of
genai-prices (JSON). The usage of each recorded call is priced at both, as if it were made now: what changed today is
not hidden by prices of the past being kept. Calls whose provider stated the cost are left out."""
)
@click.option(
    "--with",
    "other",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Hold the prices in force against this file.",
)
@click.option(
    "--days",
    type=click.IntRange(min=1, max=100_000),
    default=30,
    show_default=True,
    metavar="N",
    help="The calls of the last N times 24 hours.",
)
@click.option("--all", "all_models", is_flag=True, help="Models that were not used, too.")
@ledger_option
@json_option
def diff(path: Path | Server | None, other: Path | None, days: int, *, all_models: bool, as_json: bool) -> None:
    """Show which prices changed, and what that makes of your calls."""
    from otel_aicost.prices.changes import models_of  # noqa: PLC0415 - slow, and --help needs none of it
    from otel_aicost.prices.diff import unused  # noqa: PLC0415

    now_ns = time.time_ns()
    old, new = _catalogues(other, now_ns)
    told = _compared(path, old, new, now_ns, days)
    if all_models:
        used = {(each.provider, each.model) for each in told.differences}
        bases = [base for base in (old.base, new.base) if base is not None]
        named = {*models_of(*bases), *((known.provider, known.model) for each in (old, new) for known in each.known())}
        told.differences += unused(sorted(named - used), old, new, now_ns)
    if as_json:
        write_json(_document(told, old, new, days))
        return
    show_tables(_tables(told, old, new, days))
    if other is None and old.version == new.version:
        click.echo(
            "note: nothing newer than the packaged prices is in force; `aicost prices update` fetches newer prices",
            err=True,
        )
    if other is None:
        warn_of_stale(new)


def _catalogues(other: Path | None, now_ns: int) -> tuple[Catalogue, Catalogue]:
    from otel_aicost.prices.catalogue import Catalogue, load_supplement  # noqa: PLC0415 - as above
    from otel_aicost.prices.reading import read_price_file  # noqa: PLC0415
    from otel_aicost.prices.update import fetch, read  # noqa: PLC0415

    if other is None:
        return Catalogue.load(user_file()), in_force(None)
    old, found = in_force(None), read(fetch(str(other)), str(other), now_ns)
    if found.file is not None:
        return old, Catalogue.load(other, config.load()[0].price_data)
    assert found.data is not None  # noqa: S101 - it is one or the other
    own = user_file()
    user = None if own is None else read_price_file(own)
    return old, Catalogue(found.data.base, load_supplement(), user, f"{other} ({found.data.digest})")


def _compared(path: Path | Server | None, old: Catalogue, new: Catalogue, now_ns: int, days: int) -> Comparison:
    from otel_aicost.ledger.usages import kinds, usages  # noqa: PLC0415 - SQLAlchemy takes 0.3 s
    from otel_aicost.prices.diff import Kind, differ  # noqa: PLC0415
    from otel_aicost.providers import names_priced  # noqa: PLC0415

    since_ns = max(0, now_ns - days * _DAY_NS)
    with opened(path).read() as connection:
        found = kinds(connection, since_ns, now_ns)
        asked = [
            Kind(
                each.provider,
                names_priced(each.provider, each.response_model, each.request_model),
                json.loads(each.conditions),
                each.calls,
            )
            for each in found
        ]

        def usages_of(number: int) -> Iterator[tuple[dict[str, int | Decimal], int]]:
            for usage, count in usages(connection, found[number], since_ns, now_ns):
                yield {meter: _quantity(amount) for meter, amount in json.loads(usage).items()}, count

        return differ(asked, usages_of, old, new, now_ns)


def _quantity(amount: float | str) -> int | Decimal:
    return amount if isinstance(amount, int) else Decimal(str(amount))


def _document(told: Comparison, old: Catalogue, new: Catalogue, days: int) -> dict[str, Any]:
    return {
        "days": days,
        "old": old.version,
        "new": new.version,
        "old_usd": _usd(sum(each.old_nano for each in told.differences)),
        "new_usd": _usd(sum(each.new_nano for each in told.differences)),
        "difference_usd": _usd(sum(each.difference_nano for each in told.differences)),
        "differences": [_one(each) for each in told.differences],
        "unchanged_models": told.same_models,
        "unchanged_calls": told.same_calls,
    }


def _one(each: Difference) -> dict[str, Any]:
    return {
        "provider": each.provider,
        "model": each.model,
        "conditions": dict(each.conditions),
        "calls": each.calls,
        "old_usd": None if each.calls and each.calls == each.old_unpriced else _usd(each.old_nano),
        "new_usd": None if each.calls and each.calls == each.new_unpriced else _usd(each.new_nano),
        "old_unpriced_calls": each.old_unpriced,
        "new_unpriced_calls": each.new_unpriced,
        "difference_usd": _usd(each.difference_nano),
        "percent": None if each.percent is None else float(round(each.percent, 2)),
        "rates": [
            {"meter": change.meter, "when": change.when, "old": _price(change.old), "new": _price(change.new)}
            for change in each.changes
        ],
    }


def _price(rate: Rate | None) -> dict[str, Any] | None:
    if rate is None:
        return None
    tiers = [{"above": above, "price_usd": plain(price)} for above, price in rate.tiers]
    return {"price_usd": plain(rate.price), "per": rate.per, "tiers": tiers}


def _usd(nano: int) -> str:
    from otel_aicost.report.money import exact  # noqa: PLC0415

    return f"-{exact(-nano)}" if nano < 0 else exact(nano)


def _tables(told: Comparison, old: Catalogue, new: Catalogue, days: int) -> Iterator[RenderableType]:
    yield line(f"old: {old.version}")
    yield line(f"new: {new.version}")
    yield ""
    found = told.differences
    if found:
        yield _grid(found)
        yield ""
    for each in found:
        yield from _changes(each)
    same = f"{told.same_calls:,} calls to {told.same_models:,} models cost the same"
    yield line(f"{same if told.same_calls or found else 'no call was recorded'} (the last {days} days)")
    if not found:
        yield line("No price of a model that you use differs; --all looks at every model.")


def _grid(found: Sequence[Difference]) -> RenderableType:
    from otel_aicost.report.screen import Column, Grid  # noqa: PLC0415

    old, new = _amounts([each.old_nano for each in found]), _amounts([each.new_nano for each in found])
    difference = _amounts([each.difference_nano for each in found])
    return Grid(
        [
            Column("model", [_name(each) for each in found], right=False, fold=True),
            Column("calls", [f"{each.calls:,}" for each in found], f"{sum(each.calls for each in found):,}"),
            Column("old", [_side(old[i], each.calls, each.old_unpriced) for i, each in enumerate(found)], old[-1]),
            Column("new", [_side(new[i], each.calls, each.new_unpriced) for i, each in enumerate(found)], new[-1]),
            Column("difference", difference[:-1], difference[-1]),
            Column("%", ["" if each.percent is None else f"{each.percent:+.1f}" for each in found]),
        ],
        totals=True,
    )


def _amounts(nanos: Sequence[int]) -> list[str]:
    """Each as dollars, and the last one their sum."""
    from otel_aicost.report.money import column  # noqa: PLC0415

    amounts = [*nanos, sum(nanos)]
    cells = column([abs(nano) for nano in amounts])
    return [f"-{cell}" if nano < 0 else cell for nano, cell in zip(amounts, cells, strict=True)]


def _side(amount: str, calls: int, unpriced: int) -> str:
    """Dollars; what has no price is said, and not shown as zero."""
    if unpriced and unpriced == calls:
        return "unpriced"
    return amount + (f" + {unpriced:,} unpriced" if unpriced else "")


def _name(each: Difference) -> str:
    conditions = ", ".join(f"{key}={value}" for key, value in sorted(each.conditions.items()))
    return f"{each.provider}/{each.model}" + (f" ({conditions})" if conditions else "")


def _changes(each: Difference) -> Iterator[RenderableType]:
    for change in each.changes:
        when = f" with {change.when}" if change.when else ""
        yield line(f"{each.provider}/{each.model}: {change.meter}{when}: {_told(change)}")


def _told(change: RateChange) -> str:
    def side(rate: Rate | None) -> str:
        if rate is None:
            return "no price"
        tiers = "".join(f", ${plain(price)} above {above:,} input tokens" for above, price in rate.tiers)
        return f"${plain(rate.price)} per {rate.per:,}{tiers}"

    return f"{side(change.old)} -> {side(change.new)}"
