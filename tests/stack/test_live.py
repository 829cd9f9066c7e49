"""From a call of a real SDK to Prometheus, to a page, and back: programs that fork, die and live for a moment."""

import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from tools.dashboards.lint import read
from tools.dashboards.promql import gained, total
from tools.dashboards.queries import filled, queries

from deployment import Deployment
from mails import Mailbox
from otel_aicost.testing import FakeProvider, Reply, Usage
from prometheus import Alertmanager, Prometheus, free_port, wait

BIN = Path(sys.executable).parent
BUDGETS = """
timezone: UTC
budgets:
  - {name: agents, match: {tags: {feature: agent}}, limit: 0.05 USD, period: day, alert_at: [0.5]}
  - {name: calm, limit: 1000 USD, period: month}
"""
PRICE = 0.0125
"""Dollars of each call: 1,000 tokens in at $2.50 a million, 1,000 out at $10."""
CALL = 'client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])'
JOB = f"import openai; client = openai.OpenAI(); {CALL}"
SERVER = f"""
import os, signal, sys, time
import openai
client = openai.OpenAI()
{CALL}
workers = []
for number in range(4):
    worker = os.fork()
    if not worker:
        client = openai.OpenAI()  # a connection is not to be shared
        for _ in range(5):
            {CALL}
        print("made", flush=True)
        if number == 3:
            import otel_aicost
            otel_aicost.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        sys.exit()
    workers.append(worker)
for worker in workers:
    os.waitpid(worker, 0)
"""


class Live:
    """The fake provider, two `aicost serve`, Prometheus, Alertmanager and a mailbox, around one ledger."""

    def __init__(self, directory):
        self.directory = directory
        self.ledger = directory / "ledger.db"
        self.provider = FakeProvider().start()
        self.provider.always(Reply(usage=Usage(input_tokens=1_000, output_tokens=1_000)))
        (directory / "aicost.yaml").write_text(BUDGETS)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        self.environ = {
            **inherited,
            **self.provider.environ,
            "OTEL_AICOST_LEDGER": str(self.ledger),
            "OTEL_AICOST_CONFIG": str(directory / "aicost.yaml"),
            "OTEL_AICOST_PROVIDER_HOSTS": f"127.0.0.1:{self.provider.port}=openai",
            "OTEL_SERVICE_NAME": "live",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_TRACES_EXPORTER": "none",
        }
        ports = [free_port(), free_port()]
        self.mailbox = Mailbox()
        self.mailbox.__enter__()
        deployment = Deployment(
            directory,
            exporters=[f"127.0.0.1:{port}" for port in ports],
            smtp_port=self.mailbox.port,
            webhook=f"http://127.0.0.1:{ports[0]}/alerts/alertmanager",
        )
        self.alertmanager = Alertmanager(deployment.alertmanager)
        deployment.alerting_to(self.alertmanager.port)
        self.exporters = [
            subprocess.Popen(
                [BIN / "aicost", "serve", "--port", str(port), "--alertmanager", self.alertmanager.url],
                env=self.environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for port in ports
        ]
        self.prometheus = Prometheus(deployment.prometheus)

    def run(self, program, tags):
        """A program under `opentelemetry-instrument`, as a user runs it; returns when it has ended."""
        command = [BIN / "opentelemetry-instrument", sys.executable, "-c", program]
        subprocess.run(command, env={**self.environ, "OTEL_AICOST_TAGS": tags}, check=True, timeout=120)

    def aicost(self, *arguments):
        return subprocess.run(
            [BIN / "aicost", *arguments], env=self.environ, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def sql(self, statement):
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as connection:
            return connection.execute(statement).fetchall()

    def value(self, expression):
        """Of one exporter, as the dashboards ask; nothing yet is 0."""
        found = self.prometheus.query(expression)
        return found[0].value if found else 0

    def close(self):
        for exporter in self.exporters:
            exporter.send_signal(signal.SIGTERM)
        assert [exporter.wait(30) for exporter in self.exporters] == [0, 0]
        self.prometheus.remove()
        self.alertmanager.remove()
        self.mailbox.__exit__()
        self.provider.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    made = Live(tmp_path_factory.mktemp("live"))
    wait(lambda: all(target["health"] == "up" for target in made.prometheus.targets()))
    yield made
    made.close()


def test_prometheus_knows_what_the_ledger_does(live):
    """Four workers of a server, one killed, and three programs of one call: nothing is lost, and nothing twice."""
    live.run(SERVER, "feature=chat,user=ann")
    for number in range(3):
        live.run(JOB, f"feature=nightly,user=u{number}")
    made = len(live.provider.requests)
    assert made == 1 + 4 * 5 + 3
    assert live.sql("SELECT count(*), sum(cost_nano) FROM calls") == [(made, made * 12_500_000)]
    wait(lambda: live.value(total("aicost_cost_usd_total")) == pytest.approx(made * PRICE, abs=1e-9))
    assert live.value(gained("aicost_cost_usd_total", during="1h")) == pytest.approx(made * PRICE, abs=1e-9)
    # The flag gives each new series its 0: even programs of one call are in increase().
    increase = live.value('sum(max without (instance, job) (increase(aicost_cost_usd_total{feature="nightly"}[5m])))')
    assert increase == pytest.approx(3 * PRICE, rel=0.2)
    wait(lambda: live.value('max(aicost_spend_usd{period="day",offset="0"})') == pytest.approx(made * PRICE, abs=1e-9))
    ann = 'max(aicost_top_spend_usd{by="user",name="ann",period="day",offset="0"})'
    wait(lambda: live.value(ann) == pytest.approx(21 * PRICE, abs=1e-9))
    assert live.value("min(aicost_ledger_up)") == 1
    wait(lambda: live.value('max(aicost_writers{service="live"})') > 0)


@pytest.mark.parametrize("uid", [board["uid"] for board in read()])
def test_no_dashboard_meets_an_error(live, uid):
    """Every query of panels, variables and annotations is answered by a server that has been alive for a minute."""
    (board,) = [board for board in read() if board["uid"] == uid]
    now = time.time()
    for asked in queries(board):
        expr = filled(asked.expr, {"period": "month", "month": "0"})
        found = live.prometheus.range(expr, now - 60, now, 5) if asked.over_time else live.prometheus.query(expr)
        values = [value for one in found for value in (one.values if asked.over_time else [one.value])]
        assert not any(math.isnan(value) for value in values), asked.where


def test_exemplars_lead_to_a_trace_of_the_ledger(live):
    """The cost of a call with a span has the id of its trace."""
    live.environ["OTEL_TRACES_EXPORTER"] = "console"
    live.run(JOB, "feature=traced")
    live.environ["OTEL_TRACES_EXPORTER"] = "none"
    ((trace_id,),) = live.sql("SELECT trace_id FROM calls WHERE tags LIKE '%traced%'")
    assert re.fullmatch("[0-9a-f]{32}", trace_id)

    def found():
        now = time.time()
        series = live.prometheus.exemplars('aicost_cost_usd_total{feature="traced"}', now - 300, now + 5)
        return [one["labels"]["trace_id"] for each in series for one in each["exemplars"]]

    assert set(wait(found)) == {trace_id}


def test_a_budget_is_broken_paged_once_and_resolved(live):
    """Both exporters post it, the rules raise it too: one mail, one row; the limit raised by hand ends it."""
    for _ in range(4):  # 0.05 dollars: the half is passed on the way
        live.run(JOB, "feature=agent")
    (mail,) = wait(lambda: live.mailbox.to("oncall@example.com"))
    assert "agents" in mail.subject
    assert "Spent: $0.05\nLimit: $0.05" in mail.text
    rule = 'ALERTS{alertname="AICostBudgetExceeded",alertstate="firing"}'
    assert {one.labels["budget"] for one in live.prometheus.wait_for(rule)} == {"agents"}
    live.prometheus.wait_scrape(3)
    active = live.alertmanager.alerts(filter='budget="agents"')
    by_name = {one["labels"]["alertname"]: one for one in active}
    assert len(by_name) == len(active)
    assert by_name["AICostBudgetExceeded"]["status"]["state"] == "active"
    assert by_name["AICostBudgetThreshold"]["status"]["inhibitedBy"]
    filed = live.sql("SELECT kind, source, state FROM alerts WHERE budget = 'agents' ORDER BY kind")
    assert [(kind, source) for kind, source, _ in filed] == [
        ("budget_exceeded", "aicost"),
        ("threshold_reached", "aicost"),
    ]
    assert len(live.mailbox.to("oncall@example.com")) == 1

    live.aicost("budgets", "set", "agents", "100 USD")
    wait(lambda: [one for one in live.mailbox.to("oncall@example.com") if "resolved" in one.subject])
    wait(lambda: not live.alertmanager.alerts(filter='budget="agents"'))
    wait(lambda: ("budget_exceeded", "resolved") in live.sql("SELECT kind, state FROM alerts"))


def test_the_ledger_still_agrees_with_itself(live):
    """After all that, balances, totals and calls do."""
    assert "all agrees" in live.aicost("ledger", "verify")
