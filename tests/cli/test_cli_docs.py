"""`docs/cli.md` and `docs/configuration.md` show the command and the settings as they are.

`python tests/cli/test_cli_docs.py` writes the shown help and output anew.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from itertools import count
from pathlib import Path
from unittest import mock

import click
import pytest
from click.testing import CliRunner

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import ledgers
import records
from otel_aicost import config
from otel_aicost.cli.app import app

DOCS = Path(__file__).parents[2] / "docs"
CLI = DOCS / "cli.md"
CONFIGURATION = DOCS / "configuration.md"
BLOCK = re.compile(r"<!-- (help|output): (.*?) -->\n(?:```\w*\n.*?\n```\n)?", re.DOTALL)
WIDTH = 100


def _commands(command=app, path="aicost"):
    """Every command and group, by what is typed."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{path} {name}")


def _run(typed, directory):
    ledger = directory / "ledger.db"
    if not ledger.exists():
        with mock.patch.object(records, "_numbers", count(1)):
            ledgers.write(ledger, *ledgers.sample())
    with mock.patch.dict(os.environ, {"OTEL_AICOST_LEDGER": str(ledger)}):
        result = CliRunner().invoke(app, shlex.split(typed)[1:], prog_name="aicost", terminal_width=WIDTH)
    assert result.exit_code == 0, result.output
    return result.stdout.rstrip("\n")


def _shown(kind, typed, directory):
    command = f"{typed} --help" if kind == "help" else typed
    return f"<!-- {kind}: {typed} -->\n```console\n$ {command}\n{_run(command, directory)}\n```\n"


def _renewed(text, directory):
    return BLOCK.sub(lambda found: _shown(*found.groups(), directory), text)


def test_every_command_shows_its_help():
    """Every command and group has its help in docs/cli.md."""
    shown = {typed for kind, typed in BLOCK.findall(CLI.read_text()) if kind == "help"}
    assert shown == {typed for typed, _ in _commands()}


@pytest.mark.parametrize(("kind", "typed"), BLOCK.findall(CLI.read_text()))
def test_what_is_shown_is_what_is_printed(kind, typed, tmp_path):
    """Each block of docs/cli.md is, to the letter, what the command prints."""
    assert _shown(kind, typed, tmp_path) in CLI.read_text()


@pytest.mark.parametrize(("typed", "command"), list(_commands()))
def test_every_command_explains_itself(typed, command):
    """Every command has a sentence, an example that begins with it, and help for each of its options."""
    assert command.help
    assert f"  {typed}" in (command.epilog or "")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", [name for name, _ in config._VARIABLES.values()])
def test_every_variable_is_documented(name):
    """Every variable stands in the table and has a section with default, example and what a mistake does."""
    text = CONFIGURATION.read_text()
    assert f"| [`{name}`](#{name.lower()}) |" in text
    section = text.split(f"## {name}\n")[1].split("\n## ")[0]
    for part in ("- Default: ", f"- Example: `{name}=", "- Mistake: "):
        assert part in section


def test_no_other_variable_is_documented():
    """A variable that is gone from the program is gone from the page."""
    documented = set(re.findall(r"^## (OTEL_AICOST_\w+)$", CONFIGURATION.read_text(), re.MULTILINE))
    assert documented == {name for name, _ in config._VARIABLES.values()}


@pytest.mark.parametrize("value", re.findall(r"- Example: `(OTEL_AICOST_\w+=[^`]+)`", CONFIGURATION.read_text()))
def test_examples_hold(value):
    """Every example is a value that the settings accept."""
    (word,) = shlex.split(value)
    name, _, text = word.partition("=")
    assert config.load({name: text})[1] == []


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        CLI.write_text(_renewed(CLI.read_text(), Path(made)))
