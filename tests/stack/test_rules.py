import re
import subprocess

import pytest
import yaml

from deployment import SHIPPED
from otel_aicost.names import EXPORTED
from prometheus import program

RULES = sorted(SHIPPED.glob("rules/*.yml"))
TESTS = sorted(SHIPPED.glob("tests/*.yml"))
OTLP = SHIPPED / "otlp.rules.yml"
RUNBOOK = "https://github.com/otel-aicost/otel-aicost/blob/main/deploy/prometheus/runbook.md#"


def rules(kind, paths=RULES):
    """All rules that have this key: `alert` or `record`."""
    groups = [group for path in paths for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def promtool(*arguments, cwd=SHIPPED):
    done = subprocess.run(
        [program("promtool"), *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


ALERTS = sorted({rule["alert"] for rule in rules("alert")})


def test_prometheus_takes_the_configuration():
    """`promtool check config` finds nothing to say, nor do its linters."""
    promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")


@pytest.mark.parametrize("path", [*RULES, OTLP], ids=lambda path: path.stem)
def test_prometheus_takes_the_rules(path):
    """`promtool check rules` finds nothing to say, nor do its linters."""
    promtool("check", "rules", "--lint=all", "--lint-fatal", path)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_do_what_their_tests_say(path):
    """`promtool test rules` passes."""
    promtool("test", "rules", path.name, cwd=path.parent)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_tested_on_both_sides(alert):
    """Some test has it silent, and some has it firing."""
    cases = [
        bool(case["exp_alerts"])
        for path in TESTS
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test.get("alert_rule_test", [])
        if case["alertname"] == alert
    ]
    assert set(cases) == {False, True}


def test_each_alert_has_a_section_in_the_runbook_and_each_section_an_alert():
    """Under the alert's name; each alert links to its own."""
    sections = re.findall(r"^## (\w+)$", (SHIPPED / "runbook.md").read_text(), re.MULTILINE)
    assert sorted(sections) == ALERTS
    for rule in rules("alert"):
        assert rule["annotations"]["runbook_url"] == RUNBOOK + rule["alert"].lower()


def test_each_alert_says_what_a_message_needs():
    """A severity to route by, a kind, and what the templates show."""
    for rule in rules("alert"):
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}, rule["alert"]
        assert rule["labels"]["kind"], rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "dashboard_url", "runbook_url"}
        assert rule["annotations"]["dashboard_url"].startswith("/d/aicost-"), rule["alert"]


def test_rules_ask_for_metrics_that_there_are():
    """Each name in an expression is one that `aicost serve` shows, or one that a rule records."""
    shown = {
        name + suffix
        for name, family in EXPORTED.items()
        for suffix in {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}[family.kind]
    }
    recorded = {rule["record"] for rule in rules("record")}
    asked = {
        name
        for rule in [*rules("alert"), *rules("record")]
        for text in [rule["expr"], *rule.get("annotations", {}).values()]
        for name in re.findall(r"\baicost[_:][a-z0-9_:]+", re.sub(r'https?://\S+|"[^"{]*"', "", text))
    }
    assert asked <= shown | recorded
    assert "aicost_budget_spend_usd" in asked


def test_money_is_counted_once_however_many_exporters_show_it():
    """Every metric of the exporter is first reduced by `max` or `sum by (instance, ...)` inside `max`."""
    for rule in rules("alert") + rules("record"):
        # Over time is another matter: what stands in max_over_time is recorded, and so reduced already.
        bare = re.sub(
            r"\b(max|absent)\s*(by \([^)]*\))?\s*\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)",
            "",
            rule["expr"],
        )
        assert not re.search(r"\baicost_\w+\{?", bare.replace("aicost:", "")), rule
