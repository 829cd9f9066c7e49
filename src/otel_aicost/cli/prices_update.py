"""`aicost prices update`: newer prices, when the user asks for them and not otherwise."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otel_aicost import config
from otel_aicost.cli.options import json_option
from otel_aicost.cli.output import write_json
from otel_aicost.cli.progress import bar as progress_bar
from otel_aicost.names import ENV_PRICE_DATA, ENV_PRICES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_aicost.prices.update import Found, Summary

SHOWN = 10
"""Models of a kind that are named."""


@dataclass(frozen=True, slots=True)
class _Done:
    found: Found
    directory: Path
    stored: bool
    news: bool
    """`False`: it is what is in force already."""
    summary: Summary | None = None
    notes: tuple[str, ...] = ()


@click.command(
    epilog=f"""\b
Examples:
  aicost prices update
  aicost prices update --dry-run
  aicost prices update --from https://prices.example.com/aicost/prices.yaml
  aicost prices update --from data.json --to /etc/aicost/prices
  aicost prices update --remove

Without --from it fetches the newest data of genai-prices, the list that otel-aicost builds on. --from takes such data,
or a price file (YAML, schema: 1): that becomes your price file, unless {ENV_PRICES} names another.

What was fetched is checked as a whole before anything is stored; on any error the prices in force stay in force. New
prices hold from now on, or from the start dates they state themselves: what a call of the past cost does not change.
Programs that are running take them within a minute. They read them from the directory in {ENV_PRICE_DATA}; by default
that of your user."""
)
@click.option("--from", "source", metavar="FILE|URL", help="Take prices from there, instead of from genai-prices.")
@click.option(
    "--to",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help=f"Store them there, instead of in the directory in {ENV_PRICE_DATA}.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the download may take.",
)
@click.option("--dry-run", is_flag=True, help="Fetch and check, and say what would change; store nothing.")
@click.option("--remove", is_flag=True, help="From now on, use the prices that come with the package again.")
@click.option("--forget", is_flag=True, help="As --remove, and for calls of the past too: delete all that was stored.")
@json_option
def update(directory: Path | None, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - each as click has it
    """Fetch newer prices and put them into force."""
    chosen = [name for name in ("remove", "forget") if options[name]]
    if chosen and (len(chosen) > 1 or options["source"] or options["dry_run"]):
        msg = f"--{chosen[0]} goes without --from, --dry-run and --{'forget' if chosen[0] == 'remove' else 'remove'}"
        raise click.UsageError(msg)
    place = directory.expanduser().absolute() if directory else config.load()[0].price_data
    if chosen:
        _undo(place, forget=options["forget"], as_json=as_json)
        return
    done = _update(place, options["source"], options["timeout"], dry_run=options["dry_run"])
    if as_json:
        write_json(_document(done))
        return
    for sentence in _told(done):
        click.echo(sentence)
    for note in done.notes:
        click.echo(f"note: {note}", err=True)


def _undo(place: Path, *, forget: bool, as_json: bool) -> None:
    from otel_aicost.prices import update as updating  # noqa: PLC0415 - slow, and --help needs none of it

    if forget:
        files = updating.forget(place)
        changed = files > 0
        told = f"{files:,} files deleted in {place}: the packaged prices hold, for calls of the past too"
    else:
        changed = updating.remove(place, time.time_ns())
        told = "the packaged prices hold from now on; calls of the past keep theirs"
    if as_json:
        write_json({"directory": str(place), "changed": changed})
    else:
        click.echo(told if changed else f"nothing is in force from {place}: the packaged prices hold")


def _update(place: Path, source: str | None, timeout: float, *, dry_run: bool) -> _Done:
    from otel_aicost.prices import update as updating  # noqa: PLC0415 - as above

    address = source or updating.standard_source()
    with progress_bar("Fetching prices", updating.MOST_BYTES) as progress:
        raw = updating.fetch(address, timeout, progress.update)
    now_ns = time.time_ns()
    found = updating.read(raw, address, now_ns)
    summary, notes = _looked_at(found, place, now_ns)
    news = updating.is_news(place, found) if dry_run else updating.install(place, found, now_ns)
    return _Done(found, place, not dry_run, news, summary, tuple(notes))


def _looked_at(found: Found, place: Path, now_ns: int) -> tuple[Summary | None, list[str]]:
    """What would change, and what else is to be known. Data that lack most models are refused here."""
    from otel_aicost.prices import update as updating  # noqa: PLC0415 - as above
    from otel_aicost.prices.catalogue import Catalogue, load_supplement  # noqa: PLC0415

    settings = config.load()[0]
    notes = []
    if place != settings.price_data:
        notes.append(f"programs use what is in {place} where {ENV_PRICE_DATA} names it")
    if found.file is not None:
        notes += [
            f"changes what held in the past: {period}" for period in updating.past_changes(place, found.file, now_ns)
        ]
        if settings.prices is not None:
            notes.append(f"{ENV_PRICES} names {settings.prices}, which is used instead of it")
        return None, notes
    assert found.data is not None  # noqa: S101 - it is one or the other
    old = Catalogue.load(updates=place)
    updating.guard(found.data, old, found.source)
    return updating.compare(old, Catalogue(found.data.base, load_supplement()), now_ns), notes


def _told(done: _Done) -> Iterator[str]:
    found, summary = done.found, done.summary
    if found.data is not None:
        yield f"{found.source}: {found.data.models:,} models of {found.data.providers} providers"
    else:
        entries = len(found.file.entries) if found.file is not None else 0
        yield f"{found.source}: a price file with {entries:,} models"
    if summary is not None:
        for what, models in (("new", summary.added), ("changed", summary.changed), ("gone", summary.gone)):
            named = ", ".join(f"{provider}/{model}" for provider, model in models[:SHOWN])
            yield f"{what}: {len(models):,}" + (f" ({named}{' ...' if len(models) > SHOWN else ''})" if models else "")
    if not done.news:
        yield "these are the prices in force already" + ("; marked as checked today" if done.stored else "")
    elif done.stored:
        yield f"in force from now on, in {done.directory}; `aicost prices diff` tells what that makes of your calls"
    else:
        yield "dry run: nothing was stored"


def _document(done: _Done) -> dict[str, Any]:
    found, summary = done.found, done.summary
    named = {} if summary is None else {"new": summary.added, "changed": summary.changed, "gone": summary.gone}
    return {
        "source": found.source,
        "directory": str(done.directory),
        "kind": "price file" if found.data is None else "genai-prices",
        "digest": found.file.digest if found.file is not None else found.data.digest if found.data else None,
        "stored": done.stored,
        "news": done.news,
        "models": {
            what: [{"provider": provider, "model": model} for provider, model in models]
            for what, models in named.items()
        },
        "notes": list(done.notes),
    }
