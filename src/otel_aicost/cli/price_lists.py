"""What the commands about prices share: the lists in force, whether they are stale, how prices are written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from otel_aicost import config
from otel_aicost.names import ENV_PRICES

if TYPE_CHECKING:
    from decimal import Decimal

    from rich.console import RenderableType

    from otel_aicost.prices.catalogue import Catalogue

prices_option = click.option(
    "--prices",
    "prices_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"The price file to use, instead of the one in {ENV_PRICES}.",
)


def in_force(prices_file: Path | None) -> Catalogue:
    """The catalogue that calls of now are priced with; a file that cannot be used is an error here."""
    from otel_aicost.prices.catalogue import Catalogue  # noqa: PLC0415 - takes a third of a second
    from otel_aicost.prices.reading import read_price_file  # noqa: PLC0415

    path = user_file(prices_file)
    if path is not None:
        read_price_file(path)
    return Catalogue.load(path, config.load()[0].price_data)


def user_file(prices_file: Path | None = None) -> Path | None:
    """The user's price file: the one named, that of the environment, or the one that was fetched."""
    from otel_aicost.prices.editions import USER_FILE  # noqa: PLC0415

    settings, _ = config.load()
    fetched = settings.price_data / USER_FILE
    return prices_file or settings.prices or (fetched if fetched.is_file() else None)


def stale_days() -> int | None:
    """After how many days prices are stale; `None`: never."""
    return config.stale_days(config.load_budgets(config.load()[0])[0])


def warn_of_stale(catalogue: Catalogue) -> None:
    """Say on stderr which prices are stale."""
    from otel_aicost.prices.staleness import stale  # noqa: PLC0415

    for sentence in stale(catalogue, stale_days()):
        click.echo(f"aicost: warning: {sentence}", err=True)


def line(text: str) -> RenderableType:
    """Return a line of text as it stands: brackets of a pattern are no markup."""
    from rich.text import Text  # noqa: PLC0415

    from otel_aicost.report.screen import harmless  # noqa: PLC0415

    return Text(harmless(text))


def plain(amount: Decimal) -> str:
    """Return dollars without an exponent or zeros at the end, with cents at the least."""
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
