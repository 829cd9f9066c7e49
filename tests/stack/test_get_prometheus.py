import subprocess
from pathlib import Path

import pytest

from prometheus import program

SCRIPT = Path(__file__).parents[2] / "scripts" / "get-prometheus"


def run(directory, path):
    return subprocess.run(
        [SCRIPT, directory / "fetched"], env={"PATH": str(path)}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def tools(tmp_path):
    """A PATH with what the script itself needs, and no more."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("sh", "sed", "cat", "grep", "head", "tr", "mkdir"):
        (directory / name).symlink_to(
            Path("/bin") / name if (Path("/bin") / name).exists() else Path("/usr/bin") / name
        )
    return directory


def test_it_fetches_nothing_where_the_programs_are_on_the_path(tmp_path, tools):
    """It says nothing either."""
    for name in ("prometheus", "promtool", "alertmanager", "amtool"):
        (tools / name).symlink_to(program(name))
    done = run(tmp_path, tools)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "fetched").exists()


def test_a_prometheus_that_is_too_old_is_none(tmp_path, tools):
    """Version 2 is passed over; where there is no apt to fetch another, it says what is needed."""
    for name in ("prometheus", "promtool", "alertmanager", "amtool"):
        (tools / name).write_text('#!/bin/sh\necho "prometheus, version 2.53.3 (branch: HEAD)"\n')
        (tools / name).chmod(0o755)
    done = run(tmp_path, tools)
    assert done.returncode == 2
    assert done.stderr.startswith("get-prometheus: Prometheus 3, promtool, alertmanager and amtool are not on the PATH")
    assert not (tmp_path / "fetched").exists()
