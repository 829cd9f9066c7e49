"""From a metric to a mail: our Prometheus and Alertmanager files, run as they ship with waits cut short."""

import json
import re
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from deployment import Deployment
from mails import Mailbox
from otel_aicost.names import EXPORTED
from prometheus import Alertmanager, Prometheus, wait

HALF_A_DAY = 43_200


class Hook:
    """An HTTP server that keeps what is posted to each of its paths."""

    def __init__(self):
        self.posts = posts = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.append((urlsplit(self.path).path, json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def alerts(self, path):
        """Every alert that was posted to this path."""
        return [alert for at, body in self.posts if at == path for alert in body["alerts"]]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Exporter:
    """One of the exporters of a ledger: the families that budgets' alerts rest on, and a ledger that is up."""

    def __init__(self, day_end):
        self.day_end = day_end
        registry = CollectorRegistry()
        self._gauges = {
            name: Gauge(name, family.help, family.labels, registry=registry)
            for name, family in EXPORTED.items()
            if family.kind == "gauge" and name.startswith(("aicost_budget_", "aicost_ledger_up"))
        }
        self._gauges["aicost_ledger_up"].set(1)
        self._server, self._thread = start_http_server(0, "127.0.0.1", registry)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def spend(self, dollars, *, budget="team-day", key="ann", limit=10.0):
        """So much of the budget is spent."""
        window = (budget, key, "day")
        self._gauges["aicost_budget_info"].labels(budget, "day", "user", "growth", "warn", "UTC").set(1)
        self._gauges["aicost_budget_end_timestamp_seconds"].labels(*window).set(self.day_end)
        self._gauges["aicost_budget_start_timestamp_seconds"].labels(*window).set(self.day_end - 86_400)
        self._gauges["aicost_budget_limit_usd"].labels(*window).set(limit)
        self._gauges["aicost_budget_spend_usd"].labels(*window).set(dollars)
        self._gauges["aicost_budget_used_ratio"].labels(*window, "USD").set(dollars / limit)
        for share in ("0.5", "0.9", "1"):
            reached = self._gauges["aicost_budget_threshold_reached"].labels(*window, "USD", share)
            reached.set(dollars / limit >= float(share))

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class World:
    """Two exporters of one ledger, Prometheus, Alertmanager, and what they send."""

    def __init__(self, directory, *, slack=False):
        self.day_end = int(time.time()) + HALF_A_DAY
        self.exporters = [Exporter(self.day_end) for _ in range(2)]
        self.hook = Hook()
        self.mailbox = Mailbox()
        self.mailbox.__enter__()
        deployment = Deployment(
            directory,
            exporters=[exporter.address for exporter in self.exporters],
            smtp_port=self.mailbox.port,
            webhook=f"{self.hook.url}/alerts/alertmanager",
        )
        if slack:
            deployment.with_slack(f"{self.hook.url}/slack")
        self.alertmanager = Alertmanager(deployment.alertmanager)
        deployment.alerting_to(self.alertmanager.port)
        self.prometheus = Prometheus(deployment.prometheus)

    def spend(self, dollars, **budget):
        for exporter in self.exporters:
            exporter.spend(dollars, **budget)

    def filed(self, alertname, **labels):
        """What was sent to be filed in the ledger: alerts of this name."""
        return [
            alert
            for alert in self.hook.alerts("/alerts/alertmanager")
            if {"alertname": alertname, **labels}.items() <= alert["labels"].items()
        ]

    def close(self):
        self.prometheus.remove()
        self.alertmanager.remove()
        self.mailbox.__exit__()
        self.hook.close()
        for exporter in self.exporters:
            exporter.close()


@pytest.fixture
def world(tmp_path, request):
    world = World(tmp_path, **getattr(request, "param", {}))
    yield world
    world.close()


def test_a_budget_that_is_spent_is_paged_with_all_that_matters(world):
    """One mail to those on call and one to the team, with budget, key, spent, limit, reset time and links; one row to file."""
    world.spend(12.0)
    (mail,) = wait(lambda: world.mailbox.to("oncall@example.com"))
    assert mail.subject == "[critical] team-day (ann): the day budget is spent (120%)"
    for part in (
        "Budget: team-day (day)\nKey: ann\nSpent: $12.00\nLimit: $10.00\n",
        f"Resets: {datetime.fromtimestamp(world.day_end, UTC):%a %-d %b %Y %H:%M UTC}",
        "Team: growth",
        "Dashboard: http://127.0.0.1:3000/d/aicost-budgets?var-budget=team-day",
        "runbook.md#aicostbudgetexceeded",
    ):
        assert part in mail.text
    assert re.search(r"Projected: \$2[34]\.\d\d by the end of the day", mail.text)
    assert 'href="http://127.0.0.1:3000/d/aicost-budgets?var-budget=team-day"' in mail.html
    assert "Spent: $12.00" in mail.html
    wait(lambda: world.mailbox.to("growth@example.com"))
    (filed,) = world.filed("AICostBudgetExceeded")
    assert filed["labels"] == {
        "alertname": "AICostBudgetExceeded", "severity": "critical", "kind": "budget", "budget": "team-day", "key": "ann",
        "period": "day", "unit": "USD", "team": "growth",
    }  # fmt: skip


def test_a_spent_budget_silences_what_it_says_anyway(world):
    """A threshold that is passed first is told; with the limit passed only the page is, for this key and no other."""
    world.spend(9.5)
    wait(lambda: world.filed("AICostBudgetThreshold", threshold="0.9"))
    world.spend(12.0)
    world.spend(9.5, key="bob")
    wait(lambda: world.filed("AICostBudgetExceeded"))
    wait(lambda: world.filed("AICostBudgetThreshold", threshold="0.9", key="bob"))
    alerts = wait(lambda: [each for each in world.alertmanager.alerts() if each["status"]["inhibitedBy"]])
    silenced = {(each["labels"]["key"], each["labels"].get("threshold")) for each in alerts}
    assert silenced <= {("ann", "0.9"), ("ann", "0.5"), ("bob", "0.5")}
    assert ("ann", "0.9") in silenced
    assert not world.filed("AICostBudgetThreshold", threshold="0.5", key="bob")


def test_a_window_that_begins_anew_ends_the_page(world):
    """The mail says so."""
    world.spend(12.0)
    wait(lambda: world.mailbox.to("oncall@example.com"))
    world.spend(0.0)
    ended = wait(lambda: [mail for mail in world.mailbox.to("oncall@example.com") if "resolved" in mail.subject])
    assert ended[0].subject.startswith("[resolved] team-day (ann): the day budget is spent")


def test_an_alert_that_is_also_posted_directly_is_one(world):
    """`aicost serve` may tell Alertmanager itself, at once; the rules' own alert has the same labels to the letter."""
    labels = {
        "alertname": "AICostBudgetExceeded", "severity": "critical", "kind": "budget", "budget": "team-day", "key": "ann",
        "period": "day", "unit": "USD", "team": "growth",
    }  # fmt: skip
    world.alertmanager.post([{"labels": labels, "annotations": {"summary": "posted"}}])
    wait(lambda: world.filed("AICostBudgetExceeded"))
    world.spend(12.0)
    wait(lambda: [each for each in world.prometheus.alerts() if each["labels"]["alertname"] == "AICostBudgetExceeded"])
    wait(lambda: "120%" in world.alertmanager.alerts()[0]["annotations"]["summary"])
    assert len(world.alertmanager.alerts(filter='alertname="AICostBudgetExceeded"')) == 1
    assert len(world.mailbox.to("oncall@example.com")) == 1


@pytest.mark.parametrize("world", [{"slack": True}], indirect=True)
def test_slack_hears_of_it_once_its_file_is_there(world):
    """As the comment in alertmanager.yml says to do it."""
    world.spend(12.0)
    (message,) = wait(lambda: [body for path, body in world.hook.posts if path == "/slack"])
    (attachment,) = message["attachments"]
    assert attachment["title"] == "[critical] team-day (ann): the day budget is spent (120%)"
    assert attachment["title_link"].startswith("http://127.0.0.1:3000/d/aicost-budgets")
    assert attachment["color"] == "danger"
    assert "Spent: $12.00" in attachment["text"]


def test_no_rule_errs_in_a_running_prometheus(world):
    """All are evaluated, on two exporters, without an error."""
    world.spend(12.0)
    world.prometheus.wait_for('ALERTS{alertname="AICostBudgetExceeded"}')
    wait(lambda: all(rule["health"] == "ok" for rule in world.prometheus.rules()))
    assert len(world.prometheus.query("aicost:budget_spent")) == 1
