"""`aicost estimate`: what planned calls would cost a month, and which budget fits them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from otel_aicost.cli.options import json_option
from otel_aicost.cli.output import show, write_json
from otel_aicost.cli.price_lists import in_force, prices_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_aicost.scenarios.scenario import Scenario


@click.command(
    short_help="Say what planned calls would cost a month.",
    epilog="""\b
Examples:
  aicost estimate scenario.yaml
  aicost estimate scenario.yaml --scenario studio --headroom 50
  aicost estimate scenario.yaml --json

The budget is what a month is expected to cost and the headroom, rounded up to two digits that are not zero. Every
mistake in the file is told with its line. Exit code 1 for a mistake, and for a call that has no price: sums are then
without it, and no budget is recommended. Nothing is sent, recorded or read from a ledger.""",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="SCENARIO.yaml")
@click.option("--scenario", "names", multiple=True, metavar="NAME", help="Only this scenario; may be repeated.")
@click.option(
    "--headroom",
    type=click.IntRange(0, 1000),
    default=20,
    show_default=True,
    metavar="PERCENT",
    help="How much a budget has on top of what is expected.",
)
@prices_option
@json_option
def estimate(file: Path, names: tuple[str, ...], headroom: int, prices_file: Path | None, *, as_json: bool) -> None:
    """Say what the calls in SCENARIO.yaml would cost a session and a month, and recommend a budget."""
    from otel_aicost.report import scenarios as report  # noqa: PLC0415 - rich takes 0.1 s
    from otel_aicost.scenarios.estimating import estimated  # noqa: PLC0415
    from otel_aicost.scenarios.reading import read_scenarios  # noqa: PLC0415 - YAML takes 0.05 s

    scenarios = _chosen(read_scenarios(file), names)
    catalogue, now_ns = in_force(prices_file), time.time_ns()
    estimates = [estimated(scenario, catalogue, now_ns, headroom) for scenario in scenarios]
    if as_json:
        write_json(report.document(estimates, catalogue.version))
    else:
        show(report.tables(estimates))
    if any(estimate.unpriced for estimate in estimates):
        raise click.exceptions.Exit(1)


def _chosen(scenarios: Sequence[Scenario], names: Sequence[str]) -> list[Scenario]:
    known = {scenario.name for scenario in scenarios}
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        msg = f"{unknown!r} is not in the file; there are {', '.join(scenario.name for scenario in scenarios)}"
        raise click.BadParameter(msg, param_hint="--scenario")
    return [scenario for scenario in scenarios if not names or scenario.name in names]
