"""`aicost budgets explain`: what one call has to do with each budget."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import click

from otel_aicost.cli.options import config_option, json_option, ledger_option, ledger_path, planned
from otel_aicost.cli.output import show, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from otel_aicost.ledger.store import Connection

LEAST = 8
SHOWN = 5
_ID = re.compile(r"[0-9a-f-]+")


@click.command(
    epilog="""\b
Examples:
  aicost budgets explain 019a9c3e-77b0-7d5e-a1b2-c3d4e5f60718
  aicost budgets explain 019a9c3e-77b0
  aicost budgets explain 019a9c3e-77b0 --config aicost.yaml --json

CALL_ID is what `aicost calls` shows; its first 8 characters or more do if no other call begins so."""
)
@click.argument("call_id")
@json_option
@config_option
@ledger_option
def explain(path: Path | None, config_file: Path | None, call_id: str, *, as_json: bool) -> None:
    """Say which budgets a call was held against, which not, and why."""
    from otel_aicost.ledger.accounts import entries_of  # noqa: PLC0415 - no database to print --help
    from otel_aicost.ledger.limits import definitions  # noqa: PLC0415
    from otel_aicost.ledger.opening import looking  # noqa: PLC0415
    from otel_aicost.report import accounts as report  # noqa: PLC0415 - rich takes 0.1 s

    prefix = call_id.strip().lower()
    if len(prefix) < LEAST or not _ID.fullmatch(prefix):
        msg = f"{call_id!r} is no id of a call: give {LEAST} characters of it or more, as `aicost calls` shows them"
        raise click.UsageError(msg)
    defined = planned(config_file)
    with looking(ledger_path(path)) as connection:
        call = _only(connection, prefix)
        entries = entries_of(connection, call["id"], time.time_ns())
        budgets = list(defined or definitions(connection).values())
    account = report.Account(call, entries, budgets)
    if as_json:
        write_json(report.document(account))
    else:
        show(report.tables(account))


def _only(connection: Connection, prefix: str) -> Mapping[str, Any]:
    from otel_aicost.ledger.accounts import calls_beginning  # noqa: PLC0415 - as above

    found = calls_beginning(connection, prefix, SHOWN + 1)
    if len(found) == 1:
        return found[0]
    if not found:
        msg = f"there is no call {prefix!r} in the ledger; it may be older than what is kept of single calls"
    else:
        some = ", ".join(str(call["id"]) for call in found[:SHOWN])
        msg = f"several calls begin with {prefix!r}, give more of it: {some}{' ...' if len(found) > SHOWN else ''}"
    raise click.UsageError(msg)
