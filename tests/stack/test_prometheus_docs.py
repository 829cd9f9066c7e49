import re
import shutil
import subprocess
from pathlib import Path

import yaml

from deployment import SHIPPED
from prometheus import program

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "prometheus.md").read_text()


def rules(kind):
    groups = [group for path in SHIPPED.glob("rules/*.yml") for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def test_the_lines_to_add_to_a_prometheus_are_a_configuration(tmp_path):
    """With the rules where the page says to copy them, promtool takes them."""
    (lines,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "prometheus.yml").write_text(lines)
    shutil.copytree(SHIPPED / "rules", tmp_path / "rules" / "aicost")
    command = [program("promtool"), "check", "config", "prometheus.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 rule files found" in done.stdout
    assert yaml.safe_load(lines)["scrape_configs"][0]["job_name"] == "aicost"


def test_the_page_has_every_alert_with_its_severity():
    """And none that there is not."""
    told = dict(re.findall(r"^\| `(AICost\w+)` \| (\w+)", TEXT, re.MULTILINE))
    severities = {}
    for rule in rules("alert"):
        severities.setdefault(rule["alert"], rule["labels"]["severity"])
    assert told == severities


def test_the_page_has_every_series_that_is_recorded():
    """And none that there is not."""
    assert set(re.findall(r"`(aicost:[a-z0-9_:]+)`", TEXT)) == {rule["record"] for rule in rules("record")}


def test_the_page_has_every_file():
    """Of deploy/prometheus, by its name."""
    for path in SHIPPED.rglob("*"):
        name = path.relative_to(SHIPPED).as_posix()
        if path.is_file() and not name.startswith("local/"):
            assert f"`{name}`" in TEXT or f"`{path.parent.name}/*.yml`" in TEXT
