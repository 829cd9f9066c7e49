"""`aicost record`: what no instrumented program saw, by hand or from the result of another program."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otel_aicost.cli.import_files import opened_file, recording_settings
from otel_aicost.cli.options import ledger_option, opened, tags_given
from otel_aicost.cli.output import show, write_json
from otel_aicost.ledger.questions import Filter, Sums

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from otel_aicost.config import Server
    from otel_aicost.report.recording import Recorded
    from otel_aicost.sources.claude_code import Run
    from otel_aicost.sources.line import Line

Pairs = tuple[tuple[str, str], ...]
_BY_HAND = ("model", "usage", "cost", "operation", "when", "duration", "identifier")


def _pairs(_: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> Pairs:
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            msg = f"{text!r}: write it as {parameter.metavar}"
            raise click.BadParameter(msg)
    return tuple((name, value) for name, _, value in (text.partition("=") for text in texts))


def _dollars(_: click.Context, __: click.Parameter, text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or not 0 <= amount <= 10**9:
        msg = f"{text!r} is no amount of dollars, for example 2.50"
        raise click.BadParameter(msg)
    return amount


def _moment(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    from otel_aicost.sources.line import MistakeError, moment  # noqa: PLC0415 - nothing of it is needed for --help

    try:
        return None if text is None else moment({"it": text}, "it")
    except MistakeError:
        msg = f"{text!r} is no time, for example 2026-11-21T14:30:00Z"
        raise click.BadParameter(msg) from None


@click.command(
    short_help="Record a call by hand, or from a result of Claude Code.",
    epilog="""\b
Examples:
  aicost record --from claude-code result.json --tag pr=123
  claude -p "..." --output-format json | aicost record --from claude-code - --tag job=nightly
  aicost record --from claude-code metrics.json          (its metrics in OTLP/JSON)
  aicost record --provider openai --model gpt-4o --usage input_tokens=1500 --usage output_tokens=200
  aicost record --provider acme --usage document_pages=12 --cost 0.36 --id invoice-2026-118
  aicost record --from claude-code result.json --tag pr=123 --fail-over 5.00 --format markdown

A result of Claude Code is one record for each model, counted once by its session and uuid. Its tokens are priced here;
its own figure, an estimate, stands in where no price is known. By hand, what has the same --id is counted once. Exit
code 1 if something was refused, or all calls with these tags cost more than --fail-over.""",
)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--from", "source", type=click.Choice(["claude-code"]), help="What the files are of.")
@click.option("--provider", metavar="NAME", help="Who is paid, for example openai.")
@click.option("--model", metavar="NAME", help="The model.")
@click.option("--usage", callback=_pairs, multiple=True, metavar="METER=QUANTITY", help="What was used; repeat it.")
@click.option("--cost", callback=_dollars, metavar="USD", help="What it cost, where the provider says so.")
@click.option("--operation", metavar="NAME", help="What was done, for example chat.  [default: other]")
@click.option(
    "--when", callback=_pairs, multiple=True, metavar="KEY=VALUE", help="A condition of the price; repeat it."
)
@click.option("--at", "at_ns", callback=_moment, metavar="TIME", help="When it began (UTC). Default: now.")
@click.option("--duration", type=click.FloatRange(0), metavar="SECONDS", help="How long it took.")
@click.option("--id", "identifier", metavar="TEXT", help="What it is known by: twice the same is counted once.")
@click.option("--service", metavar="NAME", help="The service of the record.")
@click.option("--tag", "tags", callback=tags_given, multiple=True, metavar="KEY=VALUE", help="Tag it; repeat it.")
@click.option("--overlap", is_flag=True, help="Count it beside what another source told of the same session.")
@click.option("--dry-run", "dry", is_flag=True, help="Only say what would be recorded.")
@click.option(
    "--fail-over", callback=_dollars, metavar="USD", help="Exit code 1 if all calls with these tags cost more."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    show_default=True,
    help="How to write it; markdown is for the summary of a job.",
)
@ledger_option
def record(path: Path | Server | None, files: Sequence[Path], source: str | None, form: str, **asked: Any) -> None:  # noqa: ANN401 - the options
    """Record calls in the ledger: from FILES of another program (- for standard input), or one by hand."""
    from otel_aicost.report import recording  # noqa: PLC0415 - nothing of it is needed for --help
    from otel_aicost.sources.entering import BATCH, Wishes, entrance  # noqa: PLC0415

    _check(files, source, asked)
    settings = recording_settings(path)
    # The tags of this environment are those of the call, as they are in an instrumented program.
    tags = {**settings.tags, **dict(asked["tags"])}
    wishes = Wishes(tags, asked["service"], overlap=asked["overlap"], dry=asked["dry"])
    with entrance(settings, wishes) as into:
        lines = list(_by_hand(asked) if source is None else _of_files(files, asked))
        entered = [each for start in range(0, len(lines), BATCH) for each in into.enter(lines[start : start + BATCH])]
    given = dict(asked["tags"])
    total = None if asked["dry"] or not given else _total(path, given)
    recorded = recording.Recorded(entered, given, total, asked["fail_over"], dry=asked["dry"])
    _write(form, recorded)
    if recorded.refused or recorded.over:
        click.get_current_context().exit(1)


def _check(files: Sequence[Path], source: str | None, asked: Mapping[str, Any]) -> None:
    if asked["fail_over"] is not None and not asked["tags"]:
        msg = "--fail-over holds the calls with the same tags against a limit: name them with --tag"
        raise click.UsageError(msg)
    if source is None:
        if files:
            msg = "--from says what the files are of, for example --from claude-code"
            raise click.UsageError(msg)
        if not asked["provider"] or not (asked["usage"] or asked["cost"] is not None):
            msg = "by hand it takes --provider and --usage or --cost; or --from and files"
            raise click.UsageError(msg)
        return
    if not files:
        msg = "name the files, or - for standard input"
        raise click.UsageError(msg)
    wrong = next((name for name in _BY_HAND if asked[name] not in (None, ()) and name != "model"), None)
    if wrong is not None:
        msg = f"--{'id' if wrong == 'identifier' else wrong} is for a record by hand; the files say it themselves"
        raise click.UsageError(msg)


def _by_hand(asked: Mapping[str, Any]) -> Iterator[Line]:
    from otel_aicost.sources.by_hand import line  # noqa: PLC0415 - nothing of it is needed for --help
    from otel_aicost.sources.line import MistakeError  # noqa: PLC0415

    try:
        yield line(
            provider=asked["provider"],
            model=asked["model"],
            usage=asked["usage"],
            cost=asked["cost"],
            operation=asked["operation"] or "other",
            conditions=dict(asked["when"]),
            started_ns=asked["at_ns"] or time.time_ns() - int((asked["duration"] or 0) * 1e9),
            duration_ns=int((asked["duration"] or 0) * 1e9),
            known_by=asked["identifier"],
        )
    except MistakeError as error:
        msg = f"--usage: {error}"
        raise click.UsageError(msg) from None


def _of_files(files: Sequence[Path], asked: Mapping[str, Any]) -> Iterator[Line]:
    from otel_aicost.sources import claude_code, claude_metrics  # noqa: PLC0415 - nothing of it is needed for --help
    from otel_aicost.sources.line import MistakeError  # noqa: PLC0415

    for file in files:
        with opened_file(file) as (stream, _):
            said = stream.readall().decode("utf-8-sig", "replace")
        reader = claude_metrics.lines if claude_metrics.recognises(said) else claude_code.lines
        try:
            yield from reader(said, _run(file, asked))
        except MistakeError as error:
            msg = f"{file}: {error}"
            raise click.ClickException(msg) from None


def _run(file: Path, asked: Mapping[str, Any]) -> Run:
    """A result does not say when it was: when its file was written, unless --at does."""
    from otel_aicost.sources.claude_code import Run  # noqa: PLC0415

    written = time.time_ns() if str(file) == "-" else file.stat().st_mtime_ns
    return Run(asked["at_ns"] or written, asked["model"], asked["provider"])


def _total(path: Path | Server | None, tags: Mapping[str, str]) -> Sums:
    from otel_aicost.ledger.opening import NoLedgerYetError  # noqa: PLC0415 - as below
    from otel_aicost.ledger.queries import Query  # noqa: PLC0415 - SQLAlchemy takes 0.3 s

    try:
        ledger = opened(path)
    except NoLedgerYetError:  # nothing was there to record, and nothing before
        return Sums()
    with ledger.read() as connection:
        return Query(ledger, connection).totals(Filter(tags=tuple(tags.items())))


def _write(form: str, recorded: Recorded) -> None:
    from otel_aicost.report import recording  # noqa: PLC0415

    if form == "json":
        write_json(recording.document(recorded))
    elif form == "markdown":
        at = datetime.now(UTC)
        click.echo(recording.markdown(recorded, f"What it cost ({at:%Y-%m-%d %H:%M} UTC)"))
    else:
        show(recording.tables(recorded))
    for each in recorded.refused:
        click.echo(f"aicost: line {each.number:,} is refused: {each.reason}", err=True)
    if recorded.over:
        click.echo("aicost: all calls with these tags cost more than --fail-over allows", err=True)
