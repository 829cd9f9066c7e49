"""`aicost ledger verify`: whether the ledger agrees with itself."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import groupby
from typing import TYPE_CHECKING

import click

from otel_aicost.cli.options import json_option, ledger_option, ledger_path
from otel_aicost.cli.output import write_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from otel_aicost.config import Server
    from otel_aicost.ledger.verify import Finding

SHOWN = 20
"""So many findings of a kind are printed; all of them are in the JSON."""


@click.command(
    epilog="""\b
Examples:
  aicost ledger verify
  aicost ledger verify --json
  aicost ledger verify --repair

It rebuilds what is spent in every window from its entries and what is reserved from the reservations, compares the
entries with the calls that are still there, looks at the daily totals, and lets SQLite check its file. All of it is of
one moment, and programs may write meanwhile. Exit code 1 if anything differs. --repair writes the balances anew, in one
transaction, with an event for each (aicost budgets history); calls are never changed."""
)
@click.option("--repair", "mend", is_flag=True, help="Write the balances that differ anew.")
@json_option
@ledger_option
def verify(path: Path | Server | None, *, as_json: bool, mend: bool) -> None:
    """Rebuild every balance from the rows and say where they differ."""
    from otel_aicost.ledger import verify as checks  # noqa: PLC0415 - no database to print --help
    from otel_aicost.ledger.opening import looking  # noqa: PLC0415

    file = ledger_path(path)
    repaired = _repair(file) if mend else 0
    with looking(file) as connection:
        counts = checks.checked(connection)
        found = [*checks.integrity(connection), *checks.findings(connection, time.time_ns())]
    wrong = sum(finding.level == checks.WRONG for finding in found)
    if as_json:
        write_json(
            {
                "checked": counts,
                "repaired": repaired,
                "wrong": wrong,
                "findings": [finding._asdict() for finding in found],
            }
        )
    else:
        _say(found, counts, repaired)
    if wrong:
        raise click.exceptions.Exit(1)


def _repair(file: Path | Server) -> int:
    from otel_aicost.ledger import events  # noqa: PLC0415 - as above
    from otel_aicost.ledger import verify as checks  # noqa: PLC0415
    from otel_aicost.ledger.opening import changing  # noqa: PLC0415

    with closing(changing(file)) as store, store.transaction() as connection:
        store.lock(checks.differing_keys(connection))
        return checks.repair(connection, events.whoami(), time.time_ns())


def _say(found: Sequence[Finding], counts: dict[str, int], repaired: int) -> None:
    from otel_aicost.ledger.verify import NOTE  # noqa: PLC0415 - as above
    from otel_aicost.report.screen import harmless  # noqa: PLC0415 - rich takes 0.1 s

    for (level, kind), group in groupby(found, key=lambda finding: (finding.level, finding.kind)):
        alike = list(group)
        for finding in alike[:SHOWN]:
            click.echo(harmless(("note: " if level == NOTE else "WRONG: ") + finding.text))
        if len(alike) > SHOWN:
            click.echo(f"... and {len(alike) - SHOWN:,} more like this ({kind}): --json")
    if repaired:
        click.echo(f"{repaired:,} balances were written anew")
    wrong = sum(finding.level != NOTE for finding in found)
    said = f"{wrong:,} differences" if wrong else "all agrees"
    click.echo(f"checked {', '.join(f'{count:,} {name}' for name, count in counts.items())}: {said}")
