"""`aicost ledger ship`: sending what waits in an outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from otel_aicost import config
from otel_aicost.cli.options import ledger_option, ledger_path
from otel_aicost.config import Server

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    epilog="""\b
Examples:
  aicost ledger ship
  aicost ledger ship --outbox /mnt/old-host/outbox.db

Calls wait in the outbox of a host while the server is away. A program that runs sends them by itself, seconds after the
server is back; this is for a host on which none runs any more. What the server has already is not counted again."""
)
@click.option("--outbox", type=click.Path(), metavar="FILE", help="The outbox, instead of the one of this host.")
@ledger_option
def ship(path: Path | Server | None, outbox: str | None) -> None:
    """Send the calls that wait in the outbox to the server."""
    from pathlib import Path  # noqa: PLC0415 - above, for types only

    from otel_aicost.ledger import fleet  # noqa: PLC0415 - no database to print --help

    server = ledger_path(path)
    if not isinstance(server, Server):
        msg = f"{server} is a file: calls are written to it at once, and none waits in an outbox"
        raise click.UsageError(msg)
    place = server.outbox if outbox is None else Path(outbox).expanduser()
    if outbox is not None and not place.exists():
        msg = f"there is no outbox {place}"
        raise click.UsageError(msg)
    sent = fleet.ship(place, server, total_tags=config.load()[0].metric_tags)
    click.echo(f"{sent:,} calls sent from {place} to {server}")
