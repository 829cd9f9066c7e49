"""`aicost doctor`: whether all is in place, and why a call might not show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from otel_aicost.cli.options import ledger_option
from otel_aicost.cli.output import show, write_json
from otel_aicost.config import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from otel_aicost.cli.checks import Section

MARKS = {"fine": ("ok", "green"), "note": ("note", "yellow"), "wrong": ("WRONG", "bold red")}


@click.command(
    short_help="Say what is wrong, and why a call might not show.",
    epilog="""\b
Examples:
  aicost doctor
  aicost doctor --json

It looks at the environment it runs in: run it where, and as whom, the program runs.
Exit code 1 if anything is WRONG, else 0.""",
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")
@ledger_option
def doctor(path: Path | Server | None, *, as_json: bool) -> None:
    """Check settings, ledger, SDKs and prices; say why a call might not show."""
    sections = _examined(path)
    wrong = sum(finding.level == "wrong" for section in sections for finding in section.findings)
    if as_json:
        write_json(_document(sections, wrong))
    else:
        show(_tables(sections, wrong))
    if wrong:
        raise click.exceptions.Exit(1)


def _examined(path: Path | Server | None) -> list[Section]:
    from otel_aicost import config  # noqa: PLC0415 - all of this only when the doctor is called
    from otel_aicost.cli.checks import environment, stored  # noqa: PLC0415
    from otel_aicost.cli.checks.absence import absence  # noqa: PLC0415

    settings, _ = config.load()
    place = path or settings.ledger
    stored_section, ledger = stored.ledger(place if place is None or isinstance(place, Server) else place.absolute())
    return [
        environment.instrumentation(),
        environment.sdks(),
        environment.patched(),
        environment.settings(),
        stored_section,
        stored.prices(settings),
        environment.exporters(),
        absence(ledger),
    ]


def _document(sections: Sequence[Section], wrong: int) -> dict[str, Any]:
    return {
        "ok": not wrong,
        "wrong": wrong,
        "sections": [
            {
                "name": section.name,
                "facts": section.facts,
                "findings": [{"level": each.level, "text": each.text} for each in section.findings],
            }
            for section in sections
        ],
    }


def _tables(sections: Sequence[Section], wrong: int) -> Iterator[RenderableType]:
    from rich.text import Text  # noqa: PLC0415

    from otel_aicost.report.screen import facts, harmless, heading  # noqa: PLC0415

    for section in sections:
        yield heading(section.name)
        if section.facts:
            yield facts((f"  {name}", _said(value)) for name, value in section.facts.items())
        for finding in section.findings:
            mark, style = MARKS[finding.level]
            yield Text.assemble("  ", (f"{mark:<6}", style), harmless(finding.text))
        yield ""
    yield Text(f"{wrong} things are wrong." if wrong > 1 else "One thing is wrong." if wrong else "All is in place.")


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value) or "(empty)"
