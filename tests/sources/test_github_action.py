"""The composite action and the workflow of examples/github-actions are valid, and their steps do what they say."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "examples" / "github-actions" / "claude-cost" / "action.yml"
WORKFLOW = ROOT / "examples" / "github-actions" / "claude-review.yml"
RESULT = Path(__file__).parent / "data" / "result.json"
STEPS = {step["name"]: step for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"]}
EXPRESSION = re.compile(r"\$\{\{ (.*?) \}\}")


@pytest.mark.parametrize(("path", "schema"), [(ACTION, "github-actions"), (WORKFLOW, "github-workflows")])
def test_they_are_valid(path, schema):
    """GitHub's own schemas find nothing wrong with them."""
    typed = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    done = subprocess.run(typed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [ACTION, WORKFLOW])
def test_nothing_of_outside_becomes_a_command(path):
    """No script holds an expression: what comes from outside goes through the environment."""
    scripts = re.findall(r"run: \|\n((?:\s{8,}.*\n|\n)+)", path.read_text())
    assert scripts
    assert not any("${{" in script for script in scripts)


def test_the_workflow_gives_what_the_action_takes():
    """The workflow uses the action with inputs that it has, and names where it is to be copied to."""
    (job,) = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    (step,) = [step for step in job["steps"] if step.get("uses", "").endswith("claude-cost")]
    assert step["uses"] == f"./.github/actions/{ACTION.parent.name}"
    assert step["with"].keys() <= yaml.safe_load(ACTION.read_text())["inputs"].keys()


@pytest.fixture
def runner(tmp_path, monkeypatch):
    """A machine with `aicost` on its PATH, an empty directory and a ledger of its own."""
    command = tmp_path / "bin" / "aicost"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m otel_aicost.cli "$@"\n')
    command.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    return Runner(tmp_path, work)


class Runner:
    def __init__(self, directory, work):
        self.directory = directory
        self.work = work
        self.summary = directory / "summary.md"
        self.ledger = directory / "aicost" / "ledger.db"
        self.outputs = {}

    def run(self, name, **given):
        """Run the step `name` of the action with these inputs."""
        inputs = {key: each.get("default", "") for key, each in yaml.safe_load(ACTION.read_text())["inputs"].items()}
        known = {
            **{f"inputs.{key}": value for key, value in {**inputs, **given}.items()},
            **{f"steps.record.outputs.{key}": value for key, value in self.outputs.items()},
            "github.event.pull_request.number": "123",
            "github.repository": "acme/shop",
            "github.job": "review",
            "format('{0}/aicost/ledger.db', runner.temp)": str(self.ledger),
        }
        step, out = STEPS[name], self.directory / "outputs"
        out.write_text("")
        environment = {
            **os.environ,
            **{key: EXPRESSION.sub(lambda found: _value(found[1], known), text) for key, text in step["env"].items()},
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(out),
            "RUNNER_TEMP": str(self.directory),
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.outputs |= dict(line.split("=", 1) for line in out.read_text().splitlines())
        return done


def _value(expression, known):
    return next((value for each in expression.split(" || ") if (value := str(known[each]))), "")


def test_a_run_is_recorded(runner):
    """The summary shows what the run cost, the outputs are set, and the ledger has it under the pull request."""
    (runner.work / "result.json").write_text(RESULT.read_text())
    done = runner.run("Record", result="result.json", tags="team=search\nstage=review\n")
    assert done.returncode == 0, done.stderr
    text = runner.summary.read_text()
    assert "| claude-sonnet-4-5-20250929 | 99,000 | 90,000 | 8,000 | 2,000 | \\$0.100000 | new |" in text
    assert "All 2 calls with pr=123, repository=acme/shop: \\$0.1011." in text
    assert runner.outputs == {"cost-usd": "0.101100", "total-usd": "0.1011", "over-budget": "false", "refused": "0"}
    typed = [sys.executable, "-m", "otel_aicost.cli", "calls", "--pr", "123", "--format", "json"]
    shown = subprocess.run([*typed, "--ledger", str(runner.ledger)], capture_output=True, check=True)
    tags = {"pr": "123", "repository": "acme/shop", "job": "review", "team": "search", "stage": "review"}
    assert [call["tags"] for call in json.loads(shown.stdout)["calls"]] == [tags, tags]
    assert runner.run("Hold it against the budget").returncode == 0


def test_runs_of_a_pull_request_add_up(runner):
    """The budget is for all runs of a pull request: the one that passes it fails the job, after it is recorded."""
    result = json.loads(RESULT.read_text())
    for number, (total, over) in enumerate([("0.1011", "false"), ("0.2022", "true")]):
        (runner.work / "result.json").write_text(json.dumps({**result, "uuid": f"run-{number}"}))
        assert runner.run("Record", result="result.json", budget="0.15").returncode == 0
        assert (runner.outputs["total-usd"], runner.outputs["over-budget"]) == (total, over)
    done = runner.run("Hold it against the budget", budget="0.15")
    assert (done.returncode, "cost $0.2022 together, and may cost $0.15" in done.stdout) == (1, True)
    assert "OVER the limit of \\$0.15" in runner.summary.read_text()


def test_names_of_files_are_no_commands(runner):
    """Names with spaces and signs, several lines and patterns are files and nothing else."""
    result = json.loads(RESULT.read_text())
    for number, name in enumerate(["one two.json", "$(touch x).json", "b-1.json"]):
        (runner.work / name).write_text(json.dumps({**result, "uuid": str(number)}))
    done = runner.run("Record", result="one two.json\n$(touch x).json\nb-*.json\n", pr="$(touch y)", budget="9")
    assert done.returncode == 0, done.stderr
    assert runner.outputs["total-usd"] == "0.3033"
    assert sorted(path.name for path in runner.work.iterdir()) == ["$(touch x).json", "b-1.json", "one two.json"]


def test_nothing_to_record(runner):
    """No file, or one that is no result, fails the step and says why."""
    done = runner.run("Record", result="none-*.json")
    assert (done.returncode, "no file is there" in done.stdout) == (1, True)
    (runner.work / "result.json").write_text("Error: not logged in")
    assert runner.run("Record", result="result.json").returncode != 0


def test_a_result_that_is_refused(runner):
    """A result that cannot be counted fails the job at the end."""
    (runner.work / "result.json").write_text('{"type": "result", "total_cost_usd": 1}')
    assert runner.run("Record", result="result.json").returncode == 0
    assert runner.outputs["refused"] == "1"
    assert runner.run("Hold it against the budget").returncode == 1
    assert "neither session\\_id nor uuid" in runner.summary.read_text()
