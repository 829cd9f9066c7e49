"""`aicost import`: files of usage become records in the ledger, each line once."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otel_aicost import config
from otel_aicost.cli.options import json_option, ledger_option, ledger_path, tags_given
from otel_aicost.cli.output import write_json
from otel_aicost.cli.progress import bar as progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_aicost.config import Server, Settings
    from otel_aicost.sources.entering import Entered, Entrance
    from otel_aicost.sources.line import Line
    from otel_aicost.sources.rows import Source

SHOWN = 20
"""So many lines of a file that are refused are printed; all of them are in the JSON."""
NAMES = ("aicost", "openai-costs", "openai-usage", "anthropic-usage", "anthropic-costs")


@dataclass(slots=True)
class _Outcome:
    """What became of a file."""

    name: str
    form: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)

    def add(self, entered: Entered) -> None:
        self.counts[entered.state] += 1
        if entered.state == "new" and entered.record is not None:
            record = entered.record
            self.cost += record.cost.total if record.cost is not None else 0
            self.unpriced += record.unpriced is not None
        if entered.reason:
            self.told.append({"line": entered.number, "state": entered.state, "reason": entered.reason})

    def document(self) -> dict[str, Any]:
        counts = {state: self.counts[state] for state in ("new", "known", "refused")}
        return {
            "file": self.name,
            "format": self.form or None,
            **counts,
            "cost_usd": f"{self.cost:f}",
            "unpriced": self.unpriced,
            "lines": self.told,
        }


@click.command(
    "import",
    short_help="Bring usage from files into the ledger, each line once.",
    epilog="""\b
Examples:
  aicost import completions_usage_2026-11.csv --tag team=search
  aicost import claude_api_tokens_2026_11.csv claude_api_cost_2026_10.csv
  aicost import --dry-run costs.json
  aicost export --ledger other.db --format jsonl | aicost import -

A line that was imported before changes nothing, so a file can be imported again when it has grown. A bad line is
refused with its number and takes no other with it; exit code 1 if any was. Lines are priced at their own date, unless
they state a cost. Usage and cost files tell of the same money: import one of the two. A line of a day of which the
ledger has other calls to that provider is refused: it may count them again.""",
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--format", "form", type=click.Choice(NAMES), help="What the files are, instead of what they look like.")
@click.option("--tag", "tags", callback=tags_given, multiple=True, metavar="KEY=VALUE", help="Tag every new record.")
@click.option("--service", metavar="NAME", help="The service of the records. Default: the name of the format.")
@click.option("--overlap", is_flag=True, help="Count lines beside other calls of the same day and provider.")
@click.option("--dry-run", "dry", is_flag=True, help="Only say what would be new.")
@json_option
@ledger_option
def import_files(path: Path | Server | None, files: Sequence[Path], *, as_json: bool, **asked: Any) -> None:  # noqa: ANN401 - the options
    """Bring the usage in FILES (- for standard input) into the ledger."""
    from otel_aicost.sources.entering import Wishes, entrance  # noqa: PLC0415 - no database to print --help

    settings = recording_settings(path)
    wishes = Wishes(dict(asked["tags"]), asked["service"], overlap=asked["overlap"], dry=asked["dry"])
    with entrance(settings, wishes) as into:
        outcomes = [_imported(file, asked["form"], into) for file in files]
    if as_json:
        write_json({"dry_run": asked["dry"], "files": [outcome.document() for outcome in outcomes]})
    else:
        for outcome in outcomes:
            _tell(outcome, dry=asked["dry"])
    if any(outcome.counts["refused"] for outcome in outcomes):
        click.get_current_context().exit(1)


def recording_settings(path: Path | Server | None) -> Settings:
    """The settings of this process with the ledger that is to be written; mistakes in them are said on stderr."""
    settings, mistakes = config.load()
    for mistake in mistakes:
        click.echo(f"aicost: {mistake}", err=True)
    return replace(settings, ledger=ledger_path(path), enabled=True)


def _imported(file: Path, form: str | None, into: Entrance) -> _Outcome:
    from otel_aicost.sources.entering import BATCH  # noqa: PLC0415
    from otel_aicost.sources.formats import UnknownFormatError, lines  # noqa: PLC0415

    outcome = _Outcome(str(file))
    with opened_file(file) as (source, size), progress_bar(f"importing {file.name}", size) as bar:
        done = 0
        batch: list[Line] = []

        def enter() -> None:
            nonlocal done
            for entered in into.enter(batch):
                outcome.add(entered)
            batch.clear()
            bar.update(source.done - done)
            done = source.done

        try:
            for name, line in lines(source, form):
                outcome.form = name or outcome.form
                batch.append(line)
                if len(batch) == BATCH:
                    enter()
        except UnknownFormatError as error:
            msg = f"{file}: {error}"
            raise click.ClickException(msg) from error
        enter()
    return outcome


@contextmanager
def opened_file(file: Path) -> Iterator[tuple[Source, int]]:
    """The file (or standard input) and its size; 0 where that is not known."""
    from otel_aicost.sources.rows import Source  # noqa: PLC0415 - as above

    if str(file) == "-":
        yield Source(sys.stdin.buffer), 0
        return
    try:
        with file.open("rb") as stream:
            yield Source(stream), file.stat().st_size
    except OSError as error:
        raise click.FileError(str(file), error.strerror or str(error)) from error


def _tell(outcome: _Outcome, *, dry: bool) -> None:
    counts = outcome.counts
    new = "would be new" if dry else "new"
    text = f"{outcome.name}: {counts['new']:,} {new} (${outcome.cost:.6f}), {counts['known']:,} known"
    text += f", {counts['refused']:,} refused"
    if outcome.unpriced:
        text += f"; {outcome.unpriced:,} of the new ones have no price"
    click.echo(f"{text} [{outcome.form or 'empty'}]")
    for told in outcome.told[:SHOWN]:
        click.echo(f"  line {told['line']:,}, {told['state']}: {told['reason']}", err=True)
    if len(outcome.told) > SHOWN:
        click.echo(f"  and {len(outcome.told) - SHOWN:,} more; --json has all of them", err=True)
