"""`aicost export`: every call that matches, to a file or a pipe, in constant memory."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from otel_aicost.cli.options import chosen, filters, format_option, known_tags, ledger_option, opened
from otel_aicost.cli.output import json_text, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otel_aicost.ledger.queries import Query
    from otel_aicost.ledger.questions import Filter


@click.command(
    short_help="Write every call as CSV or JSON.",
    epilog="""\b
Examples:
  aicost export --output calls.csv
  aicost export --since 2026-11-01 --until 2026-11-30 --format jsonl | gzip > november.jsonl.gz
  aicost export --tag team=search --format json --output search.json --force
  aicost export --pr 123 --format jsonl

Rows of kind `call` are single calls. Rows of kind `day` stand for calls older than
OTEL_AICOST_RETENTION_DAYS: `calls` of them that were alike, with their sums. Add up `cost_usd` over both.""",
)
@filters
@format_option("csv", "json", "jsonl")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write here instead of to standard output.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@ledger_option
def export(path: Path | None, output: Path | None, form: str, *, force: bool, **options: Any) -> None:  # noqa: ANN401
    """Write every call as CSV, JSON or JSON lines, the oldest first."""
    from otel_aicost.ledger.queries import Query  # noqa: PLC0415 - SQLAlchemy takes 0.3 s

    where = chosen(options)
    ledger = opened(path)
    with ledger.read() as connection, _target(output, force=force) as stream:
        query = Query(ledger, connection)
        number = query.count(where)
        if not number:
            known_tags(query, (key for key, _ in where.tags))
        _write(stream, form, _counted(_documents(query, where), number, to_file=output is not None))
    if output is not None:
        click.echo(f"{number:,} rows in {output}", err=True)


def _documents(query: Query, where: Filter) -> Iterator[dict[str, Any]]:
    from otel_aicost.report.documents import exported_call, exported_day  # noqa: PLC0415

    yield from map(exported_day, query.every_rollup(where))
    yield from map(exported_call, query.every_call(where))


def _write(stream: TextIO, form: str, documents: Iterable[Mapping[str, Any]]) -> None:
    from otel_aicost.report.documents import EXPORT_FIELDS  # noqa: PLC0415

    if form == "csv":
        write_csv(stream, EXPORT_FIELDS, documents)
    elif form == "jsonl":
        stream.writelines(json_text(document) + "\n" for document in documents)
    else:
        before = "[\n"
        for document in documents:
            stream.write(before + json_text(document))
            before = ",\n"
        stream.write("[]\n" if before == "[\n" else "\n]\n")


def _counted(rows: Iterable[dict[str, Any]], number: int, *, to_file: bool) -> Iterator[dict[str, Any]]:
    """The rows, with a progress bar on stderr where a person watches and the rows go elsewhere."""
    if not sys.stderr.isatty() or (sys.stdout.isatty() and not to_file):
        yield from rows
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import track  # noqa: PLC0415

    yield from track(rows, "Exporting", total=number, console=Console(stderr=True), transient=True)


@contextmanager
def _target(output: Path | None, *, force: bool) -> Iterator[TextIO]:
    """Where to write. A file appears when it is complete: an export broken off leaves nothing behind."""
    if output is None or str(output) == "-":
        yield sys.stdout
        return
    if output.exists() and not force:
        msg = f"{output} exists; --force replaces it"
        raise click.UsageError(msg)
    unfinished: str | None = None
    try:
        # Readable by its owner only, as the ledger is: it tells who asked what.
        handle, unfinished = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            yield stream
        Path(unfinished).replace(output)
        unfinished = None
    except OSError as error:
        raise click.FileError(str(output), error.strerror or str(error)) from error
    finally:
        if unfinished is not None:
            Path(unfinished).unlink(missing_ok=True)
