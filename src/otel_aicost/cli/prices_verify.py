"""`aicost prices verify`: marking entries of a price file as checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from otel_aicost.cli.options import json_option, past_day, today
from otel_aicost.cli.output import write_json
from otel_aicost.cli.price_lists import in_force, prices_option, user_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from otel_aicost.prices.files import Entry, PriceFile
    from otel_aicost.prices.marking import Marked


@click.command(
    epilog="""\b
Examples:
  aicost prices verify gpt-4o
  aicost prices verify openai/gpt-4o 'azure.ai.openai/*'
  aicost prices verify --all --on 2026-11-20

Look the price up at its source first; this only notes that you did. The `checked` date of each entry is changed, or
added, and nothing else in the file. Prices that are not in a file of yours cannot be marked: newer ones come with
`aicost prices update`, or with a newer otel-aicost."""
)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--all", "every", is_flag=True, help="Every entry of the file.")
@click.option("--on", "day", callback=past_day, metavar="DATE", help="When they were checked (UTC). Default: today.")
@prices_option
@json_option
def verify(models: tuple[str, ...], day: date | None, prices_file: Path | None, *, every: bool, as_json: bool) -> None:
    """Mark entries of your price file as checked: MODEL, or PROVIDER/MODEL."""
    from otel_aicost.prices.marking import mark  # noqa: PLC0415 - --help needs none of it
    from otel_aicost.prices.reading import read_price_file  # noqa: PLC0415

    if every == bool(models):
        msg = "name the models that you have checked, or give --all"
        raise click.UsageError(msg)
    path = user_file(prices_file)
    if path is None:
        raise click.ClickException(_elsewhere(models) or _NO_FILE)
    file = read_price_file(path)
    told = mark(path, _entries(file, models, path), day or today())
    if as_json:
        write_json({"file": str(path), "entries": [_document(each, day or today()) for each in told]})
        return
    for each in told:
        before = each.before or "never"
        text = f"checked {day or today()}, before that {before}" if each.changed else f"checked {before} already"
        click.echo(f"{each.entry.label}: {text}" + (f" ({each.entry.source})" if each.entry.source else ""))
    click.echo(f"{path}: {sum(each.changed for each in told):,} of {len(told):,} entries marked")


def _document(each: Marked, day: date) -> dict[str, object]:
    return {
        "provider": each.entry.provider,
        "model": each.entry.model.label,
        "source": each.entry.source,
        "before": each.before,
        "checked": str(day) if each.changed else each.before,
        "changed": each.changed,
    }


def _entries(file: PriceFile, models: Sequence[str], path: Path) -> list[Entry]:
    """The entries that are meant; a name that stands for none is an error, and then nothing is marked."""
    from otel_aicost.prices.marking import chosen  # noqa: PLC0415 - as above

    if not models:
        return list(file.entries)
    entries, unknown = chosen(file, models)
    if unknown:
        raise click.ClickException(
            "\n".join([*(f"{path} has no entry {name}" for name in unknown), _elsewhere(unknown)])
        )
    return entries


def _elsewhere(models: Sequence[str]) -> str:
    """What to do about prices that are in another list."""
    known = list(in_force(None).known()) if models else []
    told = []
    for name in models:
        sources = {
            each.source
            for each in known
            if name.lower() in {each.model.lower(), f"{each.provider}/{each.model}".lower()}
        }
        if "supplement" in sources:
            told.append(f"{name} is in the list that comes with otel-aicost: a newer release has it checked anew")
        if "genai-prices" in sources:
            told.append(f"{name} is in genai-prices: `aicost prices update` fetches the newest data")
        if not sources - {"user"}:
            told.append(f"no price list has an entry {name}; `aicost prices list` shows what there is")
    return "\n".join(told)


_NO_FILE = "there is no price file of yours: packaged prices are refreshed by `aicost prices update`"
