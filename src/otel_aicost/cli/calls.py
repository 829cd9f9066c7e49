"""`aicost calls`: single calls, newest first, or one of them whole."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from otel_aicost.cli.options import chosen, filters, format_option, known_tags, ledger_option, opened
from otel_aicost.cli.output import Answer, emit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from otel_aicost.ledger.queries import Query
    from otel_aicost.ledger.questions import Filter

LIMIT = 50


@click.command(
    epilog="""\b
Examples:
  aicost calls
  aicost calls --provider anthropic --status error --days 7
  aicost calls --tag feature=search --limit 200 --format json
  aicost calls --unpriced
  aicost calls --job nightly --batch 2026-11-21
  aicost calls --id 01990000-0000-7000-8000-00000000002a

Calls older than OTEL_AICOST_RETENTION_DAYS are no longer single calls; `aicost report` still counts them."""
)
@filters
@click.option("--unpriced", is_flag=True, help="Only calls whose cost nobody knows.")
@click.option("--estimated", is_flag=True, help="Only calls whose usage is our estimate.")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", default=LIMIT, show_default=True, help="At most so many calls."
)
@click.option("--id", "identifier", metavar="ID", help="Show this one call whole, with its bill.")
@format_option("table", "json", "csv")
@ledger_option
def calls(path: Path | None, identifier: str | None, limit: int, form: str, **options: Any) -> None:  # noqa: ANN401
    """List single calls, the newest first."""
    from otel_aicost.ledger.queries import Query  # noqa: PLC0415 - SQLAlchemy takes 0.3 s

    where = chosen(options)
    ledger = opened(path)
    with ledger.read() as connection:
        query = Query(ledger, connection)
        answer = _listed(query, where, limit) if identifier is None else _one(query, identifier)
    emit(form, answer)


def _one(query: Query, identifier: str) -> Answer:
    from otel_aicost.report.calls import adjustment_tables, call_tables  # noqa: PLC0415
    from otel_aicost.report.documents import CALL_FIELDS, adjustment_document, call_document  # noqa: PLC0415

    row = query.call(identifier.strip().lower())
    if row is None:
        msg = f"there is no call {identifier!r} in the ledger {query.ledger.path}"
        raise click.UsageError(msg)
    changes = query.adjustments(row["id"])
    return Answer(
        tables=lambda: chain(call_tables(row), adjustment_tables(changes)),
        document=lambda: {**call_document(row), "adjustments": [adjustment_document(each) for each in changes]},
        rows=lambda: [call_document(row)],
        fields=CALL_FIELDS,
    )


def _listed(query: Query, where: Filter, limit: int) -> Answer:
    from otel_aicost.report.documents import CALL_FIELDS, call_document  # noqa: PLC0415

    rows = query.calls(where, limit + 1)
    if not rows:
        known_tags(query, (key for key, _ in where.tags))
    more, rows = len(rows) > limit, rows[:limit]
    return Answer(
        tables=lambda: _tables(rows, where, more=more),
        document=lambda: {"calls": [call_document(row) for row in rows], "more": more},
        rows=lambda: map(call_document, rows),
        fields=CALL_FIELDS,
    )


def _tables(rows: Sequence[Mapping[str, Any]], where: Filter, *, more: bool) -> Iterator[RenderableType]:
    from otel_aicost.report.calls import calls_table  # noqa: PLC0415
    from otel_aicost.report.tables import nothing  # noqa: PLC0415

    if not rows:
        yield nothing(where)
        return
    yield calls_table(rows)
    if more:
        yield f"The newest {len(rows):,}; there are more: --limit N."
