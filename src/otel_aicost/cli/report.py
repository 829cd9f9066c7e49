"""`aicost report`: what a period cost, at a glance or by any dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from otel_aicost.cli.options import chosen, filters, format_option, known_tags, ledger_option, opened, today
from otel_aicost.cli.output import Answer, emit
from otel_aicost.ledger.questions import tag_name
from otel_aicost.tags import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from otel_aicost.ledger.queries import Query
    from otel_aicost.ledger.questions import Filter

DAYS = 30
TOP = 10


def _dimensions(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    """`a,b` as names, each a dimension or the key of a tag."""
    by = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    if text is not None and not by:
        msg = "name at least one dimension, for example model"
        raise click.BadParameter(msg)
    for name in by:
        if not KEY.fullmatch(name.removeprefix("tag:")):
            msg = f"{name!r} is neither a dimension nor the key of a tag"
            raise click.BadParameter(msg)
        if by.count(name) > 1:
            msg = f"{name!r} is named twice"
            raise click.BadParameter(msg)
    return by


@click.command(
    short_help="Show what AI calls cost, at a glance or by anything.",
    epilog="""\b
Examples:
  aicost report
  aicost report --days 7 --by feature,model
  aicost report --since 2026-11-01 --until 2026-11-30 --by user --top 20
  aicost report --by day --model 'claude-*' --tag team=search --format csv
  aicost report --pr 123 --by model             what the work on a pull request cost

Without --since, --until and --days: the last 30 days. Days are days of UTC.""",
)
@filters
@click.option(
    "--by",
    callback=_dimensions,
    metavar="A,B",
    help="Group by these: model, provider, operation, day, service, status, usage_state, unpriced, "
    "estimated, cost_source, "
    "or the key of any tag (feature, user ...); tag:NAME for a tag named like one of the others.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"At most N rows a table; without --by {TOP} unless told.",
)
@format_option("table", "json", "csv")
@ledger_option
def report(path: Path | None, by: tuple[str, ...], top: int | None, form: str, **options: Any) -> None:  # noqa: ANN401
    """Show what AI calls cost: an overview, or sums grouped --by anything."""
    from otel_aicost.ledger.queries import Query  # noqa: PLC0415 - SQLAlchemy takes 0.3 s

    where = chosen(options, DAYS)
    ledger = opened(path)
    with ledger.read() as connection:
        query = Query(ledger, connection)
        answer = _grouped(query, where, by, top) if by else _overview(query, where, top or TOP)
    emit(form, answer)


def _overview(query: Query, where: Filter, top: int) -> Answer:
    from otel_aicost.report import documents, overview, tables  # noqa: PLC0415

    found = overview.overview(query, where, top, today())
    if not found.total.calls:
        known_tags(query, (key for key, _ in where.tags))
    return Answer(
        tables=lambda: tables.overview_tables(found, where),
        document=lambda: documents.overview_document(found, where),
        rows=lambda: documents.overview_rows(found),
        fields=("section", "name", "provider", *documents.SUM_FIELDS),
    )


def _grouped(query: Query, where: Filter, by: tuple[str, ...], top: int | None) -> Answer:
    from otel_aicost.report import documents, overview, tables  # noqa: PLC0415

    clash = next((name for name in by if name in documents.SUM_FIELDS), None)
    if clash is not None:
        msg = f"--by {clash}: a sum has that name; write tag:{clash} for the tag"
        raise click.UsageError(msg)
    found, trust = overview.grouped(query, where, by, top), overview.trust(query, where)
    absent = {tag_name(name) for place, name in enumerate(by) if not any(g.keys[place] for g in found.groups)}
    known_tags(query, [*(key for key in absent if key), *(key for key, _ in where.tags if not found.groups)])
    return Answer(
        tables=lambda: tables.table_tables(found, trust, where),
        document=lambda: documents.table_document(found, trust, where),
        rows=lambda: documents.table_rows(found),
        fields=(*by, *documents.SUM_FIELDS),
    )
