"""`docs/scenarios.md` shows what the command prints for the committed examples.

`python tests/scenarios/test_scenarios_docs.py` writes the shown output anew.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from unittest import mock

import pytest
from click.testing import CliRunner

from otel_aicost.cli.app import app
from otel_aicost.prices.base import Base
from otel_aicost.prices.catalogue import Catalogue, load_supplement
from otel_aicost.scenarios.estimating import estimated
from otel_aicost.scenarios.reading import parse

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "scenarios.md"
BLOCK = re.compile(r"<!-- output: (.*?) -->\n(?:```\w*\n.*?\n```\n)?", re.DOTALL)
YAML = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def _shown(typed):
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        with mock.patch.dict(os.environ):
            os.environ.pop("OTEL_AICOST_PRICES", None)
            result = CliRunner().invoke(app, shlex.split(typed)[1:], prog_name="aicost")
    finally:
        os.chdir(here)
    assert result.exit_code == 0, result.output
    return f"<!-- output: {typed} -->\n```console\n$ {typed}\n{result.stdout.rstrip()}\n```\n"


@pytest.mark.parametrize("typed", BLOCK.findall(PAGE.read_text()))
def test_what_is_shown_is_what_is_printed(typed):
    """Each block of the page is, to the letter, what the command prints."""
    assert _shown(typed) in PAGE.read_text()


def test_every_example_is_shown():
    """No committed scenario without its output on the page."""
    shown = {shlex.split(typed)[2] for typed in BLOCK.findall(PAGE.read_text())}
    assert shown == {str(path.relative_to(ROOT)) for path in (ROOT / "examples" / "scenarios").glob("*.yaml")}


@pytest.mark.parametrize("text", YAML.findall(PAGE.read_text()))
def test_the_files_of_the_page_can_be_estimated(text):
    """Every YAML file on the page is one, and all of its calls have a price."""
    catalogue = Catalogue(Base(), load_supplement())
    for scenario in parse(text.encode(), "scenarios.md"):
        found = estimated(scenario, catalogue, 1_795_305_600 * 10**9)
        assert found.unpriced == ()
        assert found.advice is not None


if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(lambda found: _shown(found[1]), PAGE.read_text()))
